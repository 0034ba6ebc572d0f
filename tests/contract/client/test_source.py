"""The contract of a source of samples, run over every kind of data."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.client.places import INDEX_KEY, PLACES, Place, look, picture, put

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.source import SOURCES
from fedask.client.records.pool import DataSource, Pool
from fedask.common.errors import DataError
from fedask.common.ids import Uid

MEMORY = "memory"


NO_FILES = {"joined", "sealed"}  # kinds that are not readers of files


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = Index(tmp_path / "device.db.index", INDEX_KEY)
    yield made
    made.close()


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest) -> Place:
    return PLACES[request.param]


@pytest.fixture(params=[MEMORY, *sorted(PLACES)])
def source(request: pytest.FixtureRequest, tmp_path: Path, index: Index) -> DataSource:
    if request.param == MEMORY:
        return ArraySource(np.stack([picture(number) for number in range(6)]))
    options = put(PLACES[request.param], tmp_path / "data", range(6))
    return look(options, index)


def the_same(one: Any, other: Any) -> bool:  # noqa: ANN401
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))


def loaded(source: DataSource) -> dict[str, Any]:
    """Return everything a source holds, by uid."""
    uids = source.uids()
    raw = source.load(np.arange(len(uids)))
    return dict(zip(uids.tolist(), raw, strict=True))


def test_every_kind_has_a_place() -> None:
    kinds = {name.partition(" ")[0] for name in PLACES}
    assert set(SOURCES) - kinds == {"sealed"}  # which test_sealed_source reads


def test_every_sample_has_a_uid_of_its_own(source: DataSource) -> None:
    uids = source.uids()

    assert uids.dtype == np.dtype("<U32")
    assert len(set(uids.tolist())) == 6
    assert all(set(uid) <= set("0123456789abcdef") for uid in uids.tolist())
    assert all(len(uid) == 32 for uid in uids.tolist())


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [5, 0, 3], [2, 2, 4], [1]])
def test_rows_come_in_the_order_asked_for(source: DataSource, rows: list[int]) -> None:
    batch = source.load(np.array(rows))

    assert len(batch) == len(rows)
    for row, sample in zip(rows, batch, strict=True):
        assert the_same(sample, source.load(np.array([row]))[0])


def test_no_rows_are_an_empty_array_of_the_same_kind(source: DataSource) -> None:
    nothing, one = (source.load(np.arange(n)) for n in (0, 1))

    assert len(nothing) == 0
    assert nothing.shape[1:] == one.shape[1:]
    assert nothing.dtype.kind == one.dtype.kind


def test_a_batch_is_its_owners_to_change(source: DataSource) -> None:
    before = source.load(np.arange(6))
    batch = source.load(np.arange(6))
    batch[:] = np.zeros((), dtype=batch.dtype)

    assert the_same(source.load(np.arange(6)), before)


def test_a_pool_goes_over_all_of_it_in_batches(source: DataSource) -> None:
    pool = Pool(source)

    batches = list(pool.batches([Uid(source.uids()[4])], size=2, numbers=1 << 20))

    assert [len(raw) for _, raw in batches] == [2, 2, 1]
    uids = [uid for part, _ in batches for uid in part.tolist()]
    assert uids == np.delete(source.uids(), 4).tolist()
    raw = pool.load([Uid(uid) for uid in uids])
    assert the_same(raw[2:4], batches[1][1])


def test_nothing_is_broken_in_whole_data(source: DataSource) -> None:
    assert source.broken() == []


def test_what_was_written_is_loaded(place: Place, tmp_path: Path, index: Index) -> None:
    source = look(put(place, tmp_path / "data", range(6)), index)

    raw = source.load(np.arange(6))

    assert all(
        any(the_same(sample, place.sample(number)) for sample in raw)
        for number in range(6)
    )


def test_uids_are_those_of_the_content_whatever_the_names(
    place: Place, tmp_path: Path, index: Index
) -> None:
    before = loaded(look(put(place, tmp_path / "one", range(6)), index))
    numbers = [3, 5, 1, 0, 4, 2]
    options = put(place, tmp_path / "two", numbers, prefix="other")

    after = loaded(look(options, Index()))

    assert set(after) == set(before)
    assert all(the_same(after[uid], before[uid]) for uid in before)


def test_equal_samples_are_one(place: Place, tmp_path: Path, index: Index) -> None:
    source = look(put(place, tmp_path / "data", [0, 1, 2, 1, 1]), index)

    assert len(source.uids()) == 5
    assert len(Pool(source)) == 3


def test_a_second_look_finds_the_same_and_reads_no_sample(
    place: Place, tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = put(place, tmp_path / "data", range(6), broken=[2])
    first = look(options, index)
    index.close()
    again = Index(tmp_path / "device.db.index", INDEX_KEY)

    def read(*_: object) -> None:
        pytest.fail("a file was read")

    with monkeypatch.context() as patch:
        kept = [(n, m.partition(":")) for n, m in SOURCES.items() if n not in NO_FILES]
        for _, (module, _, name) in kept:
            reader = getattr(importlib.import_module(module), name)
            patch.setattr(reader, "scan", read)
        second = look(options, again)

    assert second.uids().tolist() == first.uids().tolist()
    assert len(second.broken()) >= 1
    assert len(loaded(second)) == 5
    again.close()


def test_what_is_broken_is_set_aside_and_the_rest_is_not(
    place: Place, tmp_path: Path, index: Index
) -> None:
    source = look(put(place, tmp_path / "data", range(6), broken=[2]), index)

    assert len(source.uids()) == 5
    name, reason = source.broken()[0]
    assert place.reason in reason
    assert name
    whole = [place.sample(number) for number in (0, 1, 3, 4, 5)]
    for sample in source.load(np.arange(5)):
        assert any(the_same(sample, one) for one in whole)


def test_what_was_mended_is_looked_at_again(
    place: Place, tmp_path: Path, index: Index
) -> None:
    put(place, tmp_path / "data", range(6), broken=[2])
    options = put(place, tmp_path / "data", range(6), broken=[2])
    assert len(look(options, index).uids()) == 5

    put(place, tmp_path / "data", range(6), age=1)
    source = look(options, index)

    assert len(source.uids()) == 6
    assert source.broken() == []


def test_what_was_broken_by_a_change_is_gone(
    place: Place, tmp_path: Path, index: Index
) -> None:
    options = put(place, tmp_path / "data", range(6))
    before = look(options, index).uids().tolist()

    put(place, tmp_path / "data", range(6), broken=[0], age=1)
    after = look(options, index)

    assert len(after.uids()) == 5
    assert set(after.uids().tolist()) < set(before)


def test_a_removed_sample_is_forgotten(
    place: Place, tmp_path: Path, index: Index
) -> None:
    options = put(place, tmp_path / "data", range(6), broken=[5])
    before = look(options, index).uids().tolist()

    put(place, tmp_path / "data", range(4), age=1)
    after = look(options, index)

    assert set(after.uids().tolist()) < set(before)
    assert len(after.uids()) == 4
    assert after.broken() == []


def test_content_that_changed_since_the_look_is_never_loaded(
    place: Place, tmp_path: Path, index: Index
) -> None:
    options = put(place, tmp_path / "data", [0, 1, 2])
    source = look(options, index)
    before = loaded(source)
    put(place, tmp_path / "data", [3, 4, 5])  # of the same age, and mostly size
    after = loaded(look(options, Index()))
    found: dict[str, Any] = {}

    for _ in range(9):  # one file is found out at a time
        try:
            found = loaded(source)
        except DataError as err:
            assert "changed since it was looked at" in str(err)  # noqa: PT017
            found = {}
        if found and set(found) == set(after):
            break
        # An array that is mapped may still be the old one.
        assert all(the_same(found[uid], before[uid]) for uid in found)
        source = look(options, index)

    assert found
    assert all(the_same(found[uid], after[uid]) for uid in after)


def test_data_without_a_whole_sample_is_refused(
    place: Place, tmp_path: Path, index: Index
) -> None:
    options = put(place, tmp_path / "data", [1, 2], broken=[1, 2])

    with pytest.raises(DataError, match="no sample"):
        look(options, index)
