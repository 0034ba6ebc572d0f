import json
from dataclasses import replace

import pytest

from fedask.common.errors import ProtocolError
from fedask.common.manifest import (
    MAX_BYTES,
    ArrayEntry,
    ArrayKind,
    Manifest,
)


def entry(name: str = "w", **changes: object) -> ArrayEntry:
    plain = ArrayEntry(
        name=name, shape=(2, 3), dtype="float32", kind=ArrayKind.PARAMETER
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


MANIFEST = Manifest(
    (
        entry("embed.weight", aliases=("head.weight",)),
        entry("norm.running_var", kind=ArrayKind.STATISTIC, dtype="float64"),
        entry("norm.steps", kind=ArrayKind.COUNTER, dtype="int64", shape=()),
        entry("mask", kind=ArrayKind.CONSTANT, dtype="bool"),
    )
)


def test_it_comes_back_from_the_wire_as_it_was() -> None:
    data = MANIFEST.to_bytes()
    again = Manifest.from_bytes(data)
    assert again == MANIFEST
    assert again.digest == MANIFEST.digest
    assert len(MANIFEST.digest) == 32


def test_its_hash_follows_from_every_field() -> None:
    others = [
        replace(MANIFEST.entries[0], name="x"),
        replace(MANIFEST.entries[0], shape=(3, 2)),
        replace(MANIFEST.entries[0], dtype="float16"),
        replace(MANIFEST.entries[0], kind=ArrayKind.CONSTANT),
        replace(MANIFEST.entries[0], aliases=()),
    ]
    digests = {Manifest((each, *MANIFEST.entries[1:])).digest for each in others}
    assert len({MANIFEST.digest, *digests}) == 6


def test_only_parameters_are_trained_and_names_go_by_kind() -> None:
    assert [each.trained for each in MANIFEST.entries] == [True, False, False, False]
    assert MANIFEST.names(ArrayKind.COUNTER, ArrayKind.CONSTANT) == (
        "norm.steps",
        "mask",
    )


def test_aliases_stand_beside_the_first_name() -> None:
    arrays = {each.name: each.name.upper() for each in MANIFEST.entries}
    whole = MANIFEST.with_aliases(arrays)
    assert list(whole)[:2] == ["embed.weight", "head.weight"]
    assert whole["head.weight"] == "EMBED.WEIGHT"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"name": ""}, "the name ''"),
        ({"name": "n" * 513}, "1 to 512 characters"),
        ({"aliases": ("",)}, "the name ''"),
        ({"shape": (-1,)}, "the shape"),
        ({"shape": (1.0,)}, "the shape"),
        ({"shape": (True,)}, "the shape"),
        ({"shape": (1,) * 17}, "at most 16"),
        ({"dtype": "object"}, "dtype 'object'"),
        ({"dtype": "int64"}, "parameter of dtype"),
        ({"kind": ArrayKind.COUNTER}, "counter of dtype"),
    ],
)
def test_an_entry_that_is_none_is_refused(change: dict[str, object], part: str) -> None:
    with pytest.raises(ProtocolError, match=part):
        entry(**{"name": "w", **change})  # type: ignore[arg-type]


def test_names_that_repeat_and_models_without_end_are_refused() -> None:
    with pytest.raises(ProtocolError, match="comes twice"):
        Manifest((entry("a"), entry("b", aliases=("a",))))
    with pytest.raises(ProtocolError, match="a model of more than"):
        Manifest((entry(shape=(2**20, 2**20)),))
    with pytest.raises(ProtocolError, match="at most 65536"):
        Manifest((entry(),) * 65_537)


def rows(**changes: object) -> bytes:
    """The encoding of one entry, with changes of the outer table."""
    table = {"v": 1, "arrays": [["w", "float32", [2], "parameter", []]], **changes}
    return json.dumps(table, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        rows(v=2),
        rows(v=True),
        rows(extra=1),
        rows(arrays=None),
        rows(arrays=[["w", "float32", [2], "parameter"]]),
        rows(arrays=[["w", "float32", [2], "weight", []]]),
        rows(arrays=[["w", "float32", [2.0], "parameter", []]]),
        rows(arrays=[["w", "float32", 2, "parameter", []]]),
        rows(arrays=[["w", "float32", [2], "parameter", "ab"]]),
        rows(arrays=[["w", ["float32"], [2], "parameter", []]]),
        rows(arrays=[[7, "float32", [2], "parameter", []]]),
        rows(arrays=[["w", "float32", [2], "parameter", [["v"]]]]),
        rows().replace(b'"v":1', b'"v":1,"v":1'),
        rows().replace(b",", b", "),
        b" " * (MAX_BYTES + 1),
    ],
)
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    assert Manifest.from_bytes(rows()).names(ArrayKind.PARAMETER) == ("w",)
    with pytest.raises(ProtocolError, match="manifest"):
        Manifest.from_bytes(data)
