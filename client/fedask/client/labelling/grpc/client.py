"""The Python client of a device's labelling service.

Called by apps. Keeps no answers: what is acknowledged is on the device's disk, and
what is not may be sent again with the same key.
"""

import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from math import inf
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from typing_extensions import override

from fedask.client.labelling.grpc import client_records as records
from fedask.client.labelling.grpc import conversion
from fedask.client.labelling.grpc.channel import ClientTls, connect
from fedask.client.labelling.grpc.client_records import Description, Leased, Statistics
from fedask.client.labelling.grpc.error_table import ReleasedError
from fedask.client.labelling.grpc.retry import RetryPolicy, failure, status_of
from fedask.client.labelling.grpc.rpc_adapter import serialise
from fedask.client.labelling.grpc.v1 import labelling_pb2 as pb
from fedask.client.records.annotation import Receipt
from fedask.client.records.exhibit import Part
from fedask.common.errors import ProtocolError
from fedask.common.ids import Uid
from fedask.common.registry import nearest

__all__ = ["LabellingClient"]

_T = TypeVar("_T", bound=Message)
_SERVICE = pb.DESCRIPTOR.services_by_name["Labelling"].full_name
_HEALTH = "/grpc.health.v1.Health/Check"
_STREAM_S = 600.0  # then a stream is opened anew
_SHORTEST_S = 0.5  # less is not worth a stream
_KEY_BYTES = 16


class LabellingClient(AbstractContextManager["LabellingClient"]):
    """A connection to the labelling service of a device; a context manager.

    May be used by several threads.

    Parameters
    ----------
    address
        ``unix:/path/of/socket`` or ``host:port``.
    annotator
        Who sits before the app; "" where a certificate says that.
    token
        The service's token file, for a port of this machine.
    tls
        Certificates, beyond this machine.
    timeout_s
        Seconds that a call may take, with all its repetitions.
    pause
        Called with the seconds to wait before a call is repeated.

    Raises
    ------
    ConfigError
        If the address or a file cannot be used.
    FedaskError
        From every method: the error of the ``error_table``, with its sentence. If
        the service is not there until the time is over, an UnavailableError.

    Examples
    --------
    With a service running, and ``ask_person`` an app's own::

        with LabellingClient("unix:/run/fedask/desk", "ann") as client:
            for sample in client.tasks(window=3, content=True):
                client.label(sample, ask_person(sample.parts))
    """

    def __init__(
        self,
        address: str,
        annotator: str = "",
        *,
        token: Path | None = None,
        tls: ClientTls | None = None,
        timeout_s: float = 30.0,
        pause: Callable[[float], None] = sleep,
    ) -> None:
        self._channel, self._metadata = connect(address, token, tls)
        self._annotator = annotator
        self._timeout_s = timeout_s
        self._pause = pause
        self._description: Description | None = None
        self._out: set[Uid] = set()  # on the annotator's screen, as far as known here

    @override
    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; what is leased stays leased until its time is over."""
        self._channel.close()

    def describe(self) -> Description:
        """Return the classes, the guidelines and the limits of this device."""
        request = pb.DescribeRequest(annotator=self._annotator)
        answer = self._call("Describe", request, pb.DescribeResponse)
        self._description = records.description(answer)
        return self._description

    def lease(self, limit: int, *, content: bool = False) -> list[Leased]:
        """Lease samples until the annotator holds ``limit``; return all that they hold.

        Parameters
        ----------
        limit
            0: only what is held already.
        content
            With what a person is shown.
        """
        request = pb.LeaseRequest(
            annotator=self._annotator, limit=limit, content=content
        )
        answer = self._call("Lease", request, pb.LeaseResponse)
        return [records.leased(each) for each in answer.leases]

    def tasks(
        self, window: int, *, content: bool = False, for_s: float | None = None
    ) -> Generator[Leased]:
        """Yield samples as they come, while the annotator holds fewer than ``window``.

        Goes on through a restart of the service. What was yielded and not answered
        comes again only if its lease ran out.

        Parameters
        ----------
        for_s
            Seconds to go on; None: until the annotator releases what they hold, or is
            idle for as long as a lease runs (IdleError), or the caller stops.
        """
        request = pb.TasksRequest(
            annotator=self._annotator, window=window, content=content
        )
        ends = inf if for_s is None else monotonic() + for_s
        retry = RetryPolicy(self._timeout_s, self._pause)
        again = False
        while (left := min(_STREAM_S, ends - monotonic())) > _SHORTEST_S:
            known = set(self._out) if again else set()
            try:
                for sample in self._stream(request, left, retry):
                    if sample.uid in known:  # a new stream begins with what is held
                        known.discard(sample.uid)
                        continue
                    self._out.add(sample.uid)
                    yield sample
            except grpc.RpcError as err:
                if isinstance(failure(err), ReleasedError):
                    return
                if status_of(err) is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    retry.wait(err)
            again = True

    def _stream(
        self, request: pb.TasksRequest, left_s: float, retry: RetryPolicy
    ) -> Iterator[Leased]:
        """Open one stream and read it to its end."""
        call = self._channel.unary_stream(_method("Tasks"), serialise)
        events = call(request, timeout=left_s, metadata=self._metadata)
        try:
            for raw in events:
                retry.renew()
                event = conversion.parse(pb.TasksResponse, raw)
                if event.HasField("lease"):
                    yield records.leased(event.lease)
        finally:
            events.cancel()  # where the caller stopped in the middle

    def show(self, sample: Leased, near: Uid | None = None) -> tuple[Part, ...]:
        """Return what a person is shown of a leased sample.

        Parameters
        ----------
        near
            Of ``sample.near``: show this one instead.
        """
        request = pb.ShowRequest(
            annotator=self._annotator, uid=sample.uid, token=sample.token, near=near
        )
        return records.parts(self._call("Show", request, pb.ShowResponse).parts)

    def label(
        self,
        sample: Leased,
        label: int | str,
        *,
        also: Sequence[Uid] = (),
        key: str | None = None,
    ) -> Receipt:
        """Answer with a class.

        Parameters
        ----------
        label
            Class index, or the name of a class.
        also
            Of ``sample.near``: those that the person says are the same.
        key
            Names this act; give the same key to repeat a call that failed. Default: a
            new one for every call, which is then repeated with it.
        """
        index = self._index(label) if isinstance(label, str) else label
        if index < 0:
            raise ProtocolError(f"label {index} is no class index")
        return self._submit(sample, key, label=index, also=also)

    def skip(self, sample: Leased, *, key: str | None = None) -> Receipt:
        """Answer that a sample is not usable: nobody is asked again."""
        return self._submit(sample, key, skip=pb.Skip())

    def unsure(self, sample: Leased, *, key: str | None = None) -> Receipt:
        """Answer that the annotator cannot tell."""
        return self._submit(sample, key, unsure=pb.Unsure())

    def undo(self, key: str | None = None) -> Uid | None:
        """Take back an answer; the sample is leased again.

        Parameters
        ----------
        key
            Of the answer, which must be the last one. The call is repeated then, and
            takes back no second answer. None: the last answer, whichever it is; not
            repeated.

        Returns
        -------
        Uid
            Of the sample; None if there is nothing to take back.
        """
        request = pb.UndoRequest(annotator=self._annotator, key=key)
        answer = self._call("Undo", request, pb.UndoResponse, repeat=key is not None)
        self._out.discard(Uid(answer.uid))
        return Uid(answer.uid) if answer.uid else None

    def release(self) -> None:
        """End all leases of the annotator."""
        request = pb.ReleaseRequest(annotator=self._annotator)
        self._call("Release", request, pb.ReleaseResponse)
        self._out.clear()

    def statistics(self) -> Statistics:
        """Return how many samples are in each state, and how many answers there are."""
        request = pb.StatisticsRequest(annotator=self._annotator)
        answer = self._call("Statistics", request, pb.StatisticsResponse)
        return records.statistics(answer)

    def is_serving(self) -> bool:
        """Return whether the service takes calls; False if it does not answer."""
        call = self._channel.unary_unary(_HEALTH)
        try:
            raw = call(b"", timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError:
            return False
        answer = conversion.parse(health_pb2.HealthCheckResponse, raw)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def _index(self, name: str) -> int:
        classes = (self._description or self.describe()).classes
        if name not in classes:
            raise ProtocolError(
                f"{name!r:.80} is no class here" + nearest(name, classes)
            )
        return classes.index(name)

    def _submit(
        self,
        sample: Leased,
        key: str | None,
        **annotation: Any,  # noqa: ANN401  (fields of the message)
    ) -> Receipt:
        request = pb.SubmitRequest(
            annotator=self._annotator,
            uid=sample.uid,
            token=sample.token,
            key=secrets.token_urlsafe(_KEY_BYTES) if key is None else key,
            **annotation,
        )
        receipt = records.receipt(self._call("Submit", request, pb.SubmitResponse))
        self._out.difference_update({receipt.uid, *receipt.shared})
        return receipt

    def _call(
        self, method: str, request: Message, kind: type[_T], *, repeat: bool = True
    ) -> _T:
        """Call until there is an answer, it is refused, or the time is over."""
        call = self._channel.unary_unary(_method(method), serialise)
        retry = RetryPolicy(self._timeout_s, self._pause)
        while True:
            try:
                raw = call(request, timeout=retry.left(), metadata=self._metadata)
            except grpc.RpcError as err:
                if not repeat:
                    raise failure(err) from err
                retry.wait(err)
            else:
                return conversion.parse(kind, raw)


def _method(name: str) -> str:
    return f"/{_SERVICE}/{name}"
