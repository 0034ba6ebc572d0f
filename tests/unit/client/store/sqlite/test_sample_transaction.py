import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedask.client.store.sqlite import sample_transaction
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.ids import Uid

ANN = b"a pseudonym"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "device.db")
    yield store
    store.close()


@pytest.mark.parametrize(
    ("query", "values", "index"),
    [
        (sample_transaction._OPEN, (1, ANN, 1), "item USING INDEX item_waiting"),
        (sample_transaction._CONTROL, ("", ANN, "2026"), "item USING INDEX item_known"),
        (sample_transaction._LAPSED, ("2026",), "INDEX item_right (right_until"),
        (
            sample_transaction._LAPSED,
            ("2026",),
            "lease USING COVERING INDEX lease_until",
        ),
        (sample_transaction._LEASED, (ANN,), "lease USING INDEX lease_running"),
        (
            sample_transaction._OVER,
            ("a", "b"),
            "lease USING COVERING INDEX lease_until (until>?)",
        ),
        (
            sample_transaction._BY_KEY,
            (ANN, b"k"),
            "INDEX annotation_key (annotator=? AND key=?)",
        ),
        (sample_transaction._STANDING, (ANN,), "INDEX annotation_annotator"),
        (sample_transaction._OF, ("a",), "INDEX annotation_uid"),
    ],
)
def test_no_call_of_the_desk_reads_a_whole_table(
    store: SqliteStore, query: str, values: tuple[object, ...], index: str
) -> None:
    plan = store.connection.db.execute("EXPLAIN QUERY PLAN " + query, values).fetchall()

    steps = [detail for *_, detail in plan]
    assert any(index in step for step in steps)
    assert not [s for s in steps if s.startswith("SCAN") and "item_waiting" not in s]
    if query is sample_transaction._OPEN:
        assert not [s for s in steps if "TEMP B-TREE" in s]


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM annotation",
        "UPDATE annotation SET content = x'00'",
        "UPDATE annotation SET annotator = x'00'",
        "UPDATE annotation SET undone = NULL",
    ],
)
def test_the_file_itself_refuses_to_change_a_annotation(
    store: SqliteStore, change: str
) -> None:
    uid = Uid("a" * 32)
    store.queue.add(1, [uid])
    store.queue.answer({uid: 1})
    store.connection.db.execute("UPDATE annotation SET undone = '2026'")

    with pytest.raises(sqlite3.IntegrityError, match="an annotation is kept"):
        store.connection.db.execute(change)
