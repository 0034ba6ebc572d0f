"""Tables of the key figures per cycle and of paired statistics. Called by the report.

No stars and no annotations: a p-value stands beside the smallest one that so many seeds
can give.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

from fedask.simulations.comparison.summary import ArmSummary, ComparisonSummary, Figures
from fedask.simulations.report.headline import areas_told
from fedask.simulations.report.html import (
    Html,
    cell,
    esc,
    row,
    table,
)
from fedask.simulations.report.quantity import count, percent, plural
from fedask.simulations.report.ranking import mean_area, ranked
from fedask.simulations.report.tables import named, per_arm

_DASH = "\N{EN DASH}"


def _number(value: float | None, digits: int) -> str:
    return _DASH if value is None else f"{value:.{digits}f}"


_COLUMNS: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "labels_per_point": ("labels per point", partial(_number, digits=1)),
    "answered_share": ("answered", partial(percent, digits=0)),
    "capacity_used": ("capacity used", partial(percent, digits=0)),
    "spent_per_label": ("spent per label", partial(_number, digits=2)),
    "class_balance": ("class balance", partial(_number, digits=2)),
    "diversity": ("diversity", partial(_number, digits=2)),
}

_POINT = "labels spent since the first cycle, per percentage point gained since then"
_SPENT = "labels spent per answer: 1 when nothing is skipped and nothing waits"
_APART = (
    "mean cosine distance between the samples of the cycle, as the model takes them"
)
TERMS = (
    ("labels per point", _POINT),
    ("answered", "share of the questions so far that people have answered"),
    ("capacity used", "questions of the cycle, as a share of what people could give"),
    ("spent per label", _SPENT),
    ("class balance", "entropy of the labelled class mix: 1 = all alike, 0 = only one"),
    ("diversity", _APART),
)


def paired_table(summary: ComparisonSummary) -> Html:
    """Show the areas under the curves, and what each arm has over the reference."""
    head = ["arm", "AULC", "shift", "effect", "p", "p (Holm)", "seeds that ended early"]
    rows = [
        row([named(summary, name), *_areas(arm), _ends(arm)])
        for name in ranked(summary)
        for arm in (summary["policies"][name],)
    ]
    told = areas_told(summary)
    if len(summary["seeds"]) > 1:
        told += " Below the AULC, lowest to highest seed."
    return table(esc(told), head, rows)


def _areas(arm: ArmSummary) -> list[Html]:
    areas = [area for area in arm["aulc"] if area is not None]
    mean = cell(
        percent(mean_area(arm)),
        f"{percent(min(areas))} to {percent(max(areas))}" if len(areas) > 1 else "",
    )
    against = arm["against"]
    if against is None:
        return [mean, *[esc(_DASH)] * 4]
    return [
        mean,
        esc(f"{100 * against['shift']:+.1f}"),
        esc(f"{against['effect']:+.2f}"),
        cell(f"{against['p']:.2g}", plural(against["pairs"], "pair")),
        esc(f"{against['p_holm']:.2g}"),
    ]


def _ends(arm: ArmSummary) -> Html:
    ends = [end for end in arm["stopped"] if end is not None]
    reasons = "; ".join(f"cycle {end['cycle']}: {end['reason']}" for end in ends)
    return cell(len(ends), reasons)


def figure_tables(summary: ComparisonSummary) -> Html:
    """Show the key figures, one row per cycle, one table per arm."""
    return per_arm(summary, lambda name: _figures(summary, name))


def _figures(summary: ComparisonSummary, name: str) -> Html:
    arm = summary["policies"][name]
    head = ["cycle", "labels", *(title for title, _ in _COLUMNS.values())]
    rows = [
        row([esc(cycle + 1), esc(count(labels)), *_values(arm["figures"], cycle)])
        for cycle, labels in enumerate(arm["labels"])
    ]
    return table(named(summary, name), head, rows)


def _values(figures: Figures, cycle: int) -> list[Html]:
    columns = cast("dict[str, list[float | None]]", figures)
    return [
        esc(write(columns[key][cycle] if cycle < len(columns[key]) else None))
        for key, (_, write) in _COLUMNS.items()
    ]
