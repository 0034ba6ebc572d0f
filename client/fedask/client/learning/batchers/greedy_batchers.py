"""Greedy batches: ``facility-location`` and ``batch-bald``, by a gain that only falls.

For a monotone submodular value the greedy batch is worth at least ``1 - 1/e`` of the
best one (Nemhauser, Wolsey and Fisher, Mathematical Programming 1978). An old gain is
an upper bound, so only rows whose old gain could still win are looked at again (Minoux
1978).

Facility location: the value of a batch is the sum, over the shortlist, of each sample's
cosine similarity to the nearest that is asked or labelled; similarities below 0 count
as 0.

BatchBALD: the value of a batch is the mutual information between its answers and the
member of the committee (a draw of the model's weights). By the chain rule the gain of
one more sample is its expected entropy given the answers so far, less its expected
entropy given the member. All answers are enumerated while there are few; then a fixed
number of them is sampled.

References
----------
Wei, Iyer and Bilmes, "Submodularity in data subset selection and active learning",
ICML 2015.
Kirsch, van Amersfoort and Gal, "BatchBALD: efficient and diverse batch acquisition for
deep Bayesian active learning", NeurIPS 2019.
"""

from collections.abc import Callable

import numpy as np
from typing_extensions import override

from fedask.client.base.distance import Doubles, Reals, blocks, directions
from fedask.client.learning.batchers.batcher import CheckedBatcher, Rows, Shortlist

_DIGITS = 9  # gains that agree to here are equal: the better score decides
_TINY = np.finfo(np.float64).tiny
_LOOK = 32  # rows per look: one matrix product, seldom more than needed


def lazy_greedy(
    gains: Doubles,
    k: int,
    look: Callable[[Rows], Doubles],
    take: Callable[[int], None],
) -> Rows:
    """Choose ``k`` rows, each with the largest gain given those before.

    Parameters
    ----------
    gains
        (n,) gain of each row while nothing is chosen, ``k <= n``.
    look
        Rows -> their gains now; never more than before, up to rounding and sampling.
    take
        Called with each chosen row.

    Returns
    -------
    NDArray
        (k,) different rows in the order of choosing; of equal gains the lowest row.
    """
    bound = gains.copy()
    rows = np.empty(k, dtype=np.int64)
    taken = np.zeros(len(bound), dtype=np.bool_)
    fresh = np.ones(len(bound), dtype=np.bool_)
    for number in range(k):
        best = int(bound.argmax())
        while not fresh[best]:
            stale = np.flatnonzero(~fresh)
            if len(stale) > _LOOK:
                stale = stale[np.argpartition(-bound[stale], _LOOK - 1)[:_LOOK]]
            stale = np.union1d(stale, best)
            bound[stale] = look(stale)
            fresh[stale] = True
            best = int(bound.argmax())
        rows[number] = best
        bound[best] = -np.inf
        taken[best] = True
        take(best)
        fresh = taken.copy()
    return rows


class FacilityLocation(CheckedBatcher):
    """The batch that represents the best candidates. Without features it is ``top``.

    Parameters
    ----------
    most
        Candidates looked at, the best scores first; at least ``2 * k`` are. Time grows
        with their square, memory with their number.
    """

    required = frozenset({"features"})
    needs = required | {"anchors"}

    def __init__(self, most: int = 2048) -> None:
        self.most = most

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        # Best first, so that ties go to the better score.
        rows = shortlist.best_first()[: max(self.most, 2 * k)]
        x = directions(shortlist.features[rows])
        return rows[facilities(x, shortlist.anchors, k)]


def facilities(x: Doubles, anchors: Reals | None, k: int) -> Rows:
    """Choose ``k`` rows that greedily cover all.

    Parameters
    ----------
    x
        (n, d) rows of length 1, or 0.
    anchors
        (l, d) float, what covers already; None = nothing.

    Returns
    -------
    NDArray
        (k,) different rows in the order of choosing; ties go to the lowest.
    """
    cover = np.zeros(len(x))
    if anchors is not None:
        for part in blocks(len(anchors), len(x)):
            closest = (directions(anchors[part]) @ x.T).max(axis=0)
            np.maximum(cover, closest, out=cover)

    def look(rows: Rows) -> Doubles:
        gains = np.empty(len(rows))
        for part in blocks(len(rows), len(x)):
            more = x[rows[part]] @ x.T
            more -= cover
            gains[part] = np.maximum(more, 0.0, out=more).sum(axis=1)
        return gains.round(_DIGITS)

    def take(row: int) -> None:
        np.maximum(cover, x @ x[row], out=cover)

    return lazy_greedy(look(np.arange(len(x))), k, look, take)


class BatchBald(CheckedBatcher):
    """Greedy joint mutual information. Without a committee it is ``top``.

    Parameters
    ----------
    configurations
        Most joint answers to follow; up to here exact, beyond a sample of so many.
    most
        Candidates looked at, those of the highest BALD; at least ``2 * k`` are.
    """

    needs = required = frozenset({"draws"})

    def __init__(self, configurations: int = 1000, most: int = 1024) -> None:
        self.configurations = configurations
        self.most = most

    @override
    def choose(self, shortlist: Shortlist, k: int, rng: np.random.Generator) -> Rows:
        draws = np.asarray(shortlist.draws)
        order = shortlist.best_first()
        gains = bald(draws)[order].round(_DIGITS)
        # The most informative, then back in the order of scores for ties.
        best = np.sort(np.argsort(-gains, kind="stable")[: max(self.most, 2 * k)])
        answers = Answers(draws[:, order[best]], self.configurations, rng)
        picks = lazy_greedy(gains[best], k, answers.gains, answers.ask)
        return order[best[picks]]


def bald(draws: Reals) -> Doubles:
    """Return the mutual information of each sample's answer and the member, in nats.

    Parameters
    ----------
    draws
        (t, n, c) predictions.

    Returns
    -------
    NDArray
        (n,) float64 in [0, log t].
    """
    members, n, classes = draws.shape
    gains = np.empty(n)
    for part in blocks(n, members * classes):
        p = draws[:, part].astype(np.float64)
        gains[part] = _entropy(p.mean(axis=0)) - _entropy(p).mean(axis=0)
    return gains


class Answers:
    """Joint answers to the samples chosen so far, each with a belief over the members.

    Parameters
    ----------
    draws
        (t, n, c) predictions of the candidates.
    most
        Configurations to follow.
    rng
        Samples them once there are more.
    """

    def __init__(self, draws: Reals, most: int, rng: np.random.Generator) -> None:
        members, n, classes = draws.shape
        self._draws = draws
        self._most = most
        self._rng = rng
        # One configuration, of no answer: probability 1, every member as likely.
        self._weights = np.ones(1)
        self._members = np.full((1, members), 1.0 / members)
        self._truth: Rows | None = None  # (s,) member that gave it, once sampled
        self._noise = np.empty((members, n))  # entropy of each member's prediction
        for part in blocks(n, members * classes):
            self._noise[:, part] = _entropy(draws[:, part].astype(np.float64))

    def gains(self, rows: Rows) -> Doubles:
        """Return the information each row would add, (len(rows),)."""
        members, _, classes = self._draws.shape
        # Members as likely as in the sample: then no gain is negative by chance, and
        # none is left once every configuration has found its member.
        noise = self._weights @ self._members @ self._noise[:, rows]
        gains = np.empty(len(rows))
        width = max(len(self._weights), members) * classes
        for part in blocks(len(rows), width):
            p = self._draws[:, rows[part]].astype(np.float64)
            # (s, b, c): the prediction of each row, after each configuration.
            seen = (self._members @ p.reshape(members, -1)).reshape(-1, *p.shape[1:])
            gains[part] = self._weights @ _entropy(seen) - noise[part]
        return gains.round(_DIGITS)

    def ask(self, row: int) -> None:
        """Extend every configuration by the answers to a row."""
        p = self._draws[:, row].astype(np.float64)  # (t, c)
        p /= p.sum(axis=1, keepdims=True)
        if self._truth is None:
            if len(self._weights) * p.shape[1] <= self._most:
                self._enumerate(p)
                return
            self._sample()
        truth = p[self._truth]
        answer = _categorical(truth, self._rng)
        self._members *= p[:, answer].T
        self._members /= self._members.sum(axis=1, keepdims=True)

    def _enumerate(self, p: Doubles) -> None:
        joint = self._members[:, None, :] * p.T  # (s, c, t)
        joint = joint.reshape(-1, len(p))
        chance = joint.sum(axis=1)
        weights = np.repeat(self._weights, p.shape[1]) * chance
        possible = weights > 0.0
        self._members = joint[possible] / chance[possible, None]
        self._weights = weights[possible]

    def _sample(self) -> None:
        """Replace the enumerated configurations by a sample of them."""
        share = self._weights / self._weights.sum()
        drawn = self._rng.choice(len(share), size=self._most, p=share)
        self._members = self._members[drawn]
        self._weights = np.full(self._most, 1.0 / self._most)
        self._truth = _categorical(self._members, self._rng)


def _categorical(p: Doubles, rng: np.random.Generator) -> Rows:
    """Draw one column of each row in proportion to its entries."""
    reach = np.cumsum(p, axis=1)
    # The product may round up to the end, where columns of probability 0 may lie.
    draws = rng.random((len(p), 1)) * np.nextafter(reach[:, -1:], 0.0)
    column: Rows = (reach <= draws).sum(axis=1)
    return column


def _entropy(p: Doubles) -> Doubles:
    """Return the entropy over the last axis, in nats; 0 log 0 = 0."""
    sums: Doubles = (p * np.log(np.maximum(p, _TINY))).sum(axis=-1)
    return -sums
