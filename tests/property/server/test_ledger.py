"""The budget holds, whoever is there and whoever answers."""

from dataclasses import dataclass, field

import numpy as np
from flwr.app import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.server.scripted import CLASSES, Bench, name_of, reply, report, silent

from fedask.common.config import Scenario
from fedask.common.grid import Scored
from fedask.common.ids import DeviceId, content_uid
from fedask.common.policies.policy import make_policy
from fedask.common.records import Ask

ROUNDS, CYCLES, NODES = 2, 4, 5
POLICIES = ["global-cut", "local-topk", "proportional-random"]


@dataclass
class _Obedient:
    """A device that asks exactly what cuts say, and whose people may be absent."""

    node: int
    scored: Scored
    queue: dict[str, str] = field(default_factory=dict)  # uid -> waiting, answered
    asked: int = 0
    expired: int = 0
    last_cycle: int = 0
    version: str = ""
    best: Scored | None = None

    @property
    def device(self) -> DeviceId:
        return name_of(self.node)

    def answer(self, message: Message, scenario: Scenario, luck: int) -> Message:
        """Play one round; ``luck`` says what the people do: expire, answer, wait."""
        ask = Ask.from_content(message.content)
        policy = make_policy(scenario.ask, CLASSES)
        waiting = [uid for uid, state in self.queue.items() if state == "waiting"]
        for uid in waiting:
            if luck == 0:
                del self.queue[uid]
                self.expired += 1
            elif luck == 1:
                self.queue[uid] = "answered"
        if ask.cut is not None and ask.cut.cycle > self.last_cycle:
            self._apply(ask, scenario)
        grid = None
        if ask.score:
            self.best = self._open(self.scored)
            self.version = ask.score
            grid = policy.contribute(self.best)
        answered = sum(state == "answered" for state in self.queue.values())
        said = report(
            self.node,
            cut_cycle=self.last_cycle,
            asked=self.asked,
            answered=answered,
            expired=self.expired,
            class_counts=(answered, 0, 0),
            grid=grid,
        )
        return reply(message, said)

    def _open(self, scored: Scored) -> Scored:
        return scored.keep(~np.isin(scored.uids, list(self.queue)))

    def _apply(self, ask: Ask, scenario: Scenario) -> None:
        cut = ask.cut
        assert cut is not None
        if not cut.model_version:
            chosen = self.scored.uids[: cut.take]
        elif self.best is None or cut.model_version != self.version:
            return
        else:
            left = self._open(self.best)
            policy = make_policy(scenario.ask, CLASSES)
            chosen = left.uids[policy.accept(cut, left, self.device)]
        self.last_cycle = ask.cycle
        self.asked += len(chosen)
        self.queue |= dict.fromkeys(chosen.tolist(), "waiting")


def _device(node: int, size: int, seed: int) -> _Obedient:
    rng = np.random.default_rng(seed)
    uids = np.array([content_uid(np.array([node, i])) for i in range(size)])
    scores = rng.random(size).astype(np.float32)
    groups = rng.integers(0, CLASSES, size)
    return _Obedient(node, Scored.ranked(uids, scores, groups))


@settings(max_examples=60, deadline=None)
@given(
    policy=st.sampled_from(POLICIES),
    sizes=st.lists(st.integers(1, 12), min_size=NODES, max_size=NODES),
    seed=st.integers(0, 2**31 - 1),
    luck=st.lists(
        st.tuples(*[st.sampled_from(["absent", "expire", "answer", "wait"])] * NODES),
        min_size=ROUNDS * CYCLES,
        max_size=ROUNDS * CYCLES,
    ),
)
def test_spent_never_exceeds_bought_when_devices_obey_the_cuts(
    policy: str, sizes: list[int], seed: int, luck: list[tuple[str, ...]]
) -> None:
    bench = Bench(nodes=NODES, ask__cycles=CYCLES, ask__policy=policy, seed=seed)
    nodes = list(bench.grid.get_node_ids())
    fleet = {
        n: _device(n, size, seed + n) for n, size in zip(nodes, sizes, strict=True)
    }
    moves = ("expire", "answer", "wait")
    ledger = bench.strategy.progress.ledger
    for row in luck:
        replies = [
            silent(node, message)
            if what == "absent"
            else fleet[node].answer(message, bench.scenario, moves.index(what))
            for (node, message), what in zip(bench.send().items(), row, strict=True)
        ]
        bench.take(replies)
        real = sum(device.asked - device.expired for device in fleet.values())
        assert ledger.spent == real
        assert ledger.spent <= ledger.bought
    assert ledger.bought <= 2 * NODES + 6 * (CYCLES - 1)
    assert not any("capacity" in reason for *_, reason in bench.refused)


def test_obedient_fleet_spends_the_whole_budget_when_its_pools_allow() -> None:
    bench = Bench(nodes=NODES, ask__cycles=CYCLES)
    fleet = {n: _device(n, 40, n) for n in bench.grid.get_node_ids()}
    for _ in range(ROUNDS * CYCLES):
        bench.round(lambda node, m: fleet[node].answer(m, bench.scenario, 1))
    ledger = bench.strategy.progress.ledger
    assert ledger.bought == 2 * NODES + 6 * (CYCLES - 1)
    # A split bin leaves at most one label per device, and only in the last cycle.
    assert ledger.bought - NODES < ledger.spent <= ledger.bought
