"""Answers the requests of the labelling service at the desk. Knows no gRPC.

Called by the RPC adapter with messages that are complete and callers that are known.
Nothing in a request is trusted yet.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.grpc import conversion
from fedask.client.labelling.grpc.access import Caller
from fedask.client.labelling.grpc.error_table import (
    MalformedError,
    MessageTooLargeError,
)
from fedask.client.labelling.grpc.service_settings import ServiceLimits
from fedask.client.labelling.grpc.task_stream import Call, TaskFeed, TaskStreams
from fedask.client.labelling.grpc.v1 import labelling_pb2 as pb
from fedask.client.records.annotation import Lease
from fedask.client.records.exhibit import Exhibit, Part
from fedask.client.records.refusal import NotNearError
from fedask.common.clock import Clock
from fedask.common.errors import DataError
from fedask.common.ids import Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """What an annotator reads before they begin.

    Parameters
    ----------
    classes
        Names, in the order of the indices.
    guidelines
        Of the site, plain text.
    """

    classes: tuple[str, ...]
    guidelines: str = ""
    version: str = ""


class DeskServicer:
    """Answers each request of the labelling service with its response.

    Parameters
    ----------
    desk
        Returns the desk of the thread that asks.
    exhibit
        None: nothing can be shown here, the apps have the data themselves.
    """

    def __init__(  # noqa: PLR0913  (the parts of a service, wired in one place)
        self,
        *,
        desk: Callable[[], Desk],
        settings: DeskSettings,
        guide: Guide,
        exhibit: Exhibit | None,
        limits: ServiceLimits,
        streams: TaskStreams,
        clock: Clock,
    ) -> None:
        self._desk = desk
        self._settings = settings
        self._guide = guide
        self._exhibit = exhibit
        self._limits = limits
        self._streams = streams
        self._clock = clock

    def describe(
        self, request: pb.DescribeRequest, caller: Caller
    ) -> pb.DescribeResponse:
        """Return the classes, the guidelines and the limits."""
        caller.resolve(request.annotator)
        return pb.DescribeResponse(
            version=self._guide.version,
            classes=self._guide.classes,
            guidelines=self._guide.guidelines,
            rule=self._settings.rule,
            lease_s=self._settings.lease_s,
            max_window=self._limits.window,
            max_content_bytes=self._limits.content_bytes,
        )

    def lease(self, request: pb.LeaseRequest, caller: Caller) -> pb.LeaseResponse:
        """Lease samples to an annotator."""
        who = caller.resolve(request.annotator)
        if request.limit > self._limits.window:
            raise MalformedError
        leases = self._desk().lease(who, request.limit)
        self._streams.acted(who)
        left_bytes = self._limits.content_bytes
        response = pb.LeaseResponse()
        for lease in leases:
            message = self._lease(lease, left_bytes, content=request.content)
            left_bytes -= sum(len(part.content) for part in message.parts)
            response.leases.append(message)
        return response

    def show(self, request: pb.ShowRequest, caller: Caller) -> pb.ShowResponse:
        """Show a sample that is leased, or a near-duplicate: in full, if that fits."""
        who = caller.resolve(request.annotator)
        uid, desk = Uid(conversion.short(request.uid)), self._desk()
        desk.check_lease(who, uid, conversion.short(request.token))
        if request.near:
            near = Uid(conversion.short(request.near))
            if near not in desk.near(uid):
                raise NotNearError
            uid = near
        parts = self._parts(uid)
        if any(part.remark.is_reduced for part in parts):
            full = self._full_parts(uid)
            parts = full if _size(full) <= self._limits.content_bytes else parts
        if _size(parts) > self._limits.content_bytes:
            raise MessageTooLargeError
        return pb.ShowResponse(parts=conversion.to_parts(parts))

    def submit(self, request: pb.SubmitRequest, caller: Caller) -> pb.SubmitResponse:
        """Keep an answer."""
        who = caller.resolve(request.annotator)
        receipt = self._desk().submit(
            who,
            Uid(conversion.short(request.uid)),
            conversion.short(request.token),
            conversion.from_submit(request, self._settings.classes),
            request.key,
            [Uid(conversion.short(uid)) for uid in request.also],
        )
        self._streams.acted(who, (receipt.uid, *receipt.shared))
        return conversion.to_receipt(receipt)

    def undo(self, request: pb.UndoRequest, caller: Caller) -> pb.UndoResponse:
        """Take back the last answer of an annotator."""
        who = caller.resolve(request.annotator)
        uid = self._desk().undo(who, conversion.short(request.key) or None)
        self._streams.acted(who)
        return pb.UndoResponse(uid=uid or "")

    def release(self, request: pb.ReleaseRequest, caller: Caller) -> pb.ReleaseResponse:
        """End all leases of an annotator."""
        who = caller.resolve(request.annotator)
        self._streams.release(who)
        self._desk().release(who)
        return pb.ReleaseResponse()

    def statistics(
        self, request: pb.StatisticsRequest, caller: Caller
    ) -> pb.StatisticsResponse:
        """Count samples and answers."""
        who = caller.resolve(request.annotator)
        progress = self._desk().progress(who)
        return pb.StatisticsResponse(
            states={state.value: count for state, count in progress.states.items()},
            labels=progress.classes,
            today=progress.today,
            mine=progress.annotators[who],
        )

    def tasks(self, request: pb.TasksRequest, call: Call) -> Iterator[pb.TasksResponse]:
        """Lease samples to an annotator as they need some, until the call ends."""
        who = call.caller.resolve(request.annotator)
        if not 1 <= request.window <= self._limits.window:
            raise MalformedError
        with self._streams.open(who) as stream:
            if not call.on_end(stream.wake):
                return
            length = self._settings.lease_s
            feed = TaskFeed(who, request.window, self._desk(), self._clock, length)
            for lease in feed.leases(stream, call, self._limits.heartbeat_s):
                yield self._event(lease, content=request.content)

    def _event(self, lease: Lease | None, *, content: bool) -> pb.TasksResponse:
        if lease is not None:
            most = self._limits.content_bytes
            return pb.TasksResponse(lease=self._lease(lease, most, content=content))
        return pb.TasksResponse(heartbeat=pb.Heartbeat(at=self._clock.now()))

    def _lease(self, lease: Lease, left_bytes: int, *, content: bool) -> pb.Lease:
        """Write a lease, with the content of its sample if that is wanted and fits."""
        message = conversion.to_lease(lease, self._desk().near(lease.uid))
        if not content:
            return message
        try:
            parts = self._parts(lease.uid)
        except DataError:
            message.content_state = pb.CONTENT_STATE_GONE
            return message
        size = _size(parts)
        if size > self._limits.content_bytes:
            message.content_state = pb.CONTENT_STATE_TOO_LARGE
        elif size > left_bytes:
            message.content_state = pb.CONTENT_STATE_LATER
        else:
            message.content_state = pb.CONTENT_STATE_HERE
            message.parts.extend(conversion.to_parts(parts))
        return message

    def _parts(self, uid: Uid) -> tuple[Part, ...]:
        if self._exhibit is None:
            raise DataError("this service was started without an exhibit")
        return self._exhibit.parts(uid)

    def _full_parts(self, uid: Uid) -> tuple[Part, ...]:
        return () if self._exhibit is None else self._exhibit.full_parts(uid)


def _size(parts: Sequence[Part]) -> int:
    return sum(len(part.content) for part in parts)
