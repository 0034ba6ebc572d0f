"""What ``AskStrategy`` sends, to whom, and when."""

import logging
import random
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp.strategy import FedAvg, FedAvgM, FedMedian, FedProx
from tests.support.server.edits import set_metric
from tests.support.server.scripted import (
    FIRST_NODE,
    Bench,
    ask_of,
    grid_of,
    honest,
    model,
    name_of,
    reply,
    report,
    same,
    silent,
    values,
)
from typing_extensions import override

from fedask.common.errors import DataError, FedaskError, ProtocolError, UnavailableError
from fedask.common.policies.policy import FleetSum, make_policy
from fedask.common.records import ASK
from fedask.common.weights import to_record

LATE = FIRST_NODE + 2


def _scored(node: int, message: Message) -> Message:
    """Answer; where scores are asked, with a grid of five."""
    ask = ask_of(message)
    grid = grid_of((node % 3, 3, 2), (0, 1, 3)) if ask.score else None
    said = report(node, cut_cycle=ask.cycle, grid=grid)
    return reply(message, said, update=model(0.25))


def test_first_cut_asks_the_initial_labels_of_every_device_at_random() -> None:
    asks = [ask_of(message) for message in Bench().send().values()]
    assert len(asks) == 4
    for ask in asks:
        assert (ask.cycle, ask.step, ask.score) == (1, 0, "")
        assert ask.cut is not None
        assert (ask.cut.take, ask.cut.model_version, ask.cut.theta) == (2, "", ())


def test_cut_goes_only_to_nodes_that_have_not_applied_it() -> None:
    bench = Bench(train__rounds=3)
    bench.round(lambda n, sent: silent(n, sent) if n == LATE else honest(n, sent))
    has_cut = {n: ask_of(sent).cut is not None for n, sent in bench.send().items()}
    assert has_cut == {n: n == LATE for n in has_cut}
    assert len(has_cut) == 4
    bench.take([])


def test_device_that_missed_rounds_gets_the_cut_later_in_the_cycle() -> None:
    bench = Bench(train__rounds=4)
    cuts = []
    for _ in range(3):
        sent = bench.send()
        cuts.append(ask_of(sent[LATE]).cut)
        bench.take([honest(n, m) for n, m in sent.items() if n != LATE])
    assert cuts[0] is not None
    assert cuts == [cuts[0]] * 3
    bench.round(_scored)  # now it has come
    again = ask_of(bench.send()[LATE]).cut
    assert again is not None
    assert again.cycle == 2


def told(bench: Bench) -> tuple[dict[int, float | None], dict[int, Message]]:
    """Send a round; which accuracy each node is told, and the messages."""
    sent = bench.send()
    return {node: ask_of(message).accuracy for node, message in sent.items()}, sent


def test_the_accuracy_goes_with_the_first_message_of_a_cycle_that_reaches_a_node() -> (
    None
):
    bench = Bench(ask__cycles=3, train__rounds=3)
    for _ in range(3):
        accuracies, sent = told(bench)
        assert set(accuracies.values()) == {None}  # nothing is measured yet
        bench.take([_scored(node, message) for node, message in sent.items()])
    bench.strategy.progress.accuracy = 0.75  # as the ServerApp does at its end

    accuracies, sent = told(bench)
    assert set(accuracies.values()) == {0.75}
    named = {ask_of(message).run for message in sent.values()}
    assert named == {bench.strategy.progress.run}
    bench.take([_scored(n, m) for n, m in sent.items() if n != LATE])
    accuracies, sent = told(bench)
    assert accuracies == {n: 0.75 if n == LATE else None for n in accuracies}
    bench.take([_scored(node, message) for node, message in sent.items()])
    assert set(told(bench)[0].values()) == {None}


def test_an_accuracy_is_a_few_bytes_and_no_message() -> None:
    counts = []
    for accuracy in (None, 0.75):
        bench = Bench()
        bench.strategy.progress.accuracy = accuracy
        bench.send()
        counts.append(bench.strategy.progress.wire)
    assert counts[0].messages == counts[1].messages == 4
    assert counts[1].ask_bytes - counts[0].ask_bytes == 4 * 55


def test_a_policy_that_follows_its_cut_sends_it_again_where_scores_are_asked() -> None:
    bench = Bench(ask__policy="tail", ask__cycles=3, train__rounds=2)
    has_cut = []
    for _ in range(4):
        sent = bench.send()
        asks = [ask_of(message) for message in sent.values()]
        has_cut.append({(bool(ask.score), ask.cut is not None) for ask in asks})
        said = {
            n: report(n, cut_cycle=ask_of(m).cycle, grid=np.array([[3]]))
            if ask_of(m).score
            else report(n, cut_cycle=ask_of(m).cycle)
            for n, m in sent.items()
        }
        bench.take([reply(sent[n], r, update=model(0.25)) for n, r in said.items()])
    assert has_cut == [{(False, True)}, {(True, True)}] * 2


def test_device_that_refused_the_cut_is_sent_it_again() -> None:
    bench = Bench(train__rounds=3)
    bench.round(lambda n, sent: reply(sent, report(n, cut_cycle=0), model(1.0)))
    assert all(ask_of(sent).cut is not None for sent in bench.send().values())


def test_scores_are_asked_in_the_last_round_of_a_cycle_but_not_of_the_last() -> None:
    bench = Bench(ask__cycles=3, train__rounds=3)
    asked = []
    for _ in range(9):
        sent = bench.send()
        (score,) = {ask_of(message).score for message in sent.values()}
        asked.append(bool(score))
        bench.take([_scored(n, m) for n, m in sent.items()])
    assert asked == [False, False, True, False, False, True, False, False, False]
    assert bench.strategy.num_rounds == 0


def test_cut_names_the_scoring_that_it_cuts() -> None:
    bench = Bench()
    bench.round(honest)
    sent = bench.send()
    (scoring,) = {ask_of(message).score for message in sent.values()}
    bench.take([_scored(n, m) for n, m in sent.items()])
    asks = [ask_of(message) for message in bench.send().values()]
    assert {ask.cycle for ask in asks} == {2}
    (cut,) = {ask.cut for ask in asks}
    assert cut is not None
    assert cut.model_version == scoring
    assert len(cut.theta) == 3


def test_scorings_of_two_models_or_of_two_cycles_have_different_names() -> None:
    def scoring(cycles: int, value: float) -> str:
        bench = Bench(ask__cycles=4, train__rounds=1)
        bench.arrays = to_record(model(value))
        for _ in range(cycles - 1):
            bench.send()
            bench.take([])  # nobody trains: the model stays
        (name,) = {ask_of(message).score for message in bench.send().values()}
        return name

    assert scoring(2, 0.5) == scoring(2, 0.5)
    assert len({scoring(1, 0.5), scoring(2, 0.5), scoring(3, 0.5)}) == 3
    assert scoring(2, 0.5) != scoring(2, 0.25)


def test_cut_is_none_when_nobody_scored_and_nothing_of_the_quota_is_lost() -> None:
    bench = Bench(ask__cycles=3)
    bench.round(honest)
    bench.round(honest)  # no device sends a grid, though asked
    assert bench.strategy.progress.cut is None
    assert all(ask_of(sent).cut is None for sent in bench.send().values())
    bench.take([])
    ledger = bench.strategy.progress.ledger
    assert ledger.bought - ledger.spent == 4 * 2 + 6 - 4 * 3
    assert ledger.grant(6) == 4 * 2 + 6 + 6 - 4 * 3


def test_grid_that_nobody_asked_for_is_not_counted() -> None:
    bench = Bench()
    bench.round(lambda n, m: reply(m, report(n, grid=grid_of((0, 3, 1))), model(1.0)))
    bench.round(honest)
    assert bench.strategy.progress.cut is None


def test_inner_records_are_untouched_and_the_ask_is_added() -> None:
    plain = FedProx(fraction_evaluate=0.0, min_train_nodes=4, proximal_mu=0.5)
    bench = Bench(FedProx(fraction_evaluate=0.0, min_train_nodes=4, proximal_mu=0.5))
    # The bench has set Flower's task identity, so plain messages can be made too.
    alone = plain.configure_train(1, bench.arrays, ConfigRecord(), bench.grid)
    expected = next(iter(alone)).content
    for message in bench.send().values():
        assert set(message.content) == {"arrays", "config", ASK}
        assert message.content["arrays"] is bench.arrays
        assert message.content["config"] == expected["config"]
        assert message.metadata.message_type == "train"
    assert expected.config_records["config"]["proximal-mu"] == 0.5


def test_no_message_is_added_to_those_of_the_inner_strategy() -> None:
    bench = Bench(FedAvg(fraction_train=0.5, fraction_evaluate=0.0), nodes=6)
    for count in range(1, 5):
        assert len(bench.send()) == 3
        bench.take([])
        wire = bench.strategy.progress.wire
        assert wire.messages == wire.inner_messages == 3 * count


def test_sampling_of_the_inner_strategy_follows_the_seed_and_spares_global_state() -> (
    None
):
    def sampled(seed: int) -> list[list[int]]:
        inner = FedAvg(fraction_train=0.5, fraction_evaluate=0.0)
        bench, nodes = Bench(inner, nodes=8, seed=seed), []
        for _ in range(4):
            nodes.append(list(bench.send()))
            bench.take([])
        return nodes

    state = random.getstate()
    first = sampled(1)
    assert random.getstate() == state
    random.seed(99)
    assert sampled(1) == first
    assert sampled(2) != first
    assert len({tuple(nodes) for nodes in first}) > 1


def test_messages_go_out_in_the_order_of_node_ids() -> None:
    sent = Bench(nodes=7).send()
    assert list(sent) == sorted(sent)


def test_next_plan_counts_only_those_who_scored() -> None:
    bench = Bench()
    bench.round(honest)
    bench.round(lambda n, m: silent(n, m) if n == LATE else _scored(n, m))
    cut = bench.strategy.progress.cut
    assert cut is not None
    scored = [node for node in range(FIRST_NODE, FIRST_NODE + 4) if node != LATE]
    expected = make_policy(bench.scenario.ask, 3).plan(
        FleetSum(
            cycle=2,
            nonce=cut.nonce,
            model_version=cut.model_version,
            grid=sum((grid_of((n % 3, 3, 2), (0, 1, 3)) for n in scored), grid_of()),
            labelled=np.array([4, 8, 0]),  # of all four, as last reported
            devices=tuple(name_of(node) for node in scored),
            quota=6 + 4 * 2 - 4 * 3,
        )
    )
    assert cut == expected


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ErrorCode.UNKNOWN, "DataError: no file train.npz"),
        (
            ErrorCode.CLIENT_APP_RAISED_EXCEPTION,
            "<class 'ModuleNotFoundError'>:<'No module named 'other''>",
        ),
        (ErrorCode.LOAD_CLIENT_APP_EXCEPTION, "cannot load the app"),
    ],
)
def test_run_that_no_device_could_begin_stops_and_says_why(
    code: int, reason: str
) -> None:
    def broken(_: int, sent: Message) -> Message:
        return Message(Error(code, reason), reply_to=sent)

    bench = Bench()
    with pytest.raises(FedaskError, match="no device could begin") as stopped:
        bench.round(broken)
    assert reason in str(stopped.value)
    # Who must act is told by the kind, and the kind by the devices.
    theirs = DataError if reason.startswith("DataError") else UnavailableError
    assert type(stopped.value) is theirs
    bench = Bench()
    bench.round(lambda n, sent: (honest if n == LATE else broken)(n, sent))
    bench.round(broken)  # later it is theirs to mend, and the run goes on
    assert [n for n, *_ in bench.refused] == [1] * 3 + [2] * 4


def test_run_goes_on_if_devices_were_only_away() -> None:
    def gone(node: int, sent: Message) -> Message:
        if node == LATE:
            return silent(node, sent)
        return Message(Error(ErrorCode.NODE_UNAVAILABLE, "offline"), reply_to=sent)

    bench = Bench()
    bench.round(gone)
    assert len(bench.refused) == 4
    bench.round(honest)
    assert len(bench.refused) == 4


def test_aggregating_before_anything_was_sent_is_refused() -> None:
    with pytest.raises(ProtocolError, match="before configure_train"):
        Bench().take([])


def test_result_of_an_inner_strategy_that_is_not_finite_is_refused() -> None:
    class Broken(FedAvg):
        @override
        def aggregate_train(
            self,
            server_round: int,
            replies: Iterable[Message],
        ) -> tuple[ArrayRecord | None, MetricRecord | None]:
            super().aggregate_train(server_round, replies)
            return to_record({"w": model()["w"], "b": np.full(3, np.nan)}), None

    bench = Bench(Broken(fraction_evaluate=0.0, min_train_nodes=4))
    with pytest.raises(ProtocolError, match="'b' holds NaN"):
        bench.round(honest)


@pytest.mark.parametrize("inner", [FedAvg, FedMedian])
def test_flowers_log_counts_the_devices_of_a_round(
    inner: type[FedAvg], caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(inner(fraction_evaluate=0.0, min_train_nodes=4))

    def answer(node: int, sent: Message) -> Message:
        if node == LATE:
            return silent(node, sent)
        if node == FIRST_NODE + 1:
            return reply(sent)  # it has no label yet, and no update
        return honest(node, sent)

    with caplog.at_level(logging.INFO, "flwr"):
        bench.round(answer)
    received = [m for m in caplog.messages if "eceived" in m]
    assert received == ["aggregate_train: received 3 results and 1 failures"]
    assert logging.getLogger("flwr").filters == []


def test_evaluation_leaves_out_errors_and_devices_without_labels() -> None:
    bench = Bench(FedAvg(min_train_nodes=4, min_evaluate_nodes=4))
    bench.round(honest)
    sent = list(
        bench.strategy.configure_evaluate(1, bench.arrays, ConfigRecord(), bench.grid)
    )
    assert [m.metadata.dst_node_id for m in sent] == [11, 12, 13, 14]
    counts = [(1, 0.0), (3, 1.0), (0, 0.0)]
    replies = [
        Message(
            RecordDict({"m": MetricRecord({"num-examples": n, "accuracy": a})}),
            reply_to=message,
        )
        for message, (n, a) in zip(sent, counts, strict=False)
    ]
    replies.append(silent(FIRST_NODE + 3, sent[3]))
    metrics = bench.strategy.aggregate_evaluate(1, replies)
    assert metrics is not None
    assert dict(metrics) == {"accuracy": 0.75}
    assert bench.strategy.aggregate_evaluate(1, replies[2:]) is None


def test_wire_counters_hold_what_was_sent_and_answered() -> None:
    bench = Bench()
    sent = bench.send()
    bench.take([honest(n, m) for n, m in sent.items() if n != LATE])
    wire = bench.strategy.progress.wire
    size = sum(array.nbytes for array in model().values())
    assert wire.model_bytes == 4 * size + 3 * size
    assert (wire.messages, wire.replies) == (4, 3)
    asked = sum(len(ASK) + m.content[ASK].count_bytes() for m in sent.values())
    assert wire.ask_bytes == asked
    assert wire.report_bytes > 0


def test_names_of_all_devices_that_held_labels_are_kept() -> None:
    bench = Bench()
    bench.round(honest)
    assert set(bench.strategy.progress.classes) == {
        name_of(node) for node in range(FIRST_NODE, FIRST_NODE + 4)
    }
    assert bench.strategy.progress.labelled == 12


def _warm(weight: int) -> Callable[[int, Message], Message]:
    """Answer a round of warm-up: no label, an update of so many samples."""
    none = {"cut_cycle": 0, "asked": 0, "answered": 0, "class_counts": (0, 0, 0)}

    def answer(node: int, message: Message) -> Message:
        update = model(1.0 + (node - FIRST_NODE))
        own = weight * (node - FIRST_NODE + 1)
        return reply(message, report(node, **none), update, set_metric(KEY, own))

    return answer


KEY = "num-examples"


def test_warm_up_comes_before_cycle_1_and_asks_nothing() -> None:
    bench = Bench(train__warmup=2)
    assert bench.strategy.num_rounds == 2 + 4
    seen = []
    for _ in range(4):
        sent = bench.send()
        asks = {ask_of(message) for message in sent.values()}
        seen += [(ask.cycle, ask.step, ask.cut is not None) for ask in asks]
        warms = next(iter(asks)).warms_up
        answer = _warm(3) if warms else _scored
        bench.take([answer(n, message) for n, message in sent.items()])
    assert seen == [(0, 0, False), (0, 1, False), (1, 0, True), (1, 1, False)]
    assert not bench.refused
    ledger = bench.strategy.progress.ledger
    assert ledger.summary()["bought"] == 2 * 4 + 6  # the first cut, and one more
    assert bench.strategy.progress.cut is not None
    assert bench.strategy.progress.cut.cycle == 2


def test_warm_up_is_weighted_by_samples_within_their_bound() -> None:
    bench = Bench(nodes=2, train__warmup=1)
    arrays = bench.round(_warm(100))
    assert np.allclose(values(arrays)["w"], (100 * 1 + 200 * 2) / 300)
    assert bench.strategy.progress.labelled == 0

    bench = Bench(nodes=2, train__warmup=1)
    arrays = bench.round(_warm(1024))  # the second says 2048
    assert (values(arrays)["w"] == 1.0).all()
    why = "num-examples is 2048, but 0 are labelled: it may be 1 to 1024"
    assert bench.refused == [(1, name_of(FIRST_NODE + 1), why)]


def test_momenta_of_the_warm_up_end_with_it() -> None:
    def bench(warmup: int) -> Bench:
        inner = FedAvgM(server_momentum=0.9, fraction_evaluate=0.0, min_train_nodes=4)
        return Bench(inner, train__warmup=warmup)

    warmed, fresh = bench(2), bench(0)
    for _ in range(2):
        warmed.round(_warm(3))
    fresh.arrays = warmed.arrays
    for _ in range(2):
        assert same(values(warmed.round(honest)), values(fresh.round(honest)))
