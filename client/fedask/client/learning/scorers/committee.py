"""Scores of a committee: how much several models disagree about a sample.

A committee is free on a device: the last few global models and the last local update,
or passes with dropout. Pure functions on its predictions; none changes its input, none
loads a model. All are 0 when every member gives the same certain answer.

Squashing: each divides by a bound that depends on the number of members and classes
alone, which a fleet shares, so scores of different devices compare.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.row_blocks import (
    Reals,
    Scores,
    chunks,
    row_max,
    row_sum,
    to_unit,
)
from fedask.common.errors import ConfigError

_Block = NDArray[np.float32]

_FEWEST_MEMBERS = 2  # one cannot disagree with itself
_TINY = np.finfo(np.float32).tiny  # log of it is finite, and 0 times that is 0


def bald(draws: Reals) -> Scores:
    """Score by the information that the label holds about the model.

    Parameters
    ----------
    draws
        (t, n, c) float; ``draws[k, i]`` is what member k predicts for sample i, rows
        sum to one; ``t >= 2``.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: entropy of the mean minus mean entropy, over ``log c``.

    Raises
    ------
    ConfigError
        If the committee has fewer than two members.

    References
    ----------
    Houlsby, Huszar, Ghahramani and Lengyel, "Bayesian active learning for
    classification and preference learning", arXiv:1112.5745, 2011, section 2.
    Gal, Islam and Ghahramani, "Deep Bayesian active learning with image data", ICML
    2017, section 4 (dropout passes as members).
    McCallum and Nigam, ICML 1998 (the same number, as mean divergence from the mean).

    Examples
    --------
    Two members that contradict each other, and two that share a doubt: the label of the
    first sample tells which member is right, the label of the second nothing.

    >>> bald(np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]))
    array([1., 0.], dtype=float32)
    """
    return _scaled(draws, _information, lambda _, classes: math.log(classes))


def consensus_entropy(draws: Reals) -> Scores:
    """Score by the entropy of the mean prediction.

    Parameters
    ----------
    draws
        (t, n, c) float, rows sum to one; ``t >= 2``.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1], in units of ``log c``.

    Raises
    ------
    ConfigError
        If the committee has fewer than two members.

    References
    ----------
    Settles, "Active learning", Morgan and Claypool, 2012, section 3.4.
    """
    return _scaled(draws, _entropy_of_mean, lambda _, classes: math.log(classes))


def max_kl(draws: Reals) -> Scores:
    """Score by the divergence of the member furthest from the mean prediction.

    Parameters
    ----------
    draws
        (t, n, c) float, rows sum to one; ``t >= 2``.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: the largest Kullback-Leibler divergence of a member to
        the mean, over ``log t``.

    Raises
    ------
    ConfigError
        If the committee has fewer than two members.

    Notes
    -----
    The mean is at least a t-th of every member, so no divergence exceeds ``log t``; one
    member alone against a certain rest attains it.

    References
    ----------
    McCallum and Nigam, "Employing EM and pool-based active learning for text
    classification", ICML 1998 (there the mean over members; see ``bald``).
    """
    return _scaled(draws, _largest_divergence, lambda members, _: math.log(members))


def vote_entropy(draws: Reals) -> Scores:
    """Score by the entropy of the members' votes.

    Parameters
    ----------
    draws
        (t, n, c) float; a member votes for its largest prediction, the first such class
        if several are equal; ``t >= 2``.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1], in units of ``log min(t, c)``.

    Raises
    ------
    ConfigError
        If the committee has fewer than two members.

    References
    ----------
    Dagan and Engelson, "Committee-based sampling for training probabilistic
    classifiers", ICML 1995.
    """
    return _scaled(draws, _entropy_of_votes, lambda *both: math.log(min(both)))


def variation_ratio(draws: Reals) -> Scores:
    """Score by the share of members outside the largest camp.

    Parameters
    ----------
    draws
        (t, n, c) float; votes as in ``vote_entropy``; ``t >= 2``.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: ``1 - modal votes / t``, scaled to be 1 for votes spread
        as evenly as t members can.

    Raises
    ------
    ConfigError
        If the committee has fewer than two members.

    References
    ----------
    Freeman, "Elementary applied statistics", Wiley, 1965.
    As a query score: Gal, Islam and Ghahramani, ICML 2017, section 4.
    """
    # The largest camp holds at least members / classes, rounded up.
    return _scaled(draws, _outside_modal, lambda t, c: 1.0 - math.ceil(t / c) / t)


def flips(draws: Reals) -> Scores:
    """Score by how often the predicted class changed from one model to the next.

    Parameters
    ----------
    draws
        (t, n, c) float, oldest model first; ``t >= 2``.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: the share of the ``t - 1`` steps that changed the class.

    Raises
    ------
    ConfigError
        If there are fewer than two models.

    References
    ----------
    Zhang et al., "CHASe: Client heterogeneity-aware data selection for effective
    federated active learning", IEEE TKDE 2025 (epistemic variation; there the steps are
    local epochs, here the global models that the device has kept).

    Examples
    --------
    >>> models = np.array([[[0.9, 0.1]], [[0.4, 0.6]], [[0.3, 0.7]]])
    >>> flips(models)  # the class changed in one of two steps
    array([0.5], dtype=float32)
    """
    return _scaled(draws, _share_of_flips, lambda *_: 1.0)


def _scaled(
    draws: Reals,
    disagreement: Callable[[Reals], _Block],
    bound: Callable[[int, int], float],
) -> Scores:
    """Score some rows at a time: disagreement (t, r, c) -> (r,), over its bound."""
    members, samples, classes = draws.shape
    if members < _FEWEST_MEMBERS:
        raise ConfigError(
            f"a committee of {members} cannot disagree: keep two models or more"
        )
    scores = np.zeros(samples, dtype=np.float32)
    if classes == 1:
        return scores
    largest = np.float32(bound(members, classes))
    for rows in chunks(samples, classes):
        scores[rows] = to_unit(disagreement(draws[:, rows]) / largest)
    return scores


def _information(members: Reals) -> _Block:
    """Entropy of the mean minus mean entropy, in nats."""
    mean = np.zeros(members.shape[1:], dtype=np.float32)
    gain, scratch = np.zeros_like(mean), np.empty_like(mean)
    # Member by member, so that a block stays in the cache: one pass over draws.
    for member in members:
        mean += member
        gain += _times_log(member, scratch)
    mean /= len(members)
    gain /= len(members)
    gain -= _times_log(mean, scratch)
    return row_sum(gain)


def _entropy_of_mean(members: Reals) -> _Block:
    mean = _mean(members)
    return -row_sum(_times_log(mean, np.empty_like(mean)))


def _largest_divergence(members: Reals) -> _Block:
    log_mean = _mean(members)
    np.log(np.maximum(log_mean, _TINY, out=log_mean), out=log_mean)
    worst = np.zeros(len(log_mean), dtype=np.float32)
    scratch = np.empty_like(log_mean)
    for member in members:
        np.maximum(member, _TINY, out=scratch, casting="same_kind")
        np.log(scratch, out=scratch)
        scratch -= log_mean
        scratch *= member
        np.maximum(worst, row_sum(scratch), out=worst)
    return worst


def _entropy_of_votes(members: Reals) -> _Block:
    share = _votes(members)
    share /= len(members)
    return -row_sum(_times_log(share, np.empty_like(share)))


def _outside_modal(members: Reals) -> _Block:
    return 1.0 - row_max(_votes(members)) / np.float32(len(members))


def _share_of_flips(members: Reals) -> _Block:
    before, changes = _winners(members[0])
    for model in members[1:]:
        now, trace = _winners(model)
        changes += now != before
        changes += trace
        before = now
    changes /= len(members) - 1
    return changes


def _times_log(p: Reals, out: _Block) -> _Block:
    """Write ``p log p`` into ``out``; an exact 0 gives 0."""
    np.maximum(p, _TINY, out=out, casting="same_kind")
    np.log(out, out=out)
    out *= p
    return out


def _mean(members: Reals) -> _Block:
    """Average (t, r, c) over its members without a copy of them: (r, c)."""
    mean = np.zeros(members.shape[1:], dtype=np.float32)
    for member in members:
        mean += member
    mean /= len(members)
    return mean


def _votes(members: Reals) -> _Block:
    """Count the votes of (t, r, c) for each class: (r, c), NaN where a member is."""
    votes = np.zeros(members.shape[1:], dtype=np.float32)
    every = np.arange(len(votes))
    for member in members:
        winner, trace = _winners(member)
        votes[every, winner] += 1.0 + trace
    return votes


def _winners(member: Reals) -> tuple[NDArray[np.intp], _Block]:
    """Return the class of each row, and 0 for each row, NaN if the row holds one."""
    winner = member.argmax(axis=1)  # where a row holds NaN, argmax is its place
    peak = member[np.arange(len(member)), winner].astype(np.float32)
    return winner, peak * np.float32(0.0)
