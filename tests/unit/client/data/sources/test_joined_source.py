from pathlib import Path

import numpy as np
import pytest
from tests.support.client.places import PLACES, look, put

from fedask.client.data.sources.index import Index
from fedask.client.records.pool import Pool
from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import Uid

HEAD = '[a]\ndata = "a.csv"\nid = "k"\n'


def toml(folder: Path, a: str, b: str, head: str = HEAD) -> dict[str, str]:
    (folder / "a.csv").write_text("k,x\n" + a)
    (folder / "b.csv").write_text("key,text\n" + b)
    path = folder / "ward.toml"
    path.write_text(head + '[b]\ndata = "b.csv"\nid = "key"\ncolumn = "text"\n')
    return {"data": str(path)}


def test_parts_are_matched_by_key_whatever_their_order(tmp_path: Path) -> None:
    options = toml(tmp_path, "p,1\nq,2\nr,3\n", "r,three\np,one\nq,two\n")

    raw = look(options, Index()).load(np.array([2, 0]))

    assert raw["a"].tolist() == [[3.0], [1.0]]
    assert raw["b"].tolist() == ["three", "one"]


def test_what_lacks_a_part_or_has_two_is_set_aside(tmp_path: Path) -> None:
    options = toml(tmp_path, "p,1\nq,2\nq,5\nr,3\n", "p,one\nq,two\ns,four\n")

    source = look(options, Index())

    assert source.load(np.arange(1))["b"].tolist() == ["one"]
    assert len(source.uids()) == 1
    alone, twice = (
        "without a partner in each other part",
        "each under a name that another has, too",
    )
    assert source.broken() == [
        ("a: 1 samples", alone),
        ("a: 2 samples", twice),
        ("b: 2 samples", alone),
    ]


def test_the_same_part_beside_another_is_another_sample(tmp_path: Path) -> None:
    options = toml(tmp_path, "p,1\nq,1\nr,1\n", "p,one\nq,two\nr,one\n")

    source = look(options, Index())

    assert len(set(source.uids().tolist())) == 2
    assert len(Pool(source)) == 2


def test_the_order_of_the_parts_does_not_matter(tmp_path: Path) -> None:
    one = look(toml(tmp_path, "p,1\n", "p,one\n"), Index())
    path = tmp_path / "ward.toml"
    text = path.read_text()
    cut = text.index("[b]")
    path.write_text(text[cut:] + text[:cut])

    two = look({"data": str(path)}, Index())

    assert one.uids().tolist() == two.uids().tolist()
    assert two.load(np.arange(1)).dtype.names == ("a", "b")


def test_batches_count_the_numbers_of_all_parts(tmp_path: Path) -> None:
    options = put(PLACES["joined"], tmp_path / "data", range(100))
    pool = Pool(look(options, Index()))

    sizes = [len(raw) for _, raw in pool.batches([Uid("0" * 32)], 100, numbers=1000)]

    # 60 pixels, 3 readings and some 30 characters each: ten in a batch, not a hundred.
    assert sizes[0] == 64
    assert set(sizes[1:-1]) <= {10, 11}


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("x = ", ConfigError, "no TOML"),
        ("", ConfigError, "at least two parts"),
        (HEAD, ConfigError, "at least two parts"),
        (HEAD + "[b]\nx = 1\n", ConfigError, r"\[b\] has no data"),
        (
            HEAD + '[b]\ndata = "a.csv"\nid = "k"\ncolum = "x"',
            ConfigError,
            "b.columns",
        ),
        (HEAD + '["a b"]\ndata = "a.csv"\n', ConfigError, "'a b' is no name"),
        (HEAD + '[b]\ndata = "b.toml"\n', ConfigError, "cannot be joined itself"),
        (HEAD + '[b]\ndata = "gone.csv"\n', DataError, "gone.csv"),
        (HEAD + '[b]\ndata = "a.csv"\nid = 3\n', ConfigError, "of type str"),
        ("\0" * 100_000, DataError, "more than"),
    ],
)
def test_a_wrong_file_is_refused(
    tmp_path: Path, text: str, error: type[Exception], said: str
) -> None:
    (tmp_path / "a.csv").write_text("k,x\np,1\n")
    path = tmp_path / "ward.toml"
    path.write_text(text)

    with pytest.raises(error, match=said):
        look({"data": str(path)}, Index())


def test_parts_that_never_meet_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no sample has all its parts: a, b"):
        look(toml(tmp_path, "p,1\n", "q,one\n"), Index())
