"""Choosing the inner strategy, and handing it checked replies."""

from collections.abc import Iterable

import numpy as np
import pytest
from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp.strategy import FedAdam, FedAvg, FedMedian, FedTrimmedAvg, QFedAvg
from tests.support.server.edits import set_metric
from tests.support.server.scripted import (
    FIRST_NODE,
    Bench,
    honest,
    model,
    reply,
    report,
    values,
)
from typing_extensions import override

from fedask.common.errors import ConfigError
from fedask.common.manifest import Manifest
from fedask.common.sections import StrategyConfig
from fedask.server.inner_strategy import (
    AVERAGING,
    Averaged,
    Listed,
    gather_for,
    make_inner,
)

MANIFEST = Manifest.plain(model())


class Keen(FedAvg):
    """A user's own strategy, by the path of this module."""

    def __init__(self, eta: float = 1.0) -> None:
        super().__init__(fraction_evaluate=0.0)
        self.eta = eta
        self.seen: list[int] = []

    @override
    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        replies = list(replies)
        self.seen.append(len(replies))
        return super().aggregate_train(server_round, replies)


KEEN = f"{__name__}:Keen"


def _config(name: str, **options: float | str) -> StrategyConfig:
    return StrategyConfig(name=name, options=options)


def test_strategy_is_made_with_its_options() -> None:
    made = make_inner(_config("FedAdam", eta=0.25, beta_1=0.5), devices=0)
    assert type(made) is FedAdam
    assert (made.eta, made.beta_1) == (0.25, 0.5)


def test_strategy_waits_for_all_devices_and_evaluates_none_unless_told() -> None:
    made = make_inner(_config("FedAvg"), devices=7)
    assert isinstance(made, FedAvg)
    assert (made.min_train_nodes, made.min_available_nodes) == (7, 7)
    assert made.fraction_evaluate == 0.0
    told = make_inner(_config("FedAvg", min_train_nodes=3), devices=7)
    assert isinstance(told, FedAvg)
    assert (told.min_train_nodes, told.min_available_nodes) == (3, 7)


def test_fraction_of_the_fleet_is_trained_though_all_of_it_is_waited_for() -> None:
    made = make_inner(_config("FedAvg", fraction_train=0.5), devices=7)
    assert isinstance(made, FedAvg)
    assert (made.min_train_nodes, made.min_available_nodes) == (3, 7)
    least = make_inner(_config("FedAvg", fraction_train=0.01), devices=7)
    assert isinstance(least, FedAvg)
    assert least.min_train_nodes == 1
    with pytest.raises(ConfigError, match="strategy FedAvg"):
        make_inner(_config("FedAvg", fraction_train="half"), devices=7)


def test_without_a_fleet_size_flower_keeps_its_own_default() -> None:
    made = make_inner(_config("FedAvg"), devices=0)
    assert isinstance(made, FedAvg)
    assert made.min_train_nodes == FedAvg().min_train_nodes


def test_own_strategy_is_named_by_its_path() -> None:
    made = make_inner(_config(KEEN, eta=0.5), devices=3)
    assert type(made).__name__ == "Keen"
    assert vars(made)["eta"] == 0.5


def test_own_strategy_sees_every_reply_though_it_is_an_average() -> None:
    keen = Keen()
    assert isinstance(gather_for(keen, MANIFEST, model()), Listed)
    bench = Bench(keen, nodes=2)
    bench.round(honest)
    assert keen.seen == [2]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (_config("FedAvgg"), r"unknown strategy 'FedAvgg' \(did you mean 'FedAvgM?'"),
        (_config("fedadam"), r"unknown strategy 'fedadam' \(did you mean 'FedAdam'\?"),
        (_config("Strategy"), "unknown strategy 'Strategy'"),
        (_config("Result"), "unknown strategy 'Result'"),
        (_config("??"), r"unknown strategy '\?\?' \(valid: Bulyan, "),
        (
            _config("FedAdam", beta1=0.5),
            r"FedAdam has no option 'beta1' \(did you mean",
        ),
        (_config("FedAvg", zzz=1), r"FedAvg has no option 'zzz' \(valid: .*fraction_"),
        (_config("FedTrimmedAvg", beta=0.5), "strategy FedTrimmedAvg: `beta` must be"),
        (_config("QFedAvg"), "strategy QFedAvg: .*client_learning_rate"),
        (
            _config("DifferentialPrivacyServerSideFixedClipping"),
            "strategy DifferentialPrivacyServerSideFixedClipping: .*'strategy'",
        ),
        (_config("no_such_module:Mine"), "cannot import 'no_such_module'"),
        (_config(f"{__name__}:Kean"), r"has no 'Kean' \(did you mean 'Keen'\?\)"),
        (_config(KEEN, etta=1.0), r"has no option 'etta' \(did you mean 'eta'\?\)"),
    ],
    ids=lambda value: value.name if isinstance(value, StrategyConfig) else "",
)
def test_strategy_that_cannot_be_made_is_a_config_error(
    config: StrategyConfig, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_inner(config, devices=4)


def test_averaging_strategies_are_summed_and_the_others_listed() -> None:
    names = {kind.__name__ for kind in AVERAGING}
    assert names == {
        "FedAvg",
        "FedAvgM",
        "FedProx",
        "FedAdagrad",
        "FedAdam",
        "FedYogi",
    }
    assert isinstance(gather_for(FedAdam(), MANIFEST, model()), Averaged)
    assert isinstance(gather_for(FedMedian(), MANIFEST, model()), Listed)


def test_strategy_that_computes_in_place_changes_nobody_elses_arrays() -> None:
    inner = QFedAvg(
        client_learning_rate=0.1,
        train_loss_key="train-loss",
        fraction_evaluate=0.0,
        min_train_nodes=4,
    )
    bench = Bench(inner)
    sent = bench.send()
    mine = model(0.5)
    replies = [reply(message, update=mine) for message in sent.values()]
    own = [values(each.content.array_records["arrays"]) for each in replies]
    bench.take(replies)
    assert all((arrays["w"] == 0.5).all() for arrays in own)
    assert (values(bench.arrays)["w"] > 0).all()  # towards the devices
    assert (values(bench.arrays)["w"] <= 0.5).all()


def test_trimmed_mean_is_untouched_by_one_wild_but_finite_update() -> None:
    inner = FedTrimmedAvg(beta=0.25, fraction_evaluate=0.0, min_train_nodes=4)
    bench = Bench(inner)
    wild = {11: 60_000.0, 12: 1.0, 13: 2.0, 14: -60_000.0}
    arrays = bench.round(lambda node, sent: reply(sent, update=model(wild[node])))
    assert (values(arrays)["w"] == 1.5).all()


def test_mean_is_weighted_by_labels_and_keeps_the_dtype_of_the_model() -> None:
    bench = Bench(nodes=2)
    counts = {FIRST_NODE: (1, 0, 0), FIRST_NODE + 1: (2, 0, 1)}

    def answer(node: int, sent: Message) -> Message:
        said = report(node, class_counts=counts[node])
        return reply(sent, said, update=model(float(node - FIRST_NODE)))

    arrays = values(bench.round(answer))
    assert (arrays["w"] == 0.75).all()  # (1 * 0 + 3 * 1) / 4
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def test_mean_is_weighted_by_what_weak_labels_add() -> None:
    bench = Bench(nodes=2, weak__functions="a:b")
    none = {"asked": 0, "answered": 0, "class_counts": (0, 0, 0)}

    def answer(node: int, sent: Message) -> Message:
        first = node == FIRST_NODE
        said = report(node) if first else report(node, **none)
        edit = None if first else set_metric("num-examples", 1)
        return reply(sent, said, update=model(float(node - FIRST_NODE)), edit=edit)

    arrays = values(bench.round(answer))
    assert (arrays["w"] == 0.25).all()  # (3 * 0 + 1 * 1) / 4
    assert bench.strategy.progress.labelled == 3  # of people alone


def test_inner_strategy_sees_metrics_and_nothing_of_ours() -> None:
    contents: list[set[str]] = []

    class Watching(FedMedian):
        @override
        def aggregate_train(
            self, server_round: int, replies: Iterable[Message]
        ) -> tuple[ArrayRecord | None, MetricRecord | None]:
            replies = list(replies)
            contents.extend(set(each.content) for each in replies)
            return super().aggregate_train(server_round, replies)

    Bench(Watching(fraction_evaluate=0.0, min_train_nodes=4)).round(honest)
    assert contents == [{"arrays", "metrics"}] * 4
