"""Every stopping criterion on hand-made histories, on both sides of its threshold."""

from collections.abc import Sequence
from typing import Any

import pytest

from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.policies.policy import Policy, make_policy
from fedask.server.stopping import (
    CRITERIA,
    Row,
    counts_uncertainty,
    make_criteria,
    reason_to_stop,
)

NEEDED: dict[str, dict[str, Any]] = {
    "budget": {"stop.labels": 60},
    "plateau": {},
    "uncertainty": {"stop.uncertainty": 0.3},
    "stabilised": {},
    "value": {"stop.price": 0.5, "stop.value_per_point": 10.0},
}


def scenario(when: str, **settings: Any) -> Scenario:  # noqa: ANN401
    """Name one criterion, with what it needs; keys of ``stop`` without the section."""
    own = {f"stop.{key}": value for key, value in settings.items()}
    needed = NEEDED.get(when, {}) if not own else {}
    values = {"run.evaluate": "held-out", "ask.quota": 20, "stop.when": when}
    return Scenario.from_flat({**values, **needed, **own})


def reason(when: str, cycles: Sequence[Row], **settings: Any) -> str:  # noqa: ANN401
    config = scenario(when, **settings)
    return reason_to_stop(make_criteria(config, policy(config)), cycles)


def policy(config: Scenario) -> Policy:
    return make_policy(config.ask, 3)


def rows(**columns: Sequence[float | None]) -> list[dict[str, float | None]]:
    """Turn columns into rows."""
    names = list(columns)
    return [
        dict(zip(names, values, strict=True))
        for values in zip(*columns.values(), strict=True)
    ]


def test_no_criterion_no_stop() -> None:
    assert make_criteria(Scenario(), policy(Scenario())) == ()
    assert reason_to_stop((), rows(spent=[10**6])) == ""


@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_of_the_table_goes_on_after_one_cycle(name: str) -> None:
    row = {"spent": 20, "labels": 20, "accuracy": 0.5, "kappa": None}

    assert reason(name, [{**row, "uncertainty": 0.9}]) == ""


def test_unknown_criterion_names_the_nearest() -> None:
    config = scenario("plateu")
    with pytest.raises(ConfigError, match=r"unknown stopping criterion .* 'plateau'"):
        make_criteria(config, policy(config))


# --- budget ---------------------------------------------------------------------------


@pytest.mark.parametrize(("spent", "ends"), [(59, False), (60, True), (61, True)])
def test_budget_ends_when_its_labels_are_asked(spent: int, *, ends: bool) -> None:
    said = reason("budget", rows(spent=[20, spent]), labels=60)

    expected = f"budget: {spent} labels asked, stop.labels = 60"
    assert said == (expected if ends else "")


@pytest.mark.parametrize(("spent", "ends"), [(66, False), (67, True)])
def test_budget_ends_when_the_next_label_cannot_be_paid(
    spent: int, *, ends: bool
) -> None:
    said = reason("budget", rows(spent=[spent]), labels=80, money=100.0, price=1.48)

    told = f"{spent} labels asked for 99.16, the next one would pass stop.money = 100"
    assert said == (f"budget: {told}" if ends else "")


# --- plateau --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("curve", "ends"),
    [
        ([0.5, 0.6, 0.7], False),
        ([0.7, 0.7, 0.7], True),
        ([0.7, 0.7], False),  # patience is two: there is nothing before them
        ([0.7, 0.709, 0.705], True),
        ([0.56, 0.565, 0.57], False),  # exactly the gain, whatever floats make of it
        ([0.9, 0.5, 0.905], True),  # the best before counts, not the last before
        ([0.9, 0.91, 0.5], False),  # and the best within counts, not the last
        ([0.1, 0.8, 0.8, 0.8], True),
    ],
)
def test_plateau_ends_when_the_best_accuracy_has_not_risen(
    curve: list[float], *, ends: bool
) -> None:
    said = reason("plateau", rows(accuracy=curve), patience=2, min_gain=0.01)

    assert bool(said) == ends


def test_plateau_says_what_was_gained() -> None:
    said = reason("plateau", rows(accuracy=[0.8, 0.802]), patience=1, min_gain=0.01)

    told = "plateau: +0.20 points of accuracy in the last 1 cycle(s), less than 1"
    assert said == told


# --- uncertainty ----------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "ends"), [(0.31, False), (0.3, False), (0.29, True)])
def test_uncertainty_ends_below_its_threshold(mean: float, *, ends: bool) -> None:
    said = reason("uncertainty", rows(uncertainty=[0.2, mean]), uncertainty=0.3)

    assert said == ("uncertainty: mean score 0.290 is below 0.3" if ends else "")


def test_uncertainty_waits_when_nobody_scored() -> None:
    assert reason("uncertainty", rows(uncertainty=[0.1, None]), uncertainty=0.3) == ""


@pytest.mark.parametrize(
    ("policy_name", "scorer", "known"),
    [
        ("global-cut", "margin", True),
        ("global-cut", "random", False),
        ("local-topk", "margin", False),
        ("uniform-random", "margin", False),
        ("proportional-random", "margin", False),
    ],
)
def test_uncertainty_needs_a_grid_of_scores_that_a_model_gave(
    policy_name: str, scorer: str, *, known: bool
) -> None:
    config = scenario("uncertainty").with_values(
        {"ask.policy": policy_name, "ask.scorer": scorer}
    )

    assert counts_uncertainty(config.ask, policy(config)) == known
    if known:
        make_criteria(config, policy(config))
        return
    with pytest.raises(ConfigError, match=f"ask.policy = '{policy_name}' .*{scorer}"):
        make_criteria(config, policy(config))


# --- stabilised -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kappas", "ends"),
    [
        ([None, 0.995, 0.995], False),  # two agreements, the window is three
        ([None, 0.995, 0.995, 0.995], True),
        ([None, 0.2, 1.0, 0.98, 0.995], True),  # the mean of the last three: 0.9917
        ([None, 1.0, 1.0, 1.0, 0.9], False),
    ],
)
def test_stabilised_ends_at_the_published_agreement(
    kappas: list[float | None], *, ends: bool
) -> None:
    assert bool(reason("stabilised", rows(kappa=kappas))) == ends


def test_stabilised_goes_on_at_its_threshold() -> None:
    history = rows(kappa=[None, 0.5, 1.0])  # halves are exact

    assert reason("stabilised", history, kappa=0.75, window=2) == ""
    assert reason("stabilised", history, kappa=0.7499, window=2) != ""


def test_stabilised_says_how_well_they_agree() -> None:
    said = reason("stabilised", rows(kappa=[None, 0.8, 0.9]), kappa=0.7, window=2)

    assert said == "stabilised: mean kappa 0.8500 of the last 2 cycle(s) is above 0.7"


# --- value ----------------------------------------------------------------------------


def test_value_ends_when_the_next_quota_costs_more_than_it_brings() -> None:
    # A slope of 0.02 over 40 labels: one point for 20 more, which cost 10.
    history = rows(labels=[20, 40, 60], accuracy=[0.8, 0.81, 0.82])
    settings = {"price": 0.5, "window": 2}

    assert reason("value", history, value_per_point=10.01, **settings) == ""
    assert reason("value", history, value_per_point=9.99, **settings) == (
        "value: the next 20 labels cost 10 and are expected to gain 1.000 points of "
        "accuracy, worth 9.99"
    )


def test_value_fits_a_line_through_all_points_of_the_window() -> None:
    # Least squares of (0, 0), (1, 0), (3, 3) in units of 20 labels and 0.01: 15 / 14.
    history = rows(labels=[20, 40, 80], accuracy=[0.80, 0.80, 0.83])

    said = reason("value", history, price=1.0, window=2, value_per_point=1.0)

    assert f"gain {15 / 14:.3f} points" in said


def test_value_looks_at_the_last_steps_only() -> None:
    history = rows(labels=[20, 40, 60, 80], accuracy=[0.1, 0.8, 0.8, 0.8])

    said = reason("value", history, price=1.0, window=2, value_per_point=100.0)

    assert "gain 0.000 points" in said
    assert reason("value", history, price=1.0, window=3, value_per_point=100.0) == ""


def test_value_expects_nothing_of_a_curve_that_falls() -> None:
    history = rows(labels=[20, 40], accuracy=[0.8, 0.7])

    said = reason("value", history, price=1.0, window=1, value_per_point=1.0)

    assert "gain 0.000 points of accuracy, worth 0" in said


@pytest.mark.parametrize("labels", [[20, 40], [40, 40, 40]])
def test_value_waits_for_its_window_and_for_new_labels(labels: list[float]) -> None:
    history = rows(labels=labels, accuracy=[0.8] * len(labels))

    assert reason("value", history, price=1.0, window=2, value_per_point=1.0) == ""


# --- all of them ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plateau", "stabilised", "value"])
def test_criteria_that_look_at_held_out_data_need_an_evaluation(name: str) -> None:
    config = scenario(name).with_values({"run.evaluate": ""})
    with pytest.raises(ConfigError, match=f"names '{name}', which needs run.evaluate"):
        make_criteria(config, policy(config))


@pytest.mark.parametrize(
    ("name", "missing"),
    [("plateau", "accuracy"), ("stabilised", "predictions"), ("value", "accuracy")],
)
def test_evaluation_that_does_not_return_what_is_needed_is_told(
    name: str, missing: str
) -> None:
    with pytest.raises(ConfigError, match=f"'{name}', but run.evaluate returns no '"):
        reason(name, [{"labels": 20, "brightness": 0.3}])
    with pytest.raises(ConfigError, match=f"no '{missing}'"):
        reason(name, [{"labels": 20, "brightness": 0.3}])


def test_all_reasons_that_hold_are_told_in_order() -> None:
    history = rows(spent=[20, 60], accuracy=[0.8, 0.8], kappa=[None, 0.5])
    config = scenario("plateau,stabilised,budget", labels=60, patience=1, min_gain=0.01)

    said = reason_to_stop(make_criteria(config, policy(config)), history)

    first, second = said.split("; ")
    assert first.startswith("plateau: ")
    assert second.startswith("budget: ")


class Enough:
    """A criterion of the user's own: three cycles are enough."""

    def __init__(self, scenario: Scenario, policy: Policy) -> None:
        assert scenario.stop.criteria == (f"{__name__}:Enough",)
        assert policy.traits.grid_shape[0] == 3

    def reason(self, cycles: Sequence[Row]) -> str:
        return "enough" if len(cycles) >= 3 else ""


def test_own_criterion_is_named_by_its_path() -> None:
    assert reason(f"{__name__}:Enough", rows(spent=[1, 2])) == ""
    assert reason(f"{__name__}:Enough", rows(spent=[1, 2, 3])) == "enough"
