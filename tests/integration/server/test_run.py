"""Whole runs: devices that miss rounds, people who do not answer, restarts, files."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.serverapp.strategy import FedAvg
from numpy.typing import NDArray
from tests.support.server.runs import (
    DEVICES,
    INITIAL,
    QUOTA,
    final_model,
    play,
    small,
)
from tests.support.server.scripted import Nodes, same, values
from typing_extensions import override

from fedask.client.app import client_app
from fedask.common.arrays import Arrays
from fedask.common.clock import Clock
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.records import Ask
from fedask.common.task import Task
from fedask.server.app import Coordinator, fingerprint, server_app
from fedask.server.checkpoint import HISTORY
from fedask.simulations.fleet.tasks import task_of
from fedask.simulations.runtimes.inline import InlineGrid
from fedask.simulations.runtimes.inline import run as run_inline
from fedask.simulations.runtimes.runtime import Apps

LONG = {"ask.cycles": 4, "train.rounds": 3}


def _asked(out: Path) -> list[str]:
    """List what the devices say they were asked."""
    return (out / "asked.csv").read_text(encoding="utf-8").splitlines()[1:]


@pytest.mark.parametrize("policy", ["global-cut", "local-topk", "uniform-random"])
def test_run_goes_on_when_devices_miss_rounds(tmp_path: Path, policy: str) -> None:
    out = tmp_path / "out"
    missing = {**LONG, "fleet.participation": 0.6, "ask.policy": policy}
    result = play(out, missing)
    rows, wire, ledger = result["rows"], result["wire"], result["ledger"]
    assert len(rows) == 12
    absent = [entry for entry in result["refused"] if "misses round" in entry[2]]
    assert len(absent) == wire["messages"] - wire["replies"] > 0
    assert {node for _, node, _ in absent} == {f"node {2 + i}" for i in range(DEVICES)}
    assert all(f"misses round {number}" in why for number, _, why in absent)
    for row in rows:
        assert row["refused"] == sum(n == row["round"] for n, *_ in result["refused"])
    # No label is lost: what was asked was answered, and every answer is counted.
    labels = [row["labels"] for row in rows]
    assert labels == sorted(labels)
    assert labels[-1] == ledger["answered"] == ledger["spent"] == len(_asked(out))
    assert ledger["bought"] == INITIAL * DEVICES + QUOTA * 3
    assert INITIAL * DEVICES < ledger["spent"] <= ledger["bought"]
    assert ledger["returned"] > 0


def test_share_of_devices_that_miss_the_scoring_returns_to_the_fleet(
    tmp_path: Path,
) -> None:
    result = play(tmp_path / "out", {**LONG, "fleet.participation": 0.5})
    late = [why for *_, why in result["refused"] if "misses" not in why]
    assert set(late) == {"cut refused: the device's scores are of another model"}


def test_people_who_never_answer_let_their_questions_expire(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = play(out, {**LONG, "fleet.people": "absent", "ask.patience": 1})
    ledger = result["ledger"]
    assert ledger["answered"] == result["rows"][-1]["labels"] == 0
    # Each cycle's questions expire as the next begins, so only the last ones stand.
    assert ledger["expired"] >= INITIAL * DEVICES
    assert ledger["returned"] > 0
    assert 0 < ledger["spent"] <= ledger["bought"]
    begun = task_of(small()).build(small().seed).state_dict()
    model = final_model(out)
    assert all((model[key] == begun[key].numpy()).all() for key in begun)


def test_questions_without_patience_wait_for_ever(tmp_path: Path) -> None:
    result = play(tmp_path / "out", {**LONG, "fleet.people": "absent"})
    ledger = result["ledger"]
    assert (ledger["expired"], ledger["returned"], ledger["answered"]) == (0, 0, 0)
    assert ledger["spent"] > INITIAL * DEVICES


def test_slow_people_answer_a_cycle_later_and_nothing_expires(tmp_path: Path) -> None:
    slow = {**LONG, "fleet.people": "slow", "ask.patience": 2}
    result = play(tmp_path / "out", slow)
    labels = [row["labels"] for row in result["rows"]]
    assert labels[:3] == [0, 0, 0]
    assert labels[3] == INITIAL * DEVICES
    ledger = result["ledger"]
    assert ledger["expired"] == 0
    assert labels[-1] == ledger["answered"] < ledger["spent"] <= ledger["bought"]


def test_people_slower_than_the_patience_cost_nothing(tmp_path: Path) -> None:
    slow = {**LONG, "fleet.people": "slow", "ask.patience": 1}
    ledger = play(tmp_path / "out", slow)["ledger"]
    assert ledger["answered"] == 0
    assert ledger["expired"] > 0
    assert ledger["spent"] <= ledger["bought"]


@pytest.mark.parametrize("restart", [True, False])
def test_every_cycle_begins_from_the_initial_model_if_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    sent: dict[tuple[int, int], dict[str, NDArray[Any]]] = {}
    address = InlineGrid._address

    def spied(grid: InlineGrid, message: Message) -> tuple[Message, Context]:
        ask = message.content.config_records["fedask.ask"]
        place = (int(str(ask["cycle"])), int(str(ask["step"])))
        sent[place] = values(message.content.array_records["arrays"])
        return address(grid, message)

    monkeypatch.setattr(InlineGrid, "_address", spied)
    play(tmp_path / "out", {"ask.cycles": 3, "train.restart": restart})
    assert len(sent) == 3 * 2
    begun = sent[1, 0]
    assert [same(sent[cycle, 0], begun) for cycle in (2, 3)] == [restart] * 2
    assert not any(same(sent[cycle, 1], begun) for cycle in (1, 2, 3))


def test_accuracy_is_measured_at_the_end_of_each_cycle(tmp_path: Path) -> None:
    rows = play(tmp_path / "out")["rows"]
    assert ["accuracy" in row for row in rows] == [False, True, False, True]
    assert rows[-1]["cycle"] == 2


class Noon(Clock):
    """It is always noon."""

    @override
    def now(self) -> datetime:
        return datetime(2025, 6, 1, 12, tzinfo=UTC)


class Away(Nodes):
    """Nobody is there."""

    @override
    def send_and_receive(
        self, messages: Any, *, timeout: float | None = None
    ) -> list[Message]:
        return []


def test_history_is_dated_by_the_clock_that_is_passed_in(tmp_path: Path) -> None:
    seen: list[int] = []
    scenario = small({"run.out": str(tmp_path / "out"), "ask.cycles": 1})

    class Silent(Nodes):
        @override
        def send_and_receive(
            self, messages: Any, *, timeout: float | None = None
        ) -> list[Message]:
            seen.append(len(list(messages)))
            assert timeout == scenario.run.round_timeout_s
            return []

    inner = FedAvg(fraction_evaluate=0.0)
    Coordinator(task_of(scenario), scenario, inner, Noon()).run(Silent(DEVICES))
    lines = (tmp_path / "out" / "history.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in lines.splitlines()]
    assert [row["at"] for row in rows] == ["2025-06-01T12:00:00+00:00"] * 2
    assert seen == [DEVICES, 0, DEVICES, 0]  # train, and no evaluation


def test_people_get_time_between_cycles_and_not_after_the_last() -> None:
    pauses: list[float] = []
    scenario = small({"ask.cycles": 3, "run.pause_s": 60.0})
    inner = FedAvg(fraction_evaluate=0.0)
    task = task_of(scenario)
    Coordinator(task, scenario, inner, Noon(), pauses.append).run(Away(DEVICES))
    assert pauses == [60.0, 60.0]


def test_server_app_takes_a_strategy_and_defaults_of_its_own(tmp_path: Path) -> None:
    counted: list[int] = []

    class Counting(FedAvg):
        @override
        def aggregate_train(self, server_round: int, replies: Any) -> Any:
            counted.append(len(replies := list(replies)))
            return super().aggregate_train(server_round, replies)

    inner = Counting(fraction_evaluate=0.0, min_train_nodes=DEVICES)
    own = Apps(
        client_app(task_of), server_app(task_of, strategy=inner, defaults={"seed": 4})
    )
    run_inline(own, small({"run.out": str(tmp_path / "out"), "seed": 5}))
    account = json.loads((tmp_path / "out" / "server.json").read_text(encoding="utf-8"))
    assert counted == [DEVICES] * 4
    assert account["seed"] == 5  # what Flower hands over stands above the defaults


def test_defaults_stand_where_flower_hands_over_nothing() -> None:
    app = server_app(task_of, defaults={"ask.quota": 0})
    context = Context(1, 1, {}, RecordDict(), {})
    with pytest.raises(ConfigError, match=r"ask\.quota = 0"):
        app(Nodes(1), context)


def test_unknown_evaluation_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'held-out'\?"):
        play(tmp_path / "out", {"run.evaluate": "heldout"})


def brightness(task: Task, scenario: Scenario, arrays: Arrays) -> dict[str, float]:
    """Evaluate in a way of the user's own."""
    assert scenario.run.evaluate.endswith("brightness")
    assert task.num_classes == 10
    return {"brightness": float(np.sum(next(iter(arrays.values()))))}


@pytest.mark.parametrize("restart", [True, False])
def test_devices_are_told_the_accuracy_that_the_last_cycle_ended_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    sent: dict[tuple[int, int], set[float | None]] = {}
    address = InlineGrid._address

    def spied(grid: InlineGrid, message: Message) -> tuple[Message, Context]:
        ask = Ask.from_content(message.content)
        sent.setdefault((ask.cycle, ask.step), set()).add(ask.accuracy)
        return address(grid, message)

    monkeypatch.setattr(InlineGrid, "_address", spied)
    result = play(tmp_path / "out", {"ask.cycles": 3, "train.restart": restart})
    measured = {r["cycle"]: r["accuracy"] for r in result["rows"] if "accuracy" in r}
    assert sent == {
        (1, 0): {None},
        (1, 1): {None},
        (2, 0): {measured[1]},
        (2, 1): {None},
        (3, 0): {measured[2]},
        (3, 1): {None},
    }


def percent(task: Task, scenario: Scenario, arrays: Arrays) -> dict[str, float]:
    """Evaluate, and return no share."""
    assert task.num_classes == 10
    assert scenario.run.evaluate.endswith("percent")
    return {"accuracy": 93.0 * bool(arrays)}


def test_an_evaluation_in_percent_says_what_is_meant(tmp_path: Path) -> None:
    message = r"run\.evaluate returned accuracy = 93: it must be a share"
    with pytest.raises(ConfigError, match=message):
        play(tmp_path / "out", {"run.evaluate": f"{__name__}:percent"})


def test_own_evaluation_is_named_by_its_path(tmp_path: Path) -> None:
    rows = play(tmp_path / "out", {"run.evaluate": f"{__name__}:brightness"})["rows"]
    assert "brightness" in rows[-1]
    assert "accuracy" not in rows[-1]


def test_resuming_a_fleet_in_memory_is_refused(tmp_path: Path) -> None:
    scenario = small({"run.out": str(tmp_path), "run.resume": True})
    inner = FedAvg(fraction_evaluate=0.0)
    coordinator = Coordinator(task_of(scenario), scenario, inner, Noon())
    with pytest.raises(ConfigError, match=r"run\.resume needs fleet\.store"):
        coordinator.run(Nodes(DEVICES))


def test_where_a_run_writes_is_no_setting_that_decides_it() -> None:
    moved = small({"run.out": "elsewhere", "run.resume": True})
    assert fingerprint(moved) == fingerprint(small())
    assert fingerprint(small({"seed": 1})) != fingerprint(small())


PROBE = """
import sys
import flwr.serverapp, flwr.serverapp.strategy
before = set(sys.modules)
import fedask.server.app
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new & {"torch", "matplotlib", "sklearn", "scipy", "ray", "pandas"}))
print(sorted(n for n in sys.modules if n.startswith(("fedask.client", "fedask.sim"))))
"""


def test_server_imports_neither_torch_nor_the_other_roles() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]", "[]"]


def by_brightness(raw: NDArray[Any]) -> NDArray[np.int64]:
    """Label a digit by its darkest column: poor, but not chance."""
    columns: NDArray[np.int64] = raw.reshape(len(raw), 8, 8).sum(axis=1).argmin(axis=1)
    return columns


def test_fleet_without_people_learns_from_labelling_functions_alone(
    tmp_path: Path,
) -> None:
    absent = {"fleet.people": "absent"}
    functions = {**absent, "weak.functions": f"{__name__}:by_brightness"}

    plain = play(tmp_path / "plain", absent)
    weak = play(tmp_path / "weak", functions)

    initial = task_of(small()).build(0).state_dict()
    still, moved = final_model(tmp_path / "plain"), final_model(tmp_path / "weak")
    assert all(np.array_equal(still[name], initial[name]) for name in still)
    assert not any(np.array_equal(moved[name], initial[name]) for name in moved)
    # Weak labels are nobody's labels.
    assert {row["labels"] for row in weak["rows"]} == {0}
    assert weak["ledger"]["answered"] == 0
    assert weak["labels_by_device"] == plain["labels_by_device"]
    assert not weak["refused"]


def test_rounds_of_warm_up_stand_in_cycle_zero_and_change_the_encoder_alone(
    tmp_path: Path,
) -> None:
    warm = {"task.model": "mlp", "train.warmup": 3, "fleet.people": "absent"}

    result = play(tmp_path / "out", {**warm, "fleet.participation": 0.7})

    rows = result["rows"]
    assert [row["cycle"] for row in rows] == [0, 0, 0, 1, 1, 2, 2]
    assert [row["round"] for row in rows] == list(range(1, 8))
    assert ["accuracy" in row for row in rows] == [False] * 4 + [True, False, True]
    absent = [entry for entry in result["refused"] if "misses round" in entry[2]]
    assert {n for n, *_ in absent} & {1, 2, 3}
    assert all(f"misses round {n}" in why for n, _, why in absent)
    initial = task_of(small(warm)).build(0).state_dict()
    moved = {
        name
        for name, array in final_model(tmp_path / "out").items()
        if not np.array_equal(array, initial[name])
    }
    assert moved == {"1.weight", "1.bias"}


def test_the_history_of_a_run_holds_no_round_of_the_one_before_it(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        apps = Apps(client_app(task_of), server_app(task_of))
        run_inline(apps, small({"run.out": str(tmp_path)}))

    lines = (tmp_path / HISTORY).read_text().splitlines()
    rounds = [json.loads(line)["round"] for line in lines]
    assert rounds == list(range(1, len(rounds) + 1))


def test_a_warm_up_of_a_model_without_an_encoder_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to train before its last layer"):
        play(tmp_path / "out", {"task.model": "linear", "train.warmup": 1})
