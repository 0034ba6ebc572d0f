"""The error table: status, reason and sentence that a caller gets for each error.

Called by the RPC adapter for every error that leaves a handler. The caller gets a
status, a fixed sentence and a reason; the error itself goes to the log, and of it only
what cannot hold a name, a label, a key or content.
"""

import logging
import sqlite3
import traceback
from typing import NamedTuple

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

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
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


class ErrorRow(NamedTuple):
    """What a caller gets for one class of errors.

    Parameters
    ----------
    reason
        One word for programs, stable within a version of the package.
    message
        One sentence for people, always the same.
    """

    status: grpc.StatusCode
    reason: str
    message: str


_S = grpc.StatusCode
# The first class that an error is of counts: children stand before their parents.
ERROR_TABLE: dict[type[FedaskError], ErrorRow] = {
    NoDeadlineError: ErrorRow(
        _S.INVALID_ARGUMENT, "no-deadline", "every call needs a deadline: set a timeout"
    ),
    MalformedError: ErrorRow(
        _S.INVALID_ARGUMENT,
        "malformed",
        "the message is not what fedask.labelling.v1 says: see labelling.proto",
    ),
    UnauthenticatedError: ErrorRow(
        _S.UNAUTHENTICATED,
        "unauthenticated",
        "the call needs the token of this device: see the service's token file",
    ),
    ForbiddenError: ErrorRow(
        _S.PERMISSION_DENIED,
        "forbidden",
        "this caller may not work here under this name: ask the site",
    ),
    LeaseError: ErrorRow(
        _S.FAILED_PRECONDITION,
        "lease",
        "the token is not of this annotator's lease of the sample: lease it again",
    ),
    KeyReusedError: ErrorRow(
        _S.ALREADY_EXISTS,
        "key-reused",
        "the key was used for another sample: every answer needs its own",
    ),
    NotNearError: ErrorRow(
        _S.FAILED_PRECONDITION,
        "not-near",
        "one of the samples is no near-duplicate that waits: answer it by itself",
    ),
    NotLastError: ErrorRow(
        _S.FAILED_PRECONDITION,
        "not-last",
        "only the annotator's last answer can be taken back",
    ),
    RightEndedError: ErrorRow(
        _S.FAILED_PRECONDITION,
        "right-ended",
        "the right to use the sample has ended: lease another one",
    ),
    UnknownSampleError: ErrorRow(
        _S.NOT_FOUND, "unknown-sample", "the sample is not in the queue"
    ),
    DataError: ErrorRow(
        _S.NOT_FOUND,
        "content-gone",
        "the sample is not in the data of the device any more, or cannot be read",
    ),
    UnknownServiceError: ErrorRow(
        _S.NOT_FOUND, "unknown-service", "there is no service of this name here"
    ),
    MessageTooLargeError: ErrorRow(
        _S.RESOURCE_EXHAUSTED,
        "too-large",
        "the sample does not fit into a message: show it in another way, or skip it",
    ),
    CrowdedError: ErrorRow(
        _S.RESOURCE_EXHAUSTED,
        "crowded",
        "too many streams are open: close one, or try again later",
    ),
    ReplacedError: ErrorRow(
        _S.ABORTED, "replaced", "the same annotator opened a newer stream"
    ),
    ReleasedError: ErrorRow(
        _S.ABORTED,
        "released",
        "the annotator gave everything back: open a stream when they go on",
    ),
    IdleError: ErrorRow(
        _S.ABORTED,
        "idle",
        "nobody answered for the length of a lease: open a stream when someone is back",
    ),
    StoppingError: ErrorRow(
        _S.UNAVAILABLE, "stopping", "the service is stopping: try again soon"
    ),
    BusyStoreError: ErrorRow(
        _S.UNAVAILABLE, "busy", "the store is busy: try again, with the same key"
    ),
    UnavailableError: ErrorRow(
        _S.UNAVAILABLE, "unavailable", "something is not there now: try again soon"
    ),
    PrivacyError: ErrorRow(
        _S.PERMISSION_DENIED, "privacy", "refused to protect the data"
    ),
    ProtocolError: ErrorRow(
        _S.INVALID_ARGUMENT, "refused", "the desk refuses this: see the documentation"
    ),
    StoreError: ErrorRow(
        _S.INTERNAL,
        "store",
        "the device's disk refused; nothing was changed: see the service's log",
    ),
    FedaskError: ErrorRow(
        _S.INTERNAL, "internal", "the service failed: see the service's log"
    ),
}
# What is no error of ours is a defect of ours.
UNKNOWN = ERROR_TABLE[FedaskError]


def error_row_of(err: Exception) -> ErrorRow:
    """Return the row of an error."""
    # Of an extended code of SQLite, the low byte is the plain one.
    code = getattr(err.__cause__, "sqlite_errorcode", 0) & 0xFF
    if type(err) is StoreError and code in _BUSY:
        return ERROR_TABLE[BusyStoreError]
    return next(
        (row for kind, row in ERROR_TABLE.items() if isinstance(err, kind)), UNKNOWN
    )


def note(method: str, err: Exception) -> ErrorRow:
    """Return the row of an error, and log what the owner needs to mend it.

    Parameters
    ----------
    method
        Of the service, for the log.
    """
    row = error_row_of(err)
    extra = {"method": method, "reason": row.reason}
    if row.status is not grpc.StatusCode.INTERNAL:
        logger.info("refused %s: %s", method, row.reason, extra=extra)
        return row
    # The text of a foreign error may quote what it choked on: only where it happened.
    places = [
        f"{frame.name}:{frame.lineno}"
        for frame in traceback.extract_tb(err.__traceback__)
    ]
    kinds = [type(each).__name__ for each in (err, err.__cause__) if each is not None]
    cause = err.__cause__ if isinstance(err.__cause__, sqlite3.Error) else ""
    logger.error(
        "failed %s: %s at %s %s",
        method,
        " from ".join(kinds),
        " > ".join(places),
        cause,
        extra=extra,
    )
    return row
