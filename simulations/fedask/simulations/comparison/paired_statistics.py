"""Statistics of paired differences, one pair per seed. Called by the summary.

The same seed gives two arms the same data, partition and initial model, so their
difference is what the arms make of it. Exact for any number of pairs, ties and
zeros included; nothing here calls a difference significant. Letters: n differences.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations_with_replacement
from statistics import median

from fedask.simulations.comparison.summary import Paired

_ROUNDING = 1e-12  # differences of accuracies closer to zero, or to each other, tie


def compare_pairs(ours: Sequence[float], theirs: Sequence[float]) -> Paired | None:
    """Compare two arms over the seeds that both have finished.

    Parameters
    ----------
    ours, theirs
        (n,) one figure per seed, in the same order.

    Returns
    -------
    Paired or None
        None without a pair. ``p_holm`` is that of a single comparison: ``p``.
    """
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    if not differences:
        return None
    p = wilcoxon(differences)
    return {
        "pairs": len(differences),
        "shift": hodges_lehmann(differences),
        "effect": rank_biserial(differences),
        "p": p,
        "p_holm": p,
        "p_least": least_p(len(differences)),
    }


def signed_ranks(differences: Sequence[float]) -> list[float]:
    """Rank the absolute differences from 1, and give each rank its difference's sign.

    Zeros are left out before ranking, as Wilcoxon did; ties share their mean rank.

    Returns
    -------
    list of float
        One entry per difference that is not zero, in their order.
    """
    sizes = [abs(d) for d in differences if abs(d) > _ROUNDING]
    ordered = sorted(sizes)
    ranks: list[float] = []
    for size in sizes:
        below = sum(other < size - _ROUNDING for other in ordered)
        tied = sum(abs(other - size) <= _ROUNDING for other in ordered)
        ranks.append(below + (tied + 1) / 2)
    signs = [1 if d > 0 else -1 for d in differences if abs(d) > _ROUNDING]
    return [sign * rank for sign, rank in zip(signs, ranks, strict=True)]


def wilcoxon(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of the signed-rank test, from all 2**n sign choices.

    Returns
    -------
    float
        In (0, 1]: how likely rank sums at least as uneven are, if every difference
        was as likely to have the other sign. 1 if all differences are zero.

    References
    ----------
    Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1(6),
    1945.
    """
    ranks = signed_ranks(differences)
    # Twice the ranks are whole numbers even where they are shared.
    doubled = [round(2 * abs(rank)) for rank in ranks]
    ways = Counter({0: 1})  # sum of the positive ranks, doubled: sign choices
    for rank in doubled:
        ways.update({total + rank: count for total, count in list(ways.items())})
    positive = round(2 * sum(rank for rank in ranks if rank > 0))
    least = min(positive, sum(doubled) - positive)
    tail = sum(count for total, count in ways.items() if total <= least)
    choices: int = 2 ** len(ranks)
    return min(1.0, 2 * tail / choices)


def least_p(pairs: int) -> float:
    """Return the smallest two-sided p that so many pairs can give: all one way."""
    return min(1.0, 2.0 ** (1 - pairs))


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust the p-values of several comparisons: the more, the easier one is chance.

    Returns
    -------
    list of float
        Entry i is ``ps[i]`` adjusted, in (0, 1], never below it. Asking all of them to
        be at most alpha keeps the chance of any false difference at most alpha,
        however the comparisons depend on each other.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6(2), 1979.
    """
    adjusted, least = list(ps), 0.0
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = least
    return adjusted


def hodges_lehmann(differences: Sequence[float]) -> float:
    """Return the shift: the median of the means of all pairs of differences.

    Each difference is paired with itself too (Walsh averages). n at least 1.

    References
    ----------
    Hodges & Lehmann, "Estimates of location based on rank tests", Annals of
    Mathematical Statistics 34(2), 1963.
    """
    pairs = combinations_with_replacement(differences, 2)
    return median((a + b) / 2 for a, b in pairs)


def rank_biserial(differences: Sequence[float]) -> float:
    """Return the matched-pairs rank-biserial correlation, an effect size.

    Returns
    -------
    float
        In [-1, 1]: the share of the rank sum that is positive less the share that is
        negative. 1 = better on every seed, 0 = neither.

    References
    ----------
    Kerby, "The simple difference formula", Comprehensive Psychology 3, 2014.
    """
    ranks = signed_ranks(differences)
    total = sum(abs(rank) for rank in ranks)
    return sum(ranks) / total if total else 0.0
