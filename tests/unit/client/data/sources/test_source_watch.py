import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.client.places import INDEX_KEY, LONG_AGO_NS, NOW, look

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import QUIET
from fedask.client.data.sources.source_watch import SourceWatch
from fedask.client.records.pool import Pool
from fedask.common.errors import DataError

NOW_NS = int(NOW.timestamp()) * 10**9


def write(folder: Path, name: str, number: int, mtime_ns: int = NOW_NS) -> None:
    path = folder / name
    with path.open("wb") as file:
        np.save(file, np.array([number]))
    os.utime(path, ns=(mtime_ns, mtime_ns))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.fixture
def options(folder: Path) -> dict[str, Any]:
    return {"data": str(folder), "kind": "images", "watch": True}


def numbers(options: dict[str, Any], index: Index, later_s: int = 0) -> list[int]:
    try:
        source = look(options, index, NOW + timedelta(seconds=later_s))
    except DataError:
        return []
    raw = source.load(np.arange(len(source.uids())))
    return sorted(raw[:, 0].tolist())


def test_a_young_file_is_left_until_it_looks_the_same_twice(
    folder: Path, options: dict[str, Any]
) -> None:
    index = Index()
    write(folder, "old.npy", 1, LONG_AGO_NS)
    write(folder, "new.npy", 2)

    assert numbers(options, index) == [1]
    write(folder, "new.npy", 3, NOW_NS + 5)  # is still being written
    assert numbers(options, index, 1) == [1]
    assert numbers(options, index, 2) == [1, 3]
    assert numbers(options, index, 3) == [1, 3]


def test_a_file_that_grows_is_left_though_its_time_stands(
    folder: Path, options: dict[str, Any]
) -> None:
    index = Index()
    write(folder, "new.npy", 2)
    content = (folder / "new.npy").read_bytes()
    (folder / "new.npy").write_bytes(content[:-3])
    os.utime(folder / "new.npy", ns=(NOW_NS, NOW_NS))

    assert numbers(options, index) == []
    write(folder, "new.npy", 2)
    assert numbers(options, index) == []
    assert numbers(options, index) == [2]


def test_what_was_found_before_a_file_grew_stays_until_it_is_whole(
    folder: Path,
) -> None:
    index = Index()
    options = {"data": str(folder), "watch": True, "column": "text"}
    path = folder / "log.csv"
    path.write_text("text\none\n")
    os.utime(path, ns=(NOW_NS, LONG_AGO_NS))

    def texts() -> list[str]:
        source = look(options, index)
        read: list[str] = source.load(np.arange(len(source.uids()))).tolist()
        return read

    assert texts() == ["one"]
    path.write_text("text\none\ntwo\n")
    os.utime(path, ns=(NOW_NS, NOW_NS))
    assert texts() == ["one"]
    assert texts() == ["one", "two"]


@pytest.mark.parametrize(("quiet", "found"), [(-1, []), (0, [2])])
def test_a_file_that_was_quiet_is_whole_at_the_first_look(
    folder: Path, options: dict[str, Any], quiet: int, found: list[int]
) -> None:
    write(folder, "new.npy", 2)

    assert numbers(options, Index(), int(QUIET.total_seconds()) + quiet) == found


def test_what_a_look_saw_outlives_the_process(
    folder: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    write(folder, "new.npy", 2)
    for expected in ([], [2]):
        index = Index(tmp_path / "index", INDEX_KEY)
        assert numbers(options, index) == expected
        index.close()


def test_without_watching_a_young_file_is_whole(
    folder: Path, options: dict[str, Any]
) -> None:
    write(folder, "new.npy", 2)

    assert numbers({**options, "watch": False}, Index()) == [2]


def test_a_watch_yields_what_is_new(folder: Path, options: dict[str, Any]) -> None:
    index = Index()
    watch = SourceWatch(lambda: look(options, index))

    def seen() -> list[int]:
        return [n for _, raw in watch.look(2) for n in raw[:, 0].tolist()]

    assert seen() == []
    for number in range(3):
        write(folder, f"{number}.npy", number, LONG_AGO_NS)
    assert sorted(seen()) == [0, 1, 2]
    assert seen() == []
    write(folder, "again.npy", 1, LONG_AGO_NS)  # a copy is nothing new
    write(folder, "9.npy", 9)
    assert seen() == []
    assert seen() == [9]
    assert len(Pool(look(options, index))) == 4


def test_a_batch_that_was_not_taken_comes_again(
    folder: Path, options: dict[str, Any]
) -> None:
    index = Index()
    for number in range(3):
        write(folder, f"{number}.npy", number, LONG_AGO_NS)
    watch = SourceWatch(lambda: look(options, index))

    next(watch.look(1))  # and then whoever took it was interrupted

    assert len(list(watch.look(1))) == 3
