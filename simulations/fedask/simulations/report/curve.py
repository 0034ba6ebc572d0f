"""Learning curves over seeds. Called by the drawing and the report; draws nothing.

Letters: p points of a curve, one per cycle that at least one seed finished.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from fedask.simulations.comparison.summary import ArmSummary, ComparisonSummary
from fedask.simulations.report.quantity import change, count, percent
from fedask.simulations.report.ranking import drawn

_NARROWEST = 0.02  # range of accuracies, so that equal ones still have an axis
_MOST_BANDS = 5  # drawn over each other
_LONGEST_NAME = 50  # letters beside a line; the tables show names in full


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Accuracy of one arm over the labels bought.

    Parameters
    ----------
    name, short
        The arm; and what to write beside its line, unlike any other's.
    labels
        (p,) labels bought, ascending.
    mean, low, high
        (p,) over the seeds that finished the cycle, in [0, 1].
    spread
        (p,) sample standard deviation, NaN where there is one seed.
    seeds
        (p,) how many seeds finished the cycle.
    mark
        Labels at which the target was reached, or None.
    note
        What to write beside the mark.
    """

    name: str
    short: str
    labels: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    spread: tuple[float, ...]
    seeds: tuple[int, ...]
    mark: int | None
    note: str

    @property
    def ending(self) -> str:
        """Return the short name and the last mean accuracy."""
        return f"{self.short} {percent(self.mean[-1])}"

    def mean_at(self, labels: float) -> float:
        """Return the mean accuracy at a number of labels, between points by line."""
        return float(np.interp(labels, self.labels, self.mean))


def curves_of(summary: ComparisonSummary) -> list[Curve]:
    """Return the curves to draw, the best arm first."""
    names = drawn(summary)
    short = shorten(names)
    return [_curve(name, short[name], summary["policies"][name]) for name in names]


def shorten(names: Sequence[str]) -> dict[str, str]:
    """Leave out the middle of names that are too long, unless two would be the same."""
    head, tail = _LONGEST_NAME // 2, _LONGEST_NAME - _LONGEST_NAME // 2 - 1
    short = {
        name: name
        if len(name) <= _LONGEST_NAME
        else name[:head].rstrip() + "\N{HORIZONTAL ELLIPSIS}" + name[-tail:].lstrip()
        for name in names
    }
    taken = list(short.values())
    return {n: text if taken.count(text) == 1 else n for n, text in short.items()}


def _curve(name: str, short: str, arm: ArmSummary) -> Curve:
    longest = max((len(seed) for seed in arm["accuracy"]), default=0)
    labels = arm["labels"][:longest]
    cycles = [
        [seed[cycle] for seed in arm["accuracy"] if cycle < len(seed)]
        for cycle in range(len(labels))
    ]
    return Curve(
        name=name,
        short=short,
        labels=tuple(labels),
        mean=tuple(fmean(seeds) for seeds in cycles),
        low=tuple(min(seeds) for seeds in cycles),
        high=tuple(max(seeds) for seeds in cycles),
        spread=tuple(stdev(seeds) if len(seeds) > 1 else math.nan for seeds in cycles),
        seeds=tuple(len(seeds) for seeds in cycles),
        mark=arm["labels_to_target"],
        note=_note(arm),
    )


def _note(arm: ArmSummary) -> str:
    """Say at how many labels the target was reached, and how many that saved."""
    if arm["labels_to_target"] is None:
        return "target not reached"
    text = f"{count(arm['labels_to_target'])} labels"
    saved = arm["labels_saved"]
    return text if not saved else f"{text} ({change(saved)})"


def marked(curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves that met the target, fewest labels first."""
    met = [curve for curve in curves if curve.mark is not None]
    return sorted(met, key=lambda curve: curve.mark or 0)


def in_focus(curves: Sequence[Curve], hues: Mapping[str, int]) -> list[Curve]:
    """Return the curves to give bands and notes: of many the best and the reference.

    Parameters
    ----------
    curves
        The best first.
    hues
        From ``palette.hues``: the reference has hue 0.
    """
    if len(curves) <= _MOST_BANDS:
        return list(curves)
    rest = (curve for curve in curves[1:] if hues[curve.name] == 0)
    return [curves[0], *rest]


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most ``most`` + 2 round numbers that enclose ``low`` to ``high``."""
    wanted = max(high - low, 1e-6) / most
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= wanted * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


def accuracy_ticks(curves: Sequence[Curve], target: float | None) -> list[float]:
    """Return round accuracies that enclose all curves and the target."""
    values = [value for curve in curves for value in curve.low + curve.high]
    values += [] if target is None else [target]
    high = max(*values, _NARROWEST)
    return ticks(min(*values, high - _NARROWEST), high, 5)


def spread_out(places: Sequence[float], gap: float) -> list[float]:
    """Move places apart until neighbours are ``gap`` away, keeping their order.

    Parameters
    ----------
    places
        Wanted coordinates of labels along an axis, in any order.

    Returns
    -------
    list of float
        Entry i is the new coordinate of ``places[i]``.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    groups: list[list[int]] = []
    for index in order:
        groups.append([index])
        while len(groups) > 1 and _overlap(groups[-2], groups[-1], places, gap):
            last = groups.pop()
            groups[-1] += last
    moved = list(places)
    for group in groups:
        start = _start(group, places, gap)
        for rank, index in enumerate(group):
            moved[index] = start + rank * gap
    return moved


def _start(group: Sequence[int], places: Sequence[float], gap: float) -> float:
    middle = fmean(places[index] for index in group)
    return middle - gap * (len(group) - 1) / 2


def _overlap(
    first: Sequence[int], second: Sequence[int], places: Sequence[float], gap: float
) -> bool:
    end = _start(first, places, gap) + gap * (len(first) - 1)
    return _start(second, places, gap) - end < gap - 1e-9
