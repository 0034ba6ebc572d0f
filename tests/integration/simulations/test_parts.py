"""What travels of a model that hardly changes, and that nothing else depends on it."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray
from tests.support.common.part_models import FROZEN
from tests.support.common.wire import wire_size
from typing_extensions import override

from fedask.client.records.device_store import GLOBAL
from fedask.client.store.memory import MemoryStore
from fedask.client.store.memory.parts import MemoryParts
from fedask.common.config import Scenario
from fedask.common.errors import StoreError
from fedask.common.grid_record import GRID
from fedask.common.part_record import PART_ARRAYS
from fedask.server.checkpoint import RunFolder
from fedask.server.ordered_grid import OrderedGrid
from fedask.simulations.fleet.devices import device_name
from fedask.simulations.run import apps
from fedask.simulations.run.simulation import simulate
from fedask.simulations.runtimes import inline
from fedask.simulations.runtimes.runtime import Apps

# Ray closes neither its logs nor waits for its processes; the runtime does the latter.
ray_leaks = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning",
    "ignore:subprocess .* is still running:ResourceWarning",
)
MODELS = "tests.support.common.part_models"
DEVICES, ROUNDS = 2, 2


def scenario(task: str, settings: Mapping[str, Any] | None = None) -> Scenario:
    return Scenario.from_flat(
        {
            "task.name": f"{MODELS}:{task}",
            "data.source": f"{MODELS}:samples",
            "fleet.devices": DEVICES,
            "fleet.alpha": 1.0,
            "fleet.store": "memory",
            "ask.cycles": 2,
            "ask.quota": 8,
            "ask.capacity": 8,
            "ask.initial": 6,
            "train.rounds": ROUNDS,
            "train.steps": 2,
            "train.lr": 0.05,
            "run.evaluate": "held-out",
            **(settings or {}),
        }
    )


@dataclass(frozen=True)
class Count:
    """Values of the model in one message, and bytes of the message on the wire."""

    kind: str
    node: int
    values: int
    parts: int
    size: int


def count(kind: str, node: int, content: RecordDict) -> Count:
    values = {
        name: sum(int(np.prod(array.shape)) for array in record.values())
        for name, record in content.items()
        if isinstance(record, ArrayRecord) and name != GRID
    }
    parts = values.pop(PART_ARRAYS, 0)
    return Count(kind, node, sum(values.values()), parts, wire_size(content))


class Counting(OrderedGrid):
    """Counts what is sent and what comes back."""

    def __init__(
        self, grid: Grid, counts: list[Count], between: Callable[[int], None]
    ) -> None:
        super().__init__(grid)
        self._counts = counts
        self._between = between
        self._rounds = 0

    @override
    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterator[Message]:
        sent = list(messages)
        for message in sent:
            kind = message.metadata.message_type
            node = message.metadata.dst_node_id
            self._counts.append(count(f"{kind} down", node, message.content))
        for reply in super().send_and_receive(sent, timeout=timeout):
            assert not reply.has_error(), reply.error
            kind = reply.metadata.message_type
            node = reply.metadata.src_node_id
            self._counts.append(count(f"{kind} up", node, reply.content))
            yield reply
        if sent and sent[0].metadata.message_type == "train":
            self._rounds += 1
            self._between(self._rounds)


def counted(
    out: Path, given: Scenario, between: Callable[[int], None] = lambda _: None
) -> list[Count]:
    """Run on the inline runtime; returns what went over the grid.

    Parameters
    ----------
    between
        Called after a round, with its number.
    """
    counts: list[Count] = []

    def server(grid: Grid, context: Context) -> None:
        apps.server(Counting(grid, counts, between), context)

    out.mkdir(exist_ok=True)
    values = given.with_values({"run.out": str(out)})
    inline.run(Apps(apps.client, server), values)  # type: ignore[arg-type]
    return counts


def of(counts: list[Count], kind: str) -> list[tuple[int, int]]:
    """List (values, values of parts) of one kind of message, for the first node."""
    first = min(each.node for each in counts)
    return [(c.values, c.parts) for c in counts if (c.kind, c.node) == (kind, first)]


EVERY = 4  # messages to a node


@pytest.mark.parametrize(
    ("task", "whole", "trained"),
    [("FROZEN", 240_003, 60_003), ("ADAPTERS", 266_412, 2_892), ("TIED", 9_030, 27)],
)
def test_after_the_first_message_only_what_can_change_travels(
    tmp_path: Path, task: str, whole: int, trained: int
) -> None:
    counts = counted(tmp_path / "out", scenario(task))

    down, up = of(counts, "train down"), of(counts, "train up")
    assert down == [(trained, whole - trained)] + [(trained, 0)] * (EVERY - 1)
    assert up == [(trained, 0)] * EVERY


def test_evaluations_carry_no_more(tmp_path: Path) -> None:
    given = scenario("FROZEN", {"strategy.options.fraction_evaluate": 1.0})

    counts = counted(tmp_path / "out", given)

    assert of(counts, "evaluate down") == [(60_003, 0)] * EVERY
    assert of(counts, "evaluate up") == [(0, 0)] * EVERY


def test_statistics_go_by_value_from_when_they_move(tmp_path: Path) -> None:
    counts = counted(tmp_path / "out", scenario("NORMED"))

    # Head and scale of the moving norm; its statistics. Of two norms and a frozen
    # scale there are three parts at first: ones, zeros, and the number zero.
    head, norm = 30 + 18, 9 + 9 + 1
    assert of(counts, "train down") == [
        (head, 9 + 9 + 1),
        *[(head + norm, 0)] * (EVERY - 1),
    ]
    assert of(counts, "train up") == [(head + norm, 0)] * EVERY


def test_a_warm_up_and_a_restart_send_nothing_twice(tmp_path: Path) -> None:
    given = scenario("FROZEN", {"train.warmup": 0, "train.restart": True})

    counts = counted(tmp_path / "out", given)

    assert of(counts, "train down") == [(60_003, 180_000)] + [(60_003, 0)] * (EVERY - 1)


def test_frozen_weights_keep_their_bits(tmp_path: Path) -> None:
    given = scenario("FROZEN", {"strategy.name": "FedAdam", "run.out": ""})

    simulate(Apps(apps.client, apps.server), given, tmp_path / "out")

    with np.load(tmp_path / "out" / "model.npz") as model:
        kept = model["0.weight"]
    built = FROZEN.build(given.seed).state_dict()["0.weight"].numpy()
    assert kept.tobytes() == built.tobytes()


def test_both_names_of_a_tied_weight_are_in_the_model(tmp_path: Path) -> None:
    simulate(Apps(apps.client, apps.server), scenario("TIED"), tmp_path / "out")

    with np.load(tmp_path / "out" / "model.npz") as model:
        assert set(model) == {"code.weight", "decode.weight", "table", "mask"}
        assert model["code.weight"].tobytes() == model["decode.weight"].tobytes()


def test_devices_of_one_process_hold_one_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[NDArray[Any]] = []
    close = MemoryStore.close

    def look(store: MemoryStore) -> None:
        found.extend(kept["0.weight"] for kept in store.models.all(GLOBAL))
        close(store)

    monkeypatch.setattr(MemoryStore, "close", look)
    settings = {
        "stream.controller": "biqf",
        "fleet.devices": 4,
    }  # every device keeps a model
    counted(tmp_path / "out", scenario("FROZEN", settings))

    assert len(found) == 4
    assert len({array.__array_interface__["data"][0] for array in found}) == 1


Spoil = Callable[[Path], None]


def delete(part: Path) -> None:
    part.unlink()


def damage(part: Path) -> None:
    content = bytearray(part.read_bytes())
    content[-1] ^= 1
    part.write_bytes(content)


@pytest.mark.parametrize("spoil", [delete, damage])
def test_a_lost_part_costs_a_round_and_comes_again(
    tmp_path: Path, spoil: Spoil
) -> None:
    given = scenario("FROZEN", {"fleet.store": "sqlite", "ask.cycles": 3})
    out = tmp_path / "out"

    def between(number: int) -> None:
        if number == 2:  # rounds are over
            (part,) = (out / "devices" / "fleet.parts").iterdir()
            spoil(part)

    counts = counted(out, given, between)

    down, up = of(counts, "train down"), of(counts, "train up")
    assert down == [(60_003, n) for n in (180_000, 0, 0, 180_000, 0, 0)]
    assert [values for values, _ in up] == [60_003, 60_003, 0, 60_003, 60_003, 60_003]
    server = json.loads((out / "server.json").read_text())
    why = "no update: it lacks parts of the model, which come with its next message"
    assert server["refused"] == [[3, device_name(i), why] for i in range(DEVICES)]


def test_a_fleet_that_can_keep_no_part_loses_no_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(Apps(apps.client, apps.server), scenario("FROZEN"), tmp_path / "kept")

    def put(*_: object) -> None:
        raise StoreError("no space left on device")

    monkeypatch.setattr(MemoryParts, "put", put)
    counts = counted(tmp_path / "full", scenario("FROZEN"))

    assert of(counts, "train down") == [(60_003, 180_000)] * EVERY
    models = [tmp_path / name / "model.npz" for name in ("kept", "full")]
    assert models[0].read_bytes() == models[1].read_bytes()


def test_a_resumed_run_sends_all_parts_again_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = scenario("FROZEN", {"fleet.store": "sqlite"})
    simulate(Apps(apps.client, apps.server), given, tmp_path / "whole")
    append = RunFolder.append

    def killed(folder: RunFolder, row: Mapping[str, Any]) -> None:
        if row["round"] == 3:
            raise KeyboardInterrupt
        append(folder, row)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            counted(tmp_path / "out", given)
    counts = counted(tmp_path / "out", given.with_values({"run.resume": True}))

    assert of(counts, "train down") == [(60_003, 180_000), (60_003, 0)]
    models = [tmp_path / name / "model.npz" for name in ("whole", "out")]
    assert models[0].read_bytes() == models[1].read_bytes()


@pytest.mark.flower
@pytest.mark.slow
@ray_leaks
@pytest.mark.timeout(300)
@pytest.mark.parametrize("runtime", ["ray", "superlink"])
@pytest.mark.parametrize("task", ["FROZEN"])
def test_parts_in_files_give_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, task: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))  # for the task
    given = scenario(task, {"fleet.store": "sqlite", "train.rounds": 1})
    run = Apps(apps.client, apps.server)

    for name in ("inline", runtime):
        simulate(run, given, tmp_path / name, runtime=name)

    for file in ("model.npz", "asked.csv"):
        files = [tmp_path / name / file for name in ("inline", runtime)]
        assert files[0].read_bytes() == files[1].read_bytes()
    (part,) = (tmp_path / runtime / "devices" / "fleet.parts").iterdir()
    assert part.stat().st_size > 4 * 180_000
    wire = [
        json.loads((tmp_path / name / "server.json").read_text())["wire"]
        for name in ("inline", runtime)
    ]
    assert wire[0] == wire[1]
