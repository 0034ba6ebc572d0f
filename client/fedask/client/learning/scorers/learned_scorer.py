"""Scorers that learn on the device from the answers it got: ``learned`` and ``albl``.

Named in the table of scorers. Both read the opinions of experts (``ask.experts``) and
the history of answered questions, and keep nothing: what they learn is worked out anew
from the history, so that it is as durable as the history is, and nothing counts twice.
Neither needs a test set, and nothing that they learn leaves the device.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers import bandit
from fedask.client.learning.scorers.row_blocks import (
    Reals,
    Scores,
    block,
    chunks,
    row_sum,
    to_unit,
)
from fedask.client.learning.scorers.scorer import (
    Floats,
    PredictionView,
    ScoringContext,
)
from fedask.client.records.query_outcome import OutcomeHistory
from fedask.common.errors import DataError

FEWEST_GAINS = 8  # fewer and the mean of the descriptors is the better guess

_EVEN = 0.5  # probability at which a model is as likely wrong as right
_UNIT = 0.125  # logistic: an error that is certain, 4 units above even, scores 0.98
_STRENGTH = 1.0  # of the ridge, in labels: it is to hold back no more than one would
_LEAST = 0.01  # of a score: an expert that rules a sample out may yet be wrong

FittedValue = tuple[NDArray[np.float64], float]  # weights (q,) and intercept


def learned(view: PredictionView, context: ScoringContext) -> Floats:
    """Score by how wrong the model is expected to be, learnt from past answers.

    The gain of a label is the probability that the model of that moment, not trained on
    it, gave to all other classes: a device measures it when an answer comes. A ridge
    regression from the experts' scores to the gain then scores the pool; with fewer
    than eight answered questions the experts' mean does.

    References
    ----------
    Yoo and Kweon, "Learning loss for active learning", CVPR 2019 (the target: the
    model's own error on a sample, once the label tells; there predicted by a head of
    the network from its features, and ranked).
    Konyushkova, Sznitman and Fua, "Learning active learning from data", NeurIPS 2017
    (a regression from descriptors of a sample).
    """
    history = context.history
    errors = _EVEN - history.truths.astype(np.float64)  # 1 - truth, less 1/2
    fitted = fit_value(history.descriptors, errors, _STRENGTH, _UNIT)
    return predict_value(fitted, view.descriptors)


def fit_value(
    descriptors: Reals, gains: Reals, strength: float, unit: float = 1.0
) -> FittedValue | None:
    """Fit gains by ridge regression, in closed form.

    Parameters
    ----------
    descriptors
        (n, q) float in [0, 1], of samples whose label was used; q is at least 1.
    gains
        (n,) float: what each label brought; may be negative.
    strength
        > 0: the ridge, in labels; the intercept is not shrunk.
    unit
        > 0: the gain that scores 0.73 (logistic of 1), the same for the whole fleet.

    Returns
    -------
    tuple
        Weights (q,) and intercept, in units of gain; None with fewer than eight gains.

    Raises
    ------
    DataError
        If a descriptor or gain is NaN or infinite.

    References
    ----------
    Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal problems",
    Technometrics 12(1), 1970.
    """
    if not (np.isfinite(descriptors).all() and np.isfinite(gains).all()):
        raise DataError("a descriptor or a measured gain is NaN or infinite")
    count, width = descriptors.shape
    if count < FEWEST_GAINS:
        return None
    x, y = descriptors.astype(np.float64), gains.astype(np.float64) / unit
    centre, level = x.mean(axis=0), y.mean()
    x -= centre
    weights = np.linalg.solve(x.T @ x + strength * np.eye(width), x.T @ (y - level))
    return weights, float(level - centre @ weights)


def predict_value(fitted: FittedValue | None, descriptors: Reals) -> Scores:
    """Score by the gain that a label is expected to bring.

    Parameters
    ----------
    fitted
        By ``fit_value``; None: nothing is learnt yet.
    descriptors
        (n, q) float in [0, 1], the same descriptors in the same order.

    Returns
    -------
    NDArray
        (n,) float32 in [0, 1]: the logistic function of the expected gain in units of
        gain, so 0.5 is a label without effect. The unit is the fleet's, not the
        device's: a device whose labels bring more asks before others. The mean of the
        descriptors, as it is, while nothing is learnt.
    """
    width = descriptors.shape[1]
    slope, intercept = fitted or (np.full(width, 1.0 / width), 0.0)
    scores = np.zeros(len(descriptors), dtype=np.float32)
    for rows in chunks(len(descriptors), width):
        gain = row_sum(block(descriptors, rows, np.float64) * slope) + intercept
        # tanh is the logistic function that does not overflow.
        scores[rows] = to_unit(0.5 + 0.5 * np.tanh(0.5 * gain) if fitted else gain)
    return scores


def albl(view: PredictionView, context: ScoringContext) -> Floats:
    """Score by the experts' scores, mixed by how much a bandit trusts each of them.

    A score is the probability that the sample is asked, if an expert is drawn by
    trust and asks with its own score as probability; so it lies in [0, 1] and may be
    compared over the fleet, as the experts' own scores may.

    The trust comes from ``trust_of``. As each device learns from its own answers, about
    one a cycle may be all there are, and devices may trust different experts.

    References
    ----------
    Hsu and Lin, "Active learning by learning", AAAI 2015. There one sample is drawn at
    a time; here a cut takes the likeliest, so that the weights of the reward are those
    of a draw that a cut only resembles.
    """
    opinions = view.descriptors
    trust = trust_of(context.history, opinions.shape[1])
    scores = np.zeros(len(opinions), dtype=np.float32)
    for rows in chunks(len(opinions), opinions.shape[1]):
        scores[rows] = to_unit(row_sum(block(opinions, rows, np.float64) * trust))
    return scores


def trust_of(history: OutcomeHistory, experts: int) -> NDArray[np.float64]:
    """Return how much each expert is trusted, from rewards on answers.

    The answers of one cycle are a test of the model, for it was not trained on them:
    their importance-weighted accuracy is the reward of the questions before, which it
    was trained on meanwhile. Each expert is credited for how much more than at random
    it would have asked those.

    Parameters
    ----------
    experts
        q, at least 1.

    Returns
    -------
    NDArray
        (q,) probabilities, sum to one; equal ones while fewer than two cycles have
        answers.

    References
    ----------
    Hsu and Lin, "Active learning by learning", AAAI 2015: the reward, equation 4, here
    divided by the sum of its weights rather than by their expectation, so that it is
    in [0, 1] however few there are (Hesterberg, "Weighted average importance sampling
    and defensive mixture distributions", Technometrics 37(2), 1995).
    """
    state = bandit.BanditState(log_weights=(0.0,) * experts, horizon=history.planned)
    starts = np.flatnonzero(np.diff(history.cycles, prepend=-1)).tolist()
    rounds = [slice(*ends) for ends in pairwise([*starts, len(history)])]
    opinions = history.descriptors.astype(np.float64) + _LEAST
    votes = opinions / (history.levels.astype(np.float64) + _LEAST)
    for before, now in pairwise(rounds):
        weights = 1.0 / (votes[now] @ bandit.probabilities(state))
        reward = float(weights @ history.hits[now] / weights.sum())
        advice = votes[before].mean(axis=0)[:, None]
        state = bandit.update(state, advice, 0, min(reward, 1.0))
    return bandit.probabilities(state)
