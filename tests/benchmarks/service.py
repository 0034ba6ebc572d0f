"""The labelling service under several apps at once: how many answers it keeps a second.

Called by the command. The service is a process of its own behind a unix socket, its
store a file as a device has it; the apps are threads with the client that users have.
Afterwards the store is asked whether every answer is there, once.
"""

import multiprocessing
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.benchmarks.desk import CLASSES, Waits, disk

from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.grpc.client import LabellingClient
from fedask.client.labelling.grpc.service_server import LabellingService, serve
from fedask.client.labelling.grpc.service_settings import ServiceSettings
from fedask.client.labelling.grpc.servicer import Guide
from fedask.client.store.store_settings import StoreSettings
from fedask.common.clock import SystemClock
from fedask.common.errors import StoreError
from fedask.common.ids import Uid

WINDOWS = (1, 16)  # samples that an app asks for at a time
_DISK_CALLS = 500
_READY_S, _END_S = 60.0, 30.0


def measure(samples: int, clients: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Let apps lease and answer until nothing waits, for several windows.

    Parameters
    ----------
    samples
        Leased and answered, for each window.
    clients
        At the same time, each with an annotator of its own.
    say
        Told what goes on.

    Returns
    -------
    dict
        ``disk``: a bare write of 4 KiB and ``fsync``, in milliseconds; ``windows``: for
        each a row with ``labels_per_s``, the times of a ``lease`` and a ``submit`` as
        an app sees them, and ``lost`` and ``twice``, which must be 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        result: dict[str, Any] = {"samples": samples, "clients": clients}
        result["disk"] = asdict(disk(Path(folder) / "bare", _DISK_CALLS))
        result["windows"] = []
        for window in WINDOWS:
            say(f"{samples} samples, {clients} apps, {window} at a time")
            place = Path(folder) / str(window)
            place.mkdir(mode=0o700)
            result["windows"].append(_measure(place, samples, clients, window))
    return result


def _measure(place: Path, samples: int, clients: int, window: int) -> dict[str, Any]:
    store = place / "device.db"
    uids = [Uid(f"{number:032x}") for number in range(samples)]
    with closing(StoreSettings().open(store, SystemClock(), "bench")) as filled:
        filled.queue.add(1, uids)
    leases: list[float] = []
    submits: list[float] = []
    acknowledged: Counter[Uid] = Counter()
    lock = threading.Lock()
    with _service(store, f"unix:{place}/desk") as address:

        def work(number: int) -> None:
            taken, given, done = _work(address, f"app-{number}", window)
            with lock:
                leases.extend(taken)
                submits.extend(given)
                acknowledged.update(done)

        begun = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(work, range(clients)))
        took = time.perf_counter() - begun
    kept = _kept(store, samples)
    return {
        "window": window,
        "labels_per_s": round(samples / took, 1),
        "lease": asdict(Waits.of(leases)),
        "submit": asdict(Waits.of(submits)),
        "acknowledged": acknowledged.total(),
        "lost": len(set(uids) - kept.keys()) + len(acknowledged.keys() - kept.keys()),
        "twice": sum(n > 1 for n in (*kept.values(), *acknowledged.values())),
    }


def _work(
    address: str, annotator: str, window: int
) -> tuple[list[float], list[float], list[Uid]]:
    """Answer until nothing waits; returns seconds of both calls, and what was kept."""
    leases: list[float] = []
    submits: list[float] = []
    done: list[Uid] = []
    with LabellingClient(address, annotator, timeout_s=60.0) as client:
        while True:
            begun = time.perf_counter()
            held = client.lease(window)
            leases.append(time.perf_counter() - begun)
            if not held:
                return leases, submits, done
            for sample in held:
                begun = time.perf_counter()
                receipt = client.label(sample, int(sample.uid, 16) % CLASSES)
                submits.append(time.perf_counter() - begun)
                done.append(receipt.uid)


def _kept(store: Path, samples: int) -> Counter[Uid]:
    """Count the answers to each sample that stand in the store, and are right."""
    with closing(StoreSettings().open(store, SystemClock(), "bench")) as opened:
        annotations = opened.annotations.newest(2 * samples, None)
        labels = {item.uid: item.label for item in opened.queue.items()}
    return Counter(
        annotation.uid
        for annotation in annotations
        if annotation.undone is None
        and annotation.label
        == labels[annotation.uid]
        == int(annotation.uid, 16) % CLASSES
    )


@contextmanager
def _service(store: Path, address: str) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(store, address, theirs))
    process.start()
    try:
        if not ours.poll(_READY_S):
            msg = f"the labelling service did not start within {_READY_S:.0f} s"
            raise StoreError(msg)
        yield ours.recv()
    finally:
        process.terminate()
        process.join(_END_S)


def _serve(store: Path, address: str, ready: Connection) -> None:
    classes = tuple(str(number) for number in range(CLASSES))
    service = LabellingService(
        store=store,
        settings=ServiceSettings(address=address),
        desk=DeskSettings(classes=CLASSES),
        guide=Guide(classes=classes),
        exhibit=None,
        clock=SystemClock(),
    )
    serve(service, ready.send)
