"""EXP4.P, a bandit: learns from rewards which scorer to trust.

Called by ``learned_scorer`` for each cycle of its history; never measures a reward.
Letters: k scorers (arms), a candidate samples.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.row_blocks import Reals
from fedask.common.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class BanditState:
    """The weights of the bandit after some updates.

    Parameters
    ----------
    log_weights
        (k,) one per scorer; the largest is 0. Logarithms, so that nothing overflows.
    horizon
        T, how many updates are planned, at least 1: sets how much is explored.
    delta
        In (0, 1]: the regret bound holds with probability ``1 - delta``.
    """

    log_weights: tuple[float, ...]
    horizon: int
    delta: float = 0.1

    @property
    def floor(self) -> float:
        """The least probability of a scorer: ``sqrt(log k / (k T))``, at most 1 / k."""
        k = len(self.log_weights)
        return min(math.sqrt(math.log(k) / (k * self.horizon)), 1.0 / k)


def probabilities(state: BanditState) -> NDArray[np.float64]:
    """Return how likely each scorer is to be followed: (k,), sums to one.

    References
    ----------
    See ``update``.
    """
    k = len(state.log_weights)
    weights = np.exp(np.array(state.log_weights) - max(state.log_weights))
    shares: NDArray[np.float64] = weights / weights.sum()
    return (1.0 - k * state.floor) * shares + state.floor


def update(
    state: BanditState, advice: Reals, chosen: int, reward: float
) -> BanditState:
    """Return the state after one reward.

    Parameters
    ----------
    state
        The state that ``chosen`` was drawn under.
    advice
        (k, a) float: row i is how likely scorer i alone would have asked each of the a
        candidates; rows sum to one. The identity when a scorer as such was drawn.
    chosen
        The candidate that was asked, in [0, a).
    reward
        In [0, 1], measured after training.

    Returns
    -------
    BanditState
        A new one; the largest log weight is 0.

    Raises
    ------
    ConfigError
        If the advice has the wrong number of rows, is not finite, or nobody could have
        chosen the candidate.
    DataError
        If the reward is not in [0, 1].

    References
    ----------
    Hsu and Lin, "Active learning by learning", AAAI 2015 (scorers as arms and as
    experts; rewards reach every scorer that would have asked the same).
    Beygelzimer, Langford, Li, Reyzin and Schapire, "Contextual bandit algorithms with
    supervised learning guarantees", AISTATS 2011, algorithm 1 (EXP4.P).
    """
    k = len(state.log_weights)
    if not 0.0 <= reward <= 1.0:
        raise DataError(f"the reward must be in [0, 1], got {reward}")
    if len(advice) != k or not 0 <= chosen < advice.shape[1]:
        raise ConfigError(
            f"candidate {chosen} of advice {advice.shape} by {k} scorers is not there"
        )
    p = probabilities(state)
    votes = advice[:, chosen].astype(np.float64)
    asked = float(p @ votes)
    if not 0.0 < asked < math.inf:
        raise ConfigError(
            f"no scorer advised candidate {chosen}: it cannot have been drawn"
        )
    gain = reward * votes / asked
    # The second term favours scorers seldom followed: their estimate is the less sure.
    doubt = math.sqrt(math.log(k / state.delta) / (k * state.horizon)) / p
    logs = np.array(state.log_weights) + state.floor / 2.0 * (gain + doubt)
    return replace(state, log_weights=tuple((logs - logs.max()).tolist()))
