"""The two apps as Flower's simulation engine needs them. Called by the ray runtime.

The engine gives apps an empty run configuration, unpickles the ClientApp for every
message, hides what the ServerApp raised, goes on without the workers that died, and
cannot be stopped. These mend that, from outside.
"""

import threading
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid, ServerApp
from typing_extensions import override

from fedask.common.errors import UnavailableError


class ConfiguredClient(ClientApp):
    """A ClientApp with its run configuration.

    The app is pickled once and unpickled once per worker process, not once per message,
    so that what it keeps between messages (a compiled model, say) is kept.

    Parameters
    ----------
    config
        The run configuration it sees.
    pickled
        App and configuration, as ``pickle_app`` makes them.
    """

    def __init__(
        self, app: ClientApp, config: Mapping[str, Any], pickled: bytes
    ) -> None:
        super().__init__()
        self._app = app
        self._run_config = dict(config)
        self._pickled = pickled
        self._key = uuid.uuid4().hex

    @override
    def __call__(self, message: Message, context: Context) -> Message:
        given = context.run_config
        context.run_config = self._run_config
        try:
            return self._app(message, context)
        finally:
            context.run_config = given  # the engine refuses one that was changed

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._key, self._pickled)


def pickle_app(app: ClientApp, config: Mapping[str, Any]) -> bytes:
    """Pickle an app and its configuration as Ray does. Imports Ray."""
    from ray import cloudpickle  # noqa: PLC0415  (an extra)

    pickled: bytes = cloudpickle.dumps((app, config))  # type: ignore[no-untyped-call]
    return pickled


# Of this worker process, by the key of the app: one per run, and a worker serves one.
_unpickled: dict[str, ConfiguredClient] = {}


def _unpickle(key: str, pickled: bytes) -> ConfiguredClient:
    """Return this worker's app; unpickled with the first message."""
    if key not in _unpickled:
        from ray import cloudpickle  # noqa: PLC0415  (an extra)

        app, config = cloudpickle.loads(pickled)
        _unpickled[key] = ConfiguredClient(app, config, pickled)
    return _unpickled[key]


class ConfiguredServer(ServerApp):
    """A ServerApp with its run configuration, which keeps what stopped it.

    Parameters
    ----------
    config
        The run configuration it sees.

    Attributes
    ----------
    error
        What the app raised; the engine may hide it behind an error of its own.
    finished
        Whether the app returned.
    stop
        Set to make the app's next look for replies fail, and so to end the run.
    """

    def __init__(self, app: ServerApp, config: Mapping[str, Any]) -> None:
        super().__init__()
        self._app = app
        self._run_config = dict(config)
        self.error: BaseException | None = None
        self.finished = False
        self.stop = threading.Event()

    @override
    def __call__(self, grid: Grid, context: Context) -> None:
        context.run_config = self._run_config
        pull = grid.pull_messages

        def pull_checked(message_ids: Iterable[str]) -> Iterable[Message]:
            if self.stop.is_set():
                raise UnavailableError("the run was interrupted")
            replies = list(pull(message_ids))
            for reply in replies:
                _check_worker(reply)
            return replies

        # The engine's own grid, of this run alone, which calls itself.
        grid.pull_messages = pull_checked  # type: ignore[method-assign]
        try:
            self._app(grid, context)
        except BaseException as err:
            self.error = err
            raise
        self.finished = True


def _check_worker(reply: Message) -> None:
    """Refuse an error that the engine made up: the app never saw the message.

    Raises
    ------
    UnavailableError
        If a worker died, or could not unpickle the app.
    """
    if not reply.has_error() or reply.error.code != ErrorCode.UNKNOWN:
        return
    reason = str(reply.error.reason)
    if reason.startswith("<class "):  # the app's own begin with the name of an error
        raise UnavailableError(f"a worker of Ray failed: {reason}")
