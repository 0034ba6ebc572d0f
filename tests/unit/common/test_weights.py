import copy
import pickle
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, RecordDict
from numpy.typing import NDArray
from tests.support.common.npy import UNREADABLE
from tests.support.common.wire import transport

from fedask.common.arrays import model_version
from fedask.common.errors import ProtocolError
from fedask.common.weights import ArraySpec, MemoryArray, WeightedSum, to_record

DTYPES = ["float32", "float64", "float16", "int64", "uint8", "bool"]


def weights() -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(0)
    return {
        "layer.weight": rng.normal(size=(3, 4)).astype(np.float32),
        "layer.bias": rng.normal(size=4).astype(np.float32),
        "batches": np.array(7, dtype=np.int64),
    }


SPEC = ArraySpec.of(weights())


def plain(arrays: dict[str, NDArray[Any]]) -> ArrayRecord:
    """The record that Flower itself would make."""
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def one(array: NDArray[Any]) -> ArrayRecord:
    return ArrayRecord({"w": Array(array)})


# --- arrays that stay in memory -------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (2, 0, 3)])
def test_on_the_wire_it_is_what_flower_would_send(
    dtype: str, shape: tuple[int, ...]
) -> None:
    values = np.arange(max(1, int(np.prod(shape)))) % 2
    array = np.resize(values, shape).astype(dtype)
    ours, theirs = MemoryArray(array.copy()), Array(array)

    assert (ours.dtype, ours.shape, ours.stype) == (dtype, shape, theirs.stype)
    assert ours.data == theirs.data
    assert ours.deflate() == theirs.deflate()
    assert ours.object_id == theirs.object_id
    assert list(ours.children) == list(theirs.children)


def test_a_record_survives_flowers_transport() -> None:
    sent = weights()

    received = transport(RecordDict({"arrays": to_record(sent)}))["arrays"]

    assert isinstance(received, ArrayRecord)
    assert list(received) == list(sent)
    for name, array in received.items():
        assert type(array) is Array
        assert array.numpy().dtype == sent[name].dtype
        assert np.array_equal(array.numpy(), sent[name])


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4).T,
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.arange(12.0)[::-1],
    ],
)
def test_views_arrive_as_they_look(array: NDArray[Any]) -> None:
    received = transport(RecordDict({"arrays": to_record({"w": array})}))["arrays"]

    assert isinstance(received, ArrayRecord)
    assert np.array_equal(received["w"].numpy(), array)


def test_it_pickles_and_copies_to_a_plain_array() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    ours = MemoryArray(array)

    for twin in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):  # noqa: S301
        assert type(twin) is Array
        assert np.array_equal(twin.numpy(), array)
        assert twin.data == ours.data


def test_within_a_process_it_is_the_same_memory_never_encoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        pytest.fail("was encoded or decoded")

    arrays = weights()
    monkeypatch.setattr(np, "save", fail)
    monkeypatch.setattr(np, "load", fail)

    read = SPEC.read(to_record(arrays))

    assert all(read[name] is array for name, array in arrays.items())


def test_it_is_encoded_once() -> None:
    array = MemoryArray(np.arange(3.0))

    assert array.data is array.data


def test_what_both_sides_share_cannot_be_written() -> None:
    array = np.zeros(3)
    record = to_record({"w": array})

    with pytest.raises(ValueError, match="read-only"):
        record["w"].numpy()[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


# --- arrays from another machine ------------------------------------------------------


def test_what_flower_delivers_is_read_in_the_models_own_order() -> None:
    sent = weights()
    turned = dict(reversed(sent.items()))

    read = SPEC.read(plain(turned))

    assert list(read) == list(sent)
    for name, array in sent.items():
        assert read[name].dtype == array.dtype
        assert np.array_equal(read[name], array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer.bias": None}, r"\['layer.bias'\] differ"),
        ({"more": np.zeros(1)}, r"\['more'\] differ"),
        ({"layer.bias": np.zeros(5, np.float32)}, r"'layer.bias' is declared \(\(5,\)"),
        ({"layer.bias": np.zeros((4, 1), np.float32)}, r"declared \(\(4, 1\)"),
        ({"layer.bias": np.zeros(4)}, "float64"),
        ({"layer.bias": np.zeros(4, np.int32)}, "int32"),
        ({"batches": np.array([7])}, r"'batches' is declared \(\(1,\)"),
        ({"layer.bias": np.array([0, 1, np.nan, 2], np.float32)}, "holds NaN"),
        ({"layer.bias": np.array([0, 1, np.inf, 2], np.float32)}, "holds NaN"),
        ({"layer.bias": np.array([0, 1, -np.inf, 2], np.float32)}, "holds NaN"),
        ({"layer.bias": np.array([0, 1, 65_537, 2], np.float32)}, "'layer.bias' holds"),
        ({"layer.bias": np.array([0, 1, -65_537, 2], np.float32)}, "beyond 65536"),
        ({"batches": np.array(65_537)}, "'batches' holds"),
        ({"batches": np.array(-(2**63))}, "'batches' holds"),  # abs() of it is negative
    ],
)
def test_arrays_that_do_not_fit_the_model_are_refused(
    change: dict[str, NDArray[Any] | None], message: str
) -> None:
    arrays = {**weights(), **change}

    with pytest.raises(ProtocolError, match=message):
        SPEC.read(plain({k: v for k, v in arrays.items() if v is not None}))


def test_the_largest_value_accepted_is_65536() -> None:
    array = np.array([65_536, -65_536], dtype=np.float32)

    read = ArraySpec.of({"w": array}).read(one(array))

    assert read["w"].tolist() == [65_536, -65_536]


@pytest.mark.parametrize("what", UNREADABLE)
def test_bytes_that_are_no_plain_array_are_refused(what: str) -> None:
    array = Array("uint8", (2, 4), "numpy.ndarray", UNREADABLE[what])

    with pytest.raises(ProtocolError, match="array 'w'"):
        ArraySpec({"w": ((2, 4), "uint8")}).read(ArrayRecord({"w": array}))


def test_another_serialisation_is_refused() -> None:
    array = Array("uint8", (2, 4), "torch.Tensor", b"12345678")

    with pytest.raises(ProtocolError, match=r"as \.npy"):
        ArraySpec({"w": ((2, 4), "uint8")}).read(ArrayRecord({"w": array}))


def test_too_many_bytes_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Array) -> None:
        pytest.fail("was parsed")

    array = Array("uint8", (2, 4), "numpy.ndarray", bytes(8 + 1024 + 1))
    monkeypatch.setattr(Array, "numpy", fail)

    with pytest.raises(ProtocolError, match="has 1033 bytes, must be 8"):
        ArraySpec({"w": ((2, 4), "uint8")}).read(ArrayRecord({"w": array}))


def test_a_refusal_names_a_few_arrays_only() -> None:
    many = {f"layer-{i:03d}": np.zeros(1) for i in range(500)}

    with pytest.raises(ProtocolError) as caught:
        SPEC.read(plain(many))

    assert len(str(caught.value)) < 300


def test_a_model_without_values_is_accepted() -> None:
    empty = np.zeros((0, 3), dtype=np.float32)

    assert ArraySpec.of({"w": empty}).read(one(empty))["w"].shape == (0, 3)


# --- sums -----------------------------------------------------------------------------


def test_the_mean_of_one_update_is_that_update() -> None:
    total = WeightedSum(SPEC)
    total.add(weights(), 5)

    for name, array in weights().items():
        assert total.mean()[name].dtype == array.dtype
        assert total.mean()[name].shape == array.shape
        assert np.allclose(total.mean()[name], array, rtol=2**-24, atol=2**-31)


def test_a_mean_of_nothing_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        WeightedSum(SPEC).mean()


def test_a_product_is_rounded_to_the_nearest_2_to_the_minus_30() -> None:
    total = WeightedSum(ArraySpec.of(scalar(0.0)))
    total.add(scalar(0.25 * 2**-30), 3)

    assert total.mean()["w"].tolist() == [2**-30 / 3]


def scalar(value: float) -> dict[str, NDArray[Any]]:
    return {"w": np.array([value])}


@pytest.mark.parametrize(
    ("value", "weight", "message"),
    [
        (2.0, 2**31, "out of range"),
        (-2.0, 2**31, "out of range"),
        (1.0, 2**31, "out of range"),  # with the one before
        (float("nan"), 1, "holds NaN"),
        (float("inf"), 1, "holds NaN"),
        (65_537.0, 1, "beyond 65536"),
        (-65_537.0, 1, "beyond 65536"),
    ],
)
def test_an_update_out_of_range_is_refused_and_nothing_of_it_is_added(
    value: float, weight: int, message: str
) -> None:
    total = WeightedSum(ArraySpec.of(scalar(0.0)))
    total.add(scalar(-1.0), 2**31)

    with pytest.raises(ProtocolError, match=message):
        total.add(scalar(value), weight)

    assert total.weight == 2**31
    assert total.mean()["w"].tolist() == [-1.0]
    total.add(scalar(1.0), 2**31 - 1)  # the range is used to the end
    assert total.mean()["w"].tolist() == [-1 / (2**32 - 1)]


# --- versions -------------------------------------------------------------------------


def test_a_version_is_the_same_in_every_release_and_on_every_machine() -> None:
    arrays = {"b": np.arange(3, dtype="<f4"), "a": np.array(2, dtype="<i8")}

    assert model_version(arrays) == "0d5c44fd4a3edf4a"


def test_a_scalar_and_a_list_of_one_have_different_versions() -> None:
    assert model_version({"w": np.array(1.0)}) != model_version({"w": np.array([1.0])})
