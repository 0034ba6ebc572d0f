"""Learning curves over seeds. Called by the plot and the report; draws nothing.

Letters: p points of a curve, one per cycle that at least one seed finished.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from fedask.simulations.reporting.quantity import change, count, percent
from fedask.simulations.summary import PolicySummary, Summary

_NARROWEST = 0.02  # range of accuracies, so that equal ones still have an axis
_LONGEST_NAME = 26  # letters beside a line; the tables show names in full


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Accuracy of one policy over the labels bought.

    Parameters
    ----------
    name
        The policy.
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
        """Return the name, shortened if need be, and the last mean accuracy."""
        name = self.name
        if len(name) > _LONGEST_NAME:
            name = name[: _LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"
        return f"{name} {percent(self.mean[-1])}"

    def mean_at(self, labels: float) -> float:
        """Return the mean accuracy at a number of labels, between points by line."""
        return float(np.interp(labels, self.labels, self.mean))


def curves_of(summary: Summary) -> list[Curve]:
    """Return the curves of all policies that finished a cycle, in their order."""
    curves = [_curve(name, policy) for name, policy in summary["policies"].items()]
    return [curve for curve in curves if curve.labels]


def _curve(name: str, policy: PolicySummary) -> Curve:
    longest = max((len(seed) for seed in policy["accuracy"]), default=0)
    labels = policy["labels"][:longest]
    cycles = [
        [seed[cycle] for seed in policy["accuracy"] if cycle < len(seed)]
        for cycle in range(len(labels))
    ]
    return Curve(
        name=name,
        labels=tuple(labels),
        mean=tuple(fmean(seeds) for seeds in cycles),
        low=tuple(min(seeds) for seeds in cycles),
        high=tuple(max(seeds) for seeds in cycles),
        spread=tuple(stdev(seeds) if len(seeds) > 1 else math.nan for seeds in cycles),
        seeds=tuple(len(seeds) for seeds in cycles),
        mark=policy["labels_to_target"],
        note=_note(policy),
    )


def _note(policy: PolicySummary) -> str:
    """Say at how many labels the target was reached, and how many that saved."""
    if policy["labels_to_target"] is None:
        return "target not reached"
    text = f"{count(policy['labels_to_target'])} labels"
    saved = policy["labels_saved"]
    return text if not saved else f"{text} ({change(saved)})"


def marked(curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves that met the target, fewest labels first."""
    met = [curve for curve in curves if curve.mark is not None]
    return sorted(met, key=lambda curve: curve.mark or 0)


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
