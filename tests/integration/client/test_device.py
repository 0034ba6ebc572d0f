from pathlib import Path

import numpy as np
import pytest
from tests.support.client.world import World, first_cut, run_round

from fedask.client.learning.batchers.batcher import BATCHERS
from fedask.client.round.device import RoundOutcome
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.cut import Cut
from fedask.common.records import Ask

CYCLES, ROUNDS = 4, 3


def asks(world: World) -> list[tuple[Ask, dict[str, np.ndarray]]]:
    """Play a server: a cut per cycle, a new model per round, scores at the end."""
    plan = []
    cut = first_cut()
    for cycle in range(1, CYCLES + 1):
        for step in range(ROUNDS):
            number = (cycle - 1) * ROUNDS + step
            model = {name: a + 0.01 * number for name, a in world.model.items()}
            score = f"{cycle:016x}" if step == ROUNDS - 1 else ""
            plan.append((Ask(cycle=cycle, step=step, score=score, cut=cut), model))
        cut = Cut(
            cycle=cycle + 1,
            model_version=f"{cycle:016x}",
            nonce=cycle,
            theta=(12, 11, 10),
            boundary=1,
            rho=0.5,
            ticket=0.5,
        )
    return plan


def assert_same(one: RoundOutcome, two: RoundOutcome) -> None:
    assert one.loss == two.loss
    assert (
        one.report.records[next(iter(one.report.records))]
        == (two.report.records[next(iter(two.report.records))])
    )
    assert (one.report.grid is None) == (two.report.grid is None)
    if one.report.grid is not None and two.report.grid is not None:
        assert np.array_equal(one.report.grid, two.report.grid)
    assert (one.arrays is None) == (two.arrays is None)
    for name, array in (one.arrays or {}).items():
        assert two.arrays is not None
        assert np.array_equal(array, two.arrays[name])


@pytest.mark.parametrize("batcher", BATCHERS)
@pytest.mark.parametrize("repeated", [False, True])
def test_a_device_reopened_for_every_message_does_what_one_kept_open_does(
    tmp_path: Path, batcher: str, repeated: bool
) -> None:
    values = {"ask.batcher": batcher, "ask.patience": 2, "train.batch_size": 2}
    kept = World(values)
    reopened = World(values)
    for number, (ask, model) in enumerate(asks(kept)):
        for world in (kept, reopened):
            world.people.willing = number % 4 != 0
        one = run_round(kept.device, kept.scenario, kept.learner, ask, model)
        for _ in range(1 + repeated):
            store = SqliteStore(tmp_path / "device.db")
            two = run_round(
                reopened.made(store), reopened.scenario, reopened.learner, ask, model
            )
            assert store.queue.items() == kept.store.queue.items()
            store.close()
            assert_same(one, two)
    labels = [item.label for item in kept.store.queue.items() if item.label is not None]
    assert len(labels) > CYCLES  # the cuts bought something
