"""Computes the key figures of every cycle, from sums and counts alone.

Called by the ServerApp at the end of a cycle, and by comparisons for the area under a
curve. Never sees a sample, a score of one, or what a single device was asked.

=====================  =================================================================
figure                 what it is, at the end of a cycle
=====================  =================================================================
``asked``, ``spent``,  the ledger's sums over the fleet since the run began; ``spent``
``answered``,          is ``asked`` without ``expired``
``skipped``,
``expired``
``answered_share``     answered / asked
``capacity_used``      asked in this cycle / (``ask.capacity`` * devices that reported)
``spent_per_label``    spent / answered: what a useful label costs, in labels; times
                       ``stop.price`` in money. 1 if nothing is skipped or waiting
``class_balance``      entropy of the labelled class mix / log c: 1 = all alike, 0 = one
``aulc``               area under accuracy over labels so far, by trapezoids, divided
                       by the labels between the first cycle's end and this one's
``labels_per_point``   spent since the first cycle's end / percentage points of accuracy
                       gained since then
``uncertainty``        mean of the summed score grid, see ``mean_score``
``kappa``              agreement with the model of the cycle before, see ``cohen_kappa``
=====================  =================================================================

What is not defined (a share of nothing, an area over no labels, a gain that is none) is
None. Letters: c classes, g groups, b bins, n samples.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.common.grid import IntArray
from fedask.server.progress import RunProgress

Row = Mapping[str, Any]
Labels = NDArray[np.integer[Any]]  # class indices


def cycle_figures(
    row: Row, past: Sequence[Row], progress: RunProgress, capacity: int
) -> dict[str, Any]:
    """Return the figures of the cycle that ends now.

    Parameters
    ----------
    row
        What the history says of this cycle so far: ``labels``, perhaps ``accuracy``.
    past
        Rows at the end of the cycles before, oldest first.
    capacity
        ``ask.capacity``, of one device and cycle.
    """
    ledger = progress.ledger
    sums = ledger.summary()
    asked, spent, answered = ledger.asked, sums["spent"], sums["answered"]
    before = int(past[-1]["asked"]) if past else 0
    figures = {
        "asked": asked,
        "spent": spent,
        "answered": answered,
        "skipped": sums["skipped"],
        "expired": sums["expired"],
        "answered_share": _ratio(answered, asked),
        "capacity_used": _ratio(asked - before, capacity * len(ledger.totals)),
        "spent_per_label": _ratio(spent, answered),
        "class_balance": class_balance(progress.class_counts),
    }
    if "accuracy" in row:
        curve = [*past, {**row, **figures}]
        labels = [point["labels"] for point in curve]
        accuracy = [point["accuracy"] for point in curve]
        figures["aulc"] = aulc(labels, accuracy)
        gained = 100.0 * (accuracy[-1] - accuracy[0])
        figures["labels_per_point"] = _ratio(spent - curve[0]["spent"], gained)
    return figures


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def class_balance(counts: Sequence[int]) -> float | None:
    """Return the normalised entropy of a class mix, in [0, 1].

    Parameters
    ----------
    counts
        (c,) labels per class, c at least 2.

    Returns
    -------
    float or None
        1 if all classes have the same number, 0 if one has all, None without a label.
    """
    total = sum(counts)
    if total == 0:
        return None
    shares = [count / total for count in counts if count]
    entropy = -sum(share * log(share) for share in shares)
    return min(1.0, max(0.0, entropy / log(len(counts))))


def aulc(
    labels: Sequence[float],
    accuracy: Sequence[float],
    between: tuple[float, float] | None = None,
) -> float | None:
    """Return the normalised area under a learning curve: the mean accuracy over labels.

    Parameters
    ----------
    labels
        (p,) labels at the end of each cycle, not descending.
    accuracy
        (p,) in [0, 1]; between two points the curve is a straight line.
    between
        The range of labels to take, within that of ``labels``; curves are comparable
        over the same range only. By default the whole of it.

    Returns
    -------
    float or None
        In [0, 1]; None if the range is empty.
    """
    low, high = between or (labels[0], labels[-1])
    if not low < high:
        return None
    area = 0.0
    points = list(zip(labels, accuracy, strict=True))
    for (x0, y0), (x1, y1) in pairwise(points):
        left, right = max(x0, low), min(x1, high)
        if left < right:
            slope = (y1 - y0) / (x1 - x0)
            area += (right - left) * (y0 + slope * ((left + right) / 2 - x0))
    return area / (high - low)


def mean_score(grid: IntArray) -> float | None:
    """Return the mean score that a summed grid holds: bin centres, weighted by counts.

    Parameters
    ----------
    grid
        (g, b) counts, of the best ``ask.capacity`` scores of every device.

    Returns
    -------
    float or None
        In (0, 1), off by at most half a bin; None for an empty grid.

    Notes
    -----
    A device's best scores have a higher mean than its whole pool, and every device
    weighs by the scores it counted, not by the size of its pool: as an estimate for all
    samples of the fleet this is too high where pools are of one size.
    """
    counts = grid.sum(axis=0).tolist()
    if not any(counts):
        return None
    doubled = sum(count * (2 * place + 1) for place, count in enumerate(counts))
    return float(doubled / (2 * len(counts) * sum(counts)))


def cohen_kappa(first: Labels, second: Labels) -> float:
    """Return how far two models agree on the same samples, beyond chance.

    Parameters
    ----------
    first, second
        (n,) predicted classes, entry i of both for the same sample; n at least 1.

    Returns
    -------
    float
        At most 1, which is full agreement; 0 is what chance gives. Two models that
        always say one and the same class agree by chance alone: 0.

    References
    ----------
    Cohen, "A coefficient of agreement for nominal scales", Educational and
    Psychological Measurement 20(1), 1960.
    """
    classes = 1 + max(int(first.max()), int(second.max()))
    counts = [np.bincount(p, minlength=classes) for p in (first, second)]
    pairs = len(first) ** 2  # whole numbers to the end: the same on every machine
    agreed = len(first) * int((first == second).sum())
    chance = int((counts[0] * counts[1]).sum())
    return (agreed - chance) / (pairs - chance) if chance < pairs else 0.0
