"""Tables of the key figures per cycle and of paired statistics. Called by the report.

No stars and no verdicts: a p-value stands beside the smallest one that so many seeds
can give.
"""

from collections.abc import Callable
from functools import partial
from statistics import fmean
from typing import cast

from fedask.simulations.paired import least_p
from fedask.simulations.reporting.page import (
    Html,
    cell,
    element,
    esc,
    join,
    row,
    table,
)
from fedask.simulations.reporting.palette import hues
from fedask.simulations.reporting.quantity import count, percent, plural
from fedask.simulations.reporting.svg import swatch
from fedask.simulations.summary import Figures, PolicySummary, Summary

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


def paired_table(summary: Summary) -> Html:
    """Show the areas under the curves, and what each policy has over the reference."""
    head = ["policy", "AULC", "shift", "effect", "p", "seeds that ended early"]
    rows = [
        row([_policy(summary, name), *_areas(policy), _ends(policy)])
        for name, policy in summary["policies"].items()
    ]
    return table(esc(_told(summary)), head, rows)


def _told(summary: Summary) -> str:
    between, seeds = summary["aulc_labels"], len(summary["seeds"])
    if between is None:
        return "No range of labels is covered by all curves, so areas do not compare."
    low, high = between
    return (
        f"AULC: area under the learning curve between {count(low)} and {count(high)} "
        "labels, which all runs cover, divided by that range; below it, lowest to "
        f"highest seed. Against {summary['reference']}, on the same seeds: shift in "
        "points (Hodges-Lehmann), effect from -1 to 1 (matched-pairs rank-biserial) "
        "and two-sided p (exact Wilcoxon signed-rank). With "
        f"{plural(seeds, 'seed')} p cannot be below {least_p(seeds):.2g}."
    )


def _areas(policy: PolicySummary) -> list[Html]:
    areas = [area for area in policy["aulc"] if area is not None]
    mean = cell(
        percent(fmean(areas)) if areas else _DASH,
        f"{percent(min(areas))} to {percent(max(areas))}" if len(areas) > 1 else "",
    )
    against = policy["against"]
    if against is None:
        return [mean, esc(_DASH), esc(_DASH), esc(_DASH)]
    return [
        mean,
        esc(f"{100 * against['shift']:+.1f}"),
        esc(f"{against['effect']:+.2f}"),
        cell(f"{against['p']:.2g}", plural(against["pairs"], "pair")),
    ]


def _ends(policy: PolicySummary) -> Html:
    ends = [end for end in policy["stopped"] if end is not None]
    reasons = "; ".join(f"cycle {end['cycle']}: {end['reason']}" for end in ends)
    return cell(len(ends), reasons)


def figure_tables(summary: Summary) -> Html:
    """Show the key figures, one row per cycle, one table per policy."""
    tables = (
        _figures(summary, name, policy) for name, policy in summary["policies"].items()
    )
    return element("div", join(tables))


def _figures(summary: Summary, name: str, policy: PolicySummary) -> Html:
    head = ["cycle", "labels", *(title for title, _ in _COLUMNS.values())]
    rows = [
        row([esc(cycle + 1), esc(count(labels)), *_values(policy["figures"], cycle)])
        for cycle, labels in enumerate(policy["labels"])
    ]
    return table(_policy(summary, name), head, rows)


def _values(figures: Figures, cycle: int) -> list[Html]:
    columns = cast("dict[str, list[float | None]]", figures)
    return [
        esc(write(columns[key][cycle] if cycle < len(columns[key]) else None))
        for key, (_, write) in _COLUMNS.items()
    ]


def _policy(summary: Summary, name: str) -> Html:
    return Html(swatch(hues(summary)[name]) + esc(name))
