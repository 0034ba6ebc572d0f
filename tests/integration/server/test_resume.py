"""A run that was killed and resumed ends as if nothing had happened."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.server.runs import DEVICES, final_model, play
from tests.support.server.scripted import same

from fedask.client.learning.selection.run_context import RunContext
from fedask.client.round.device import BegunRound, Device
from fedask.common.errors import ConfigError, StoreError
from fedask.common.records import Ask
from fedask.server.checkpoint import CHECKPOINT, HISTORY, RunFolder

DURABLE = {"fleet.store": "sqlite", "fleet.devices": 4, "ask.quota": 6}
STRATEGIES: dict[str, dict[str, Any]] = {
    "FedAvg": {"strategy.name": "FedAvg"},
    "FedAdam": {"strategy.name": "FedAdam"},
    "FedAvgM": {
        "strategy.name": "FedAvgM",
        "strategy.options.server_momentum": 0.9,
    },
    "warm-up": {
        "strategy.name": "FedAvgM",
        "strategy.options.server_momentum": 0.9,
        "task.model": "mlp",
        "train.warmup": 2,
        "ask.cycles": 1,
    },
}
# Device-rounds before the kill, of 4 a round: in the first round; in the second, where
# scores are asked; before the cut of cycle 2; amid the devices that apply it; in the
# last round.
KILLS = [2, 6, 8, 10, 15]


def _kill_after(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    """Stop the process, as Ctrl-C would, before one device more begins its round.

    Before it ends, if the number is odd: all that train together have begun by then.
    """
    half = "finish" if rounds % 2 else "begin"
    do: Callable[..., Any] = getattr(Device, half)
    done = 0

    def counted(device: Device, *given: object) -> object:
        nonlocal done
        if device.device_id == "trial":  # before the run: no round of it
            return do(device, *given)
        if done == rounds:
            raise KeyboardInterrupt
        done += 1
        return do(device, *given)

    monkeypatch.setattr(Device, half, counted)


def _lines(out: Path) -> list[dict[str, Any]]:
    """Read the history without the times."""
    lines = (out / HISTORY).read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "at"} for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return finished runs that nobody interrupted, by strategy."""
    folders = {}
    for name, strategy in STRATEGIES.items():
        folders[name] = tmp_path_factory.mktemp("whole") / name
        play(folders[name], {**DURABLE, **strategy})
    return folders


@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_resumed_run_ends_bit_equal_to_one_that_was_not_interrupted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: dict[str, Path],
    name: str,
    kill: int,
) -> None:
    out, settings = tmp_path / "out", {**DURABLE, **STRATEGIES[name]}
    with monkeypatch.context() as patched:
        _kill_after(patched, kill)
        with pytest.raises(KeyboardInterrupt):
            play(out, settings)
    assert not (out / "result.json").exists()
    assert (out / CHECKPOINT).exists() == (kill >= 4)
    resumed = play(out, settings, resume=True)
    expected = json.loads((whole[name] / "result.json").read_text(encoding="utf-8"))
    for key in ("digest", "rows", "ledger", "labels_by_device", "refused"):
        assert resumed[key] == expected[key], key
    assert same(final_model(out), final_model(whole[name]))
    assert _lines(out) == _lines(whole[name]) == expected["rows"]


def test_a_resumed_run_tells_devices_the_accuracy_that_was_measured_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, settings = tmp_path / "out", {**DURABLE, **STRATEGIES["FedAvg"]}
    with monkeypatch.context() as patched:
        _kill_after(patched, 8)  # the first cycle is over
        with pytest.raises(KeyboardInterrupt):
            play(out, settings)
    told: list[float | None] = []
    begin = Device.begin

    def spied(device: Device, run: RunContext, ask: Ask, prox: float) -> BegunRound:
        if device.device_id != "trial":
            told.append(ask.accuracy)
        return begin(device, run, ask, prox)

    monkeypatch.setattr(Device, "begin", spied)
    play(out, settings, resume=True)

    assert told == [_lines(out)[1]["accuracy"]] * 4 + [None] * 4


def test_run_killed_twice_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, Path]
) -> None:
    out, settings = tmp_path / "out", {**DURABLE, **STRATEGIES["FedAdam"]}
    for resume, kill in ((False, 5), (True, 6)):
        with monkeypatch.context() as patched:
            _kill_after(patched, kill)
            with pytest.raises(KeyboardInterrupt):
                play(out, settings, resume=resume)
    play(out, settings, resume=True)
    assert same(final_model(out), final_model(whole["FedAdam"]))


def test_run_killed_between_history_and_checkpoint_repeats_the_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, Path]
) -> None:
    save = RunFolder.save

    def killed(folder: RunFolder, checkpoint: Any) -> None:  # noqa: ANN401
        if len(checkpoint.rows) == 3:
            raise KeyboardInterrupt
        save(folder, checkpoint)

    out, settings = tmp_path / "out", {**DURABLE, **STRATEGIES["FedAvg"]}
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            play(out, settings)
    assert len(_lines(out)) == 3
    play(out, settings, resume=True)
    assert _lines(out) == _lines(whole["FedAvg"])
    assert same(final_model(out), final_model(whole["FedAvg"]))


def _interrupted(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        _kill_after(patched, 6)
        with pytest.raises(KeyboardInterrupt):
            play(out, DURABLE)


def test_resuming_with_other_settings_names_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupted(tmp_path / "out", monkeypatch)
    with pytest.raises(ConfigError, match=r"other settings: train\.lr changed"):
        play(tmp_path / "out", {**DURABLE, "train.lr": 0.3}, resume=True)


def test_resuming_from_a_damaged_checkpoint_is_a_store_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupted(tmp_path / "out", monkeypatch)
    path = tmp_path / "out" / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match=r"checkpoint\.npz is damaged"):
        play(tmp_path / "out", DURABLE, resume=True)


def test_run_in_memory_keeps_no_checkpoint(tmp_path: Path) -> None:
    result = play(tmp_path / "out")
    assert len(result["labels_by_device"]) == DEVICES
    assert not (tmp_path / "out" / CHECKPOINT).exists()
    assert len(_lines(tmp_path / "out")) == 4
