"""Every row of the error table, reached over a real socket, word for word."""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from tests.support.client.permits import Nothing
from tests.support.client.services import CLASSES, LEASE_S, QUICK, Place, call, uid

from fedask.client.labelling.grpc import error_table
from fedask.client.labelling.grpc.error_table import (
    ERROR_TABLE,
    REASON,
    UNKNOWN,
    ErrorRow,
)
from fedask.client.labelling.grpc.service_server import SERVICE, LabellingService
from fedask.client.labelling.grpc.service_settings import ServiceSettings
from fedask.client.labelling.grpc.v1 import labelling_pb2 as pb
from fedask.client.records.refusal import (
    KeyReusedError,
    LeaseError,
    NotLastError,
    NotNearError,
    RightEndedError,
    UnknownSampleError,
)
from fedask.client.store.sqlite import connection
from fedask.common.errors import (
    DataError,
    FedaskError,
    PrivacyError,
    ProtocolError,
    StoreError,
    UnavailableError,
)
from fedask.common.ids import Annotator

SECRET = "ann-said-cat"  # noqa: S105   # what an inner error may quote
CHECK = "/grpc.health.v1.Health/Check"
FUZZ = 60  # inputs per method
DOCUMENT = Path(__file__).parents[3] / "docs" / "device" / "labelling-service.md"
METHODS = [
    method.name for method in pb.DESCRIPTOR.services_by_name["Labelling"].methods
]
REQUESTS = {name: getattr(pb, f"{name}Request") for name in METHODS}


class Scene:
    """A running service, and somebody who provokes it."""

    def __init__(self, place: Place, service: LabellingService) -> None:
        self.place = place
        self.service = service
        self.channel = grpc.insecure_channel(service.address)
        self.lease = pb.LeaseResponse()

    def calls(
        self, method: str, message: object = None, timeout: float | None = 10.0
    ) -> list[bytes]:
        raw = message.SerializeToString() if message is not None else b"\xff"  # type: ignore[attr-defined]
        return call(self.channel, method, raw, timeout)

    def leases(self, limit: int = 1) -> list[pb.Lease]:
        (raw,) = self.calls("Lease", pb.LeaseRequest(annotator="ann", limit=limit))
        return list(pb.LeaseResponse.FromString(raw).leases)

    def submits(
        self, lease: pb.Lease, key: str = "k", also: Sequence[str] = ()
    ) -> None:
        fields = {"uid": lease.uid, "token": lease.token, "key": key}
        self.calls("Submit", said(label=1, also=also, **fields))

    def shows(self, lease: pb.Lease) -> None:
        request = pb.ShowRequest(annotator="ann", uid=lease.uid, token=lease.token)
        self.calls("Show", request)

    def streams(self, who: str = "ann") -> Iterator[pb.TasksResponse]:
        stub = self.channel.unary_stream(f"/{SERVICE}/Tasks")
        request = pb.TasksRequest(annotator=who, window=1)
        return map(
            pb.TasksResponse.FromString,
            stub(request.SerializeToString(), timeout=20.0),
        )


def no_deadline(scene: Scene) -> None:
    scene.calls("Describe", pb.DescribeRequest(annotator="ann"), timeout=None)


def wrong_token(scene: Scene) -> None:
    one, two = scene.leases(2)
    scene.submits(pb.Lease(uid=one.uid, token=two.token))


def reused_key(scene: Scene) -> None:
    one, two = scene.leases(2)
    scene.submits(one)
    scene.submits(two)


def not_near(scene: Scene) -> None:
    scene.submits(scene.leases()[0], also=[uid(2)])


def not_last(scene: Scene) -> None:
    one, two = scene.leases(2)
    scene.submits(one, "one")
    scene.submits(two, "two")
    scene.calls("Undo", pb.UndoRequest(annotator="ann", key="one"))


def right_ended(scene: Scene) -> None:
    """The policy is withdrawn while somebody looks at a sample."""
    (lease,) = scene.leases()
    with closing(scene.place.opened()) as store:
        store.rights.apply(Nothing(), scene.place.clock.now())
    scene.submits(lease)


def unknown_sample(scene: Scene) -> None:
    scene.submits(pb.Lease(uid=uid(99)))


def gone(scene: Scene) -> None:
    scene.shows(scene.leases()[0])


def too_large(scene: Scene) -> None:
    scene.place.exhibit.contents[uid(1)] = bytes(QUICK.content_bytes + 1)
    scene.shows(scene.leases()[0])


def crowded(scene: Scene) -> None:
    first = scene.streams()
    next(first)
    list(scene.streams("bob"))


def replaced(scene: Scene) -> None:
    first = scene.streams()
    next(first)
    second = scene.streams()
    next(second)
    list(first)


def released(scene: Scene) -> None:
    events = scene.streams()
    next(events)
    scene.calls("Release", pb.ReleaseRequest(annotator="ann"))
    list(events)


def idle(scene: Scene) -> None:
    events = scene.streams()
    while not next(events).HasField("lease"):
        pass
    scene.place.clock.time += timedelta(seconds=LEASE_S + 1)
    list(events)


def stopping(scene: Scene) -> None:
    events = scene.streams()
    next(events)
    scene.service.stop()
    list(events)


def busy(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.place.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        scene.leases()


def broken_store(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.place.path)) as other:
        other.execute("DROP TABLE lease")
    scene.leases()


def raising(kind: type[Exception]) -> Callable[[Scene], None]:
    def provoke(scene: Scene) -> None:
        scene.place.exhibit.error = kind(SECRET)
        scene.shows(scene.leases()[0])

    return provoke


PROVOCATIONS: dict[type[FedaskError], Callable[[Scene], object]] = {
    error_table.NoDeadlineError: no_deadline,
    error_table.MalformedError: lambda scene: scene.calls("Describe"),
    error_table.UnauthenticatedError: lambda scene: scene.leases(),
    error_table.ForbiddenError: lambda scene: scene.leases(),
    LeaseError: wrong_token,
    KeyReusedError: reused_key,
    NotNearError: not_near,
    NotLastError: not_last,
    RightEndedError: right_ended,
    UnknownSampleError: unknown_sample,
    DataError: gone,
    error_table.UnknownServiceError: lambda scene: scene.calls(
        CHECK, pb.DescribeRequest(annotator="other")
    ),
    error_table.MessageTooLargeError: too_large,
    error_table.CrowdedError: crowded,
    error_table.ReplacedError: replaced,
    error_table.ReleasedError: released,
    error_table.IdleError: idle,
    error_table.StoppingError: stopping,
    error_table.BusyStoreError: busy,
    UnavailableError: raising(UnavailableError),
    PrivacyError: raising(PrivacyError),
    ProtocolError: raising(ProtocolError),
    StoreError: broken_store,
    FedaskError: raising(ValueError),
}


@contextmanager
def scene_for(place: Place, kind: type[FedaskError]) -> Iterator[Scene]:
    place.queue(1, 2)
    limits = replace(QUICK, streams=1) if kind is error_table.CrowdedError else QUICK
    settings = ServiceSettings(address=place.address, limits=limits)
    if kind is error_table.UnauthenticatedError:
        settings = ServiceSettings(
            address="127.0.0.1:0", limits=limits, token=place.folder / "token"
        )
    if kind is error_table.ForbiddenError:
        settings = replace(settings, annotators=frozenset({Annotator("bob")}))
    with place.serving(settings) as service:
        scene = Scene(place, service)
        try:
            yield scene
        finally:
            scene.channel.close()


def test_every_row_is_provoked() -> None:
    assert PROVOCATIONS.keys() == ERROR_TABLE.keys()
    reasons = [fault.reason for fault in ERROR_TABLE.values()]
    assert len(set(reasons)) == len(reasons)


@pytest.mark.parametrize("kind", ERROR_TABLE, ids=lambda kind: ERROR_TABLE[kind].reason)
def test_a_failure_is_told_as_the_table_has_it_and_nothing_besides(
    kind: type[FedaskError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", 50)
    place = Place(folder=tmp_path)
    with scene_for(place, kind) as scene, pytest.raises(grpc.RpcError) as refused:
        PROVOCATIONS[kind](scene)

    fault = ERROR_TABLE[kind]
    told = [record for record in caplog.records if record.name == error_table.__name__]
    # What a provocation leaves open ends when the service stops.
    assert {getattr(each, "reason", "") for each in told} - {fault.reason} <= {
        ERROR_TABLE[error_table.StoppingError].reason
    }
    assert getattr(told[0], "reason", "") == fault.reason
    error = refused.value
    assert (error.code(), error.details()) == (fault.status, fault.message)
    assert (REASON, fault.reason) in error.trailing_metadata()
    for word in (SECRET, '"ann"', "'ann'", " ann "):
        assert word not in caplog.text


def test_a_subclass_is_told_as_its_nearest_ancestor_of_the_table() -> None:
    kinds = list(ERROR_TABLE)
    for place, kind in enumerate(kinds):
        above = [before for before in kinds[:place] if issubclass(kind, before)]
        assert above == [], f"{kind} is never reached"


def test_a_foreign_error_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(ValueError, match=SECRET) as raised:
        int(SECRET)

    assert error_table.note("Show", raised.value) == UNKNOWN
    assert "ValueError" in caplog.text
    assert "test_a_foreign_error" in caplog.text  # where, for whoever mends it
    assert SECRET not in caplog.text


def said(**change: Any) -> pb.SubmitRequest:  # noqa: ANN401
    """Return a valid answer but for some fields."""
    fields: dict[str, Any] = {"annotator": "ann", "uid": uid(1)}
    fields |= {"token": "t", "key": "k"}
    return pb.SubmitRequest(**(fields | change))


@pytest.mark.parametrize(
    "request_",
    [
        pb.LeaseRequest(annotator="ann", limit=QUICK.window + 1),
        pb.LeaseRequest(annotator="a b", limit=1),
        pb.LeaseRequest(annotator="", limit=1),
        pb.TasksRequest(annotator="ann", window=0),
        pb.TasksRequest(annotator="ann", window=QUICK.window + 1),
        said(),
        said(label=1, key=""),
        said(label=1, key="k" * 129),
        said(label=1, uid="u" * 129),
        said(label=1, token="t" * 129),
        said(label=len(CLASSES)),
        said(skip=pb.Skip(), also=[uid(2)]),
        said(label=1, also=[uid(2)] * 65),
    ],
    ids=lambda request: str(request).replace("\n", " ")[-40:],
)
def test_a_value_out_of_range_is_malformed(place: Place, request_: object) -> None:
    place.queue(1)
    method = type(request_).__name__.removesuffix("Request")
    with scene_on(place) as scene, pytest.raises(grpc.RpcError) as refused:
        scene.calls(method, request_)

    assert reason(refused.value) == ERROR_TABLE[error_table.MalformedError]
    assert place.annotations() == []
    assert place.leased("ann") == []


@pytest.mark.parametrize("method", METHODS)
def test_a_field_of_a_later_version_is_refused(place: Place, method: str) -> None:
    unknown = b"\xfa\x3e\x01x"  # field 1007, of one byte
    raw = REQUESTS[method](annotator="ann").SerializeToString() + unknown
    with scene_on(place) as scene, pytest.raises(grpc.RpcError) as refused:
        call(scene.channel, method, raw)

    assert reason(refused.value) == ERROR_TABLE[error_table.MalformedError]


def test_a_field_of_a_later_version_within_a_field_is_refused(place: Place) -> None:
    raw = said().SerializeToString() + b"\x32\x04\xfa\x3e\x01x"  # skip {1007: "x"}
    with scene_on(place) as scene, pytest.raises(grpc.RpcError) as refused:
        call(scene.channel, "Submit", raw)

    assert reason(refused.value) == ERROR_TABLE[error_table.MalformedError]


@pytest.mark.parametrize("method", [*METHODS, CHECK])
def test_any_bytes_are_answered_from_the_table_and_the_service_stays_healthy(
    place: Place, method: str
) -> None:
    rng = Random(method)
    place.queue(1, 2, 3)
    with scene_on(place) as scene:
        valid = seeds(method, scene.leases()[0])
        answered = set()
        for number in range(FUZZ):
            answered.add(answer_to(scene, method, mutated(rng, valid, number)))
        (raw,) = call(scene.channel, CHECK, b"")

    assert raw == b"\x08\x01"  # SERVING
    assert "malformed" in answered
    assert answered <= {"ok", *(f.reason for f in ERROR_TABLE.values())} - {"internal"}


def answer_to(scene: Scene, method: str, raw: bytes) -> str:
    try:
        call(scene.channel, method, raw, timeout=5.0)
    except grpc.RpcError as err:
        fault = reason(err)
        return repr(err) if fault is None else fault.reason
    return "ok"


def seeds(method: str, lease: pb.Lease) -> bytes:
    """Return a valid message, of which the fuzz is made; no stream that stays open."""
    if method == CHECK:
        return b"\x0a\x13fedask.labelling.v1"
    fields: dict[str, Any] = {"annotator": "ann", "uid": lease.uid, "key": "key"}
    fields |= {"token": lease.token, "label": 1, "limit": 2, "window": 0}
    kind = REQUESTS[method]
    known = {field.name for field in kind.DESCRIPTOR.fields}
    raw: bytes = kind(
        **{name: value for name, value in fields.items() if name in known}
    ).SerializeToString()
    return raw


def mutated(rng: Random, valid: bytes, number: int) -> bytes:
    """Return random bytes, or a valid message with some changed, cut or doubled."""
    if number % 3 == 0:
        return rng.randbytes(rng.randrange(1, 200))
    raw = bytearray(valid)
    for _ in range(rng.randrange(1, 6)):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    if number % 3 == 1:
        del raw[rng.randrange(1, len(raw)) :]
    return bytes(raw)


@contextmanager
def scene_on(place: Place) -> Iterator[Scene]:
    # Streams that a fuzz opens by chance must not hold it up.
    place.limits = replace(QUICK, stream_s=0.2)
    with place.serving() as service:
        scene = Scene(place, service)
        try:
            yield scene
        finally:
            scene.channel.close()


def reason(err: grpc.RpcError) -> ErrorRow | None:
    """Return the row of the table that an error is, if all of it is."""
    for fault in ERROR_TABLE.values():
        same = (err.code(), err.details()) == (fault.status, fault.message)
        if same and (REASON, fault.reason) in err.trailing_metadata():
            return fault
    return None


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(folder=tmp_path)


def test_the_documentation_has_the_table_as_it_is() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    written = [line for line in text.splitlines() if line.startswith("| `")]
    statuses = tuple(f"| `{status.name}`" for status in grpc.StatusCode)

    assert [line for line in written if line.startswith(statuses)] == [
        f"| `{f.status.name}` | `{f.reason}` | {f.message} | `{kind.__name__}` |"
        for kind, f in ERROR_TABLE.items()
    ]
