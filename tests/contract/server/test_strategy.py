"""Every strategy of Flower that takes plain arrays runs inside ``AskStrategy``."""

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flwr.serverapp import strategy as flower
from tests.support.server.runs import (
    CYCLES,
    DEVICES,
    INITIAL,
    QUOTA,
    ROUNDS,
    final_model,
    play,
    small,
)

from fedask.common.errors import ConfigError
from fedask.simulations.fleet.tasks import task_of

Options = dict[str, float | str]

WORKING: dict[str, Options] = {
    "FedAvg": {},
    "FedAvgM": {"server_momentum": 0.5},
    "FedAdam": {},
    "FedYogi": {},
    "FedAdagrad": {},
    "FedProx": {"proximal_mu": 0.1},
    "FedMedian": {},
    "FedTrimmedAvg": {"beta": 0.2},
    "Krum": {"num_malicious_nodes": 1},
    "MultiKrum": {"num_malicious_nodes": 1, "num_nodes_to_select": 4},
    "Bulyan": {"num_malicious_nodes": 1},
    "QFedAvg": {"client_learning_rate": 0.2},
}
# Trees travel as bytes in one array; a model of named arrays is not what they take.
TREES = {"FedXgbBagging", "FedXgbCyclic"}
# These wrap another strategy, which a scenario of scalars cannot name; a program can
# pass one to server_app(strategy=...).
WRAPPERS = {
    "DifferentialPrivacyClientSideAdaptiveClipping",
    "DifferentialPrivacyClientSideFixedClipping",
    "DifferentialPrivacyServerSideAdaptiveClipping",
    "DifferentialPrivacyServerSideFixedClipping",
}


def _settings(name: str, options: Options) -> dict[str, float | str]:
    chosen = {f"strategy.options.{key}": value for key, value in options.items()}
    return {"strategy.name": name, **chosen}


@pytest.fixture(autouse=True)
def _cheap_collection() -> Iterator[None]:
    """Keep what lives already out of the many collections that Flower runs."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(("name", "options"), WORKING.items(), ids=WORKING.keys())
def test_strategy_runs_to_the_end_with_labels_bought_and_no_message_more(
    tmp_path: Path, name: str, options: Options
) -> None:
    result = play(tmp_path / "out", _settings(name, options))
    assert [row["round"] for row in result["rows"]] == [1, 2, 3, 4]
    assert result["refused"] == []
    assert len(result["labels_by_device"]) == DEVICES
    wire = result["wire"]
    assert wire["messages"] == wire["inner_messages"] == DEVICES * CYCLES * ROUNDS
    assert wire["replies"] == wire["messages"]
    ledger, first = result["ledger"], INITIAL * DEVICES
    assert ledger["bought"] == first + QUOTA * (CYCLES - 1)
    assert first < ledger["spent"] <= ledger["bought"]
    assert result["rows"][-1]["labels"] == ledger["answered"] == ledger["spent"]
    model = final_model(tmp_path / "out")
    assert all(np.isfinite(array).all() for array in model.values())
    begun = task_of(small()).build(small().seed).state_dict()
    assert all((model[k] != begun[k].numpy()).any() for k in begun)


def test_every_strategy_of_flower_is_spoken_for() -> None:
    others = TREES | WRAPPERS | {"Strategy", "Result"}
    assert set(flower.__all__) == set(WORKING) | others


def test_bagged_trees_are_refused_by_flower_as_they_need_one_array(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"FedXgbBagging fails: .* exactly one Array"):
        play(tmp_path / "out", _settings("FedXgbBagging", {}))


def test_cyclic_strategy_leaves_one_device_a_round_so_cuts_find_no_scores(
    tmp_path: Path,
) -> None:
    result = play(tmp_path / "out", _settings("FedXgbCyclic", {}))
    assert result["wire"]["messages"] == CYCLES * ROUNDS
    assert {reason for *_, reason in result["refused"]} <= {
        "cut refused: the device's scores are of another model"
    }
    assert result["ledger"]["spent"] <= result["ledger"]["bought"]


@pytest.mark.parametrize("name", sorted(WRAPPERS))
def test_wrapper_of_another_strategy_is_a_config_error(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigError, match=f"strategy {name}: .*'strategy'"):
        play(tmp_path / "out", _settings(name, {}))
    assert not (tmp_path / "out").exists()


def test_fair_averaging_under_a_wrong_name_of_the_loss_says_which_it_lacks(
    tmp_path: Path,
) -> None:
    wrong: Options = {"client_learning_rate": 0.2, "train_loss_key": "loss"}
    with pytest.raises(ConfigError, match=r"QFedAvg fails: .* for the key 'loss'"):
        play(tmp_path / "out", _settings("QFedAvg", wrong))


def test_bulyan_without_enough_replies_leaves_the_model_as_it_was(
    tmp_path: Path,
) -> None:
    play(tmp_path / "out", _settings("Bulyan", {"num_malicious_nodes": 2}))
    model = final_model(tmp_path / "out")
    begun = task_of(small()).build(small().seed).state_dict()
    assert all((model[key] == begun[key].numpy()).all() for key in begun)
