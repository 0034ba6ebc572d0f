"""Runs that end early: where, why, what they cost, and the same after a kill."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.server.runs import DEVICES, INITIAL, QUOTA, final_model, play
from tests.support.server.scripted import same

from fedask.client.round.device import Device
from fedask.common.errors import ConfigError
from fedask.server.checkpoint import CHECKPOINT, RunFolder

LONG = {
    "ask.first": "random",
    "ask.cycles": 5,
    "fleet.devices": 4,
    "ask.quota": 6,
    "fleet.store": "sqlite",
}
ENDS: dict[str, dict[str, Any]] = {
    "budget": {"stop.labels": 20},
    "plateau": {"stop.patience": 1, "stop.min_gain": 0.5},
    "uncertainty": {
        "stop.uncertainty": 0.58,  # 0.589 and 0.568 after the first two cycles
        "ask.scorer": "least-confidence",
        "train.lr": 0.5,
        "train.steps": 20,
    },
    "stabilised": {"stop.kappa": 0.0, "stop.window": 2},
    "value": {"stop.price": 1.0, "stop.value_per_point": 1e-9, "stop.window": 2},
}
AFTER = {"budget": 3, "plateau": 2, "uncertainty": 2, "stabilised": 3, "value": 3}


def _settings(name: str) -> dict[str, Any]:
    return {**LONG, "stop.when": name, **ENDS[name]}


def _ends(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows at the end of a cycle."""
    return [row for row in rows if "accuracy" in row]


@pytest.mark.parametrize("name", ENDS)
def test_run_ends_at_the_end_of_a_cycle_and_says_why(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    result = play(out, _settings(name))
    cycle = AFTER[name]
    rows = result["rows"]
    assert len(rows) == 2 * cycle
    assert [row["cycle"] for row in _ends(rows)] == list(range(1, cycle + 1))
    reason = rows[-1]["stopped"]
    assert reason.startswith(f"{name}: ")
    assert all("stopped" not in row for row in rows[:-1])
    assert result["stopped"] == {"cycle": cycle, "reason": reason}
    server = json.loads((out / "server.json").read_text(encoding="utf-8"))
    assert server["stopped"] == result["stopped"]
    line = (out / "history.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(line)["stopped"] == reason
    # What the next cycle was granted is not on the books.
    granted = INITIAL * 4 + 6 * (cycle - 1)
    assert result["ledger"]["bought"] == granted
    assert result["ledger"]["spent"] == rows[-1]["spent"] <= granted


def test_run_that_went_through_was_not_stopped(tmp_path: Path) -> None:
    settings = {"stop.when": "plateau", "stop.patience": 9}
    for number, stop in enumerate(({}, settings)):
        result = play(tmp_path / str(number), stop)
        assert result["stopped"] is None
        assert all("stopped" not in row for row in result["rows"])
        assert len(_ends(result["rows"])) == 2


def test_criterion_that_holds_after_the_last_cycle_did_not_end_the_run(
    tmp_path: Path,
) -> None:
    labels = INITIAL * DEVICES + QUOTA
    settings = {"stop.when": "budget", "stop.labels": labels}
    result = play(tmp_path / "out", settings)
    assert result["ledger"]["spent"] == labels
    assert result["stopped"] is None


def test_budget_is_spent_to_the_label_and_never_passed(tmp_path: Path) -> None:
    settings = {"stop.when": "budget", "stop.labels": 17}
    result = play(tmp_path / "out", {**LONG, **settings})
    assert [row["spent"] for row in _ends(result["rows"])] == [8, 14, 17]
    assert result["ledger"]["bought"] == 17
    asked = (tmp_path / "out" / "asked.csv").read_text(encoding="utf-8").splitlines()
    assert len(asked) == 1 + 17


def test_criteria_change_nothing_until_they_hold(tmp_path: Path) -> None:
    plain = play(tmp_path / "plain", {**LONG, "ask.cycles": 3})
    stopped = play(tmp_path / "stopped", _settings("stabilised"))
    rows = [
        {k: v for k, v in row.items() if k not in {"stopped", "uncertainty"}}
        for row in stopped["rows"]
    ]
    assert rows == [
        {k: v for k, v in row.items() if k != "uncertainty"} for row in plain["rows"]
    ]
    assert stopped["digest"] == plain["digest"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return runs that stopped early and that nobody interrupted, by criterion."""
    folders = {}
    for name in ENDS:
        folders[name] = tmp_path_factory.mktemp("whole") / name
        play(folders[name], _settings(name))
    return folders


def _compare(out: Path, expected: Path, resumed: Mapping[str, Any]) -> None:
    kept = json.loads((expected / "result.json").read_text(encoding="utf-8"))
    for key in kept.keys() - {"seconds"}:
        assert resumed[key] == kept[key], key
    assert same(final_model(out), final_model(expected))


@pytest.mark.parametrize("kill", [6, 12, 20])
@pytest.mark.parametrize("name", ["stabilised", "value"])
def test_resumed_run_stops_where_it_would_have_without_the_kill(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: dict[str, Path],
    name: str,
    kill: int,
) -> None:
    out, begin, done = tmp_path / "out", Device.begin, 0

    def counted(device: Device, *given: Any) -> Any:  # noqa: ANN401
        nonlocal done
        if device.device_id == "trial":  # before the run: no round of it
            return begin(device, *given)
        if done == kill:
            raise KeyboardInterrupt
        done += 1
        return begin(device, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Device, "begin", counted)
        with pytest.raises(KeyboardInterrupt):
            play(out, _settings(name))
    _compare(out, whole[name], play(out, _settings(name), resume=True))


@pytest.mark.parametrize("name", ENDS)
def test_run_killed_between_its_last_checkpoint_and_its_result_is_only_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, Path], name: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    begin = Device.begin

    def asked(device: Device, *given: Any) -> Any:  # noqa: ANN401
        if device.device_id == "trial":
            return begin(device, *given)
        raise AssertionError("a device was asked something more")

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            play(out, _settings(name))
    assert (out / CHECKPOINT).exists()
    assert not (out / "server.json").exists()
    with monkeypatch.context() as patched:
        patched.setattr(Device, "begin", asked)
        resumed = play(out, _settings(name), resume=True)
    _compare(out, whole[name], resumed)


def test_run_killed_before_the_deciding_row_was_kept_decides_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, Path]
) -> None:
    save = RunFolder.save

    def killed(folder: RunFolder, checkpoint: Any) -> None:  # noqa: ANN401
        if "stopped" in checkpoint.rows[-1]:
            raise KeyboardInterrupt
        save(folder, checkpoint)

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            play(out, _settings("stabilised"))
    resumed = play(out, _settings("stabilised"), resume=True)
    _compare(out, whole["stabilised"], resumed)


def test_resuming_a_run_that_stopped_returns_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = play(out, _settings("plateau"))
    monkeypatch.setattr(Device, "begin", None)
    assert play(out, _settings("plateau"), resume=True) == first


def test_resuming_with_another_threshold_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    play(out, _settings("stabilised"))
    (out / "result.json").unlink()
    with pytest.raises(ConfigError, match=r"other settings: stop\.kappa changed"):
        play(out, {**_settings("stabilised"), "stop.kappa": 0.5}, resume=True)


def test_key_figures_stand_in_every_row_that_ends_a_cycle(tmp_path: Path) -> None:
    result = play(tmp_path / "out", LONG)
    ends = _ends(result["rows"])
    assert [row["asked"] for row in ends] == [8, 14, 20, 26, 32]
    assert [row["capacity_used"] for row in ends] == [0.2, *[6 / 40] * 4]
    assert {row["answered_share"] for row in ends} == {1.0}
    assert {row["spent_per_label"] for row in ends} == {1.0}
    assert all(0.0 < row["class_balance"] <= 1.0 for row in ends)
    assert ends[0]["kappa"] is None
    assert all(-1.0 <= row["kappa"] <= 1.0 for row in ends[1:])
    assert all(0.0 < row["uncertainty"] < 1.0 for row in ends[:-1])
    assert ends[-1]["uncertainty"] is None  # nobody scores for a cycle after the last
    assert [row["aulc"] is None for row in ends] == [True, *[False] * 4]
    assert all(0.0 <= value <= 2.0 for value in result["diversity"])
    assert len(result["diversity"]) == 5


def test_policy_that_counts_devices_says_nothing_of_uncertainty(tmp_path: Path) -> None:
    result = play(tmp_path / "out", {"ask.policy": "local-topk"})
    assert all("uncertainty" not in row for row in result["rows"])


def test_questions_that_nobody_answers_cost_labels_and_bring_none(
    tmp_path: Path,
) -> None:
    ends = _ends(play(tmp_path / "out", {**LONG, "fleet.people": "absent"})["rows"])
    assert {row["answered_share"] for row in ends} == {0.0}
    assert {row["spent_per_label"] for row in ends} == {None}
    assert {row["class_balance"] for row in ends} == {None}


def test_device_is_never_asked_more_than_its_own_limit(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = play(out, {**LONG, "ask.device_labels": 4})
    rows = (out / "asked.csv").read_text(encoding="utf-8").splitlines()[1:]
    devices = [row.split(",")[0] for row in rows]
    counts = {device: devices.count(device) for device in devices}
    assert counts == dict.fromkeys(counts, 4)
    assert len(counts) == 4
    # What a device may not be asked was never counted, so nothing was cut in vain.
    assert [row["spent"] for row in _ends(result["rows"])] == [8, 14, 16, 16, 16]


class Shrinking:
    """An evaluation that predicts one sample less every time."""

    def __init__(self) -> None:
        self.left = 9

    def __call__(self, *_: object) -> dict[str, Any]:
        self.left -= 1
        return {"predictions": [0] * self.left}


shrinking = Shrinking()


def test_predictions_must_be_of_a_fixed_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="they must be of a fixed set"):
        play(tmp_path / "out", {"run.evaluate": f"{__name__}:shrinking"})
