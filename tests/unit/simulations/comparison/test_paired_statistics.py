"""Paired statistics against published tables, hand-made cases and brute force."""

from itertools import product
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedask.simulations.comparison.paired_statistics import (
    compare_pairs,
    hodges_lehmann,
    holm,
    least_p,
    rank_biserial,
    signed_ranks,
    wilcoxon,
)

# Darwin's maize: crossed less self-fertilised height, eighths of an inch, 15 pairs
# (Fisher, The Design of Experiments, 1935, section 17).
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
# Largest sum of the smaller ranks with a two-sided p of at most 0.05, by pairs: the
# usual table of the signed-rank test.
CRITICAL = {6: 0, 7: 2, 8: 3, 9: 5, 10: 8, 11: 10, 12: 13, 13: 17, 14: 21, 15: 25}
CHECK = settings(max_examples=150, deadline=None)
# Few values, so that ties and zeros are common.
DIFFERENCES = st.lists(st.integers(-3, 3).map(float), max_size=9)


def with_rank_sum(pairs: int, negative: int) -> list[float]:
    """Return differences 1, 2, ... of which the negative ones sum to ``negative``."""
    differences = []
    for size in range(pairs, 0, -1):
        down = size <= negative
        negative -= size if down else 0
        differences.append(float(-size if down else size))
    assert negative == 0
    return differences


@pytest.mark.parametrize(("pairs", "critical"), CRITICAL.items())
def test_p_agrees_with_the_published_critical_values(pairs: int, critical: int) -> None:
    assert wilcoxon(with_rank_sum(pairs, critical)) <= 0.05
    assert wilcoxon(with_rank_sum(pairs, critical + 1)) > 0.05


def test_p_of_ten_pairs_with_rank_sum_eight() -> None:
    # 25 of the 1024 subsets of 1 to 10 sum to at most 8.
    assert wilcoxon(with_rank_sum(10, 8)) == 2 * 25 / 1024


def test_darwins_maize() -> None:
    # The negative differences have ranks 10 and 14; the p-value is the one that the
    # documentation of scipy.stats.wilcoxon gives for these data.
    ranks = signed_ranks([float(d) for d in DARWIN])
    assert sum(rank for rank in ranks if rank > 0) == 96.0
    assert wilcoxon([float(d) for d in DARWIN]) == 0.041259765625
    assert rank_biserial([float(d) for d in DARWIN]) == pytest.approx(72 / 120)


@pytest.mark.parametrize("pairs", range(1, 9))
def test_smallest_p_is_that_of_pairs_that_all_go_one_way(pairs: int) -> None:
    differences = [float(size) for size in range(1, pairs + 1)]

    assert wilcoxon(differences) == least_p(pairs) == 2 / 2**pairs
    assert wilcoxon([-d for d in differences]) == least_p(pairs)


def test_three_pairs_cannot_go_below_a_quarter() -> None:
    assert least_p(3) == 0.25


def _brute_force(differences: list[float]) -> float:
    """Try every sign."""
    ranks = [abs(rank) for rank in signed_ranks(differences)]
    mean = sum(ranks) / 2
    seen = abs(sum(r for r in signed_ranks(differences) if r > 0) - mean)
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in product((False, True), repeat=len(ranks))
    ]
    return sum(abs(total - mean) >= seen - 1e-9 for total in sums) / len(sums)


@CHECK
@given(DIFFERENCES)
def test_p_is_the_share_of_sign_choices_as_uneven(differences: list[float]) -> None:
    assert wilcoxon(differences) == pytest.approx(_brute_force(differences))


@CHECK
@given(DIFFERENCES.filter(bool), st.randoms(use_true_random=False))
def test_statistics_mirror_and_do_not_depend_on_the_order(
    differences: list[float], random: Random
) -> None:
    mirrored = [-d for d in differences]
    assert wilcoxon(mirrored) == wilcoxon(differences)
    assert rank_biserial(mirrored) == pytest.approx(-rank_biserial(differences))
    assert hodges_lehmann(mirrored) == pytest.approx(-hodges_lehmann(differences))
    shuffled = differences.copy()
    random.shuffle(shuffled)
    assert wilcoxon(shuffled) == wilcoxon(differences)
    assert hodges_lehmann(shuffled) == hodges_lehmann(differences)


def test_zeros_are_left_out_and_ties_share_their_rank() -> None:
    assert signed_ranks([0.0, 0.2, -0.1, 0.2, 1e-15, 0.3]) == [2.5, -1.0, 2.5, 4.0]
    assert signed_ranks([0.1 + 0.2, -0.3]) == [1.5, -1.5]


def test_arms_that_do_not_differ_have_p_one_and_no_effect() -> None:
    assert wilcoxon([0.0, 0.0]) == 1.0
    assert rank_biserial([0.0, 0.0]) == 0.0
    assert hodges_lehmann([0.0, 0.0]) == 0.0


def test_shift_is_the_median_of_walsh_averages() -> None:
    # Of 1, 2 and 6: 1, 1.5, 2, 3.5, 4, 6.
    assert hodges_lehmann([6.0, 1.0, 2.0]) == 2.75
    pairs = [(a + b) / 2 for i, a in enumerate(DARWIN) for b in DARWIN[i:]]
    assert hodges_lehmann([float(d) for d in DARWIN]) == median(pairs)


def test_effect_is_the_difference_of_the_shares_of_the_rank_sum() -> None:
    assert rank_biserial([3.0, -1.0, 2.0]) == pytest.approx((5 - 1) / 6)
    assert rank_biserial([0.5, 0.1]) == 1.0


def test_comparison_holds_all_of_them() -> None:
    found = compare_pairs([0.8, 0.7, 0.9], [0.7, 0.65, 0.7])

    assert found is not None
    assert found == {
        "pairs": 3,
        "shift": pytest.approx(0.1125),
        "effect": 1.0,
        "p": 0.25,
        "p_holm": 0.25,
        "p_least": 0.25,
    }
    assert compare_pairs([], []) is None


def test_holm_steps_down_and_never_falls() -> None:
    # The worked example of R's p.adjust, method holm: 0.01, 0.02, 0.03, 0.04.
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.04, 0.01, 0.5, 0.6]) == pytest.approx([0.12, 0.04, 1.0, 1.0])
    assert holm([0.3]) == [0.3]
    assert holm([]) == []


@CHECK
@given(st.lists(st.floats(0.001, 1.0), max_size=8))
def test_holm_is_the_largest_of_the_steps_before(ps: list[float]) -> None:
    adjusted = holm(ps)
    for p, found in zip(ps, adjusted, strict=True):
        # By definition: over all that are at most p, as many as are left times theirs.
        steps = [min(1.0, sum(o >= q for o in ps) * q) for q in ps if q <= p]
        assert found == pytest.approx(max(steps))
        assert found >= p
