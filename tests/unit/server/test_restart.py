"""Cycles that begin from the initial model, and nothing else that was learned."""

from collections.abc import Callable

import pytest
from flwr.serverapp.strategy import FedAdam, FedAvgM, Strategy
from tests.support.server.scripted import Bench, honest, model, same, values

from fedask.common.weights import to_record


def test_restart_sends_the_initial_model_at_the_first_round_of_every_cycle() -> None:
    bench = Bench(train__restart=True, ask__cycles=3)
    bench.arrays = to_record(model(3.0))
    restarted = []
    for _ in range(6):
        sent = bench.send()
        arrays = [values(m.content.array_records["arrays"]) for m in sent.values()]
        restarted.append(all(same(each, model(3.0)) for each in arrays))
        bench.take([honest(n, m) for n, m in sent.items()])
    assert restarted == [True, False, True, False, True, False]


@pytest.mark.parametrize(
    "kind", [lambda **k: FedAvgM(server_momentum=0.9, **k), FedAdam], ids=["M", "Adam"]
)
def test_restart_forgets_the_momenta_of_the_last_cycle(
    kind: Callable[..., Strategy],
) -> None:
    def bench() -> Bench:
        inner = kind(fraction_evaluate=0.0, min_train_nodes=4)
        made = Bench(inner, train__restart=True, ask__cycles=3, train__rounds=2)
        made.arrays = to_record(model(3.0))
        return made

    through, fresh = bench(), bench()
    for _ in range(2):
        through.round(honest)
    fresh.strategy.begin(to_record(model(3.0)))
    fresh.strategy.progress.rounds = 2  # FedAdam's step depends on the round's number
    for _ in range(2):
        through.round(honest)
        fresh.round(honest)
        assert same(values(through.arrays), values(fresh.arrays))


def test_restart_holds_though_nobody_replies_to_the_first_round() -> None:
    bench = Bench(train__restart=True, ask__cycles=2)
    bench.arrays = to_record(model(3.0))
    bench.round(honest)
    bench.round(honest)
    assert not same(values(bench.arrays), model(3.0))
    bench.send()
    bench.take([])
    assert same(values(bench.arrays), model(3.0))
    bench.send()
    bench.take([])
    assert same(values(bench.arrays), model(3.0))
