"""The ClientApp: ``app = client_app(task)``. A thin handler, one message a round.

Flower starts a fresh process per message on a real SuperNode, so this module imports
neither torch nor a model; those come with the first message.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

from flwr.app import (
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from typing_extensions import override

from fedask.client.round.message import read_train, write_reply
from fedask.client.round.received_model import ReceivedModel, receive
from fedask.common.config import Scenario
from fedask.common.errors import (
    ConfigError,
    FedaskError,
    ProtocolError,
    UnavailableError,
)
from fedask.common.ids import PartDigest
from fedask.common.part_record import write_lacking
from fedask.common.records import LACKS_PARTS
from fedask.common.registry import declared, load_attr
from fedask.common.sections import TrainConfig
from fedask.common.task import Task
from fedask.common.user_code import user_code

if TYPE_CHECKING:
    from fedask.client.learning.selection.run_context import RunContext
    from fedask.client.learning.training.learner import Learner
    from fedask.client.learning.training.training_step import TrainingResult
    from fedask.client.round.device import BegunRound, Device
    from fedask.client.site.device_folder import DeviceFolder

__all__ = ["client_app"]

FLEETS = "fedask.fleets"  # the group of entry points for devices that are made up
SIMULATED = "simulated"

OpenDevice = Callable[[Task, Scenario, Context], "AbstractContextManager[Device]"]
TaskOrFactory = Task | Callable[[Scenario], Task]

FAILED = 0  # Flower's code for an error in the ClientApp
SITE = "site"  # in the node configuration of a real device
# What the server is told in full: what was wrong with its message, and that it may try
# again. All else may name files, folders and settings, which are the owner's.
_TOLD = (ProtocolError, UnavailableError)

_log = logging.getLogger(__name__)


class DeviceApp(ClientApp):
    """A ClientApp that can train several devices of one process together.

    Whoever holds many train messages at once (the inline runtime) gives them to
    ``train_together``; each reply is the one that calling the app would give.
    """

    def __init__(self, handler: "_Handler") -> None:
        super().__init__()
        self._handler = handler
        self.train()(lambda message, context: _guard(handler.train, message, context))
        self.evaluate()(
            lambda message, context: _guard(handler.evaluate, message, context)
        )

    def train_together(
        self, given: Iterable[tuple[Message, Context]]
    ) -> Iterator[Message]:
        """Answer train messages of one round; yields the replies in their order.

        Of the trained models, those of one batch are held at a time.
        """
        for batch in self._handler.batches(given):
            yield from self._handler.train_together(batch)


def client_app(
    task: TaskOrFactory,
    *,
    defaults: Mapping[str, Any] | None = None,
    open_device: OpenDevice | None = None,
) -> DeviceApp:
    """Make the ClientApp of a task.

    Parameters
    ----------
    task
        What is learned, or a function of the scenario that tells.
    defaults
        Run configuration (dotted keys) below what Flower hands over.
    open_device
        Opens the device for one message. By default a SuperNode whose ``--node-config``
        has ``site`` is a real device (``fedask.client.site.deployment``); without it,
        it is a simulated one.
    """
    return DeviceApp(_Handler(task, defaults or {}, open_device))


def _guard(
    handle: Callable[[Message, Context], RecordDict],
    message: Message,
    context: Context,
) -> Message:
    """Answer a message; an error becomes an error reply and never ends the device."""
    try:
        content = handle(message, context)
    except FedaskError as err:
        return _failed(message, context, err)
    except Exception as err:
        if not _is_real(context):
            raise
        return _failed(message, context, err)  # Flower would send all that it says
    return Message(content, reply_to=message)


def _failed(message: Message, context: Context, err: Exception) -> Message:
    """Reply with the error; a real device leaves out all that may quote its data."""
    reason = f"{type(err).__name__}: {err}"
    if _is_real(context) and not isinstance(err, _TOLD):
        _log.error("no reply to a message: %s", reason, exc_info=err)
        reason = f"{type(err).__name__}: the log of this device says more"
    return Message(Error(code=FAILED, reason=reason), reply_to=message)


def _is_real(context: Context) -> bool:
    return SITE in context.node_config


@dataclass(frozen=True, slots=True)
class _DeviceRound:
    """A round of one device between its beginning and its training."""

    device: "Device"
    begun: "BegunRound"
    lacking: Collection[PartDigest]

    def finish(self, trained: "TrainingResult | None" = None) -> RecordDict:
        """Train, if that is still to be done, and report."""
        if trained is None and self.begun.job is not None:
            trained = self.begun.run.learner.train(self.begun.job, self.device.proceed)
        return write_reply(self.device.finish(self.begun, trained), self.lacking)


class _Handler:
    """Answers messages and keeps what the devices of one process share."""

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
        self._prepared: tuple[Any, RunContext] | None = None

    @override
    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what this process has prepared: a learner does not travel."""
        return {**self.__dict__, "_prepared": None}

    def train(self, message: Message, context: Context) -> RecordDict:
        with ExitStack() as opened:
            return self._begin(opened, message, context).finish()

    def _begin(
        self, opened: ExitStack, message: Message, context: Context
    ) -> _DeviceRound:
        folder = self._folder(opened, context)
        run = self._prepare(context)
        given = read_train(message.content)
        device = opened.enter_context(self._open(run, context, folder))
        model = _receive(run, message, device)
        if model.arrays is None:
            begun = device.skip(run, LACKS_PARTS)
        else:
            run.learner.load(model.arrays)
            begun = device.begin(run, given.ask, given.prox)
        return _DeviceRound(device, begun, model.lacking)

    def batches(
        self, given: Iterable[tuple[Message, Context]]
    ) -> Iterator[list[tuple[Message, Context]]]:
        """Split the messages into batches of one content and of bounded size."""
        for _, group in groupby(given, key=lambda pair: pair[0].content):
            for first in group:
                most = self._prepare(first[1]).learner.most_together
                yield [first, *islice(group, most - 1)]  # noqa: B031  (goes on in it)

    def train_together(
        self, batch: Sequence[tuple[Message, Context]]
    ) -> Iterator[Message]:
        with ExitStack() as opened:
            turns = [self._try_to_begin(opened, *pair) for pair in batch]
            begun = [turn for turn in turns if isinstance(turn, _DeviceRound)]
            trained = iter(_train(begun))
            for (message, context), turn in zip(batch, turns, strict=True):
                if isinstance(turn, _DeviceRound):
                    yield _end(message, context, turn, next(trained))
                else:
                    yield _failed(message, context, turn)

    def _try_to_begin(
        self, opened: ExitStack, message: Message, context: Context
    ) -> _DeviceRound | Exception:
        try:
            return self._begin(opened, message, context)
        except Exception as err:  # noqa: BLE001  (one device's fault is its own)
            return err

    def evaluate(self, message: Message, context: Context) -> RecordDict:
        with ExitStack() as opened:
            folder = self._folder(opened, context)
            run = self._prepare(context)
            device = opened.enter_context(self._open(run, context, folder))
            model = _receive(run, message, device)
            accuracy, count = 0.0, 0
            if model.arrays is not None:
                accuracy, count = device.evaluate(run.learner, model.arrays)
        metrics = MetricRecord({"num-examples": count, "accuracy": accuracy})
        return RecordDict({"metrics": metrics, **write_lacking(model.lacking)})

    def _folder(self, opened: ExitStack, context: Context) -> "DeviceFolder | None":
        """Open the folder of a real device, and refuse if it may not work now.

        Before torch is imported, so that a device that may not train answers at once.
        """
        if self._open_device is not None or not _is_real(context):
            return None
        from fedask.client.site.device_folder import DeviceFolder, folder_of  # noqa: PLC0415  (simulations need none of it)

        folder = DeviceFolder.open(folder_of(context.node_config), "round")
        folder.guard().refuse()
        return opened.enter_context(folder)

    def _prepare(self, context: Context) -> "RunContext":
        config = context.run_config
        if self._prepared is None or self._prepared[0] is not config:
            flat = {**self._defaults, **config}
            scenario = _scenario(tuple(sorted(flat.items())), context.run_id)
            given = self._task
            with user_code("the function that gives the task", given):
                task = given if isinstance(given, Task) else given(scenario)
            self._prepared = (config, _run_context(task, scenario))
        return self._prepared[1]

    def _open(
        self, run: "RunContext", context: Context, folder: "DeviceFolder | None"
    ) -> "AbstractContextManager[Device]":
        task, scenario = run.task, run.scenario
        if self._open_device is not None:
            return self._open_device(task, scenario, context)
        if folder is not None:
            from fedask.client.site.deployment import open_device  # noqa: PLC0415  (imports torch)

            return open_device(folder, task)
        if "partition-id" not in context.node_config:
            raise ConfigError(
                "the node has neither a site nor a partition-id: give the SuperNode "
                "--node-config 'site=\"DIR\"', DIR of `fedask device init`"
            )
        return _simulated()(task, scenario, context)


@lru_cache(maxsize=16)
def _scenario(flat: tuple[tuple[str, Any], ...], run_id: int) -> Scenario:
    return Scenario.of_run(dict(flat), run_id)


@lru_cache(maxsize=1)
def _simulated() -> OpenDevice:
    """Load what opens a device of a simulation, from the package that declares it."""
    fleets = declared(FLEETS)
    if SIMULATED not in fleets:
        raise ConfigError(
            "simulated devices are not installed: pip install 'fedask[simulation]'"
        )
    open_device: OpenDevice = load_attr(fleets[SIMULATED])
    return open_device


_learners: dict[tuple[int, TrainConfig], "tuple[Task, Learner]"] = {}


def _run_context(task: Task, scenario: Scenario) -> "RunContext":
    from fedask.client.learning.selection.run_context import RunContext  # noqa: PLC0415  (imports torch)

    return RunContext(task, scenario, _learner(task, scenario.train))


def _learner(task: Task, config: TrainConfig) -> "Learner":
    """Return this process's learner of the task; made once."""
    key = (id(task), config)
    if key not in _learners:
        from fedask.client.learning.training.learner import Learner  # noqa: PLC0415  (imports torch)

        # The task is kept beside its learner, so that its id stays its own.
        _learners[key] = (task, Learner(task, config))
    return _learners[key][1]


def _receive(run: "RunContext", message: Message, device: "Device") -> ReceivedModel:
    manifest = run.learner.manifest
    return receive(message.content, manifest, device.store.parts, device.device_id)


def _train(turns: Sequence[_DeviceRound]) -> "list[TrainingResult | None]":
    """Train together what can be; None for a device that is still to be trained."""
    jobs = [(i, t.begun.job) for i, t in enumerate(turns) if t.begun.job]
    trained: list[TrainingResult | None] = [None] * len(turns)
    if jobs:
        results = turns[0].begun.run.learner.train_together([job for _, job in jobs])
        for row, result in results.items():
            trained[jobs[row][0]] = result
    return trained


def _end(
    message: Message,
    context: Context,
    turn: _DeviceRound,
    trained: "TrainingResult | None",
) -> Message:
    try:
        return Message(turn.finish(trained), reply_to=message)
    except Exception as err:  # noqa: BLE001  (one device's fault is its own)
        return _failed(message, context, err)
