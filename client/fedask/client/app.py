"""The ClientApp: ``app = client_app(task)``. A thin handler, one message a round.

Flower starts a fresh process per message on a real SuperNode, so this module imports
neither torch nor a model; those come with the first message.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flwr.app import (
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp

from fedask.common.config import Scenario, TrainConfig
from fedask.common.errors import FedaskError, ProtocolError
from fedask.common.records import ASK, Ask
from fedask.common.registry import load_attr
from fedask.common.task import Task
from fedask.common.weights import Arrays, to_record

if TYPE_CHECKING:
    from fedask.client.device import Device, Outcome
    from fedask.client.learner import Learner

# A device's owner opens it one way, a simulation another; both are named as text so
# that a real device never imports the simulations.
DEPLOYED = "fedask.client.deployment:open_device"
SIMULATED = "fedask.simulations.devices:open_device"

OpenDevice = Callable[[Task, Scenario, Context], "AbstractContextManager[Device]"]
TaskOrFactory = Task | Callable[[Scenario], Task]

FAILED = 0  # Flower's code for an error in the ClientApp


def client_app(
    task: TaskOrFactory,
    *,
    defaults: Mapping[str, Any] | None = None,
    open_device: OpenDevice | None = None,
) -> ClientApp:
    """Make the ClientApp of a task.

    Parameters
    ----------
    task
        What is learned, or a function of the scenario that tells.
    defaults
        Run configuration (dotted keys) below what Flower hands over.
    open_device
        Opens the device for one message. By default a SuperNode whose ``--node-config``
        has ``data`` is a real device (see ``fedask.client.deployment``); without it, it
        is a simulated one.
    """
    app = ClientApp()
    handler = _Handler(task, defaults or {}, open_device)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return _guard(handler.train, message, context)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return _guard(handler.evaluate, message, context)

    return app


def _guard(
    handle: Callable[[Message, Context], RecordDict],
    message: Message,
    context: Context,
) -> Message:
    """Turn our errors into error replies; a device never dies of a message."""
    try:
        content = handle(message, context)
    except FedaskError as err:
        reason = f"{type(err).__name__}: {err}"
        return Message(Error(code=FAILED, reason=reason), reply_to=message)
    return Message(content, reply_to=message)


class _Handler:
    """Answers messages; keeps what the devices of one process can share."""

    def __init__(
        self,
        task: TaskOrFactory,
        defaults: Mapping[str, Any],
        open_device: OpenDevice | None,
    ) -> None:
        self._task = task
        self._defaults = dict(defaults)
        self._open_device = open_device
        # The last configuration and what it gave.
        self._prepared: tuple[Any, tuple[Scenario, Task, Learner]] | None = None

    def train(self, message: Message, context: Context) -> RecordDict:
        scenario, task, learner = self._prepare(context)
        content = message.content
        ask = _read_ask(content)
        arrays = _decode(learner, _model_record(content))
        prox = _proximal(content)
        with self._open(task, scenario, context) as device:
            outcome = device.run_round(task, scenario, learner, ask, arrays, prox)
        return _reply(outcome)

    def evaluate(self, message: Message, context: Context) -> RecordDict:
        scenario, task, learner = self._prepare(context)
        arrays = _decode(learner, _model_record(message.content))
        with self._open(task, scenario, context) as device:
            accuracy, count = device.evaluate(learner, arrays)
        metrics = MetricRecord({"num-examples": count, "accuracy": accuracy})
        return RecordDict({"metrics": metrics})

    def _prepare(self, context: Context) -> "tuple[Scenario, Task, Learner]":
        config = context.run_config
        if self._prepared is None or self._prepared[0] is not config:
            flat = {**self._defaults, **config}
            scenario = _scenario(tuple(sorted(flat.items())), context.run_id)
            given = self._task
            task = given if isinstance(given, Task) else given(scenario)
            ready = (scenario, task, _learner(task, scenario.train))
            self._prepared = (config, ready)
        return self._prepared[1]

    def _open(
        self, task: Task, scenario: Scenario, context: Context
    ) -> "AbstractContextManager[Device]":
        if self._open_device is not None:
            return self._open_device(task, scenario, context)
        target = DEPLOYED if "data" in context.node_config else SIMULATED
        opened: AbstractContextManager[Device] = load_attr(target)(
            task, scenario, context
        )
        return opened


@lru_cache(maxsize=16)
def _scenario(flat: tuple[tuple[str, Any], ...], run_id: int) -> Scenario:
    return Scenario.of_run(dict(flat), run_id)


_learners: dict[tuple[int, TrainConfig], "tuple[Task, Learner]"] = {}


def _learner(task: Task, config: TrainConfig) -> "Learner":
    """Return this process's learner of the task; made once."""
    key = (id(task), config)
    if key not in _learners:
        from fedask.client.learner import Learner  # noqa: PLC0415  (imports torch)

        # The task is kept beside its learner, so that its id stays its own.
        _learners[key] = (task, Learner(task, config))
    return _learners[key][1]


_decoded: dict[int, tuple[ArrayRecord, Arrays]] = {}


def _decode(learner: "Learner", record: ArrayRecord) -> Arrays:
    """Check the model of a message; once per message object, not once per device."""
    kept = _decoded.get(id(learner))
    if kept is None or kept[0] is not record:
        kept = (record, learner.spec.read(record))
        _decoded[id(learner)] = kept
    return kept[1]


_last_ask: list[tuple[object, Ask]] = []


def _read_ask(content: RecordDict) -> Ask:
    """Read the ask of a message; once per record, which many devices may share."""
    record = content.get(ASK)
    if record is None or not _last_ask or _last_ask[0][0] is not record:
        _last_ask[:] = [(record, Ask.from_content(content))]
    return _last_ask[0][1]


def _model_record(content: RecordDict) -> ArrayRecord:
    """Return the one ArrayRecord that is the model, whatever the strategy calls it."""
    records = [r for r in content.values() if isinstance(r, ArrayRecord)]
    if len(records) != 1:
        msg = f"the message has {len(records)} array records, must have one: the model"
        raise ProtocolError(msg)
    return records[0]


def _proximal(content: RecordDict) -> float:
    """Return the mu that Flower's FedProx strategy puts into its config, or 0."""
    for record in content.values():
        if isinstance(record, ConfigRecord):
            value = record.get("proximal-mu")
            if isinstance(value, (int, float)) and 0.0 <= value < float("inf"):
                return float(value)
    return 0.0


def _reply(outcome: "Outcome") -> RecordDict:
    content = RecordDict()
    for name, record in outcome.report.records.items():
        content[name] = record
    weight = outcome.report.labelled if outcome.arrays is not None else 0
    if outcome.arrays is not None:
        content["arrays"] = to_record(outcome.arrays)
    content["metrics"] = MetricRecord(
        {"num-examples": weight, "train-loss": outcome.loss}
    )
    return content
