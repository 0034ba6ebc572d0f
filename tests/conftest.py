import gc
import logging
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The same examples in every run of a pipeline; a developer's machine looks further.
settings.register_profile("ci", derandomize=True, max_examples=60)
settings.register_profile("fast", derandomize=True, max_examples=15)
if os.environ.get("CI"):
    settings.load_profile("ci")

# A process of tests per core: more threads of torch and BLAS would only wait for each
# other, and digits would depend on the machine. Programs that tests start take it over.
os.environ.setdefault("OMP_NUM_THREADS", "1")

logging.getLogger("flwr").setLevel(logging.ERROR)


@pytest.fixture(autouse=True)
def _levels() -> Iterator[None]:
    """Take back what a command sets for its whole process, which here is ours."""
    levels = {name: logging.getLogger(name).level for name in ("flwr", "fedask")}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def terminal_signals() -> Iterator[None]:
    """Handle signals as at a terminal, here and in programs that the test starts.

    A shell has a background job ignore Ctrl-C, and ``nohup`` the end of the terminal;
    what is ignored is handed down, and such tests would wait for ever.
    """
    usual = dict.fromkeys((signal.SIGTERM, signal.SIGHUP), signal.SIG_DFL)
    usual[signal.SIGINT] = signal.default_int_handler  # type: ignore[assignment]
    before = {number: signal.signal(number, how) for number, how in usual.items()}
    yield
    for number, how in before.items():
        signal.signal(number, how)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lasts: some million imported objects."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out tests of the large data sets where FEDASK_DATA names no folder.

    First come those that start a SuperLink or Ray: they wait as much as they work, so
    that one process has them while the others do the rest.
    """
    items.sort(key=lambda item: item.get_closest_marker("flower") is None)
    if os.environ.get("FEDASK_DATA"):
        return
    gone = [item for item in items if item.get_closest_marker("data")]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if item not in gone]
