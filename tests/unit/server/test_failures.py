from typing import Any

import pytest

from fedask.server.failures import failed

DEVICES, ROUNDS = 5, 4


def account(reason: str, *, rounds: int = ROUNDS, devices: int = 5) -> dict[str, Any]:
    """Return the account of a run in which some devices gave the reason."""
    return {
        "rows": [{"round": n + 1} for n in range(ROUNDS)],
        "wire": {"messages": ROUNDS * DEVICES},
        "refused": [
            (n + 1, f"node {d}", reason) for n in range(rounds) for d in range(devices)
        ],
    }


def test_most_devices_in_most_rounds_is_told_with_the_commonest_cause() -> None:
    said = failed(account("ConfigError: no unit", rounds=3, devices=3))
    assert said == (
        "most devices failed in 3 of 4 rounds; 9 times with: ConfigError: no unit"
    )
    assert failed(account("ConfigError: no unit", rounds=2)) == ""
    assert failed(account("ConfigError: no unit", devices=2)) == ""


@pytest.mark.parametrize(
    "reason",
    [
        "UnavailableError: device-00001 misses round 3",
        "cut refused: the device's scores are of another model",
    ],
)
def test_devices_that_were_away_did_not_fail(reason: str) -> None:
    assert failed(account(reason)) == ""


def test_divergence_is_a_failure() -> None:
    reason = "no update: training diverged; lower train.lr"

    assert "lower train.lr" in failed(account(reason))
