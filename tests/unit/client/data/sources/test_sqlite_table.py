import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.places import look

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import NoSamplesError
from fedask.client.data.sources.proposal import proposed
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
    assert source.broken()[0].reason.startswith("is not UTF-8")


def test_a_table_needs_a_query() -> None:
    with pytest.raises(ConfigError, match="needs query='SELECT"):
        TableReader()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, x FROM t -- the newest ward",
        "SELECT id, x FROM t; -- the newest ward",
        "SELECT id, x FROM t /* ; not",
        "-- first this\nSELECT id, x FROM t ; ;",
        "/* a */ WITH u AS (SELECT * FROM t) SELECT id, x FROM u /* b */ ;\n",
        "VALUES (1, 0.5), (2, 1.0);",
        "SELECT id, x FROM t WHERE '--' <> \";\" || '/*' OR 1",
    ],
)
def test_comments_and_semicolons_are_no_part_of_a_query(path: Path, query: str) -> None:
    source = look({"data": str(path), "query": query}, Index())

    loaded = source.load(np.arange(len(source.uids()))).tolist()
    assert [0.5] in loaded
    assert [1.0] in loaded
    assert source.broken() == []


def test_rows_that_share_a_key_are_set_aside_all_of_them(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE VIEW v AS SELECT id, x FROM t UNION ALL SELECT 2, 7")

    source = look({"data": str(path), "query": "SELECT id, x FROM v"}, Index())

    assert source.load(np.arange(6)).ravel().tolist() == [-1, -0.5, 0, 0.5, 1.5, 2]
    reason = "has the key of another row, by which neither is found again"
    assert source.broken() == [(f"{path.name} row 2", reason)] * 2


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 0, x FROM t", "has the key of another row"),
        ("SELECT id, random() / 1e19 FROM t", "gives another row -2 when it is asked"),
        ("SELECT row_number() OVER (ORDER BY random()), x FROM t", "when it is asked"),
        ("SELECT words, x FROM t", "is not named by an integer: 'text -2'"),
    ],
)
def test_a_query_whose_rows_are_not_found_again_is_refused(
    path: Path, query: str, said: str
) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        rows = [(i, i * 0.5, 0, "") for i in range(5, 400)]
        db.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)

    with pytest.raises(NoSamplesError, match=said):
        look({"data": str(path), "query": query}, Index())


def test_numbers_are_those_of_any_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE u (id INTEGER PRIMARY KEY, a, b)")
        rows = [
            (1, 2**24 + 1, 1),
            (2, "03373", 1),
            (3, "", 1),
            (4, 2, "x"),
            (5, 1, 1.5),
        ]
        db.executemany("INSERT INTO u VALUES (?, ?, ?)", rows)

    source = look({"data": str(path), "query": "SELECT id, a, b FROM u"}, Index())

    assert source.load(np.arange(2)).tolist() == [[3373, 1], [1, 1.5]]
    assert [reason.partition(" in column")[0] for _, reason in source.broken()] == [
        "holds an integer that float32 would round",
        "holds nothing",
        "holds what is no number",
    ]


def test_a_query_of_the_only_table_is_proposed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE t")
        db.execute(
            'CREATE TABLE "a""b" (k INTEGER PRIMARY KEY, x REAL, n INT, note TEXT)'
        )
        db.execute('INSERT INTO "a""b" VALUES (5, 1.5, 2, \'x\')')

    options = proposed(path)

    assert options == {"kind": "table", "query": 'SELECT rowid, "x", "n" FROM "a""b"'}
    source = look({"data": str(path), **options}, Index())
    assert source.load(np.arange(1)).tolist() == [[1.5, 2]]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE other (x)")
    assert proposed(path) == {"kind": "table"}
