import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.places import look

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.sqlite_table import TableReader
from fedask.common.errors import ConfigError, DataError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ward ?#%.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x, y, words TEXT)")
        rows = [(i, i * 0.5, -i, f"text {i}") for i in range(-2, 5)]
        db.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    return path


def test_a_query_may_choose_and_compute(path: Path) -> None:
    query = "SELECT id, x + y FROM t WHERE id > 1"

    source = look({"data": str(path), "query": query}, Index())

    assert source.load(np.array([2, 0])).tolist() == [[-2.0], [-1.0]]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM t",
        "SELECT 1, 2; DELETE FROM t",
        "WITH a AS (SELECT 1) DELETE FROM t",
        "SELECT id, writefile('x', 'y') FROM t",
        "SELECT id, load_extension('x') FROM t",
        "SELECT id, nothing FROM t",
        "SELECT",
        "",
    ],
)
def test_a_query_that_does_anything_else_is_refused(path: Path, query: str) -> None:
    before = path.read_bytes()

    with pytest.raises((ConfigError, DataError)):
        look({"data": str(path), "query": query}, Index())

    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_rows_without_an_integer_key_or_with_other_values_are_set_aside(
    path: Path,
) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE u (a, b)")
        rows = [(1, 1.0), ("one", 1.0), (None, 1.0), (2, None), (3, b"x"), (4, 1e300)]
        db.executemany("INSERT INTO u VALUES (?, ?)", rows)

    source = look({"data": str(path), "query": "SELECT a, b FROM u"}, Index())

    assert source.load(np.arange(1)).tolist() == [[1.0]]
    assert len(source.broken()) == 5


def test_what_another_process_has_just_written_is_seen(path: Path) -> None:
    index, options = Index(), {"data": str(path), "query": "SELECT id, x FROM t"}
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        assert len(look(options, index).uids()) == 7

        db.execute("INSERT INTO t VALUES (9, 9.0, 9, 'nine')")  # stays in the log

        assert len(look(options, index).uids()) == 8


def test_a_database_that_is_locked_is_no_broken_file(path: Path) -> None:
    index, options = Index(), {"data": str(path), "query": "SELECT id, x FROM t"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedask.client.data.sources.sqlite_table.BUSY_TIMEOUT_S", 0.0)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            with pytest.raises(DataError, match="locked"):
                look(options, index)
            db.execute("ROLLBACK")

    assert len(look(options, index).uids()) == 7


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database, but long enough for a header" * 9)

    with pytest.raises(DataError, match="not a database"):
        look({"data": str(tmp_path / "x.db"), "query": "SELECT a, b FROM t"}, Index())


def test_text_that_is_no_utf8_breaks_its_row_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE t SET words = CAST(x'ff41' AS TEXT) WHERE id = 0")

    source = look({"data": str(path), "query": "SELECT id, words FROM t"}, Index())

    assert len(source.uids()) == 6
    assert source.broken()[0].reason == "is not UTF-8"


def test_a_table_needs_a_query() -> None:
    with pytest.raises(ConfigError, match="needs query='SELECT"):
        TableReader()
