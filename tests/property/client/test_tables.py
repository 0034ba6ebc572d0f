"""One table gives the same samples, however it is stored."""

import csv
import gzip
import importlib
import json
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.client.places import look

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import NoSamplesError

pa: Any = importlib.import_module("pyarrow")
pq: Any = importlib.import_module("pyarrow.parquet")

Table = dict[str, list[Any]]

CELLS = {
    "int": st.integers(-(2**40), 2**40) | st.integers(-3, 3),
    "float": st.floats(width=64, allow_nan=False) | st.sampled_from([0.1, -0.0, 1e39]),
    "bool": st.booleans(),
    # What csv cannot tell from a number is none here.
    "text": st.text("äß ,;\t\"'|\n", max_size=4).map(lambda text: f"t{text}."),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, list[str]]:
    """Draw a table, and the names of its columns of numbers; the first is a number."""
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4))
    rows = draw(st.integers(1, 12))
    table: Table = {}
    for at, kind in enumerate(["int", *kinds]):
        column = draw(st.lists(CELLS[kind], min_size=rows, max_size=rows))
        if draw(st.booleans()) and rows > 1:  # a cell without a value
            column[draw(st.integers(1, rows - 1))] = None
        table[f"{kind} {at}"] = column
    return table, [name for name in table if not name.startswith("text")]


def to_csv(path: Path, table: Table, delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["", *table], *enumerated(table)])


def enumerated(table: Table) -> list[list[Any]]:
    """Return the rows behind an index, as pandas writes one without a name."""
    return [[at, *row] for at, row in enumerate(zip(*table.values(), strict=True))]


def objects(table: Table) -> list[dict[str, Any]]:
    return [
        dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)
    ]


def to_lines(path: Path, table: Table) -> None:
    path.write_text("\n".join(map(json.dumps, objects(table))))


def to_list(path: Path, table: Table) -> None:
    path.write_text(json.dumps(objects(table), indent=1))


def to_packed(path: Path, table: Table) -> None:
    to_lines(path, table)
    path.write_bytes(gzip.compress(path.read_bytes()))


def to_parquet(path: Path, table: Table) -> None:
    index = {"__index_level_0__": range(len(next(iter(table.values()))))}
    pq.write_table(pa.table({**table, **index}), path, row_group_size=5)


def to_sqlite(path: Path, table: Table) -> None:
    columns = ", ".join(f'"{name}"' for name in table)
    marks = ", ".join("?" * (len(table) + 1))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"CREATE TABLE t (key INTEGER PRIMARY KEY, {columns})")
        db.executemany(f"INSERT INTO t VALUES ({marks})", enumerated(table))  # noqa: S608  (ours)


WRITERS: dict[str, Callable[[Path, Table], None]] = {
    "t.csv": to_csv,
    "semicolons.csv": lambda path, table: to_csv(path, table, ";"),
    "t.tsv": lambda path, table: to_csv(path, table, "\t"),
    "t.jsonl": to_lines,
    "t.json": to_list,
    "t.jsonl.gz": to_packed,
    "t.parquet": to_parquet,
    "t.db": to_sqlite,
}


def samples(path: Path, **options: str) -> tuple[dict[str, Any], list[str]]:
    """Return what a file holds by uid, and why rows are set aside, in order."""
    try:
        source = look({"data": str(path), **options}, Index())
    except NoSamplesError:
        return {}, []
    raw = source.load(np.arange(len(source.uids()))).tolist()
    reasons = [reason.partition(" in column")[0] for _, reason in source.broken()]
    return dict(zip(source.uids().tolist(), raw, strict=True)), reasons


@settings(deadline=None, max_examples=40)  # each writes and reads eight files
@given(drawn=tables())
def test_a_table_of_numbers_is_the_same_in_every_format(
    drawn: tuple[Table, list[str]],
) -> None:
    table, names = drawn
    query = ", ".join(f'"{name}"' for name in names)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, write in WRITERS.items():
            write(Path(folder) / name, table)
            options = {"kind": "windows"} if "json" in name else {}
            if name == "t.db":
                options = {"query": f"SELECT key, {query} FROM t"}  # noqa: S608  (ours)
            found[name] = samples(Path(folder) / name, **options)

    for name, (held, reasons) in found.items():
        assert held == found["t.csv"][0], name
        assert reasons == found["t.csv"][1], name


@settings(deadline=None, max_examples=40)  # each writes and reads eight files
@given(texts=st.lists(CELLS["text"] | st.none(), min_size=1, max_size=9))
def test_a_table_of_texts_is_the_same_in_every_format(texts: list[str | None]) -> None:
    table: Table = {"n": list(range(len(texts))), "text": texts}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, write in WRITERS.items():
            write(Path(folder) / name, table)
            options = {"column": "text"}
            if name == "t.db":
                options = {"query": "SELECT key, text FROM t"}
            found[name] = samples(Path(folder) / name, **options)

    for name, (held, _) in found.items():
        assert held == found["t.csv"][0], name
    assert set(found["t.csv"][0].values()) == {text for text in texts if text}
