import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.places import look

from fedask.client.data.sources.index import Index
from fedask.client.data.sources.reader import MAX_BROKEN, MAX_CHARACTERS
from fedask.client.data.sources.rows import MAX_ROW_BYTES
from fedask.client.records.original import ONLY
from fedask.common.errors import ConfigError, DataError


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
        (b"a,a\n1,2\n", {"column": "a"}, "has 2 columns 'a'"),
        (b"a,b,b\n1,2,3\n", {"column": "a", "id": "b"}, "has 2 columns 'b'"),
        (b"", {}, "has no header: it is empty"),
        (b'"a\n1\n', {}, "no csv"),
        ("a,b\n1,2\n".encode("utf-16-le"), {}, "if it is UTF-16, set encoding"),
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
        (b"2,r\xedo", "character 2 is byte 0xED"),
        (b'2,"a"b', "is no csv"),
        (b"2, \xe2\x80\x8b\xc2\xa0\t", "holds nothing but blanks"),
        (b'2,"\n\xef\xb8\x8f\xe3\x85\xa4"', "holds nothing but blanks"),
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
    lines = [f"{i},row number {i}\n" for i in range(80_000)]
    lines[5] = '5,"never closed\n'
    path.write_text("n,text\n" + "".join(lines))

    good, broken = held(path, column="text")

    assert good[:5] == [f"row number {i}" for i in range(5)]
    assert 20_000 < len(good) < 80_000
    assert good[-1] == "row number 79999"
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


def test_a_long_text_is_cut_for_the_model_and_whole_for_people(tmp_path: Path) -> None:
    long = "Größe, " * 20_000  # more than a cell of csv has by default
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "t.txt").write_text(long + "a")
    (tmp_path / "t.csv").write_text(f'id,text\n1,"{long}a"\n2,"{long}b"\n')

    table = look({"data": str(tmp_path / "t.csv"), "column": "text"}, Index())
    document = look({"data": str(tmp_path / "a")}, Index())

    # Told apart by what the model does not see, too.
    assert len(set(table.uids().tolist())) == 2
    assert table.uids()[0] == document.uids()[0]
    assert table.load(np.arange(2)).tolist() == [long[:MAX_CHARACTERS]] * 2
    for source, row, end in ((table, 1, "b"), (table, 0, "a"), (document, 0, "a")):
        original = source.originals(row, 0)[ONLY]
        assert original.content == long + end
        assert original.model_reads == MAX_CHARACTERS
    assert document.load(np.arange(1)).tolist() == [long[:MAX_CHARACTERS]]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("t.csv", "id;text\n1;Größe, in cm\n2;zwei\n", {"column": "text"}),
        ("t.csv", "sep=|\nid|text\n1|Größe, in cm\n2|zwei\n", {"column": "text"}),
        ("t.tsv", "id\ttext\n1\tGröße, in cm\n2\tzwei\n", {"column": "text"}),
        ("t.csv", ',text,a,a\n0,"Größe, in cm",1,2\n1,zwei,,\n', {"column": "text"}),
        ("t.csv", ',text\n0,"Größe, in cm"\n1,zwei\n', {}),
        ("t.csv", 'id,"the\r\n text"\r\n1,"Größe, in cm"\r\n2,zwei\r\n',
         {"column": "the\n text"}),
        ("t.csv", "\n\nid:text\n1:Größe, in cm\n2:zwei\n",
         {"column": "text", "delimiter": ":"}),
        ("t.json", '[{"text": "Größe, in cm"}\n , {"text": "zwei", "a": [1, {}]}]',
         {"column": "text"}),
        ("t.json", '["Gr\\u00f6\\u00dfe, in cm", "zwei"]', {}),
        ("t.json", '{"text": "Größe, in cm"}\n{"text": "zwei"}\n', {"column": "text"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "gzip"])
def test_texts_are_read_however_they_are_written(
    tmp_path: Path, name: str, content: str, options: dict[str, str], form: str
) -> None:
    encoding = "utf-8" if form == "gzip" else form
    data = content.encode(encoding)
    if form == "gzip":
        name, data = name + ".gz", gzip.compress(data[:9]) + gzip.compress(data[9:])
    if form == "cp1252":
        options = {**options, "encoding": form}
    (tmp_path / name).write_bytes(data)

    assert held(tmp_path / name, **options) == (["Größe, in cm", "zwei"], [])


def test_a_text_in_another_encoding_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("id,text\n1,gut\n2,Größe\n".encode("cp1252"))

    good, broken = held(path, column="text")

    assert good == ["gut"]
    ((name, reason),) = broken
    assert name == "t.csv line 3"
    assert reason.startswith("is not UTF-8 in column 'text'; set encoding in [data]")
    assert 'such as encoding = "cp1252": character 3 is byte 0xF6' in reason
    assert held(path, column="text", encoding="cp1252")[0] == ["gut", "Größe"]


def test_a_byte_that_the_named_encoding_lacks_breaks_its_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"text\ngut\nschl\x81cht\n")

    good, broken = held(path, encoding="cp1252")

    assert good == ["gut"]
    assert "is not CP1252" in broken[0][1]
    assert "character 5 is byte 0x81" in broken[0][1]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (
            "t.csv",
            {"encoding": "latin-99"},
            "encoding = 'latin-99': must be an encoding",
        ),
        ("t.csv", {"encoding": "base64"}, "encoding = 'base64': must be an encoding"),
        ("t.csv", {"delimiter": ", "}, "delimiter = ', ': must be one character"),
        ("t.csv", {"delimiter": '"'}, "must be one character, no quote"),
    ],
)
def test_wrong_options_of_texts_are_refused(
    tmp_path: Path, name: str, options: dict[str, str], said: str
) -> None:
    (tmp_path / name).write_text("text\na\n")

    with pytest.raises(ConfigError, match=said):
        held(tmp_path / name, **options)


def test_lists_in_json_are_read_to_what_breaks_them(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    items = [f'{{"text": "{i}{"x" * i}"}}' for i in range(500)]
    items[7] = '{"text": "a", "text": "b"}'
    items[8] = "null"
    path.write_text("[" + ",\n".join(items) + ", nonsense]")

    good, broken = held(path, column="text")

    assert good == [f"{i}{'x' * i}" for i in range(500) if i not in {7, 8}]
    assert broken[0] == ("t.json item 8", "has two fields 'text'")
    assert broken[1] == ("t.json item 9", "holds null")
    assert "is no JSON from byte" in broken[2][1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"data": [{"text": "a"}]\n}', "is one object in JSON, not a list"),
        ("7", "is neither a list in JSON"),
        ("", "is neither a list in JSON"),
        ("[]", "holds no sample"),
        ('["a"', "is no JSON"),
        ('["a"] ["b"]', "has more after its list"),
        ('["' + "x" * 3_000_000 + '"]', "an item has more than"),
    ],
)
def test_json_that_is_no_list_is_refused(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "t.json"
    path.write_text(content)

    try:
        reason = held(path)[1][0][1]
    except DataError as err:
        reason = str(err)
    assert said in reason


def test_what_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedask.client.data.sources.text_file.MAX_UNPACKED_BYTES", 999)
    for name, data in (
        ("bomb.csv.gz", gzip.compress(b"text\n" + b"a\n" * 600)),
        ("cut.csv.gz", gzip.compress(b"text\nlonger\n")[:-9]),
        ("good.csv.gz", gzip.compress(b"text\ngood\n")),
        ("wide.csv", ("text\n" + "ü" * 600).encode("utf-16")),
    ):
        (tmp_path / name).write_bytes(data)

    good, broken = held(tmp_path)

    assert good == ["good"]
    assert [name for name, _ in broken] == ["bomb.csv.gz", "cut.csv.gz", "wide.csv"]
    assert "has more than 999 bytes in memory: unpack it" in broken[0][1]
    assert "cannot be unpacked" in broken[1][1]
    assert "convert it to UTF-8" in broken[2][1]
