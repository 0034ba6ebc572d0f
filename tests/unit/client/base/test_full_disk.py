"""Errors behind which there is a disk without room, and others."""

import errno
import sqlite3
from contextlib import closing

import pytest

from fedask.client.base.full_disk import is_disk_full
from fedask.common.errors import StoreError


def refused_by_sqlite() -> sqlite3.Error:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as refused:
            db.execute("INSERT INTO t VALUES (zeroblob(9999))")
        return refused.value


@pytest.mark.parametrize(
    "err",
    [
        refused_by_sqlite(),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
    ],
)
def test_a_full_disk_is_found_below_our_own_errors(err: Exception) -> None:
    wrapped = StoreError("cannot write")
    wrapped.__cause__ = StoreError("store")
    wrapped.__cause__.__cause__ = err

    assert is_disk_full(err)
    assert is_disk_full(wrapped)


@pytest.mark.parametrize(
    "err",
    [
        StoreError("gone"),
        OSError(errno.EACCES, "Permission denied"),
        sqlite3.OperationalError("database is locked"),
    ],
)
def test_other_errors_are_none(err: Exception) -> None:
    assert not is_disk_full(err)
