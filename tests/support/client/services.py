"""Real labelling services on loopback, for the tests of service and client."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from tests.support.client.clock import FakeClock
from typing_extensions import override

from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.grpc.client import LabellingClient
from fedask.client.labelling.grpc.service_server import SERVICE, LabellingService
from fedask.client.labelling.grpc.service_settings import ServiceLimits, ServiceSettings
from fedask.client.labelling.grpc.servicer import Guide
from fedask.client.labelling.grpc.v1.labelling_pb2_grpc import LabellingStub
from fedask.client.records.annotation import Annotation
from fedask.client.records.device_store import Waiting
from fedask.client.records.exhibit import Exhibit, Medium, Part
from fedask.client.store.sqlite.store import SqliteStore
from fedask.client.store.store_settings import StoreSettings
from fedask.common.errors import DataError
from fedask.common.grid import Scored
from fedask.common.ids import Annotator, Uid

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLASSES = ("cat", "dog", "owl")
GUIDE = Guide(classes=CLASSES, guidelines="An owl is no cat.", version="0.1.0")
QUICK = ServiceLimits(heartbeat_s=0.05, look_s=0.02)
LEASE_S = 60.0
NOTHING = Scored(np.zeros(0, np.str_), np.zeros(0, np.float32), np.zeros(0, np.int64))

# Serves until it is told to stop, and says where.
PROGRAM = """
import sys
from pathlib import Path
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.grpc.servicer import Guide
from fedask.client.labelling.grpc.service_server import LabellingService, serve
from fedask.client.labelling.grpc.service_settings import ServiceSettings
from fedask.common.clock import SystemClock
service = LabellingService(
    store=Path(sys.argv[1]),
    settings=ServiceSettings(address=sys.argv[2]),
    desk=DeskSettings(classes=3),
    guide=Guide(classes=("cat", "dog", "owl")),
    exhibit=None,
    clock=SystemClock(),
)
serve(service, lambda address: print("ready", flush=True))
print("stopped", flush=True)
"""


def uid(number: int) -> Uid:
    return Uid(f"{number:032x}")


class Showroom(Exhibit):
    """Shows what it was given; what it was not given is gone."""

    def __init__(self) -> None:
        self.contents: dict[Uid, bytes] = {}
        self.error: Exception | None = None

    @override
    def parts(self, uid: Uid) -> tuple[Part, ...]:
        if self.error is not None:
            raise self.error
        if uid not in self.contents:
            msg = f"sample {uid} is gone"
            raise DataError(msg)
        content = self.contents[uid]
        return (Part(name="", medium=Medium.TEXT, content=content),)


@dataclass(kw_only=True)
class Place:
    """A device with a service: its store, its clock, its samples."""

    folder: Path
    limits: ServiceLimits = QUICK
    settings: DeskSettings = field(
        default_factory=lambda: DeskSettings(classes=len(CLASSES), lease_s=LEASE_S)
    )
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOON))
    exhibit: Showroom = field(default_factory=Showroom)
    cycle: int = 0

    @property
    def path(self) -> Path:
        return self.folder / "device.db"

    @property
    def address(self) -> str:
        return f"unix:{self.folder}/run/desk"

    def opened(self) -> SqliteStore:
        """Open the store as every process of the device does: with its audit log."""
        return StoreSettings().open(self.path, self.clock, "test")

    def queue(self, *numbers: int, near: tuple[tuple[int, int], ...] = ()) -> None:
        """Let another process, as it were, queue samples."""
        self.cycle += 1
        with closing(self.opened()) as store:
            store.queue.add(self.cycle, [uid(number) for number in numbers])
            if near:
                pairs = [(uid(one), uid(other)) for one, other in near]
                store.scores.put("v", NOTHING, Waiting(scores={}, near=pairs))

    def annotations(self) -> list[Annotation]:
        with closing(self.opened()) as store:
            return store.annotations.newest(100_000, None)[::-1]

    def leased(self, annotator: str) -> list[Uid]:
        with closing(self.opened()) as store, store.annotations.transaction() as rows:
            return rows.leased(annotator=Annotator(annotator))

    @contextmanager
    def serving(
        self, settings: ServiceSettings | None = None
    ) -> Iterator[LabellingService]:
        settings = settings or ServiceSettings(address=self.address, limits=self.limits)
        with LabellingService(
            store=self.path,
            settings=settings,
            desk=self.settings,
            guide=GUIDE,
            exhibit=self.exhibit,
            clock=self.clock,
        ) as service:
            yield service

    @contextmanager
    def client(self, annotator: str = "ann") -> Iterator[LabellingClient]:
        """Connect over the socket."""
        with LabellingClient(self.address, annotator, timeout_s=20.0) as client:
            yield client


def stub(channel: grpc.Channel) -> Any:  # noqa: ANN401  (generated, without types)
    """Return what protoc makes for clients."""
    return LabellingStub(channel)  # type: ignore[no-untyped-call]


def call(
    channel: grpc.Channel, method: str, raw: bytes, timeout: float | None = 10.0
) -> list[bytes]:
    """Call a method with any bytes; returns all answers."""
    path = method if method.startswith("/") else f"/{SERVICE}/{method}"
    if method == "Tasks":
        return list(channel.unary_stream(path)(raw, timeout=timeout))
    return [channel.unary_unary(path)(raw, timeout=timeout)]


@contextmanager
def program(store: Path, address: str) -> Iterator[subprocess.Popen[str]]:
    """Run a service as a process of its own."""
    command = [sys.executable, "-c", PROGRAM, str(store), address]
    with subprocess.Popen(  # noqa: S603  (our own text)
        command, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
