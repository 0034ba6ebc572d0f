"""What keeps the parts of models, in memory and in a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.client.records.part_store import PartStore
from fedask.client.store.memory.parts import MemoryParts
from fedask.client.store.part_folder import PartFolder
from fedask.common.errors import StoreError
from fedask.common.ids import DeviceId, PartDigest
from fedask.common.part import ModelPart

WARD, SHIP = DeviceId("ward"), DeviceId("ship")
Make = Callable[[int], PartStore]


@pytest.fixture(params=["memory", "folder"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Make the store with so many bytes of room."""
    if request.param == "memory":
        return MemoryParts
    return lambda room: PartFolder(tmp_path / "device.db.parts", room)


def array(number: int, size: int = 1000) -> NDArray[Any]:
    return np.full(size, number, dtype=np.float64)  # two blocks of a disk with its line


def part(number: int) -> ModelPart:
    return ModelPart.of(array(number))


def kept(store: PartStore, parts: Mapping[int, ModelPart]) -> list[int]:
    return [
        number for number, each in parts.items() if store.get(each.digest) is not None
    ]


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array([np.nan, np.inf, -0.0], dtype=np.float16),
        np.array(7),
        np.zeros((0, 4), dtype=np.float64),
        np.array([True, False]),
        np.arange(12, dtype=np.int32).reshape(3, 4).T,
    ],
    ids=lambda value: f"{value.dtype} {value.shape}",
)
def test_a_part_comes_back_to_the_bit_and_read_only(
    make: Make, value: NDArray[Any]
) -> None:
    store = make(1 << 20)
    one = ModelPart.of(value.copy())
    store.put([one], [])

    found = store.get(one.digest)

    assert found is not None
    assert (found.dtype, found.shape) == (value.dtype, value.shape)
    assert found.tobytes() == value.tobytes()
    assert not found.flags.writeable


def test_what_was_never_put_is_not_there(make: Make) -> None:
    assert make(1 << 20).get(part(1).digest) is None


def test_the_same_again_is_kept_once(make: Make) -> None:
    store = make(8192)  # room for one
    for _ in range(3):
        store.put([part(1), part(1)], [])

    assert store.get(part(1).digest) is not None


def test_the_least_recently_used_goes_for_what_comes(make: Make) -> None:
    store, parts = make(3 * 8192), {n: part(n) for n in range(5)}
    for number in range(3):
        store.put([parts[number]], [])
    assert store.get(parts[0].digest) is not None  # used again, after 1 and 2

    store.put([parts[3]], [])
    store.put([parts[4]], [])

    assert kept(store, parts) == [0, 3, 4]


def test_what_the_model_in_use_has_stays(make: Make) -> None:
    store, parts = make(3 * 8192), {n: part(n) for n in range(4)}
    store.put([parts[0], parts[1], parts[2]], [])

    store.put([parts[3]], [parts[0].digest, parts[2].digest, parts[3].digest])

    assert kept(store, parts) == [0, 2, 3]


def test_a_model_that_alone_is_too_large_is_refused_with_the_setting(
    make: Make,
) -> None:
    store, parts = make(2 * 8192), {n: part(n) for n in range(3)}
    store.put([parts[0]], [])

    with pytest.raises(
        StoreError, match=r"more than the 16384 of \[seal\] parts_bytes"
    ):
        store.put([parts[1], parts[2]], [parts[0].digest])

    assert kept(store, parts) == [0]


def test_a_device_that_asks_again_is_told_so(make: Make) -> None:
    store = make(1 << 20)
    one, two = part(1).digest, part(2).digest

    assert not store.ask(WARD, [one, two])
    assert store.ask(WARD, [two])
    assert not store.ask(WARD, [one])  # that one had come meanwhile


def test_what_has_come_is_not_asked_for_again(make: Make) -> None:
    store, one = make(1 << 20), part(1).digest
    store.ask(WARD, [one])

    assert not store.ask(WARD, [])
    assert not store.ask(WARD, [one])


def test_devices_that_share_a_store_ask_for_themselves(make: Make) -> None:
    store, one = make(1 << 20), part(1).digest
    store.ask(WARD, [one])

    assert not store.ask(SHIP, [one])
    assert store.ask(WARD, [one])


def test_what_was_asked_for_takes_no_room(make: Make) -> None:
    store = make(8192)
    store.ask(WARD, [PartDigest(f"{n:064x}") for n in range(500)])

    store.put([part(1)], [])

    assert store.get(part(1).digest) is not None
