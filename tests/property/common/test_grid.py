import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.common.fleets import SCORES, draw_scores, uids_of

from fedask.common.grid import (
    IntArray,
    Scored,
    Spending,
    bin_of,
    count_grid,
    spend,
    water_fill,
)

CHECK = settings(max_examples=200, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def levels_and_quota(draw: st.DrawFn) -> tuple[IntArray, IntArray, int]:
    groups = draw(st.integers(1, 6))
    numbers = st.lists(st.integers(0, 20), min_size=groups, max_size=groups)
    levels, available = draw(numbers), draw(numbers)
    return np.array(levels), np.array(available), draw(st.integers(0, 130))


@st.composite
def grids(draw: st.DrawFn, most_groups: int = 4) -> tuple[IntArray, IntArray, int]:
    """Counts, shares and a quota that the shares do not pass."""
    groups, bins = draw(st.integers(1, most_groups)), draw(st.integers(1, 12))
    counts = st.lists(
        st.one_of(st.just(0), st.integers(0, 9)),
        min_size=groups * bins,
        max_size=groups * bins,
    )
    grid = np.array(draw(counts), dtype=np.int64).reshape(groups, bins)
    shares = np.array(draw(st.lists(st.integers(0, 30), min_size=groups)))[:groups]
    return grid, shares, int(shares.sum()) + draw(st.integers(0, 40))


def fill_one_by_one(levels: IntArray, available: IntArray, quota: int) -> list[int]:
    share = [0] * len(levels)
    for _ in range(quota):
        open_groups = [g for g in range(len(levels)) if share[g] < available[g]]
        if not open_groups:
            break
        lowest = min(open_groups, key=lambda g: (int(levels[g]) + share[g], g))
        share[lowest] += 1
    return share


@CHECK
@given(levels_and_quota())
def test_water_fill_gives_what_one_label_after_the_other_gives(
    case: tuple[IntArray, IntArray, int],
) -> None:
    levels, available, quota = case

    share = water_fill(levels, available, quota)

    assert share.tolist() == fill_one_by_one(levels, available, quota)


@CHECK
@given(levels_and_quota())
def test_water_fill_leaves_its_arguments_alone(
    case: tuple[IntArray, IntArray, int],
) -> None:
    levels, available, quota = case
    before = levels.tolist(), available.tolist()

    water_fill(levels, available, quota)

    assert (levels.tolist(), available.tolist()) == before


def spend_one_group(counts: list[int], quota: int) -> tuple[int, int, int]:
    """(lowest bin bought whole or b, split bin or -1, need), bin by bin."""
    whole, left = len(counts), quota
    for bin_ in reversed(range(len(counts))):
        if counts[bin_] > left:
            return whole, (bin_ if left else -1), left
        left -= counts[bin_]
        whole = bin_ if counts[bin_] else whole
    return whole, -1, 0


@CHECK
@given(grids(most_groups=1))
def test_one_group_is_spent_bin_by_bin_from_the_top(
    case: tuple[IntArray, IntArray, int],
) -> None:
    grid, shares, quota = case

    spending = spend(grid, shares, quota)

    whole, split, need = spend_one_group(grid[0].tolist(), quota)
    # Empty bins may be counted as bought or not: what is in them decides.
    assert grid[0, spending.theta[0] :].sum() == grid[0, whole:].sum()
    assert spending.spent == grid[0, whole:].sum()
    assert (spending.boundary_bin, spending.boundary_need) == (split, need)
    assert spending.boundary == (0 if split >= 0 else -1)


def account(grid: IntArray, spending: Spending) -> int:
    return sum(int(grid[g, t:].sum()) for g, t in enumerate(spending.theta))


@CHECK
@given(grids())
def test_the_quota_is_spent_to_the_last_label_with_one_split_bin_at_most(
    case: tuple[IntArray, IntArray, int],
) -> None:
    grid, shares, quota = case

    spending = spend(grid, shares, quota)

    assert account(grid, spending) == spending.spent
    assert spending.spent + spending.boundary_need == min(quota, grid.sum())
    if spending.boundary >= 0:
        group, bin_ = spending.boundary, spending.boundary_bin
        assert 0 < spending.boundary_need < grid[group, bin_]
        assert not grid[group, bin_ + 1 : spending.theta[group]].any()
        for other, theta in enumerate(spending.theta):  # no group has a higher one left
            assert not grid[other, bin_ + 1 : theta].any()
    else:
        assert spending.boundary_need == 0


@CHECK
@given(grids())
def test_every_group_gets_the_whole_bins_of_its_share(
    case: tuple[IntArray, IntArray, int],
) -> None:
    grid, shares, quota = case

    spending = spend(grid, shares, quota)

    for group, share in enumerate(shares.tolist()):
        whole, _, _ = spend_one_group(grid[group].tolist(), share)
        assert grid[group, spending.theta[group] :].sum() >= grid[group, whole:].sum()


@CHECK
@given(grids())
def test_what_the_shares_leave_goes_to_the_highest_scores(
    case: tuple[IntArray, IntArray, int],
) -> None:
    grid, _, quota = case

    spending = spend(grid, np.zeros(len(grid), dtype=np.int64), quota)

    # Without shares, a bin is refused only if it holds more than was left just then:
    # walking down all bins, highest first and lowest group first, says the same.
    left, closed = quota, set[int]()
    bought = dict.fromkeys(range(len(grid)), 0)
    for bin_ in reversed(range(grid.shape[1])):
        for group in range(len(grid)):
            count = int(grid[group, bin_])
            if group in closed or not count or not left:
                continue
            if count > left:
                closed.add(group)
            else:
                left -= count
                bought[group] += count
    for group, total in bought.items():
        assert grid[group, spending.theta[group] :].sum() == total


@CHECK
@given(st.sampled_from(SCORES), st.integers(0, 40), st.integers(1, 5), SEEDS)
def test_a_grid_counts_each_sample_once_where_its_score_falls(
    kind: str, count: int, groups: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bins = int(rng.choice([2, 3, 64, 100]))
    scores = draw_scores(kind, count, bins, rng).scores
    scored = Scored(
        np.array(uids_of(0, count), dtype=np.str_),
        scores,
        rng.integers(0, groups, count),
    )

    grid = count_grid(scored, groups, bins)

    slow = np.zeros((groups, bins), dtype=np.int64)
    for score, group in zip(scores.tolist(), scored.groups.tolist(), strict=True):
        slow[group, min(int(score * bins), bins - 1)] += 1
    assert np.array_equal(grid, slow)


@CHECK
@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=30))
def test_a_higher_score_never_falls_into_a_lower_bin(values: list[float]) -> None:
    scores = np.sort(np.array(values, dtype=np.float32))

    bins = bin_of(scores, 64)

    assert (np.diff(bins) >= 0).all()
    assert bins.min() >= 0
    assert bins.max() <= 63


@CHECK
@given(st.sampled_from(SCORES), st.integers(0, 30), st.integers(0, 35), SEEDS)
def test_ranking_is_by_score_then_uid_whatever_the_order_of_rows(
    kind: str, count: int, limit: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = draw_scores(kind, count, 8, rng).scores
    uids = np.array(uids_of(0, count), dtype=np.str_)
    groups = rng.integers(0, 3, count)
    order = rng.permutation(count)

    ranked = Scored.ranked(uids[order], scores[order], groups[order], limit)

    rows = zip(scores.tolist(), uids.tolist(), groups.tolist(), strict=True)
    expected = sorted(rows, key=lambda row: (-row[0], row[1]))[:limit]
    found = zip(
        ranked.scores.tolist(),
        ranked.uids.tolist(),
        ranked.groups.tolist(),
        strict=True,
    )
    assert list(found) == expected
