"""Decides whether a client repeats a failed call, and which error it raises if not.

Called by the client for every call that failed. Only what is not there now is tried
again: what the service refused it would refuse again.
"""

from collections.abc import Callable
from time import monotonic

import grpc

from fedask.client.labelling.grpc.error_table import ERROR_TABLE, REASON
from fedask.common.errors import FedaskError, ProtocolError, UnavailableError

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_BY_REASON = {row.reason: (kind, row) for kind, row in ERROR_TABLE.items()}
_NOT_THERE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
)


class RetryPolicy:
    """The time that one call may take, with all its repetitions.

    Parameters
    ----------
    timeout_s
        In all.
    pause
        Called with the seconds to wait.
    """

    def __init__(self, timeout_s: float, pause: Callable[[float], None]) -> None:
        self._timeout_s = timeout_s
        self._pause = pause
        self.renew()

    def renew(self) -> None:
        """Start the time anew: the service has answered."""
        self._ends = monotonic() + self._timeout_s
        self._next_s = _FIRST_PAUSE_S

    def left(self) -> float:
        """Return the seconds that are left, more than 0."""
        return max(self._ends - monotonic(), _FIRST_PAUSE_S)

    def wait(self, err: grpc.RpcError) -> None:
        """Wait before the call is repeated.

        Raises
        ------
        FedaskError
            If repeating it would not help, or the time is over.
        """
        again = status_of(err) is grpc.StatusCode.UNAVAILABLE
        if not again or monotonic() + self._next_s >= self._ends:
            raise failure(err) from err
        self._pause(self._next_s)
        self._next_s = min(2 * self._next_s, _LONGEST_PAUSE_S)


def status_of(err: grpc.RpcError) -> grpc.StatusCode:
    """Return the status of a call that failed."""
    code: grpc.StatusCode = err.code()
    return code


def failure(err: grpc.RpcError) -> FedaskError:
    """Return the error of the service's table that a failed call stands for.

    What came from the transport alone has no reason; its text stays in the cause.
    """
    for key, value in err.trailing_metadata() or ():
        if key == REASON and value in _BY_REASON:
            kind, row = _BY_REASON[value]
            ours: FedaskError = kind(row.message)
            return ours
    status = status_of(err)
    msg = f"the labelling service gave no answer: {status.name}"
    return UnavailableError(msg) if status in _NOT_THERE else ProtocolError(msg)
