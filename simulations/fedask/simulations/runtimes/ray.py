"""The Ray runtime: Flower's own simulation engine, unchanged.

Called by ``simulate``. Devices are called in Ray actors of one CPU each, so their state
lives in files (``fleet.store = 'sqlite'``); the ServerApp runs in this process. Nothing
is sent anywhere: Ray listens on the loopback alone, its dashboard and its usage reports
are off, and so is Flower's telemetry.
"""

import importlib.util
import logging
import os
import threading
from collections.abc import Iterator, Mapping
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

_LOOPBACK = "127.0.0.1"
_STOP_TIMEOUT_S = 10.0  # how long an interrupted ServerApp may take to notice

# Read by Ray when it starts; by Flower when it is first imported.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "FLWR_TELEMETRY_ENABLED": "0",
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
    import ray  # noqa: PLC0415  (an extra; a second to import)
    from flwr.simulation import run_simulation  # noqa: PLC0415
    from flwr.supercore import telemetry  # noqa: PLC0415

    telemetry.FLWR_TELEMETRY_ENABLED = "0"
    config = run_config(scenario)
    server = _Server(apps.server, config)
    payload = ray.cloudpickle.dumps((apps.client, config))
    with _environment(_QUIET), _without_deprecation():
        try:
            run_simulation(
                server_app=server.app,
                client_app=ShippedClient(payload),
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
