"""The head file of an audit log: how long the log is, outside of the database.

Written by ``audit_log`` after each commit, read by ``audit_check``. Without it nobody
could tell a log whose last entries were removed from a shorter one.

Two slots of 512 bytes, both of the same entry, written in place one after the other,
slot n mod 2 first: a write that a power cut tears spoils one slot, and the other is of
that entry or an older one. Between writes none is older, or whoever spoils the newer
one could cut the log to it. Nothing is waited for, but at the start of a log: the head
may be older than the log, never newer, because the log is on the disk before the head
is written. A slot is ``b"fedaskH1"``, the log's id (16
bytes), the number (8, big-endian), the entry's hash (32), and the HMAC of all these
(32); the rest is zeros.
"""

import hmac
import os
from dataclasses import dataclass
from pathlib import Path

from fedask.client.store.audit.hash_chain import AuditKey, Head, genesis
from fedask.common.errors import StoreError

SUFFIX = ".head"
LOG_ID_BYTES = 16
_MAGIC = b"fedaskH1"
_SLOT_BYTES = 512  # what disks write as a whole
_MAC_AT = len(_MAGIC) + LOG_ID_BYTES + 8 + 32
_END = _MAC_AT + 32
_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHead:
    """A head with the log that it is of.

    Parameters
    ----------
    log_id
        16 random bytes, made when the log was begun.
    head
        Number and hash of its last entry, as far as the file knows.
    """

    log_id: bytes
    head: Head


def head_path(store: Path) -> Path:
    """Return where the head of a store's log is kept."""
    return store.with_name(store.name + SUFFIX)


def read_head(path: Path, key: AuditKey) -> KeptHead | None:
    """Return the newest head that the key made.

    Returns
    -------
    KeptHead
        None if there is no file.

    Raises
    ------
    StoreError
        If it cannot be read, or none of its slots is of this key.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(2 * _SLOT_BYTES)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise StoreError(
            f"cannot read the head of the audit log {path}: {err}"
        ) from err
    slots = (raw[:_SLOT_BYTES], raw[_SLOT_BYTES:])
    found = [kept for slot in slots if (kept := _unpack(slot, key)) is not None]
    if not found:
        raise StoreError(
            f"{path} is no head of an audit log of this key: put back the store and "
            "the key that it belongs to; if they are lost, delete it"
        )
    return max(found, key=lambda kept: kept.head.number)


def begin_head(path: Path, log_id: bytes, key: AuditKey) -> None:
    """Make the file for a new log, and wait until it is on the disk.

    Raises
    ------
    StoreError
        If it is there already, or the disk refuses.
    """
    kept = KeptHead(log_id=log_id, head=Head(number=0, hash=genesis(log_id)))
    try:
        number = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "r+b") as file:
            file.write(_pack(kept, key).ljust(2 * _SLOT_BYTES, b"\0"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as err:
        raise StoreError(
            f"cannot begin the head of the audit log {path}: {err}"
        ) from err


def write_head(path: Path, kept: KeptHead, key: AuditKey) -> None:
    """Keep a head in both slots, unless a later one of another process is there.

    Raises
    ------
    StoreError
        If the disk refuses, or the file is gone.
    """
    first = kept.head.number % 2
    try:
        with os.fdopen(os.open(path, _FLAGS), "r+b", buffering=0) as file:
            for slot in (first, 1 - first):
                file.seek(slot * _SLOT_BYTES)
                there = _unpack(file.read(_SLOT_BYTES), key)
                if there is not None and there.head.number >= kept.head.number:
                    continue
                file.seek(slot * _SLOT_BYTES)
                file.write(_pack(kept, key).ljust(_SLOT_BYTES, b"\0"))
    except OSError as err:
        raise StoreError(
            f"cannot write the head of the audit log {path}: {err}"
        ) from err


def replace_head(path: Path, kept: KeptHead, key: AuditKey) -> None:
    """Put a head in place of the file, whatever it holds.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as err:
        raise StoreError(
            f"cannot replace the head of the audit log {path}: {err}"
        ) from err
    begin_head(path, kept.log_id, key)
    write_head(path, kept, key)


def _pack(kept: KeptHead, key: AuditKey) -> bytes:
    packed = _MAGIC + kept.log_id + kept.head.number.to_bytes(8, "big") + kept.head.hash
    return packed + key.head_mac(packed)


def _unpack(slot: bytes, key: AuditKey) -> KeptHead | None:
    """Read a slot; None if it is torn, empty, or of another key."""
    packed, mac = slot[:_MAC_AT], slot[_MAC_AT:_END]
    known = hmac.compare_digest(key.head_mac(packed), mac)
    if not known or not packed.startswith(_MAGIC) or slot[_END:].strip(b"\0"):
        return None
    at = len(_MAGIC)
    number = packed[at + LOG_ID_BYTES : at + LOG_ID_BYTES + 8]
    return KeptHead(
        log_id=packed[at : at + LOG_ID_BYTES],
        head=Head(
            number=int.from_bytes(number, "big"), hash=packed[_MAC_AT - 32 : _MAC_AT]
        ),
    )
