"""The criteria that end a run before its last cycle. Called by the ServerApp.

A criterion looks at the rows of the history and at nothing else: a run that was killed
and resumed decides as it would have without, and a criterion costs no message and no
field of one. It sees sums and counts; it never sees a device.

A device stops by itself: when its pool is empty, when its people give no labels, and at
``ask.device_labels``.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Protocol

from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.policies.policy import Policy
from fedask.common.registry import make
from fedask.common.sections import AskConfig
from fedask.common.user_code import user_code

__all__ = ["Criterion"]

Row = Mapping[str, Any]

CRITERIA = {
    "budget": "fedask.server.stopping:Budget",
    "plateau": "fedask.server.stopping:Plateau",
    "uncertainty": "fedask.server.stopping:Uncertainty",
    "stabilised": "fedask.server.stopping:Stabilised",
    "value": "fedask.server.stopping:Value",
}

_ROUNDING = 1e-12  # of differences of accuracies


class Criterion(Protocol):
    """Says when a run should end. Made of (scenario, policy), or refuses them."""

    def reason(self, cycles: Sequence[Row]) -> str:
        """Say why the run should end now, or "".

        Parameters
        ----------
        cycles
            Rows at the end of each cycle so far, oldest first; ``figures`` says what
            they hold. Never empty, never of the last cycle: a run ends there anyway.
        """
        ...


def make_criteria(scenario: Scenario, policy: Policy) -> tuple[Criterion, ...]:
    """Make the criteria that ``stop.when`` names.

    Raises
    ------
    ConfigError
        If a name is unknown (the nearest is named), or a criterion needs something that
        the scenario or the policy does not give.
    """
    return tuple(
        make("stopping criterion", name, CRITERIA, scenario, policy, offers=("reason",))
        for name in scenario.stop.criteria
    )


def reason_to_stop(criteria: Sequence[Criterion], cycles: Sequence[Row]) -> str:
    """Return what every criterion that holds says, or "" if none does."""
    reasons = []
    for criterion in criteria:
        with user_code(f"the stopping criterion {type(criterion).__name__}", criterion):
            reasons.append(criterion.reason(cycles))
    return "; ".join(reason for reason in reasons if reason)


def counts_uncertainty(ask: AskConfig, policy: Policy) -> bool:
    """Tell whether the policy's grid counts scores that a model gave.

    ``local-topk`` counts devices, and random scores say nothing of a model.
    """
    scorer = policy.traits.scorer or ask.scorer
    return policy.traits.counts_scores and scorer != "random"


class Budget:
    """Enough labels were asked, or paid for; no cycle is granted more than is left.

    Parameters
    ----------
    scenario
        ``stop.labels``, or ``stop.money`` at ``stop.price`` a label.
    """

    def __init__(self, scenario: Scenario, policy: Policy) -> None:  # noqa: ARG002  (the seam's signature)
        self._stop = scenario.stop

    def reason(self, cycles: Sequence[Row]) -> str:
        """See ``Criterion``."""
        spent, stop = cycles[-1]["spent"], self._stop
        if stop.budget is None or spent < stop.budget:
            return ""
        text = f"budget: {spent} labels asked"
        if stop.labels and spent >= stop.labels:
            return f"{text}, stop.labels = {stop.labels}"
        return (
            f"{text} for {spent * stop.price:g}, the next one would pass stop.money = "
            f"{stop.money:g}"
        )


class Plateau:
    """Accuracy has not risen by ``min_gain`` in the last ``patience`` cycles.

    The best accuracy of those cycles is compared with the best before them.

    Parameters
    ----------
    scenario
        ``stop.min_gain``, ``stop.patience``; ``run.evaluate`` must be there.
    """

    def __init__(self, scenario: Scenario, policy: Policy) -> None:  # noqa: ARG002  (the seam's signature)
        _require_evaluation("plateau", scenario)
        self._patience = scenario.stop.patience
        self._min_gain = scenario.stop.min_gain

    def reason(self, cycles: Sequence[Row]) -> str:
        """See ``Criterion``."""
        curve = _column("plateau", cycles, "accuracy")
        before, last = curve[: -self._patience], curve[-self._patience :]
        if not before:
            return ""
        gain = max(last) - max(before)
        if gain >= self._min_gain - _ROUNDING:
            return ""
        return (
            f"plateau: {100 * gain:+.2f} points of accuracy in the last "
            f"{self._patience} cycle(s), less than {100 * self._min_gain:g}"
        )


class Uncertainty:
    """The fleet is certain: the mean score of its grid is below a threshold.

    The grid holds the best ``ask.capacity`` scores of each device, its most uncertain
    samples. Their mean lies above that of the device's pool, so the run ends later than
    it would if every score were known; a large pool that is uncertain throughout weighs
    no more than ``capacity`` samples elsewhere. Scores are of whatever ``ask.scorer``
    measures, by the model that the last round of the cycle began with.

    Parameters
    ----------
    scenario
        ``stop.uncertainty``.
    policy
        Must sum scores.

    References
    ----------
    Zhu, Wang & Hovy, "Multi-criteria-based strategy to stop active learning for data
    annotation", COLING 2008: overall uncertainty, there of the whole pool.
    """

    def __init__(self, scenario: Scenario, policy: Policy) -> None:
        if not counts_uncertainty(scenario.ask, policy):
            raise ConfigError(
                "stop.when names 'uncertainty', but no scores of a model are summed "
                f"under ask.policy = {scenario.ask.policy!r} with ask.scorer = "
                f"{scenario.ask.scorer!r}: use global-cut with a scorer that is not "
                "random"
            )
        self._threshold = scenario.stop.uncertainty

    def reason(self, cycles: Sequence[Row]) -> str:
        """See ``Criterion``."""
        mean = cycles[-1]["uncertainty"]
        if mean is None or mean >= self._threshold:
            return ""
        return f"uncertainty: mean score {mean:.3f} is below {self._threshold:g}"


class Stabilised:
    """Successive models predict the same on a fixed set, which needs no labels.

    Parameters
    ----------
    scenario
        ``stop.kappa``, ``stop.window``; ``run.evaluate`` must be there and return
        ``predictions``.

    References
    ----------
    Bloodgood & Vijay-Shanker, "A method for stopping active learning based on
    stabilizing predictions and the need for user-adjustable stopping", CoNLL 2009.
    """

    def __init__(self, scenario: Scenario, policy: Policy) -> None:  # noqa: ARG002  (the seam's signature)
        _require_evaluation("stabilised", scenario)
        self._kappa = scenario.stop.kappa
        self._window = scenario.stop.window

    def reason(self, cycles: Sequence[Row]) -> str:
        """See ``Criterion``."""
        known = [k for k in _column("stabilised", cycles, "kappa") if k is not None]
        if len(known) < self._window:
            return ""
        mean = fmean(known[-self._window :])
        if mean <= self._kappa:
            return ""
        return (
            f"stabilised: mean kappa {mean:.4f} of the last {self._window} cycle(s) is "
            f"above {self._kappa:g}"
        )


class Value:
    """What the next quota is expected to gain is worth less than it costs.

    The gain is the slope of a straight line, fitted by least squares to accuracy over
    labels of the last ``window`` steps, times the quota. Learning curves flatten, so
    that is more than will be gained: the run ends later rather than sooner.

    Parameters
    ----------
    scenario
        ``ask.quota``, ``stop.price``, ``stop.value_per_point``, ``stop.window``;
        ``run.evaluate`` must be there.
    """

    def __init__(self, scenario: Scenario, policy: Policy) -> None:  # noqa: ARG002  (the seam's signature)
        _require_evaluation("value", scenario)
        self._quota = scenario.ask.quota
        self._price = scenario.stop.price
        self._worth = scenario.stop.value_per_point
        self._points = scenario.stop.window + 1

    def reason(self, cycles: Sequence[Row]) -> str:
        """See ``Criterion``."""
        curve = _column("value", cycles, "accuracy")[-self._points :]
        labels = [float(row["labels"]) for row in cycles[-self._points :]]
        slope = _slope(labels, curve) if len(curve) == self._points else None
        if slope is None:
            return ""
        gain, cost = 100 * max(0.0, slope) * self._quota, self._quota * self._price
        if gain * self._worth >= cost:
            return ""
        return (
            f"value: the next {self._quota} labels cost {cost:g} and are expected to "
            f"gain {gain:.3f} points of accuracy, worth {gain * self._worth:g}"
        )


def _slope(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return the slope of the least-squares line; None if all x are equal."""
    middle = fmean(xs)
    spread = sum((x - middle) ** 2 for x in xs)
    if spread == 0:
        return None
    return sum((x - middle) * y for x, y in zip(xs, ys, strict=True)) / spread


def _require_evaluation(name: str, scenario: Scenario) -> None:
    if not scenario.run.evaluate:
        raise ConfigError(
            f"stop.when names {name!r}, which needs run.evaluate: a server without "
            "held-out data cannot tell"
        )


def _column(name: str, cycles: Sequence[Row], key: str) -> list[Any]:
    """Return one value per cycle."""
    if key not in cycles[-1]:
        returned = "predictions" if key == "kappa" else key
        raise ConfigError(
            f"stop.when names {name!r}, but run.evaluate returns no {returned!r}"
        )
    return [row[key] for row in cycles]
