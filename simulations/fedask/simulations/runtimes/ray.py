"""The Ray runtime: Flower's own simulation engine, unchanged.

Called by ``simulate``. Devices are called in Ray actors of one CPU each, so their state
lives in files (``fleet.store = 'sqlite'``); the ServerApp runs in this process. Nothing
is sent anywhere: Ray listens on the loopback alone, its dashboard and its usage reports
are off, and so is Flower's telemetry.
"""

import importlib.util
import logging
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from typing_extensions import override

from fedask.common.config import Scalar, Scenario
from fedask.common.errors import ConfigError, UnavailableError
from fedask.simulations.devices import asked
from fedask.simulations.runtimes.runtime import Apps, Asked, run_config

logger = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 10.0  # how long an interrupted ServerApp may take to notice

# Read by Ray when it starts; by Flower when it is first imported.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "FLWR_TELEMETRY_ENABLED": "0",
    # Off, Ray takes the loopback for its address, on Linux too.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Ray 2.55 announces a change of its GPU variables at every start.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

RunConfig = Mapping[str, Scalar]


def run(apps: Apps, scenario: Scenario) -> Asked:
    """Run both apps on Ray. See ``runtime.Runtime``.

    Raises
    ------
    ConfigError
        If Ray is not installed, or the devices would keep their labels in memory.
    UnavailableError
        If Ray cannot start, or stops.
    """
    _check(scenario)
    config = run_config(scenario)
    server = _Server(apps.server, config)
    with _environment(_QUIET), _sigterm_kept(), _without_deprecation():
        import ray  # noqa: PLC0415  (an extra; reads the environment)
        from flwr.simulation import run_simulation  # noqa: PLC0415
        from flwr.supercore import telemetry  # noqa: PLC0415

        telemetry.FLWR_TELEMETRY_ENABLED = "0"
        try:
            run_simulation(
                server_app=server.app,
                client_app=ShippedClient(ray.cloudpickle.dumps((apps.client, config))),
                num_supernodes=scenario.fleet.devices,
                backend_config=_backend_config(),
            )
        except RuntimeError as err:
            if server.failure is None:
                msg = f"Ray could not run the devices: {err.__cause__ or err}"
                raise UnavailableError(msg) from err
        finally:
            server.stop()
            ray.shutdown()
    if server.failure is not None:
        raise server.failure
    return asked(scenario)


def _check(scenario: Scenario) -> None:
    """Refuse what cannot work, before anything is started."""
    if scenario.fleet.store == "memory":
        msg = "fleet.store = 'memory' forgets between messages on Ray: use "
        raise ConfigError(msg + "fleet.store = 'sqlite', or --runtime inline")
    if importlib.util.find_spec("ray") is None:
        msg = "the ray runtime needs Ray: pip install 'fedask[simulation]'"
        raise ConfigError(msg)


def _backend_config() -> Any:  # noqa: ANN401  (the private type of Flower's engine)
    """Return the engine's settings: an actor per CPU, Ray silent unless we debug."""
    verbose = logger.isEnabledFor(logging.DEBUG)
    return {
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        "init_args": {
            "include_dashboard": False,
            "log_to_driver": verbose,
            "logging_level": "INFO" if verbose else "ERROR",
        },
    }


class ShippedClient(ClientApp):
    """A ClientApp that travels with its run configuration, as bytes.

    Flower pickles the app into every message. An actor that unpacked it each time would
    meet a new task each time, and make it a new model; here it is unpacked once.

    Parameters
    ----------
    payload
        The pickled ``(ClientApp, run configuration)``, made by this very run.
    """

    def __init__(self, payload: bytes) -> None:
        super().__init__()
        self._payload = payload

    @override
    def __call__(self, message: Message, context: Context) -> Message:
        app, config = _unpack(self._payload)
        # The engine's own context must come back with the run_config it had.
        full = replace(context, run_config={**context.run_config, **config})
        try:
            return app(message, full)
        finally:
            context.state = full.state


@lru_cache(maxsize=1)
def _unpack(payload: bytes) -> tuple[ClientApp, RunConfig]:
    import ray  # noqa: PLC0415

    unpacked: tuple[ClientApp, RunConfig] = ray.cloudpickle.loads(payload)
    return unpacked


class _Server:
    """The ServerApp with its run configuration; what it raises; how to stop it.

    Parameters
    ----------
    server
        The app itself; the engine runs ``self.app`` in a thread.
    config
        Filled into its context.
    """

    def __init__(self, server: ServerApp, config: RunConfig) -> None:
        self.app = ServerApp()
        self.failure: Exception | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

        @self.app.main()
        def main(grid: Grid, context: Context) -> None:
            self._thread = threading.current_thread()
            full = replace(context, run_config={**context.run_config, **config})
            try:
                server(self._stoppable(grid), full)
            except Exception as err:
                self.failure = err
                raise

    def _stoppable(self, grid: Grid) -> Grid:
        """Let a waiting ServerApp notice that the devices are gone."""
        pull = grid.pull_messages

        def pull_messages(message_ids: Iterable[str]) -> Iterable[Message]:
            if self._stopped.is_set():
                msg = "the run was stopped"
                raise UnavailableError(msg)
            return pull(message_ids)

        # The engine makes the grid, so this one method is replaced on the object.
        grid.pull_messages = pull_messages  # type: ignore[method-assign]
        return grid

    def stop(self) -> None:
        """End the ServerApp's thread, if it still runs."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the processes that are started; put all back afterwards."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        # The engine itself sets PYTHONPATH, Ray a few of its own.
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Put the handler of SIGTERM back: Ray installs one of its own, which aborts."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _without_deprecation() -> Iterator[None]:
    """Mute that ``run_simulation`` is deprecated; its heir, ``flwr run``, needs a server."""

    def keep(record: logging.LogRecord) -> bool:
        return "`run_simulation` function is deprecated" not in record.getMessage()

    logger = logging.getLogger("flwr")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
