"""Samples kept in the device's own file, so that their originals may be deleted.

Kept by ``sqlite.payloads``, read by
``sources.sealed_source``. A payload is the content of one file, sealed by its
sample's key.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fedask.common.errors import ConfigError, DataError, StoreError
from fedask.common.ids import Uid, bytes_uid

MAX_PAYLOAD_BYTES = 1 << 28  # the largest file that a reader takes
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreQuota:
    """How much room payloads may take.

    What goes first: samples that were trained on or skipped, asked longest ago first;
    then expired ones; then those that were never asked, the oldest first; then queued
    ones, the lowest score first, which expire. Never a label, and never the payload of
    a sample that is on somebody's screen, or labelled and not trained on yet.

    Parameters
    ----------
    max_bytes
        Of all payloads together.

    Raises
    ------
    ConfigError
        If it is not positive.
    """

    max_bytes: int = 1 << 30  # a gibibyte: what a small device can spare

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise ConfigError(
                f"the quota of a store must be at least 1 byte, not {self.max_bytes}"
            )


class Payload(NamedTuple):
    """The description of a kept payload.

    Parameters
    ----------
    suffix
        Of the file that it was, with the dot: decides who decodes it.
    size
        In bytes.
    """

    uid: Uid
    suffix: str
    size: int


class PayloadStore(Protocol):
    """Keeps payloads within a quota. Every call is one transaction."""

    def put(self, uid: Uid, suffix: str, content: bytes) -> list[Uid]:
        """Keep a payload; return those that were dropped for it, in order.

        One that is there already is left as it is.

        Raises
        ------
        DataError
            If the content is not that of the uid, the suffix none, or it is too large.
        StoreError
            If the sample was forgotten, or what must stay fills the quota.
        """

    def content(self, uid: Uid) -> bytes:
        """Return the content.

        Raises
        ------
        DataError
            If it is not there, or went to make room.
        SealError
            If it is not what was put.
        """

    def all(self) -> list[Payload]:
        """Return the payloads that are kept, by uid."""

    def dropped(self) -> frozenset[Uid]:
        """Return the samples whose payloads went to make room."""


def check_payload(uid: Uid, suffix: str, content: bytes) -> None:
    """Refuse a payload whose suffix, size or content is wrong.

    Raises
    ------
    DataError
        Saying why; the content is not quoted.
    """
    if _SUFFIX.fullmatch(suffix) is None:
        raise DataError(
            f"payload {uid}: suffix {suffix!r:.20} must be a dot and 1 to 8 of a-z 0-9"
        )
    if len(content) > MAX_PAYLOAD_BYTES:
        raise DataError(
            f"payload {uid} has {len(content)} bytes, more than {MAX_PAYLOAD_BYTES}"
        )
    if bytes_uid(content) != uid:
        raise DataError(f"payload {uid}: the content is another one's, or is damaged")


def not_there(uid: Uid) -> DataError:
    """Return the error for a payload that is not in the store."""
    return DataError(f"the payload of sample {uid} is not in the store (any more)")


def was_erased(uid: Uid) -> StoreError:
    """Return the error for a payload of an erased sample."""
    return StoreError(f"sample {uid} was erased: its payload is not taken in again")


def no_room(size: int, quota: StoreQuota) -> StoreError:
    """Return the error for a payload that the quota has no room for."""
    msg = f"no room for a payload of {size} bytes: the quota of {quota.max_bytes} "
    msg += "bytes is taken by samples that must stay until they are trained on"
    return StoreError(msg)
