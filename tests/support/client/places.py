"""Places that hold samples, one per kind of data: real files with known content.

Each writer puts samples by number, so that a test says what a place holds, changes it,
and knows what should be loaded from it.
"""

import csv
import gzip
import importlib
import json
import os
import sqlite3
import wave
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import IndexedSource, ScanContext
from fedask.client.data.sources.joined_source import JoinedSource
from fedask.client.data.sources.source import open_source
from fedask.common.seal import new_key

INDEX_KEY = new_key()  # of the indexes that one test opens twice
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO_NS = 10**18  # in 2001

# Numbers of samples, and those of them to be written damaged.
Write = Callable[[Path, Sequence[int], Sequence[int], str], dict[str, Any]]


@dataclass(frozen=True)
class Place:
    """A kind of data.

    Parameters
    ----------
    write
        Folder, numbers, damaged numbers and a prefix for names -> options.
    sample
        Number -> what should be loaded.
    reason
        What is said of a damaged one.
    """

    write: Write
    sample: Callable[[int], Any]
    reason: str


def put(
    place: Place,
    folder: Path,
    numbers: Sequence[int],
    *,
    broken: Sequence[int] = (),
    prefix: str = "a",
    age: int = 0,
) -> dict[str, Any]:
    """Write samples instead of what the folder held; later times for larger ages."""
    folder.mkdir(exist_ok=True)
    for old in sorted(folder.rglob("*"), reverse=True):
        old.unlink() if old.is_file() else old.rmdir()
    options = place.write(folder, numbers, broken, prefix)
    for path in folder.rglob("*"):
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS + age * 1000))
    return options


def look(
    options: dict[str, Any], index: Index, now: datetime = NOW
) -> IndexedSource | JoinedSource:
    source = open_source(options, ScanContext(index=index, now=now))
    assert isinstance(source, (IndexedSource, JoinedSource))
    return source


def picture(number: int) -> np.ndarray[Any, Any]:
    """Return (3, 4, 5) uint8, different for every number."""
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (3, 4, 5), dtype=np.uint8)


def text(number: int) -> str:
    return f'Grüße, "{number}"\nzum {number}. Mal'


def readings(number: int) -> np.ndarray[Any, Any]:
    return np.array([number, number / 3, -1.5], dtype=np.float32)


def steps(number: int) -> np.ndarray[Any, Any]:
    return np.stack([readings(number), readings(number + 100)])


def sound(number: int) -> np.ndarray[Any, Any]:
    """Return (50,) float32 of 16 bits, the last ten of silence."""
    frames = np.zeros(50, dtype=np.float32)
    frames[:40] = np.random.default_rng(number).integers(-(2**15), 2**15, 40) / 2**15
    return frames


def _array(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    rows = np.stack([readings(number) for number in numbers])
    rows[[number in broken for number in numbers], 1] = np.nan
    np.save(folder / f"{prefix}.npy", rows)
    return {"data": str(folder / f"{prefix}.npy")}


def _archive(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    _array(folder, numbers, broken, prefix)
    rows = np.load(folder / f"{prefix}.npy")
    np.savez_compressed(folder / f"{prefix}.npz", x=rows, y=np.zeros(3))
    return {"data": str(folder / f"{prefix}.npz")}


def _files(suffix: str, encode: Callable[[Path, int], None]) -> Write:
    def write(
        folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
    ) -> dict[str, Any]:
        for at, number in enumerate(numbers):
            path = folder / f"{prefix}{at}{suffix}"
            encode(path, number)
            if number in broken:
                content = path.read_bytes()
                path.write_bytes(content[: -len(content) // 4])
        (folder / "README.md").write_text("what this is")
        return {"data": str(folder)}

    return write


def _png(path: Path, number: int) -> None:
    Image.fromarray(picture(number).transpose(1, 2, 0)).save(path)


def _ppm(path: Path, number: int) -> None:
    pixels = picture(number).transpose(1, 2, 0).tobytes()
    path.write_bytes(b"P6 # a comment\n5 4\n255\n" + pixels)


def _npy(path: Path, number: int) -> None:
    np.save(path, picture(number))


def _wav(path: Path, number: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((sound(number)[:40] * 2**15).astype("<i2").tobytes())


def _sounds(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    return {**_files(".wav", _wav)(folder, numbers, broken, prefix), "frames": 50}


def _documents(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    for at, number in enumerate(numbers):
        content = text(number).encode() + b"\xff" * (number in broken)
        (folder / f"{prefix}{at}.txt").write_bytes(content)
    return {"data": str(folder)}


def _csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([header, *rows])


def _text_csv(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    path = folder / f"{prefix}.csv"
    _csv(path, ["id", "note"], [[number, text(number)] for number in numbers])
    content = path.read_bytes()
    for number in broken:
        content = content.replace(f'"{number}"'.encode(), b'"\xff"')
    path.write_bytes(content)
    return {"data": str(path), "column": "note"}


def _text_jsonl(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    lines = [json.dumps({"note": text(number), "id": number}) for number in numbers]
    bad = [n in broken for n in numbers]
    lines = [line[:-1] if b else line for line, b in zip(lines, bad, strict=True)]
    (folder / f"{prefix}.jsonl").write_text("\n".join(lines))
    return {"data": str(folder), "column": "note"}


def _text_list(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    rows = [
        {"id": number, "note": None if number in broken else text(number)}
        for number in numbers
    ]
    (folder / f"{prefix}.json").write_text(json.dumps(rows, indent=1))
    return {"data": str(folder), "column": "note"}


def _text_packed(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    options = _text_csv(folder, numbers, broken, prefix)
    path = folder / f"{prefix}.csv"
    packed = gzip.compress(path.read_bytes(), mtime=0)
    path.unlink()
    (folder / f"{prefix}.csv.gz").write_bytes(packed)
    return {**options, "data": str(folder)}


def _tabs(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    options = _windows(folder, numbers, broken, prefix)
    path = folder / f"{prefix}.csv"
    content = path.read_text(encoding="utf-8-sig").replace(",", "\t")
    path.unlink()
    (folder / f"{prefix}.tsv").write_text(content, encoding="utf-16")
    return options


def _windows(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    rows = [readings(number).tolist() for number in numbers]
    rows = [
        [*row[:2], "nan"] if number in broken else row
        for number, row in zip(numbers, rows, strict=True)
    ]
    _csv(folder / f"{prefix}.csv", ["x", "y", "z"], rows)
    return {"data": str(folder)}


def _steps(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    rows: list[list[Any]] = []
    for at, number in enumerate(numbers):
        rows += [[f"w{at}", *row.tolist()] for row in steps(number)]
        if number in broken:
            rows[-1][2] = "?"
    _csv(folder / f"{prefix}.csv", ["window", "x", "y", "z"], rows)
    return {"data": str(folder / f"{prefix}.csv"), "window": "window"}


def _table(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    path = folder / f"{prefix}.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE reading (id INTEGER PRIMARY KEY, x, y, z)")
        for at, number in enumerate(numbers):
            x, y, z = readings(number).tolist()
            row = (7 + at, x, None if number in broken else y, z)
            db.execute("INSERT INTO reading VALUES (?, ?, ?, ?)", row)
    return {"data": str(path), "query": "SELECT id, x, y, z FROM reading ORDER BY id;"}


def _text_table(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    path = folder / f"{prefix}.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, words)")
        for at, number in enumerate(numbers):
            words = b"\0\1" if number in broken else text(number)
            db.execute("INSERT INTO note VALUES (?, ?)", (at, words))
    return {"data": str(path), "query": "SELECT id AS 'a \"key\"', words FROM note"}


def _parquet(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    pyarrow = importlib.import_module("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    rows = np.stack([readings(number) for number in numbers])
    rows[[number in broken for number in numbers], 1] = np.nan
    table = pyarrow.table({"x": rows[:, 0], "y": rows[:, 1], "z": rows[:, 2]})
    parquet.write_table(table, folder / f"{prefix}.parquet", row_group_size=2)
    return {"data": str(folder)}


def _text_parquet(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    pyarrow = importlib.import_module("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    texts = [None if number in broken else text(number) for number in numbers]
    table = pyarrow.table({"note": texts, "n": list(numbers)})
    parquet.write_table(table, folder / f"{prefix}.parquet", row_group_size=4)
    return {"data": str(folder), "column": "note"}


FIELDS = [("image", np.uint8, (3, 4, 5)), ("note", "<U40"), ("sensor", "<f4", (3,))]


def record(number: int) -> Any:  # noqa: ANN401
    """Return a structured scalar."""
    made = np.zeros((), dtype=FIELDS)
    made["image"], made["note"] = picture(number), text(number)
    made["sensor"] = readings(number)
    return made[()]


def _joined(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    (folder / "scans").mkdir()
    _files(".png", _png)(folder / "scans", numbers, broken, prefix)
    names = [f"{prefix}{at}" for at in range(len(numbers))]
    lines = [
        json.dumps({"note": text(number), "id": name})
        for name, number in zip(names, numbers, strict=True)
    ]
    (folder / "notes.jsonl").write_text("\n".join(reversed(lines)))
    rows = [
        [name, *readings(number).tolist()]
        for name, number in zip(names, numbers, strict=True)
    ]
    _csv(folder / "sensor.csv", ["id", "x", "y", "z"], rows[::2] + rows[1::2])
    (folder / f"{prefix}.toml").write_text(
        '[sensor]\ndata = "sensor.csv"\nid = "id"\n[image]\ndata = "scans"\n'
        '[note]\ndata = "notes.jsonl"\ncolumn = "note"\nid = "id"\n'
    )
    return {"data": str(folder / f"{prefix}.toml")}


def _watched(
    folder: Path, numbers: Sequence[int], broken: Sequence[int], prefix: str
) -> dict[str, Any]:
    return {**_sounds(folder, numbers, broken, prefix), "watch": True}


# By kind, then what else varies.
PLACES = {
    "array": Place(_array, readings, "NaN or infinity"),
    "array npz": Place(_archive, readings, "NaN or infinity"),
    "images": Place(_files(".png", _png), picture, "no image that can be decoded"),
    "images ppm": Place(_files(".ppm", _ppm), picture, "cut short"),
    "images npy": Place(_files(".npy", _npy), picture, "bytes for (3, 4, 5)"),
    "sounds": Place(_sounds, sound, "cut short"),
    "sounds watched": Place(_watched, sound, "cut short"),
    "documents": Place(_documents, text, "not UTF-8"),
    "texts": Place(_text_csv, text, "not UTF-8"),
    "texts list": Place(_text_list, text, "holds no text"),
    "texts packed": Place(_text_packed, text, "not UTF-8"),
    "texts jsonl": Place(_text_jsonl, text, "no JSON"),
    "windows": Place(_windows, readings, "NaN or infinity"),
    "windows tabs": Place(_tabs, readings, "NaN or infinity"),
    "windows of steps": Place(_steps, steps, "no number"),
    "table": Place(_table, readings, "holds nothing in column"),
    "table of texts": Place(_text_table, text, "bytes, not a number"),
    "parquet": Place(_parquet, readings, "NaN or infinity"),
    "parquet of texts": Place(_text_parquet, text, "holds no text"),
    "joined": Place(_joined, record, "no image that can be decoded"),
}
