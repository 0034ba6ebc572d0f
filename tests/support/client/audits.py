"""Logs to test with, and the obvious reference of their chain."""

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.client.clock import FakeClock

from fedask.client.store.audit.audit_check import AuditFinding, verify
from fedask.client.store.audit.audit_log import SqliteAudit
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.ids import Uid

KEY = bytes(range(32))
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LOG_ID = b"\x07" * 16
UIDS = [Uid(hashlib.md5(bytes([i % 256, i // 256])).hexdigest()) for i in range(5000)]  # noqa: S324
TRIGGERS = ("audit_stays", "audit_is_final", "audit_grows_at_its_end")


def audit(path: Path, key: bytes = KEY, **given: Any) -> SqliteAudit:  # noqa: ANN401
    given.setdefault("entropy", lambda count: LOG_ID[:count])
    return SqliteAudit(path, key, FakeClock(NOON), **given)


@contextmanager
def opened(
    path: Path,
    key: bytes = KEY,
    **given: Any,  # noqa: ANN401
) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, audit=audit(path, key, **given))) as store:
        yield store


def checked(path: Path, **given: Any) -> AuditFinding:  # noqa: ANN401
    given.setdefault("key", KEY)
    return verify(path, **given)


def rows(path: Path) -> list[tuple[Any, ...]]:
    """Return what is kept, past all of our code."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT * FROM audit ORDER BY number").fetchall()


@contextmanager
def tampering(path: Path) -> Iterator[sqlite3.Connection]:
    """Change the file as one who knows SQL, but not the key."""
    with closing(sqlite3.connect(path)) as db:
        for trigger in TRIGGERS:
            db.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        yield db
        db.commit()


def expected(
    key: bytes, acts: list[tuple[str, str, dict[str, Any]]]
) -> list[tuple[Any, ...]]:
    """Return what should be kept for (time, event, body), slowly and obviously."""
    secret = hmac.new(key, b"fedask audit 1 entries", hashlib.sha256).digest()
    before = hashlib.sha256(b"fedask audit 1 genesis\0" + LOG_ID).digest()
    chain: list[tuple[Any, ...]] = []
    for number, (at, event, body) in enumerate(acts, start=1):
        text = json.dumps(dict(sorted(body.items()))).replace(" ", "")
        whole = b"fedask audit 1\0" + before + number.to_bytes(8, "big")
        for part in (at, event, text):
            whole += len(part.encode()).to_bytes(8, "big") + part.encode()
        made = hashlib.sha256(whole).digest()
        mac = hmac.new(secret, made, hashlib.sha256).digest()
        chain.append((number, at, event, text, before, made, mac))
        before = made
    return chain


def pseudonym(key: bytes, kind: str, name: str) -> str:
    secret = hmac.new(key, b"fedask audit 1 names", hashlib.sha256).digest()
    text = kind.encode() + b"\0" + name.encode()
    return hmac.new(secret, text, hashlib.sha256).hexdigest()[:16]
