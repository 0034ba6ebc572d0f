"""What every call goes through: caller, deadline, message, handler, answer or fault.

Called by gRPC from the threads that serve. No byte of a message is parsed before its
caller is known, and no error leaves but as a row of the table.
"""

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import NoReturn, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from fedask.client.labelling.grpc import conversion
from fedask.client.labelling.grpc.access import Access, Caller
from fedask.client.labelling.grpc.error_table import REASON, NoDeadlineError, note
from fedask.client.labelling.grpc.service_settings import ServiceLimits
from fedask.client.labelling.grpc.task_feed import Call

_Request = TypeVar("_Request", bound=Message)
_LONGEST_S = 366 * 24 * 3600.0  # gRPC counts no deadline as one in the far future
# Streams end this long before their deadline, so that clients see an end, no error.
_MARGIN, _MOST_MARGIN_S = 0.1, 0.5


class RpcContext(Protocol):
    """The part of ``grpc.ServicerContext`` that the gate uses."""

    def abort(
        self,
        code: grpc.StatusCode,
        details: str,
    ) -> NoReturn:
        """End the call with an error."""
        ...

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        """Send something along with the status."""
        ...

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Return what the client sent along."""
        ...

    def auth_context(self) -> Mapping[str, list[bytes]]:
        """Return what the transport knows of the client."""
        ...

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline."""
        ...

    def is_active(self) -> bool:
        """Tell whether the client is still there."""
        ...

    def cancel(self) -> None:
        """End the call at once."""
        ...

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Register what is called at the end; False: it has ended."""
        ...


class RpcAdapter:
    """Makes gRPC handlers of the methods of the front."""

    def __init__(self, access: Access, limits: ServiceLimits) -> None:
        self._access = access
        self._limits = limits

    def unary(
        self,
        name: str,
        kind: type[_Request],
        work: Callable[[_Request, Caller], Message],
    ) -> grpc.RpcMethodHandler:
        """Return the handler of a method with one answer."""

        def handle(raw: bytes, context: RpcContext) -> Message:
            try:
                caller, left = self._admit(context, self._limits.call_s)
                with ending(left, context):
                    return work(conversion.parse(kind, raw), caller)
            except Exception as err:  # noqa: BLE001  (nothing leaves but the table)
                return refuse(name, err, context)

        return grpc.unary_unary_rpc_method_handler(handle, None, serialise)

    def stream(
        self,
        name: str,
        kind: type[_Request],
        work: Callable[[_Request, Call], Iterator[Message]],
    ) -> grpc.RpcMethodHandler:
        """Return the handler of a method with a stream of answers."""

        def handle(raw: bytes, context: RpcContext) -> Iterator[Message]:
            try:
                caller, left = self._admit(context, self._limits.stream_s)
                ends = monotonic() + left - min(_MOST_MARGIN_S, _MARGIN * left)
                call = Call(
                    caller=caller,
                    ends=ends,
                    active=context.is_active,
                    on_end=context.add_callback,
                )
                with ending(left, context):
                    yield from work(conversion.parse(kind, raw), call)
            except Exception as err:  # noqa: BLE001  (told as the table has it)
                refuse(name, err, context)

        return grpc.unary_stream_rpc_method_handler(handle, None, serialise)

    def _admit(self, context: RpcContext, most_s: float) -> tuple[Caller, float]:
        """Return who calls, and how many seconds they wait."""
        caller = self._access.caller(
            context.invocation_metadata(), context.auth_context()
        )
        return caller, remaining(context, most_s)


def remaining(context: RpcContext, most_s: float) -> float:
    """Return the seconds that a caller waits, at most ``most_s``.

    Raises
    ------
    NoDeadlineError
        If they would wait for ever.
    """
    left = context.time_remaining()
    if left is None or math.isnan(left) or left > _LONGEST_S:
        raise NoDeadlineError
    return min(left, most_s)


@contextmanager
def ending(left_s: float, context: RpcContext) -> Iterator[None]:
    """Cancel a call that goes on for longer than the service bears.

    Only where its own deadline comes later does it take a thread to watch over it.
    """
    own = context.time_remaining()
    if own is not None and own <= left_s:
        yield
        return
    timer = threading.Timer(left_s, context.cancel)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def refuse(name: str, err: Exception, context: RpcContext) -> NoReturn:
    """End a call with its row of the table."""
    fault = note(name, err)
    context.set_trailing_metadata(((REASON, fault.reason),))
    context.abort(fault.status, fault.message)


def serialise(message: Message) -> bytes:
    """Write a message."""
    return bytes(message.SerializeToString())
