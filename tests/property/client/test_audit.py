import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.client.audits import KEY, UIDS, checked, opened, rows, tampering

from fedask.client.store.audit.hash_chain import Head
from fedask.client.store.audit.head_file import head_path

ENTRIES = 12
Row = tuple[Any, ...]
SAMPLES = dict.fromkeys(UIDS[:30])

few = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose log has ``ENTRIES`` entries."""
    path = tmp_path_factory.mktemp("good") / "device.db"
    with opened(path) as store:
        for number, uid in enumerate(UIDS[: ENTRIES - 1], start=1):
            store.queue.add(number, [uid])
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")  # one file, to be copied
    assert checked(path).entries == ENTRIES
    return path


def copied(good: Path, folder: Path) -> Path:
    path = folder / "device.db"
    for each in folder.glob("device.db*"):
        each.unlink()
    shutil.copy(good, path)
    shutil.copy(head_path(good), head_path(path))
    return path


def written(path: Path, changed: list[Row]) -> None:
    with tampering(path) as db:
        db.execute("DELETE FROM audit")
        db.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", changed)


def flipped(value: Any, bit: int) -> Any:  # noqa: ANN401
    """Flip one bit of a value, whatever it then is."""
    if isinstance(value, int):
        return value ^ (1 << bit % 62)
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    return raw.decode("utf-8", "replace") if isinstance(value, str) else bytes(raw)


@few
@given(
    row=st.integers(0, ENTRIES - 1),
    column=st.integers(0, 6),
    bit=st.integers(0, 1 << 12),
)
def test_a_flipped_bit_is_found_where_it_is(
    good: Path, tmp_path: Path, row: int, column: int, bit: int
) -> None:
    path = copied(good, tmp_path)
    changed = [list(each) for each in rows(path)]
    changed[row][column] = flipped(changed[row][column], bit)
    if changed[row][0] in {each[0] for n, each in enumerate(changed) if n != row}:
        return  # two of a number: the table itself cannot hold that
    written(path, [tuple(each) for each in changed])

    found = checked(path)

    assert not found.ok
    # A number that became smaller stands before all others; else it is the entry.
    assert found.bad is not None
    assert found.bad <= row + 1
    assert found.bad == row + 1 or (column == 0 and changed[row][0] < row + 1)


@few
@given(data=st.data())
def test_entries_removed_doubled_or_in_another_order_are_found(
    good: Path, tmp_path: Path, data: st.DataObject
) -> None:
    path = copied(good, tmp_path)
    kept = rows(path)
    order = data.draw(
        st.lists(st.integers(0, ENTRIES - 1), max_size=ENTRIES + 2), label="order"
    )
    renumber = data.draw(st.booleans(), label="renumber")
    changed = [kept[place] for place in order]
    if renumber:
        changed = [(n, *each[1:]) for n, each in enumerate(changed, start=1)]
    else:
        changed = list({each[0]: each for each in changed}.values())
    written(path, changed)
    whole = rows(path) == kept

    found = checked(path)

    assert found.ok == whole
    if not whole:
        same = [one == two for one, two in zip(rows(path), kept, strict=False)]
        first = same.index(False) if False in same else len(same)
        assert found.bad == min(first + 1, ENTRIES + 1)


@few
@given(
    keep=st.integers(0, ENTRIES - 1),
    elsewhere=st.integers(1, ENTRIES),
    with_key=st.booleans(),
)
def test_a_cut_is_found_by_the_head_file_or_by_one_kept_elsewhere(
    good: Path, tmp_path: Path, keep: int, elsewhere: int, *, with_key: bool
) -> None:
    path = copied(good, tmp_path)
    noted = Head(number=elsewhere, hash=rows(path)[elsewhere - 1][5])
    written(path, rows(path)[:keep])

    found = checked(path, head=noted, key=KEY if with_key else None)

    assert found.ok == (not with_key and elsewhere <= keep)
    if not found.ok:
        assert found.bad == keep + 1


@few
@given(bit=st.integers(0, 8 * 104 - 1), slot=st.integers(0, 1))
def test_a_changed_head_is_not_believed(
    good: Path, tmp_path: Path, bit: int, slot: int
) -> None:
    path = copied(good, tmp_path)
    raw = bytearray(head_path(path).read_bytes())
    raw[512 * slot + bit // 8] ^= 1 << bit % 8
    head_path(path).write_bytes(raw)

    found = checked(path)

    # The other slot is of the same entry; a torn slot is no tampering.
    assert found.ok
    assert found.newer == 0


@few
@given(st.integers(0, 1 << 30))
def test_a_flipped_bit_of_the_file_never_passes_for_another_log(
    good: Path, tmp_path: Path, place: int
) -> None:
    path = copied(good, tmp_path)
    raw = bytearray(path.read_bytes())
    raw[place // 8 % len(raw)] ^= 1 << place % 8
    path.write_bytes(raw)

    found = checked(path)

    if found.ok:  # it was not in the log
        assert rows(path) == rows(good)
