"""What `init` writes about data that it has looked at."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from tests.support.client.places import look

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.proposal import proposed

CSV = {
    "id,a,text\n1,2,the lamp in ward 3 is out\n2,3,nobody answers it\n": "text",
    "name;note\nann;the lamp in ward 3 is broken\nbob;nobody answers\n": "note",
    "name;x;y\nann;1;2\nbob;3;4\n": "",
    ",x\n0,1\n1,2\n": "",
    "word\nlamp\nbell\n": "word",
}


@pytest.mark.parametrize(("content", "column"), list(CSV.items()))
def test_csv_is_texts_where_there_are_some(
    tmp_path: Path, content: str, column: str
) -> None:
    (tmp_path / "a.csv").write_text(content)

    options = proposed(tmp_path)

    texts = {"kind": "texts", "column": column}
    assert options == (texts if column else {"kind": "windows"})
    source = look({"data": str(tmp_path), **options}, Index())
    assert len(source.uids()) == 2
    assert proposed(tmp_path, "windows") == {"kind": "windows"}


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.json", '["one", "two"]', {"kind": "texts"}),
        ("a.json", '[{"x": 1}, {"x": 2}]', {"kind": "windows"}),
        ("a.jsonl", '{"x": 1, "t": "one"}\n{"t": "two"}', {"kind": "windows"}),
        ("a.jsonl", '{"t": "one"}\n{"t": "two"}', {"kind": "texts", "column": "t"}),
        ("a.tsv", "x\ty\n1\t2\n", {"kind": "windows"}),
        ("a.json", "{}", {"kind": "texts"}),
    ],
)
def test_the_same_for_json_and_tabs(
    tmp_path: Path, name: str, content: str, options: dict[str, str]
) -> None:
    (tmp_path / name).write_text(content)

    assert proposed(tmp_path) == options


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ({"x": [1.0], "t": ["one"]}, {"kind": "parquet"}),
        ({"x": [1.0], "t": ["a sentence of many words"]}, {"column": "t"}),
        ({"t": ["one"], "u": ["three"]}, {"column": "u"}),
        ({"when": [b"x"]}, {}),
    ],
)
def test_the_same_for_parquet(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, str]
) -> None:
    pyarrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")

    assert proposed(tmp_path) == {"kind": "parquet", **options}
