"""The Ray runtime: Flower's simulation engine, unchanged. Called by ``simulate``.

Devices run in Ray's worker processes, one CPU each, all on this machine: Ray listens on
the loopback address alone, has no dashboard and reports no usage. It never connects to
a cluster that is already there, since the engine shuts Ray down when it is done.
"""

import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from flwr.clientapp import ClientApp
from flwr.supercore import telemetry
from typing_extensions import override

from fedask.common.config import Scenario
from fedask.common.errors import ConfigError, FedaskError, UnavailableError
from fedask.simulations.fleet.devices import asked
from fedask.simulations.runtimes.configured_app import (
    ConfiguredClient,
    ConfiguredServer,
    pickle_app,
)
from fedask.simulations.runtimes.processes import end, interruptible, mark
from fedask.simulations.runtimes.runtime import Apps, Asked, run_config

logger = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"
_ENVIRONMENT = {
    # Despite its name: 0 makes Ray use the loopback address on any system.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's own advice; silences a warning
    "FLWR_TELEMETRY_ENABLED": "0",
}


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
    config = run_config(scenario)
    server = ConfiguredServer(apps.server, config)
    out = Path(scenario.run.out)
    values = _values(apps.folder, out)
    with (
        interruptible() as take,
        _environment(values),
        _ray(out, scenario.fleet.devices),
    ):
        take()  # from Ray, which would abort on SIGTERM
        client = ConfiguredClient(apps.client, config, pickle_app(apps.client, config))
        _simulate(server, client, scenario.fleet.devices)
    return asked(scenario)


def _check(scenario: Scenario) -> None:
    """Refuse what cannot work, before anything is started."""
    if scenario.fleet.store == "memory":
        raise ConfigError(
            "fleet.store = 'memory' works on the inline runtime alone: Ray hands a "
            "device to another process with every message. Use fleet.store = "
            "'sqlite', or --runtime inline"
        )
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("the ray runtime needs Ray: pip install 'fedask[simulation]'")


def _values(folder: Path | None, out: Path) -> dict[str, str]:
    """Return the environment of Ray's processes; they import what this one can."""
    paths = [str(folder)] if folder else []
    paths += [path for path in sys.path if path]
    return {**_ENVIRONMENT, **mark(out), "PYTHONPATH": os.pathsep.join(paths)}


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


@contextmanager
def _ray(out: Path, devices: int) -> Iterator[None]:
    """Start Ray on this machine; it is gone afterwards, whatever happens."""
    # It read its variable when it was imported, which was long ago.
    telemetry.FLWR_TELEMETRY_ENABLED = "0"
    import ray  # noqa: PLC0415  (an extra; reads the environment)

    if ray.is_initialized():
        raise ConfigError(
            "Ray is already running in this process: call ray.shutdown() first"
        )
    try:
        with _on_loopback():
            _start(min(os.cpu_count() or 1, devices))
        with redirect_stdout(sys.stderr):  # Ray prints warnings beside our results
            yield
    finally:
        ray.shutdown()
        end(out)  # interrupted in its start, Ray forgets what it has started


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Do in this process what the environment variable does in Ray's others.

    It is read when Ray is imported, which somebody may have done long ago.
    """
    from ray._private import ray_constants  # noqa: PLC0415  (an extra)

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _start(cpus: int) -> None:
    import ray  # noqa: PLC0415  (an extra)

    verbose = logger.isEnabledFor(logging.DEBUG)
    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            log_to_driver=verbose,
            logging_level=logging.INFO if verbose else logging.ERROR,
        )
    except SystemExit:  # Ray takes SIGTERM for itself as soon as it starts
        raise SystemExit(128 + signal.SIGTERM) from None
    except Exception as err:
        raise UnavailableError(f"Ray did not start: {err}") from err
    address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    if address != _LOOPBACK:
        # Whoever reaches Ray's ports can run code: nobody outside this machine may.
        raise ConfigError(
            f"Ray listens on {address} instead of {_LOOPBACK}: refused; use "
            "--runtime inline or superlink"
        )


def _simulate(server: ConfiguredServer, client: ClientApp, devices: int) -> None:
    """Run Flower's engine on the Ray that is there; raise what stopped it.

    The engine has a thread of its own. Interrupted in the middle it would shut Ray down
    under its workers, which then wait for ever; told by the ServerApp to stop, it
    finishes the messages under way and ends as always.
    """
    from flwr.simulation import run_simulation  # noqa: PLC0415  (imports Ray)

    resources: dict[str, dict[str, Any]] = {"client_resources": {"num_cpus": 1}}
    with _muted(), ThreadPoolExecutor(max_workers=1) as pool:
        engine = pool.submit(
            run_simulation, server, client, devices, backend_config=resources
        )
        try:
            failure = engine.exception()
        finally:
            server.stop.set()
    if server.error is not None:
        raise server.error
    if failure is not None:
        raise UnavailableError(
            f"Flower's simulation engine stopped: {failure}"
        ) from failure
    if not server.finished:
        raise FedaskError(
            "Flower's simulation engine stopped before the ServerApp was done"
        )


class _Mute(logging.Filter):
    """Drops log lines that are known, or that are raised as errors of ours.

    ``run_simulation`` is deprecated, but its successor, ``flwr run``, starts a
    SuperLink that outlives the run; the engine behind both is the same. Tracebacks of
    the engine are left to those who want its whole log.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            return logger.isEnabledFor(logging.INFO)
        return "`run_simulation` function is deprecated" not in record.getMessage()


@contextmanager
def _muted() -> Iterator[None]:
    flower, mute = logging.getLogger("flwr"), _Mute()
    flower.addFilter(mute)
    try:
        yield
    finally:
        flower.removeFilter(mute)
