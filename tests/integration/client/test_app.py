import re
from typing import Any

import numpy as np
import pytest
from flwr.app import (
    ConfigRecord,
    Message,
    RecordDict,
)
from flwr.serverapp.strategy import FedProx
from flwr.supercore.run import Run
from tests.support.client.messages import (
    Site,
    arrays,
    ask_record,
    message,
    pose_as_server,
    train_content,
)
from tests.support.client.world import SCENARIO, TASK, first_cut, model, whole_cut

from fedask.client.app import client_app
from fedask.common.arrays import model_version
from fedask.common.grid_record import GRID
from fedask.common.ids import parse_device_id
from fedask.common.policies.policy import make_policy
from fedask.common.records import ASK, REPORT, Report
from fedask.simulations.runtimes.inline import InlineGrid

BAD_MODEL = "arrays do not match the model"


@pytest.fixture(autouse=True)
def _server() -> None:
    pose_as_server()


def report_of(reply: Message) -> Report:
    assert not reply.has_error(), reply.error.reason
    policy = make_policy(SCENARIO.ask, 3)
    return Report.from_content(
        reply.content, num_classes=3, grid_shape=policy.traits.grid_shape
    )


def reason_of(reply: Message) -> str:
    assert reply.has_error()
    return str(reply.error.reason)


def weights_of(reply: Message) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in reply.content.array_records["arrays"].items()}


def test_a_round_trains_and_reports() -> None:
    reply = Site().send(train_content(ask_record(cut=first_cut())))

    report = report_of(reply)
    assert (report.device, report.asked, report.answered) == ("ward-3", 2, 2)
    assert report.grid is None
    assert set(reply.content) == {REPORT, "arrays", "metrics"}
    assert weights_of(reply).keys() == model().keys()
    metrics = reply.content.metric_records["metrics"]
    assert metrics["num-examples"] == 2
    assert float(metrics["train-loss"]) > 0  # type: ignore[arg-type]
    assert reply.metadata.src_node_id == 2
    assert reply.metadata.reply_to_message_id == "1"


def test_a_device_without_labels_sends_a_grid_and_no_arrays() -> None:
    site = Site()
    site.world.people.willing = False

    ask = ask_record(score=model_version(model()), cut=first_cut())
    reply = site.send(train_content(ask))

    assert set(reply.content) == {REPORT, GRID, "metrics"}
    assert reply.content.metric_records["metrics"]["num-examples"] == 0
    grid = report_of(reply).grid
    assert grid is not None
    assert grid.sum() == 5


def test_a_whole_cycle_asks_what_the_cut_buys() -> None:
    site = Site()
    version = model_version(model())
    site.send(train_content(ask_record(cut=first_cut())))
    site.send(train_content(ask_record(step=2, score=version)))

    reply = site.send(train_content(ask_record(cycle=2, cut=whole_cut(2, version))))

    assert report_of(reply).asked == 7


def test_evaluation_is_over_the_labels_of_the_device() -> None:
    site = Site()
    content = RecordDict({"arrays": arrays(), "config": ConfigRecord()})
    empty = site.send(content, "evaluate").content.metric_records["metrics"]
    assert (empty["num-examples"], empty["accuracy"]) == (0, 0.0)
    site.send(train_content(ask_record(cut=first_cut(take=5))))

    reply = site.send(content, "evaluate")

    metrics = reply.content.metric_records["metrics"]
    assert metrics["num-examples"] == 5
    assert 0.0 <= float(metrics["accuracy"]) <= 1.0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("ask.scorrer", "margin", "unknown key 'ask.scorrer' .*'ask.scorer'"),
        ("ask.scorer", "margn", "unknown scorer 'margn'.*'margin'"),
        ("train.lr", "fast", "train.lr = 'fast' must be of type float"),
    ],
)
def test_a_wrong_run_configuration_gets_an_error_reply(
    key: str, value: str, reason: str
) -> None:
    site = Site()
    site.config[key] = value
    app = client_app(TASK, open_device=lambda *_: site.open(TASK, SCENARIO, _[2]))

    ask = ask_record(score="0" * 16)
    reply = app(message(train_content(ask)), site.context())

    assert reason_of(reply).startswith("ConfigError: ")
    assert re.search(reason, reason_of(reply))


def test_an_absent_device_says_that_it_misses_the_round() -> None:
    site = Site()
    site.world.device._present = lambda _tick: False

    reply = site.send(train_content(ask_record()))

    assert reason_of(reply) == "UnavailableError: ward-3 misses round 1"


def test_a_node_that_is_neither_real_nor_simulated_says_what_to_set() -> None:
    context = Site().context()

    reply = client_app(TASK)(message(train_content(ask_record())), context)

    assert "ConfigError: the node has neither a site nor a partition-id" in (
        reason_of(reply)
    )


def test_defaults_lie_below_the_run_configuration() -> None:
    site = Site()
    seen: list[tuple[int, int]] = []

    def open_device(task: Any, scenario: Any, context: Any) -> Any:  # noqa: ANN401
        seen.append((scenario.ask.capacity, scenario.ask.quota))
        return site.open(task, site.world.scenario, context)

    defaults = {"ask.capacity": 31, "ask.quota": 41}
    app = client_app(TASK, defaults=defaults, open_device=open_device)
    context = site.context()
    context.run_config = {"ask.capacity": 7, "train.rounds": 3}

    app(message(train_content(ask_record())), context)

    assert seen == [(7, 41)]


def trained_with(config: ConfigRecord, values: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
    site = Site({"train.steps": 6, **(values or {})})
    content = train_content(ask_record(cut=first_cut(take=5)))
    content["config"] = config
    return weights_of(site.send(content))["1.weight"]


def test_flowers_fedprox_keeps_devices_near_the_global_model() -> None:
    site = Site({"train.steps": 6})
    grid = InlineGrid(site.app, [site.context()], Run.create_empty(1))
    strategy = FedProx(
        fraction_train=1.0, min_train_nodes=1, min_available_nodes=1, proximal_mu=5.0
    )
    (sent,) = strategy.configure_train(1, arrays(), ConfigRecord(), grid)
    sent.content[ASK] = ask_record(cut=first_cut(take=5))

    (reply,) = grid.send_and_receive([sent])

    near = weights_of(reply)["1.weight"]
    free = trained_with(ConfigRecord())
    start = model()["1.weight"]
    assert np.linalg.norm(near - start) < 0.9 * np.linalg.norm(free - start)
    assert np.array_equal(near, trained_with(ConfigRecord({"proximal-mu": 5.0})))
    assert np.array_equal(near, trained_with(ConfigRecord(), {"train.prox": 5.0}))


@pytest.mark.parametrize("mu", [-1.0, float("nan"), float("inf"), 1e308, "5"])
def test_a_proximal_mu_that_is_no_weight_is_left_out(mu: float | str) -> None:
    given = trained_with(ConfigRecord({"proximal-mu": mu}))

    assert np.array_equal(given, trained_with(ConfigRecord()))


def test_one_app_serves_many_devices_of_a_process() -> None:
    sites = [Site(), Site()]
    sites[1].world.device.device_id = parse_device_id("ward-4")
    by_node = {index + 2: site for index, site in enumerate(sites)}
    app = client_app(
        TASK,
        open_device=lambda task, scenario, context: by_node[context.node_id].open(
            task, scenario, context
        ),
    )
    content = train_content(ask_record(cut=first_cut()))
    replies = []
    for node in (2, 3, 2):
        context = sites[0].context()
        context.node_id = node
        replies.append(report_of(app(message(content), context)))

    assert [report.device for report in replies] == ["ward-3", "ward-4", "ward-3"]
    assert [report.asked for report in replies] == [2, 2, 2]
