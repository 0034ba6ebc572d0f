from typing import Any

import pytest

from fedask.server.failures import failed
from fedask.simulations.run.doubts import (
    doubts_of,
    far_below,
    is_worthless,
    learned_nothing,
)

CAUSE = "ConfigError: the task's transform fails: KeyError: 'unit' (task.py:9)"


def result(
    accuracy: float = 0.9,
    refused: list[tuple[int, str, str]] | None = None,
    rounds: int = 4,
    devices: int = 5,
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [{"round": n + 1} for n in range(rounds)]
    rows[-1]["accuracy"] = accuracy
    made = {
        "rows": rows,
        "refused": refused or [],
        "wire": {"messages": rounds * devices},
        "chance": 0.1,
        "baseline": 0.92,
    }
    return {**made, "failed": failed(made)}


def lost(rounds: int, devices: int, reason: str = CAUSE) -> list[tuple[int, str, str]]:
    return [(n + 1, f"node {d}", reason) for n in range(rounds) for d in range(devices)]


def test_a_run_that_went_well_has_no_doubts() -> None:
    assert doubts_of(result()) == []
    assert not is_worthless(result())


@pytest.mark.parametrize(
    ("accuracy", "chance", "nothing"),
    [(0.027, 0.013, True), (0.18, 0.1, True), (0.2, 0.1, False), (0.952, 0.95, True)],
)
def test_next_to_nothing_is_measured_from_the_commonest_class(
    accuracy: float, chance: float, nothing: bool
) -> None:
    assert bool(learned_nothing(accuracy, chance)) is nothing


def test_far_below_the_baseline_is_ten_points() -> None:
    assert far_below(0.247, 0.64).startswith(
        "it makes little of its labels: accuracy 2"
    )
    assert far_below(0.85, 0.92) == ""
    assert far_below(0.247, None) == ""


def test_a_run_far_below_the_baseline_is_doubted_but_has_learned_something() -> None:
    run = result(accuracy=0.5)

    assert "ridge regression on the same labels gives 92.0%" in doubts_of(run)[0]
    assert not is_worthless(run)


def test_chance_is_the_worse_of_the_two_and_said_alone() -> None:
    run = result(accuracy=0.12)

    assert [d[:30] for d in doubts_of(run)] == ["it learned next to nothing: ac"]
    assert is_worthless(run)


@pytest.mark.parametrize(
    ("rounds", "devices", "said"),
    [(4, 3, True), (3, 3, True), (2, 5, False), (4, 2, False)],
)
def test_most_devices_in_most_rounds_is_no_success_with_the_cause(
    rounds: int, devices: int, said: bool
) -> None:
    run = result(refused=lost(rounds, devices))

    assert bool(failed(run)) is said
    assert is_worthless(run) is said
    if said:
        assert doubts_of(run)[0].startswith(f"most devices failed in {rounds} of 4")
        assert CAUSE in doubts_of(run)[0]


def test_a_result_of_an_older_version_is_not_judged() -> None:
    run = result(accuracy=0.1)
    del run["chance"], run["baseline"]

    assert doubts_of(run) == []
    assert not is_worthless(run)
