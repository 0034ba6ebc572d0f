"""What a caller is told when something fails: one frozen table, and nothing besides.

Called by the gate for every error that leaves a handler. The caller gets a status, a
fixed sentence and a reason; the error itself goes to the log, and of it only what
cannot hold a name, a label, a key or content.
"""

import logging
import sqlite3
import traceback
from dataclasses import dataclass

import grpc

from fedask.client.records.refusal import (
    KeyReusedError,
    LeaseError,
    NotLastError,
    NotNearError,
    RightEndedError,
    UnknownSampleError,
)
from fedask.common.errors import (
    DataError,
    FedaskError,
    PrivacyError,
    ProtocolError,
    StoreError,
    UnavailableError,
)

logger = logging.getLogger(__name__)

REASON = "fedask-reason"  # key of the trailing metadata


class NoDeadlineError(ProtocolError):
    """The call has no deadline."""


class MalformedError(ProtocolError):
    """The message is not of this version, or a field has a value it must not have."""


class UnauthenticatedError(PrivacyError):
    """The caller did not show who they are."""


class ForbiddenError(PrivacyError):
    """The caller may not work here, or not under this name."""


class UnknownServiceError(ProtocolError):
    """There is no such service here."""


class MessageTooLargeError(ProtocolError):
    """What was asked for does not fit into a message."""


class CrowdedError(UnavailableError):
    """Too many are being served already."""


class ReplacedError(UnavailableError):
    """The same annotator opened a newer stream."""


class ReleasedError(UnavailableError):
    """The annotator gave everything back."""


class IdleError(UnavailableError):
    """Nobody answered for the length of a lease."""


class StoppingError(UnavailableError):
    """The service is stopping."""


class BusyStoreError(StoreError):
    """Others kept the store locked for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """What is said about one class of errors.

    Parameters
    ----------
    status
        gRPC status.
    reason
        One word for programs, stable within a version of the package.
    message
        One sentence for people, always the same.
    """

    status: grpc.StatusCode
    reason: str
    message: str


def _fault(status: grpc.StatusCode, reason: str, message: str) -> ErrorRow:
    return ErrorRow(status=status, reason=reason, message=message)


_S = grpc.StatusCode
# The first class that an error is of counts: children stand before their parents.
ERROR_TABLE: dict[type[FedaskError], ErrorRow] = {
    NoDeadlineError: _fault(
        _S.INVALID_ARGUMENT, "no-deadline", "every call needs a deadline: set a timeout"
    ),
    MalformedError: _fault(
        _S.INVALID_ARGUMENT,
        "malformed",
        "the message is not what fedask.labelling.v1 says: see labelling.proto",
    ),
    UnauthenticatedError: _fault(
        _S.UNAUTHENTICATED,
        "unauthenticated",
        "the call needs the token of this device: see the service's token file",
    ),
    ForbiddenError: _fault(
        _S.PERMISSION_DENIED,
        "forbidden",
        "this caller may not work here under this name: ask the site",
    ),
    LeaseError: _fault(
        _S.FAILED_PRECONDITION,
        "lease",
        "the token is not of this annotator's lease of the sample: lease it again",
    ),
    KeyReusedError: _fault(
        _S.ALREADY_EXISTS,
        "key-reused",
        "the key was used for another sample: every answer needs its own",
    ),
    NotNearError: _fault(
        _S.FAILED_PRECONDITION,
        "not-near",
        "one of the samples is no near-duplicate that waits: answer it by itself",
    ),
    NotLastError: _fault(
        _S.FAILED_PRECONDITION,
        "not-last",
        "only the annotator's last answer can be taken back",
    ),
    RightEndedError: _fault(
        _S.FAILED_PRECONDITION,
        "right-ended",
        "the right to use the sample has ended: lease another one",
    ),
    UnknownSampleError: _fault(
        _S.NOT_FOUND, "unknown-sample", "the sample is not in the queue"
    ),
    DataError: _fault(
        _S.NOT_FOUND,
        "content-gone",
        "the sample is not in the data of the device any more, or cannot be read",
    ),
    UnknownServiceError: _fault(
        _S.NOT_FOUND, "unknown-service", "there is no service of this name here"
    ),
    MessageTooLargeError: _fault(
        _S.RESOURCE_EXHAUSTED,
        "too-large",
        "the sample does not fit into a message: show it in another way, or skip it",
    ),
    CrowdedError: _fault(
        _S.RESOURCE_EXHAUSTED,
        "crowded",
        "too many streams are open: close one, or try again later",
    ),
    ReplacedError: _fault(
        _S.ABORTED, "replaced", "the same annotator opened a newer stream"
    ),
    ReleasedError: _fault(
        _S.ABORTED,
        "released",
        "the annotator gave everything back: open a stream when they go on",
    ),
    IdleError: _fault(
        _S.ABORTED,
        "idle",
        "nobody answered for the length of a lease: open a stream when someone is back",
    ),
    StoppingError: _fault(
        _S.UNAVAILABLE, "stopping", "the service is stopping: try again soon"
    ),
    BusyStoreError: _fault(
        _S.UNAVAILABLE, "busy", "the store is busy: try again, with the same key"
    ),
    UnavailableError: _fault(
        _S.UNAVAILABLE, "unavailable", "something is not there now: try again soon"
    ),
    PrivacyError: _fault(
        _S.PERMISSION_DENIED, "privacy", "refused to protect the data"
    ),
    ProtocolError: _fault(
        _S.INVALID_ARGUMENT, "refused", "the desk refuses this: see the documentation"
    ),
    StoreError: _fault(
        _S.INTERNAL,
        "store",
        "the device's disk refused; nothing was changed: see the service's log",
    ),
    FedaskError: _fault(
        _S.INTERNAL, "internal", "the service failed: see the service's log"
    ),
}
# What is no error of ours is a defect of ours.
UNKNOWN = ERROR_TABLE[FedaskError]


def error_row_of(err: Exception) -> ErrorRow:
    """Look an error up."""
    if type(err) is StoreError and _is_busy(err.__cause__):
        return ERROR_TABLE[BusyStoreError]
    return next(
        (f for kind, f in ERROR_TABLE.items() if isinstance(err, kind)), UNKNOWN
    )


def note(method: str, err: Exception) -> ErrorRow:
    """Look an error up, and write to the log what its owner needs to mend it.

    Parameters
    ----------
    method
        Of the service, for the log.
    """
    fault = error_row_of(err)
    extra = {"method": method, "reason": fault.reason}
    if fault.status is not grpc.StatusCode.INTERNAL:
        logger.info("refused %s: %s", method, fault.reason, extra=extra)
        return fault
    # The text of a foreign error may quote what it choked on: only where it happened.
    places = [
        f"{frame.name}:{frame.lineno}"
        for frame in traceback.extract_tb(err.__traceback__)
    ]
    kinds = [type(each).__name__ for each in (err, err.__cause__) if each is not None]
    told = err.__cause__ if isinstance(err.__cause__, sqlite3.Error) else ""
    logger.error(
        "failed %s: %s at %s %s",
        method,
        " from ".join(kinds),
        " > ".join(places),
        told,
        extra=extra,
    )
    return fault


def _is_busy(cause: BaseException | None) -> bool:
    """Tell whether SQLite gave up waiting for its lock."""
    code = getattr(cause, "sqlite_errorcode", 0)  # extended ones keep the low byte
    return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
