"""The four ways in which answers reach a device, each as real processes over one store.

Called by the crash bench, which kills one of them. What a client was told is kept is
written down, a line each, at once: that is what must be found in the store afterwards.
Nothing here starts a thread before it is in a process of its own.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from typing_extensions import override

from fedask.client.cli.label import Clerk
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.labelstudio.csv_table import import_table
from fedask.client.labelling.labelstudio.studio_annotation import Reading
from fedask.client.records.exhibit import Exhibit, Medium, Part
from fedask.client.store.sqlite.store import SqliteStore
from fedask.client.store.store_settings import StoreSettings
from fedask.common.clock import SystemClock
from fedask.common.errors import FedaskError
from fedask.common.ids import Uid

CLASSES = ("red", "green", "blue")
ANSWERS = 6  # of each client in one run
_PATIENCE_S, _LOOK_S = 20.0, 0.02


class AcknowledgedAnswer(NamedTuple):
    """An answer that a client was told is kept."""

    annotator: str
    uid: Uid
    label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """A device's folder for one run.

    Parameters
    ----------
    folder
        Private.
    rows
        Samples that the imported file answers.
    """

    folder: Path
    rows: Sequence[Uid]

    @property
    def store(self) -> Path:
        """The device's file."""
        return self.folder / "device.db"

    @property
    def link(self) -> Path:
        """File with the page's link."""
        return self.folder / "link"

    @property
    def socket(self) -> Path:
        """Of the labelling service."""
        return self.folder / "run" / "desk"

    def gone(self, server: str) -> Path:
        """File that says that a server has been killed: nobody need wait for it."""
        return self.folder / f"gone-{server}"

    def note(self, annotator: str, uid: Uid, label: int) -> None:
        """Write down what is acknowledged; a kill right after loses nothing of it."""
        line = f"{annotator} {uid} {label}\n".encode()
        where = self.folder / f"acknowledged-{annotator}"
        number = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(number, line)
        os.close(number)

    def acknowledged(self) -> list[AcknowledgedAnswer]:
        """Return all that was written down."""
        said = []
        for where in sorted(self.folder.glob("acknowledged-*")):
            for line in where.read_text().splitlines():
                annotator, uid, label = line.split()
                said.append(AcknowledgedAnswer(annotator, Uid(uid), int(label)))
        return said

    def open(self) -> SqliteStore:
        """Open the store as every process of a device does: with its audit log."""
        return StoreSettings().open(self.store, SystemClock(), "bench")

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        """Open a desk, for one thread."""
        with closing(self.open()) as store:
            yield Desk(
                store.annotations, SystemClock(), DeskSettings(classes=len(CLASSES))
            )


def label_of(uid: Uid) -> int:
    """Return what everybody says of a sample."""
    return int(uid, 16) % len(CLASSES)


class Text(Exhibit):
    """Shows every sample as its uid, and remembers the last."""

    def __init__(self) -> None:
        self.last = Uid("")

    @override
    def parts(self, uid: Uid) -> tuple[Part, ...]:
        self.last = uid
        return (Part(name="", medium=Medium.TEXT, content=uid.encode()),)


def label_in_terminal(ward: Ward) -> None:
    """Be a person at a terminal, over the code of ``fedask device label``."""
    shown = Text()
    given: list[Uid] = []

    class Typist(Console):
        """Types the right class; asked anew, the answer before is kept."""

        @override
        def input(self, *args: object, **kwargs: object) -> str:
            given.extend(_note(ward, "terminal", given, shown.last))
            return CLASSES[label_of(shown.last)]

    with open(os.devnull, "w", encoding="utf-8") as nowhere, ward.desk() as desk:  # noqa: PTH123  (a device, no path of ours)
        Clerk(desk, shown, CLASSES, Typist(file=nowhere)).work("terminal", ANSWERS)
    _note(ward, "terminal", given, Uid(""))


def _note(ward: Ward, who: str, given: list[Uid], next_one: Uid) -> list[Uid]:
    """Note the answer before the one that is asked now."""
    if given:
        ward.note(who, given[-1], label_of(given[-1]))
    return [next_one]


def import_file(ward: Ward) -> None:
    """Bring in a table; it is acknowledged as a whole."""
    path = ward.folder / "answers.csv"
    lines = [f"{uid},{CLASSES[label_of(uid)]},file\n" for uid in ward.rows]
    path.write_text("uid,label,annotator\n" + "".join(lines))
    reading = Reading(classes=CLASSES, source="bench")
    with ward.desk() as desk:
        import_table(desk, path, reading)
    for uid in ward.rows:
        ward.note("file", uid, label_of(uid))


def serve_page(ward: Ward) -> None:
    """Be the labelling page, until SIGTERM."""
    from fedask.client.labelling.web.page_app import labelling_page  # noqa: PLC0415  (imports Starlette)
    from fedask.client.labelling.web.page_server import address_of, serve  # noqa: PLC0415  (imports Starlette)
    from fedask.client.labelling.web.page_settings import PageSettings  # noqa: PLC0415  (imports Starlette)

    settings = PageSettings(classes=CLASSES, port=_free_port(), annotator="page")

    def announce(token: str) -> None:
        draft = ward.link.with_suffix(".draft")
        draft.write_text(address_of(settings, token))
        draft.rename(ward.link)

    app = labelling_page(ward.desk, Text(), settings, SystemClock(), announce)
    serve(app, settings)


def label_on_page(ward: Ward) -> None:
    """Be a browser."""
    import httpx  # noqa: PLC0415  (imports httpx)

    _await(ward.link, ward.gone("page"))
    link = ward.link.read_text()
    base, _, query = link.partition("/?")
    try:
        with httpx.Client(base_url=base, timeout=_PATIENCE_S) as http:
            _until_answered(lambda: http.get(f"/?{query}").raise_for_status())
            csrf = http.get("/api/start").json()["csrf"]
            headers = {"x-csrf-token": csrf}
            for _ in range(ANSWERS):
                leased = http.post("/api/lease", json={"limit": 1}, headers=headers)
                lease = leased.raise_for_status().json()["leases"][0]
                uid = Uid(lease["uid"])
                said = {
                    "uid": uid,
                    "token": lease["token"],
                    "annotation": label_of(uid),
                }
                said["key"] = os.urandom(12).hex()
                kept = http.post("/api/answer", json=said, headers=headers)
                kept.raise_for_status()
                ward.note("page", uid, label_of(uid))
    except (httpx.HTTPError, LookupError, ValueError):
        return  # the page was killed


def serve_apps(ward: Ward) -> None:
    """Be the labelling service, until SIGTERM."""
    from fedask.client.labelling.grpc.service_server import LabellingService, serve  # noqa: PLC0415  (imports gRPC)
    from fedask.client.labelling.grpc.service_settings import ServiceSettings  # noqa: PLC0415  (imports gRPC)
    from fedask.client.labelling.grpc.servicer import Guide  # noqa: PLC0415  (imports gRPC)

    ward.socket.parent.mkdir(mode=0o700, exist_ok=True)
    service = LabellingService(
        store=ward.store,
        settings=ServiceSettings(address=f"unix:{ward.socket}"),
        desk=DeskSettings(classes=len(CLASSES)),
        guide=Guide(classes=CLASSES),
        exhibit=None,
        clock=SystemClock(),
    )
    serve(service, lambda _: None)


def label_in_app(ward: Ward) -> None:
    """Be an app on the labelling service."""
    from fedask.client.labelling.grpc.client import LabellingClient  # noqa: PLC0415  (imports gRPC)

    _await(ward.socket, ward.gone("service"))
    try:
        with LabellingClient(f"unix:{ward.socket}", "app", timeout_s=5.0) as client:
            for _ in range(ANSWERS):
                for sample in client.lease(1):
                    client.label(sample, label_of(sample.uid))
                    ward.note("app", sample.uid, label_of(sample.uid))
    except FedaskError:
        return  # the service was killed


def _await(path: Path, gone: Path) -> None:
    """Wait until a file is there; leave if it will never be."""
    ends = time.monotonic() + _PATIENCE_S
    while not path.exists():
        if gone.exists() or time.monotonic() > ends:
            os._exit(0)
        time.sleep(_LOOK_S)


def _until_answered(call: Callable[[], object]) -> None:
    """Call until the page listens."""
    import httpx  # noqa: PLC0415  (imports httpx)

    ends = time.monotonic() + _PATIENCE_S
    while True:
        try:
            call()
        except httpx.ConnectError:
            if time.monotonic() > ends:
                raise
            time.sleep(_LOOK_S)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def preload() -> None:
    """Import all that the clients need, so that none does it again."""
    for name in (
        "httpx",
        "fedask.client.labelling.web.page_app",
        "fedask.client.labelling.web.page_server",
        "fedask.client.labelling.grpc.client",
        "fedask.client.labelling.grpc.service_server",
    ):
        import_module(name)


def fork(work: Callable[[Ward], None], ward: Ward) -> int:
    """Do some work in a process of its own; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        work(ward)
        status = 0
    finally:
        os._exit(status)
