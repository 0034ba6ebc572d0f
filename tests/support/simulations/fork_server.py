"""Runs ``fedask`` in a process of its own without importing anew: by forking.

Torch and Flower take 2.5 s of a core to import. The tests of a process share one
interpreter that has imported them, and our own modules. A fork of it has a folder, an
environment, streams and an end of its own, as what a shell starts has. What Python
reads at its start the forks share (``PYTHONPATH``, the seed of hashes): tests of those
start the program itself.
"""

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from typing import Any, NoReturn

ROOT = str(Path(__file__).parents[3])
PROGRAM = f"""
import gc
import fedask.client.app, fedask.server.app
import fedask.client.round.device, fedask.simulations.fleet.devices
import fedask.simulations.cli.compare, fedask.simulations.cli.simulate
from fedask.common.command_line import main
from {__name__} import is_fork, run_and_end
gc.collect()
gc.freeze()
if is_fork():
    run_and_end(main)
"""


def run_fork(
    arguments: list[str], cwd: Path, env: Mapping[str, str], timeout_s: float
) -> "subprocess.CompletedProcess[str]":
    """Run ``fedask`` to its end and return what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        told = [Path(folder, name) for name in ("stdout", "stderr")]
        streams = [os.devnull, *map(str, told)]
        order = {"arguments": arguments, "cwd": str(cwd), "env": dict(env)}
        code = _answer({**order, "streams": streams, "timeout_s": ceil(timeout_s)})
        printed, errors = (path.read_text(encoding="utf-8") for path in told)
    if code == -signal.SIGALRM:
        raise subprocess.TimeoutExpired(arguments, timeout_s, printed, errors)
    return subprocess.CompletedProcess(arguments, code, printed, errors)


def _answer(order: Mapping[str, Any]) -> int:
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline())
    except BaseException:  # a test that ran out of time: its answer is nobody's
        server.kill()
        _server.cache_clear()
        raise


@functools.cache
def _server() -> "subprocess.Popen[str]":
    """Start it once in this process. It ends with its input, at the latest with us."""
    own = {"PYTHONPATH": ROOT, "FLWR_TELEMETRY_ENABLED": "0"}
    server = subprocess.Popen(  # noqa: S603  (our own text)
        [sys.executable, "-P", "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **own},
    )
    atexit.register(server.communicate)
    return server


def is_fork() -> bool:
    """Fork for each line of the input, and say how each fork ended.

    Returns
    -------
    bool
        Whether this is a fork, which goes on as its order says; else the input ended.
    """
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(json.loads(line))
            return True
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201  (the answer)
    return False


def run_and_end(main: Callable[[], None]) -> NoReturn:
    """Run, and end as an interpreter does, but for what takes it a second: freeing."""
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001  (whatever it is, its end is told)
        sys.excepthook(*sys.exc_info())
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)  # noqa: T201  (as sys.exit does)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _become(order: Mapping[str, Any]) -> None:
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.path.remove(ROOT)  # which a program does not have
    sys.argv[:] = ["fedask", *order["arguments"]]
    for number, name in enumerate(order["streams"]):
        stream = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(stream, number)
        os.close(stream)
    signal.alarm(order["timeout_s"])
