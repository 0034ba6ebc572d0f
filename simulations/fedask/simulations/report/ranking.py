"""Which arm comes first, and which are drawn. Called by whatever shows a comparison.

The best is the one with the largest area under its curve; where areas do not compare,
the one that ended highest.
"""

from statistics import fmean

from fedask.simulations.comparison.summary import ArmSummary, ComparisonSummary

_MOST_DRAWN = 8  # curves; more cannot be told apart


def mean_area(arm: ArmSummary) -> float | None:
    """Return the mean AULC over the seeds that have one, in [0, 1], or None."""
    areas = [area for area in arm["aulc"] if area is not None]
    return fmean(areas) if areas else None


def ranked(summary: ComparisonSummary) -> list[str]:
    """Return the names of all arms, the best first; ties as they were asked for."""
    arms = summary["policies"]

    def rank(name: str) -> tuple[bool, float, float]:
        area = mean_area(arms[name])
        return area is None, -(area or 0.0), -arms[name]["final_accuracy"]

    return sorted(arms, key=rank)


def drawn(summary: ComparisonSummary) -> list[str]:
    """Return the arms to draw, the best first: those with a finished cycle.

    Of more than eight the best, the reference, and the worst.
    """
    able = _finished(summary)
    if len(able) <= _MOST_DRAWN:
        return able
    kept = {summary["reference"], able[-1]} & set(able)
    for name in able:
        if len(kept) < _MOST_DRAWN:
            kept.add(name)
    return [name for name in able if name in kept]


def left_out(summary: ComparisonSummary) -> str:
    """Say which arms are drawn, or "" if all are."""
    count = len(_finished(summary))
    if count <= _MOST_DRAWN:
        return ""
    best = "AULC" if summary["aulc_labels"] else "final accuracy"
    return (
        f"{_MOST_DRAWN} of {count} arms: the best by {best}, the reference, the worst"
    )


def _finished(summary: ComparisonSummary) -> list[str]:
    arms = summary["policies"]
    return [name for name in ranked(summary) if any(arms[name]["accuracy"])]
