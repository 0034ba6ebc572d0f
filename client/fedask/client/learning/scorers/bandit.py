"""Which scorer to trust, learnt from measured rewards: EXP4.P.

Called by the device or the coordinator once per cycle; never measures a reward and
never draws without the generator it is given. The state is plain numbers, so that it
can be stored or sent. Letters: k scorers (arms), a candidate samples.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.row_blocks import Reals
from fedask.common.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class BanditState:
    """What the bandit knows: ``BanditState(**asdict(state))`` is the same again.

    Parameters
    ----------
    log_weights
        One per scorer; the largest is 0. Logarithms, so that nothing overflows.
    horizon
        T, how many updates are planned: sets how much is explored.
    delta
        In (0, 1]: the regret bound holds with probability ``1 - delta``.

    Raises
    ------
    ConfigError
        If there is no scorer, a weight is not finite, or a number is out of range.
    """

    log_weights: tuple[float, ...]
    horizon: int
    delta: float = 0.1

    def __post_init__(self) -> None:
        # JSON gives a list.
        object.__setattr__(self, "log_weights", tuple(map(float, self.log_weights)))
        if not self.log_weights or not all(map(math.isfinite, self.log_weights)):
            msg = f"a bandit needs one finite weight per scorer, got {self.log_weights}"
            raise ConfigError(msg)
        if self.horizon < 1 or not 0.0 < self.delta <= 1.0:
            msg = (
                "a bandit needs a horizon of at least 1 and a delta in (0, 1], got "
                f"{self.horizon} and {self.delta}"
            )
            raise ConfigError(msg)

    @property
    def floor(self) -> float:
        """The least probability of a scorer: ``sqrt(log k / (k T))``, at most 1 / k."""
        k = len(self.log_weights)
        return min(math.sqrt(math.log(k) / (k * self.horizon)), 1.0 / k)


def start(scorers: int, horizon: int, delta: float = 0.1) -> BanditState:
    """Return a state that trusts all scorers alike.

    Raises
    ------
    ConfigError
        If a number is out of range.
    """
    return BanditState(log_weights=(0.0,) * scorers, horizon=horizon, delta=delta)


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


def draw(state: BanditState, rng: np.random.Generator) -> int:
    """Draw the scorer to follow; one number is taken from ``rng``."""
    reach = np.cumsum(probabilities(state))
    # Rounding may leave the last sum below 1.
    return min(int(np.searchsorted(reach, rng.random(), "right")), len(reach) - 1)


def update(
    state: BanditState, advice: Reals, chosen: int, reward: float
) -> BanditState:
    """Learn from the reward of what was asked.

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
        msg = f"the reward must be in [0, 1], got {reward}"
        raise DataError(msg)
    if len(advice) != k or not 0 <= chosen < advice.shape[1]:
        msg = f"candidate {chosen} of advice {advice.shape} by {k} scorers is not there"
        raise ConfigError(msg)
    p = probabilities(state)
    votes = advice[:, chosen].astype(np.float64)
    asked = float(p @ votes)
    if not 0.0 < asked < math.inf:
        msg = f"no scorer advised candidate {chosen}: it cannot have been drawn"
        raise ConfigError(msg)
    gain = reward * votes / asked
    # The second term favours scorers seldom followed: their estimate is the less sure.
    doubt = math.sqrt(math.log(k / state.delta) / (k * state.horizon)) / p
    logs = np.array(state.log_weights) + state.floor / 2.0 * (gain + doubt)
    return replace(state, log_weights=tuple((logs - logs.max()).tolist()))
