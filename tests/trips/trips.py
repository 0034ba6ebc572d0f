"""Five journeys of one thing through the code, and how far they went at first.

Each is made from outside, as a person, a server or another machine would make it; see
``ward`` for what that takes. What is noted begins and ends where the docstring says.
Called by ``python -m tests.trips`` and by the test that holds the ceiling.
"""

import multiprocessing
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType

from flwr.app import Message
from tests.trips.page import Page, serve
from tests.trips.tracer import Touched, Tracer, Watch
from tests.trips.ward import ASKED, CLASSES, Ward, fedask

_LEASE_S = 4321.0  # no other setting or figure is this
_DESK = 8  # parts of what holds the desk's settings alone, rather than all there are
_ARMS = "global-cut,uniform-random"
_SMALL = "ask.cycles=3"  # long enough that its progress is drawn


# Files and functions of each, when this was first counted.
BEFORE = {
    "image": (107, 554),
    "message": (85, 382),
    "answer": (26, 107),
    "lease": (6, 9),
    "compare": (58, 277),
}
# Not to be exceeded. A message names the parts of its model since, and tells the kinds
# of its arrays apart.
MOST = {"message": (90, 430), "answer": (26, 107)}


def image(tracer: Tracer, folder: Path) -> None:
    """Follow a picture from a device's folder until the model has learned its label.

    The device is one of ``fedask device init`` behind a ClientApp, over three cycles:
    the first message scans and scores all pictures, the second one brings the cut and
    puts some into the queue, a person answers all with ``fedask device label``, the
    third one trains on them. Noted is what the device does, not the server.
    """
    ward = Ward(folder)

    def deliver(number: int, answer: Callable[[], Message]) -> Message:
        with tracer.noting():
            if number == 3:
                ward.label(*CLASSES * ASKED)  # those of the first cycle too
            return answer()

    ward.run(deliver)
    _check(ward.status()["queue"]["trained"] == len(CLASSES) * ASKED)


def message(tracer: Tracer, folder: Path) -> None:
    """Follow one train message through the ClientApp of a device, to its reply.

    The same device; the message brings a cut, finds a new label to train on, and wants
    scores: all that a message can ask for.
    """
    ward = Ward(folder)

    def deliver(number: int, answer: Callable[[], Message]) -> Message:
        if number != 2:
            return answer()
        ward.label(CLASSES[0])
        with tracer.noting():
            reply = answer()
        _check(ward.status()["cycle"] == 2)  # asked by the cut
        _check(bool(reply.content.array_records) and "fedask.grid" in reply.content)
        return reply

    ward.run(deliver)


def answer(tracer: Tracer, folder: Path) -> None:
    """Follow one answer from the page's request until it is in the store.

    The page is that of ``fedask device serve``, in the same process.
    """
    ward = Ward(folder)
    ward.run(cycles=1)

    def visit(page: Page) -> None:
        lease = page.lease()
        with tracer.noting():
            page.post("/api/answer", **lease, annotation=1, key="k")

    serve(ward.site, visit)
    _check(sum(ward.status()["people"].values()) == 1)


def lease(tracer: Tracer, folder: Path) -> None:
    """Follow ``desk.lease_s`` from ``device.toml`` until a lease has that length.

    Noted are the functions of ``fedask device label`` that have the value at hand: in a
    variable, in the desk's table or settings, or as a length of time. Who has it only
    among all the settings of a device does nothing with it, and is left out.
    """
    ward = Ward(folder)
    ward.run(cycles=1)
    path = ward.site / "device.toml"
    lines = path.read_text().splitlines()
    mine = [f"lease_s = {_LEASE_S}" if "lease_s" in line else line for line in lines]
    path.write_text("\n".join(mine))
    with tracer.noting(having(_LEASE_S)):
        ward.label(CLASSES[0])
    _check(ward.status()["people"] == {"ann": 1})


def compare(tracer: Tracer, folder: Path) -> None:
    """Follow ``fedask compare digits`` from the command line to the report.

    Two policies, one seed, three cycles, one worker. Noted is what the command's own
    process does, to which nothing is known yet; the runs are in the worker.
    """
    command = ("compare", "digits", "--policies", _ARMS, "--set", _SMALL)
    few = ("--seeds", "1", "--workers", "1")
    with tracer.noting():
        fedask(*command, *few, "--out", folder / "out")
    _check((folder / "out" / "report.html").exists())


TRIPS: Mapping[str, Callable[[Tracer, Path], None]] = {
    "image": image,
    "message": message,
    "answer": answer,
    "lease": lease,
    "compare": compare,
}
_COLD = frozenset({"compare"})  # the others are made once before, to import and warm up


def trace(name: str) -> Touched:
    """Make a trip, in a process of its own: none depends on what ran before it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_trace, name).result()


def _trace(name: str) -> Touched:
    if name not in _COLD:
        _make(name)
    return _make(name)


def _make(name: str) -> Touched:
    tracer = Tracer()
    with tempfile.TemporaryDirectory() as folder, tracer.listening():
        TRIPS[name](tracer, Path(folder))
    return tracer.touched


def _check(arrived: bool) -> None:
    """Refuse a trip that went less far than it says: its figures would mislead."""
    if not arrived:
        msg = "the trip did not arrive"
        raise AssertionError(msg)


def having(wanted: float) -> Watch:
    """Return what tells whether a function has a value at hand."""

    def watch(frame: FrameType, arg: object) -> bool:
        held = [*frame.f_locals.values(), arg]
        return any(_is(each, wanted) or _has(each, wanted) for each in held)

    return watch


def _is(thing: object, wanted: float) -> bool:
    if isinstance(thing, timedelta):
        return thing.total_seconds() == wanted
    return isinstance(thing, int | float) and thing == wanted


def _has(thing: object, wanted: float) -> bool:
    """Whether something is a small table or record with the value in it."""
    parts: list[object] = []
    if isinstance(thing, Mapping):
        parts = list(thing.values())
    elif is_dataclass(thing) and not isinstance(thing, type):
        parts = [getattr(thing, field.name, None) for field in fields(thing)]
    return len(parts) <= _DESK and any(_is(part, wanted) for part in parts)
