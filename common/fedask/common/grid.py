"""The score grid: counts of scores per group and bin, and how a quota is cut from it.

Pure functions on arrays, used by both halves of the policies. Grids are plain integer
sums: they add in any order and pass through any additive secure aggregation.
Letters: g groups, b bins, n samples.
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scored"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scored:
    """A device's scored samples, best first; ties broken by uid.

    Parameters
    ----------
    uids
        (n,) str.
    scores
        (n,) float32 in [0, 1], descending.
    groups
        (n,) int64 in [0, g).
    """

    uids: NDArray[np.str_]
    scores: NDArray[np.float32]
    groups: IntArray

    @classmethod
    def ranked(
        cls,
        uids: NDArray[np.str_],
        scores: NDArray[np.float32],
        groups: IntArray,
        limit: int | None = None,
    ) -> "Scored":
        """Sort by score, descending, then uid, ascending; keep the best ``limit``.

        The result does not depend on the order of the rows.
        """
        order = np.lexsort((uids, -scores))[:limit]
        return cls(uids[order], scores[order], groups[order])

    def keep(self, mask: NDArray[np.bool_]) -> "Scored":
        """Return the rows where ``mask`` is true, in the same order."""
        return Scored(self.uids[mask], self.scores[mask], self.groups[mask])

    def head(self, count: int) -> "Scored":
        """Return the best ``count`` rows."""
        return Scored(self.uids[:count], self.scores[:count], self.groups[:count])

    def __len__(self) -> int:
        return len(self.uids)


def bin_of(scores: NDArray[np.float32], bins: int) -> IntArray:
    """Return the bin of each score: equal widths, bin ``bins - 1`` holds score 1."""
    scaled = np.floor(scores.astype(np.float64) * bins).astype(np.int64)
    return np.clip(scaled, 0, bins - 1)


def count_grid(scored: Scored, groups: int, bins: int) -> IntArray:
    """Count samples per group and bin.

    Returns
    -------
    NDArray
        (g, b) int64, the sum is ``len(scored)``.
    """
    cells = scored.groups * bins + bin_of(scored.scores, bins)
    return np.bincount(cells, minlength=groups * bins).reshape(groups, bins)


def water_fill(levels: IntArray, available: IntArray, quota: int) -> IntArray:
    """Share ``quota`` so that ``levels + share`` is as even as availability allows.

    Parameters
    ----------
    levels
        (g,) what each group has already, not negative.
    available
        (g,) the most that each group can take.
    quota
        Not negative.

    Returns
    -------
    NDArray
        (g,) shares, ``0 <= share <= available``; they sum to
        ``min(quota, available.sum())``. Remainders go to the lowest level, then the
        lowest index.

    Examples
    --------
    Three classes with 5, 0 and 2 labels, six labels to buy, one sample of the last:

    >>> water_fill(np.array([5, 0, 2]), np.array([9, 9, 1]), 6).tolist()
    [0, 5, 1]
    """
    quota = min(quota, int(available.sum()))
    low, high = int(levels.min()), int((levels + available).max())
    while low < high:  # the highest whole level that the quota can pay for
        level = (low + high + 1) // 2
        if int(np.clip(level - levels, 0, available).sum()) <= quota:
            low = level
        else:
            high = level - 1
    share = np.clip(low - levels, 0, available)
    rest = quota - int(share.sum())
    open_groups = np.flatnonzero(share < available)
    order = open_groups[np.lexsort((open_groups, (levels + share)[open_groups]))]
    share[order[:rest]] += 1
    return share


def apportion(
    weights: NDArray[np.float64], available: IntArray, quota: int
) -> IntArray:
    """Share ``quota`` in proportion to weights, as far as availability allows.

    What a group cannot take is shared over the others by the same weights; fractions go
    to the largest remainder (Hamilton's method), then the lowest index.

    Parameters
    ----------
    weights
        (g,) not negative. Where all that are left are 0, they count as equal.
    available
        (g,) the most that each group can take.
    quota
        Not negative.

    Returns
    -------
    NDArray
        (g,) shares, ``0 <= share <= available``; they sum to
        ``min(quota, available.sum())``.

    Examples
    --------
    Three quarters of six would be 4.5, but the first group can take 2 only:

    >>> apportion(np.array([3.0, 1.0, 0.0]), np.array([2, 9, 9]), 6).tolist()
    [2, 4, 0]
    """
    share = np.zeros_like(available)
    while (left := min(quota, int(available.sum())) - int(share.sum())) > 0:
        open_groups = share < available
        weight = np.where(open_groups, weights, 0.0)
        if not weight.max() > 0.0:
            weight = open_groups.astype(np.float64)
        weight /= weight.max()  # the smallest numbers do not divide
        want = weight * (left / weight.sum())
        full = open_groups & (want >= available)
        if full.any():  # shared over the others in the next turn
            share[full] = available[full]
            continue
        whole = np.floor(want)
        rest = left - int(whole.sum())
        whole[np.argsort(whole - want, kind="stable")[:rest]] += 1
        share += whole.astype(np.int64)
    return share


@dataclass(frozen=True, slots=True)
class Spending:
    """How far down each group the quota reaches.

    Parameters
    ----------
    theta
        (g,) bins at or above ``theta[g]`` are bought whole; b means none.
    boundary
        Group whose next bin is bought in part, or -1.
    boundary_bin
        That bin, or -1.
    boundary_need
        How many of that bin's samples may still be bought; fewer than it holds.
    spent
        Samples in the bins bought whole.
    """

    theta: IntArray
    boundary: int
    boundary_bin: int
    boundary_need: int
    spent: int


def spend(grid: IntArray, shares: IntArray, quota: int) -> Spending:
    """Walk the grid from the top and buy whole bins, never more than ``quota``.

    Each group first buys whole bins within its share. What is left then buys the
    highest next bin of any group that it can pay for, and last, a part of the highest
    next bin: so at most one bin of the whole grid is split.

    Parameters
    ----------
    grid
        (g, b) summed counts.
    shares
        (g,) quota of each group; their sum may be below ``quota``, never above.
    quota
        Most samples to buy in all.

    Examples
    --------
    Two groups, three bins of scores, five labels. Group 0 buys its top bin (1 sample),
    group 1 cannot buy its own (3) within its share of 2, but what is left pays for it;
    the last label buys one of the two samples in the next bin of group 0.

    >>> found = spend(np.array([[0, 2, 1], [4, 0, 3]]), np.array([2, 2]), 5)
    >>> found.theta.tolist(), found.spent
    ([2, 2], 4)
    >>> found.boundary, found.boundary_bin, found.boundary_need
    (0, 1, 1)
    """
    groups, bins = grid.shape
    theta = np.full(groups, bins, dtype=np.int64)
    spent = 0
    for group in range(groups):
        paid = np.cumsum(grid[group, ::-1])
        theta[group] = bins - int(np.searchsorted(paid, shares[group], side="right"))
        spent += int(grid[group, theta[group] :].sum())
    left = quota - spent
    stopped: list[tuple[int, int]] = []  # (-bin, group): next bin costs too much
    waiting = [_next_bin(grid, theta, group) for group in range(groups)]
    heap = [entry for entry in waiting if entry is not None]
    heapq.heapify(heap)
    while heap and left > 0:
        minus_bin, group = heapq.heappop(heap)
        count = int(grid[group, -minus_bin])
        if count > left:
            stopped.append((minus_bin, group))
            continue
        theta[group] = -minus_bin
        spent, left = spent + count, left - count
        following = _next_bin(grid, theta, group)
        if following is not None:
            heapq.heappush(heap, following)
    if left > 0 and stopped:
        minus_bin, group = min(stopped)
        return Spending(theta, group, -minus_bin, left, spent)
    return Spending(theta, -1, -1, 0, spent)


def _next_bin(grid: IntArray, theta: IntArray, group: int) -> tuple[int, int] | None:
    """Return (-bin, group) of the highest non-empty bin below theta, if any."""
    below = np.flatnonzero(grid[group, : theta[group]])
    return (-int(below[-1]), group) if len(below) else None
