"""Makes gRPC handlers: each checks caller, deadline and message, and hides errors.

Called by gRPC from the threads that serve. No byte of a message is parsed before its
caller is known, and no error leaves but as a row of the table.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import NoReturn, TypeVar

import grpc
from google.protobuf.message import Message

from fedask.client.labelling.grpc import conversion
from fedask.client.labelling.grpc.access import Access, Caller
from fedask.client.labelling.grpc.error_table import REASON, NoDeadlineError, note
from fedask.client.labelling.grpc.service_settings import ServiceLimits
from fedask.client.labelling.grpc.task_stream import Call

_Request = TypeVar("_Request", bound=Message)
NOBODY = Caller(annotator=None, allowed=frozenset())  # of whom nothing is asked
_LONGEST_S = 366 * 24 * 3600.0  # gRPC counts no deadline as one in the far future
# Streams end this long before their deadline, so that clients see an end, no error.
_MARGIN, _MOST_MARGIN_S = 0.1, 0.5


@dataclass(frozen=True, slots=True)
class RpcAdapter:
    """Makes gRPC handlers of the methods of a servicer."""

    access: Access
    limits: ServiceLimits

    def unary(
        self,
        name: str,
        kind: type[_Request],
        work: Callable[[_Request, Caller], Message],
        *,
        anonymous: bool = False,
    ) -> grpc.RpcMethodHandler:
        """Return the handler of a method with one answer.

        Parameters
        ----------
        anonymous
            Whether it asks nobody who they are.
        """

        def handle(raw: bytes, context: grpc.ServicerContext) -> Message:
            try:
                caller = NOBODY if anonymous else self._caller(context)
                left = remaining(context, self.limits.call_s)
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

        def handle(raw: bytes, context: grpc.ServicerContext) -> Iterator[Message]:
            try:
                caller = self._caller(context)
                left = remaining(context, self.limits.stream_s)
                ends = monotonic() + left - min(_MOST_MARGIN_S, _MARGIN * left)
                call = Call(
                    caller=caller,
                    ends=ends,
                    active=context.is_active,
                    on_end=context.add_callback,
                )
                with ending(left, context):
                    yield from work(conversion.parse(kind, raw), call)
            except Exception as err:  # noqa: BLE001  (nothing leaves but the table)
                refuse(name, err, context)

        return grpc.unary_stream_rpc_method_handler(handle, None, serialise)

    def _caller(self, context: grpc.ServicerContext) -> Caller:
        return self.access.caller(context.invocation_metadata(), context.auth_context())


def remaining(context: grpc.ServicerContext, most_s: float) -> float:
    """Return the seconds that a caller waits, at most ``most_s``.

    Raises
    ------
    NoDeadlineError
        If they would wait for ever.
    """
    left = context.time_remaining()
    if left is None or math.isnan(left) or left > _LONGEST_S:
        raise NoDeadlineError
    return min(float(left), most_s)


@contextmanager
def ending(left_s: float, context: grpc.ServicerContext) -> Iterator[None]:
    """Cancel a call that takes longer than the service allows.

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


def refuse(name: str, err: Exception, context: grpc.ServicerContext) -> NoReturn:
    """End a call with the row of the table for its error."""
    row = note(name, err)
    context.set_trailing_metadata(((REASON, row.reason),))
    context.abort(row.status, row.message)
    raise AssertionError  # unreachable: ``abort`` raises


def serialise(message: Message) -> bytes:
    """Write a message."""
    return bytes(message.SerializeToString())
