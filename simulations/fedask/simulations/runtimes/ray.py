"""The Ray runtime: Flower's simulation engine, unchanged. Called by ``simulate``.

Devices run in Ray's worker processes, one CPU each, all on this machine: Ray listens on
the loopback address alone, has no dashboard and reports no usage. It never connects to
a cluster that is already there, since the engine shuts Ray down when it is done.
"""

import importlib.util
import logging
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.supercore import telemetry
from typing_extensions import override

from fedask.common.config import Scenario
from fedask.common.errors import ConfigError, FedaskError, UnavailableError
from fedask.simulations.devices import asked
from fedask.simulations.runtimes.processes import (
    descendants,
    end,
    interruptible,
    surviving,
    wait_until,
)
from fedask.simulations.runtimes.runtime import Apps, Asked, run_config

logger = logging.getLogger(__name__)

_GRACE_S = 10.0  # for Ray's processes to end
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's own advice; silences a warning
    "FLWR_TELEMETRY_ENABLED": "0",
}


class ConfiguredClient(ClientApp):
    """A ClientApp with its run configuration: the engine's own is always empty.

    The app is pickled once and unpickled once per worker process, not once per message,
    so that what it keeps between messages (a compiled model, say) is kept.

    Parameters
    ----------
    app
        Called with every message.
    config
        The run configuration it sees.
    pickled
        App and configuration, as Ray's cloudpickle makes them.
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
    app
        Called once.
    config
        The run configuration it sees.

    Attributes
    ----------
    error
        What the app raised; the engine may hide it behind an error of its own.
    finished
        Whether the app returned.
    """

    def __init__(self, app: ServerApp, config: Mapping[str, Any]) -> None:
        super().__init__()
        self._app = app
        self._run_config = dict(config)
        self.error: BaseException | None = None
        self.finished = False

    @override
    def __call__(self, grid: Grid, context: Context) -> None:
        context.run_config = self._run_config
        try:
            self._app(grid, context)
        except BaseException as err:
            self.error = err
            raise
        self.finished = True


def run(apps: Apps, scenario: Scenario) -> Asked:
    """Run both apps on Ray. See ``runtime.Runtime``.

    Raises
    ------
    ConfigError
        If Ray is not installed or already running, or the devices would keep their
        labels in memory, which no two messages share here.
    UnavailableError
        If Ray does not start, or breaks down during the run.
    """
    _check(scenario)
    from ray import cloudpickle  # noqa: PLC0415  (an extra)

    config = run_config(scenario)
    pickled: bytes = cloudpickle.dumps(  # type: ignore[no-untyped-call]
        (apps.client, config)
    )
    server = ConfiguredServer(apps.server, config)
    client = ConfiguredClient(apps.client, config, pickled)
    with interruptible(), _ray(apps, scenario):
        _simulate(server, client, scenario.fleet.devices)
    return asked(scenario)


def _check(scenario: Scenario) -> None:
    """Refuse what cannot work, before anything is started."""
    if scenario.fleet.store == "memory":
        msg = "fleet.store = 'memory' works on the inline runtime alone: Ray hands a "
        msg += "device to another process with every message. Use fleet.store = "
        msg += "'sqlite', or --runtime inline"
        raise ConfigError(msg)
    if importlib.util.find_spec("ray") is None:
        msg = "the ray runtime needs Ray: pip install 'fedask[simulation]'"
        raise ConfigError(msg)
    import ray  # noqa: PLC0415  (an extra)

    if ray.is_initialized():
        msg = "Ray is already running in this process: call ray.shutdown() first"
        raise ConfigError(msg)


@contextmanager
def _ray(apps: Apps, scenario: Scenario) -> Iterator[None]:
    """Start Ray on this machine; it is gone afterwards, whatever happens."""
    paths = [str(apps.folder)] if apps.folder else []
    paths += [path for path in sys.path if path]
    values = {**_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
    with _environment(values):
        # Both read their variable at import, which was long ago.
        telemetry.FLWR_TELEMETRY_ENABLED = "0"
        import ray  # noqa: PLC0415  (an extra)

        verbose = logger.isEnabledFor(logging.DEBUG)
        others = set(descendants(os.getpid()))
        try:
            ray.init(
                address="local",
                num_cpus=max(1, min(os.cpu_count() or 1, scenario.fleet.devices)),
                include_dashboard=False,
                log_to_driver=verbose,
                logging_level=logging.INFO if verbose else logging.ERROR,
                _node_ip_address="127.0.0.1",
            )
        except Exception as err:
            ray.shutdown()
            msg = f"Ray did not start: {err}"
            raise UnavailableError(msg) from err
        try:
            yield
        finally:
            # Workers outlive the shutdown by a second or two: they are waited for.
            started = set(descendants(os.getpid())) - others
            ray.shutdown()
            wait_until(lambda: not surviving(started), _GRACE_S)
            end(lambda: surviving(started), _GRACE_S)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the processes started inside."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _simulate(server: ConfiguredServer, client: ClientApp, devices: int) -> None:
    """Run Flower's engine on the Ray that is there; raise what stopped it."""
    from flwr.simulation import run_simulation  # noqa: PLC0415  (imports Ray)

    resources: dict[str, dict[str, Any]] = {
        "client_resources": {"num_cpus": 1, "num_gpus": 0}
    }
    try:
        with _without_deprecation():
            run_simulation(server, client, devices, backend_config=resources)
    except Exception as err:
        if server.error is not None:
            raise server.error from None
        msg = f"Flower's simulation engine stopped: {err}"
        raise UnavailableError(msg) from err
    if server.error is not None:
        raise server.error
    if not server.finished:
        msg = "Flower's simulation engine stopped before the ServerApp was done"
        raise FedaskError(msg)


class _Mute(logging.Filter):
    """Drops one warning: that ``run_simulation`` is deprecated.

    Its successor, ``flwr run``, starts a SuperLink that outlives the run; the engine
    behind both is the same.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        return "`run_simulation` function is deprecated" not in record.getMessage()


@contextmanager
def _without_deprecation() -> Iterator[None]:
    flower, mute = logging.getLogger("flwr"), _Mute()
    flower.addFilter(mute)
    try:
        yield
    finally:
        flower.removeFilter(mute)
