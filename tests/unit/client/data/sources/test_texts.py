import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.places import look

from fedask.client.data.sources import texts
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.reader import MAX_BROKEN
from fedask.client.data.sources.rows import MAX_ROW_BYTES
from fedask.common.errors import DataError


def held(path: Path, **options: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the texts of a file, and what is broken in it."""
    source = look({"data": str(path), "kind": "texts", **options}, Index())
    raw = source.load(np.arange(len(source.uids()))).tolist()
    return raw, [(name, reason) for name, reason in source.broken()]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_texts_are_what_a_reader_of_csv_says(tmp_path: Path, end: str) -> None:
    rows = [
        "a,b",
        'x,"one, two"',
        'y,"says ""hi"""',
        "z,plain",
        "",
        f'q,"two{end}lines"',
    ]
    path = tmp_path / "t.csv"
    path.write_bytes((end.join(rows) + end).encode())

    assert held(path, column="b") == (
        ["one, two", 'says "hi"', "plain", f"two{end}lines"],
        [],
    )


def test_the_only_column_needs_no_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text\none\ntwo")

    assert held(tmp_path / "t.csv") == (["one", "two"], [])


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"a,b\n1,2\n", {}, "has 2 columns: say which with column="),
        (b"a,b\n1,2\n", {"column": "aa"}, "no column 'aa' (did you mean 'a'?)"),
        (b"a,b\n1,2\n", {"column": "a", "id": "z"}, "no column 'z'"),
        (b"a,a\n1,2\n", {"column": "a"}, "names each column once"),
        (b"", {}, "names each column once"),
        (b'"a\n1\n', {}, "no csv"),
        (b"\xff\n1\n", {}, "is not UTF-8"),
    ],
)
def test_a_file_without_the_column_is_refused(
    tmp_path: Path, content: bytes, options: dict[str, str], said: str
) -> None:
    (tmp_path / "t.csv").write_bytes(content)

    with pytest.raises(DataError) as caught:
        held(tmp_path / "t.csv", **options)
    assert said in str(caught.value)
    assert "t.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"2", "has 1 cells for 2 columns"),
        (b"2,x,y", "has 3 cells for 2 columns"),
        (b"2,", "holds no text"),
        (b"2,a\0b", "holds a NUL character"),
        (b"2,\xed\xa0\x80", "is not UTF-8"),
        (b'2,"a"b', "is no csv"),
        (b"2," + b"x" * (texts.MAX_CHARACTERS + 1), "characters, more than"),
        (b"2," + b"x" * 200_000, "is no csv: field larger"),
        (b"2," + b"x," * MAX_ROW_BYTES, f"longer than {MAX_ROW_BYTES} bytes"),
    ],
)
def test_a_broken_row_is_named_by_its_line(
    tmp_path: Path, row: bytes, said: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'n,text\n1,"a\nb"\n' + row + b"\n3,c\n4,d")

    good, broken = held(path, column="text")

    assert good == ["a\nb", "c", "d"]
    ((name, reason),) = broken
    assert name == "t.csv line 4"
    assert said in reason


def test_a_quote_that_is_never_closed_costs_the_rows_up_to_a_limit(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    lines = [f"{i},row number {i}\n" for i in range(20_000)]
    lines[5] = '5,"never closed\n'
    path.write_text("n,text\n" + "".join(lines))

    good, broken = held(path, column="text")

    assert good[:5] == [f"row number {i}" for i in range(5)]
    assert 10_000 < len(good) < 20_000
    assert good[-1] == "row number 19999"
    assert broken[0][0] == "t.csv line 7"


def test_jsonl_takes_strings_and_fields(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('"one"\n\n"tw\\u00f6"\n{"text": "three"}\n7')
    good, broken = held(path)
    assert good == ["one", "twö"]
    assert "has fields, as 'text': say which with column=" in broken[0][1]
    good, broken = held(path, column="text")
    assert good == ["three"]
    assert [name.rpartition(" ")[2] for name, _ in broken] == ["1", "3", "5"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[" * 100_000, "no JSON"),
        ('{"text": ' + "9" * 5000 + "}", "no JSON"),
        ('{"text": 9}', "no text"),
        ('{"text": "\\ud800"}', "not UTF-8"),
        ('{"text": "\\u0000"}', "NUL"),
        ('{"txt": "a"}', "no field 'text'"),
        ("x" * (MAX_ROW_BYTES + 5), "longer than"),
        ("nonsense", "no JSON"),
    ],
)
def test_a_broken_line_of_jsonl_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"text": "a"}) + f"\n{line}\n" + '{"text": "b"}')

    good, broken = held(path, column="text")

    assert good == ["a", "b"]
    ((name, reason),) = broken
    assert name == "t.jsonl line 2"
    assert said in reason


def test_equal_texts_have_one_uid_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "t.txt").write_text("naïve", encoding="utf-8")
    (tmp_path / "t.csv").write_text("text\nnaïve\n", encoding="utf-8")
    (tmp_path / "t.jsonl").write_text('"na\\u00efve"')

    sources = [
        look({"data": str(tmp_path / name), "kind": kind}, Index())
        for name, kind in (("a", "documents"), ("t.csv", "texts"), ("t.jsonl", "texts"))
    ]

    assert len({source.uids()[0] for source in sources}) == 1


def test_of_very_many_broken_rows_some_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("n,text\n1,good\n" + "2\n" * (MAX_BROKEN + 50))

    _, broken = held(path, column="text")

    assert len(broken) == MAX_BROKEN + 1
    assert broken[-1] == ("t.csv", "and 50 more like these")


def test_places_are_told_apart_by_bytes_not_characters(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text\n" + "".join(f"{'ü' * i}{i}\n" for i in range(50)))
    source = look({"data": str(path), "kind": "texts"}, Index())

    rows = np.random.default_rng(0).permutation(50)

    assert source.load(rows).tolist() == [f"{'ü' * i}{i}" for i in rows.tolist()]
