"""Weak labels: what labelling functions say of samples that nobody has labelled yet.

Called by the device before it trains. A weak label is never stored, counted or sent: it
is worked out anew from the pool, and replaced by a person's.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.records.label_queue import CLOSED, Item
from fedask.client.records.pool import Pool
from fedask.common.errors import ConfigError
from fedask.common.ids import DeviceId, Uid, stable_seed
from fedask.common.registry import load_attr
from fedask.common.sections import WeakConfig
from fedask.common.user_code import user_code

ABSTAIN = -1
Votes = NDArray[np.int64]
# Maps a raw batch (n, ...) to (n,) int: a class of the task, or ABSTAIN.
Function = Callable[[NDArray[Any]], NDArray[np.integer[Any]]]


class WeakLabels:
    """The weak labels of one device.

    Parameters
    ----------
    config
        Which functions, on how much of the pool.
    device_id
        Named in errors; also decides, with the seed, which share of the pool is drawn.

    Raises
    ------
    ConfigError
        If a function does not import.
    """

    def __init__(
        self, config: WeakConfig, num_classes: int, device_id: DeviceId, seed: int
    ) -> None:
        self._config = config
        self._num_classes = num_classes
        self._device_id = device_id
        self._salt = stable_seed("weak", seed, device_id)
        self._functions = {name: load_attr(name) for name in config.names}
        self._drawn: tuple[Uid, ...] | None = None
        self._voted: dict[Uid, Votes] = {}

    def labels(self, pool: Pool, items: Sequence[Item]) -> dict[Uid, int]:
        """Return the weak labels to train on now, by uid.

        Parameters
        ----------
        pool
            The device's samples; always the same one.
        items
            Everything ever asked. What a person has answered or skipped gets no weak
            label, and with ``weak.until`` labels per class nothing does.

        Raises
        ------
        ConfigError
            As ``vote``.
        """
        people = {i.uid: i.label for i in items if i.label is not None}
        if has_enough_labels(people.values(), self._config.until):
            return {}
        seen = {item.uid for item in items if item.state in CLOSED}
        uids = [uid for uid in self._draw(pool) if uid not in seen]
        classes = combine(
            self._votes(pool, uids), self._worth(pool, people), self._num_classes
        )
        named = zip(uids, classes.tolist(), strict=True)
        return {uid: label for uid, label in named if label != ABSTAIN}

    def _draw(self, pool: Pool) -> tuple[Uid, ...]:
        """Draw the share of the pool by hash: the same on every call and machine."""
        if self._drawn is None:
            places = pool.drawn(self._config.samples, self._salt)
            drawn = np.sort(pool.uids[places])
            self._drawn = tuple(Uid(uid) for uid in drawn.tolist())
        return self._drawn

    def _votes(self, pool: Pool, uids: Sequence[Uid]) -> Votes:
        """Return the vote of each function on each sample: (n, functions)."""
        new = [uid for uid in uids if uid not in self._voted]
        if new:
            who = f"device {self._device_id}"
            votes = vote(self._functions, pool.load(new), self._num_classes, who)
            self._voted.update(zip(new, votes, strict=True))
        rows = [self._voted[uid] for uid in uids]
        return np.array(rows, dtype=np.int64).reshape(len(uids), len(self._functions))

    def _worth(self, pool: Pool, people: Mapping[Uid, int]) -> NDArray[np.float64]:
        """Return what a vote of each function weighs: (functions,)."""
        judges = self._config.judges
        if not judges or len(people) < judges:
            return np.ones(len(self._functions))
        truth = np.array(list(people.values()), dtype=np.int64)
        return vote_weights(self._votes(pool, list(people)), truth, self._num_classes)


def has_enough_labels(labels: Collection[int], until: int) -> bool:
    """Return whether people gave ``until`` labels per class on average.

    Of the classes that they named: a device sees few of the task's.
    """
    return len(labels) >= until * max(1, len(set(labels)))


def vote(
    functions: Mapping[str, Function],
    raw: NDArray[Any],
    num_classes: int,
    who: str,
) -> Votes:
    """Apply the functions to a raw batch.

    Parameters
    ----------
    functions
        By name; each gets a copy of the batch.
    raw
        (n, ...).
    who
        Whose samples these are, for errors.

    Returns
    -------
    NDArray
        (n, functions) int64 in [-1, c); -1 = abstains.

    Raises
    ------
    ConfigError
        If a function fails, or returns another shape or type, or a class that is not
        the task's.
    """
    votes = np.full((len(raw), len(functions)), ABSTAIN, dtype=np.int64)
    for column, (name, function) in enumerate(functions.items()):
        what = f"{who}: labelling function {name!r}"
        with user_code(what, function):
            given = np.asarray(function(raw.copy()))
        _check_votes(given, len(raw), num_classes, what)
        votes[:, column] = given
    return votes


def _check_votes(given: NDArray[Any], count: int, num_classes: int, what: str) -> None:
    if given.shape != (count,) or given.dtype.kind not in "iu":
        raise ConfigError(
            f"{what} returned {given.dtype} of shape {given.shape} for {count} samples:"
            f" it must return integers of shape ({count},)"
        )
    wrong = given[(given < ABSTAIN) | (given >= num_classes)]
    if len(wrong):
        raise ConfigError(
            f"{what} returned {int(wrong[0])}: it must return a class, 0 to "
            f"{num_classes - 1}, or {ABSTAIN} to abstain"
        )


def combine(votes: Votes, vote_weights: NDArray[np.float64], num_classes: int) -> Votes:
    """Combine the votes on each sample.

    Parameters
    ----------
    votes
        (n, functions) in [-1, c).
    worth
        (functions,) what a vote weighs, not negative; all ones = majority.

    Returns
    -------
    NDArray
        (n,) int64: the class with most weight; -1 where there is none, or a tie.

    References
    ----------
    Ratner et al., "Snorkel: rapid training data creation with weak supervision", VLDB
    2017: section 2.2 for votes of functions that may abstain, 3.1 for majority.

    Examples
    --------
    >>> votes = np.array([[0, 1, 1], [0, 1, -1], [-1, -1, -1]])
    >>> combine(votes, np.ones(3), 2)  # a majority, a tie, nobody
    array([ 1, -1, -1])
    """
    tally = np.zeros((len(votes), num_classes))
    for column, weight in zip(votes.T, vote_weights, strict=True):
        rows = np.flatnonzero(column != ABSTAIN)
        tally[rows, column[rows]] += weight
    most = tally.max(axis=1, keepdims=True)
    clear = (most[:, 0] > 0) & ((tally == most).sum(axis=1) == 1)
    return np.where(clear, tally.argmax(axis=1), ABSTAIN)


def vote_weights(votes: Votes, truth: Votes, num_classes: int) -> NDArray[np.float64]:
    """Weigh functions by their agreement with people's labels.

    The log odds of a function that is right with probability a, and otherwise says any
    other class alike: log(a (c - 1) / (1 - a)), the naive Bayes weight of its vote. One
    that is worse than chance gets no vote.

    Parameters
    ----------
    votes
        (n, functions) on samples that people labelled; abstentions count neither way.
    truth
        (n,) their labels.

    Returns
    -------
    NDArray
        (functions,) float64, at least 0. One that never voted here gets the weight of
        accuracy 1/2: of so few samples little follows, hence one added to rights and
        wrongs.

    References
    ----------
    Dawid and Skene, "Maximum likelihood estimation of observer error-rates using the EM
    algorithm", Applied Statistics 1979, with one rate per observer and the truth known.
    """
    voted = votes != ABSTAIN
    right = ((votes == truth[:, None]) & voted).sum(axis=0)
    accuracy = (right + 1) / (voted.sum(axis=0) + 2)
    odds: NDArray[np.float64] = accuracy / (1 - accuracy) * (num_classes - 1)
    return np.maximum(np.log(odds), 0.0)
