from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from tests.property.common.test_records import NPY_BYTES

from fedask.common.arrays import model_version
from fedask.common.errors import ProtocolError
from fedask.common.weights import ArraySpec, WeightedSum

CHECK = settings(deadline=None)
SPEC = ArraySpec({"w": ((2, 3), "float64"), "b": ((), "float64"), "e": ((0,), "int64")})
Updates = list[tuple[dict[str, NDArray[Any]], int]]

VALUES = st.one_of(
    st.floats(-65_536, 65_536),
    st.floats(-1, 1),
    st.sampled_from([0.0, -0.0, 2**-31, 2**-30, 1e-300, 65_536.0, -65_536.0]),
)
ARRAYS = st.fixed_dictionaries(
    {
        "w": hnp.arrays(np.float64, (2, 3), elements=VALUES),
        "b": hnp.arrays(np.float64, (), elements=VALUES),
        "e": st.just(np.zeros(0, dtype=np.int64)),
    }
).map(lambda arrays: {name: arrays[name] for name in SPEC.shapes})
# 8 updates of weight 8000 at most: 8 * 8000 * 65536 < 2**32, the range of the sum.
UPDATES = st.lists(
    st.tuples(ARRAYS, st.integers(0, 8000)), min_size=1, max_size=8
).filter(lambda updates: any(weight for _, weight in updates))


def total(updates: Updates) -> WeightedSum:
    total = WeightedSum(SPEC)
    for arrays, weight in updates:
        total.add(arrays, weight)
    return total


ZERO = {
    name: np.zeros(shape, dtype=dtype) for name, (shape, dtype) in SPEC.shapes.items()
}


@CHECK
@given(UPDATES, st.data())
def test_the_order_of_updates_changes_no_bit_of_the_mean(
    updates: Updates, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(updates))

    first, second = total(updates).mean(), total(shuffled).mean()

    for name in SPEC.shapes:
        assert first[name].tobytes() == second[name].tobytes()


@CHECK
@given(UPDATES)
def test_the_mean_is_the_weighted_mean_within_2_to_the_minus_30(
    updates: Updates,
) -> None:
    mean = total(updates).mean()

    # Each product is rounded to 2**-30, so off by 2**-31, and weighs at least 1 (those
    # of weight 0 are exact): the mean is off by 2**-31 at most. Floating point adds for
    # each of 8 products, 2**-53 of 65536 = 2**-37 here and in the reference: 2**-33.
    weight = sum(w for _, w in updates)
    for name in ("w", "b"):
        reference = sum((w * a[name] for a, w in updates), np.zeros(1)) / weight
        assert np.abs(mean[name] - reference).max() <= 2**-31 + 2**-33
        assert mean[name].shape == SPEC.shapes[name][0]


@CHECK
@given(UPDATES, st.integers(1, 5))
def test_weights_count_as_repetitions(updates: Updates, times: int) -> None:
    # Whole numbers are summed exactly.
    whole = [({k: np.rint(v) for k, v in a.items()}, w % 50) for a, w in updates]
    repeated = [(a, 1) for a, w in whole for _ in range(w * times)]

    once, often = WeightedSum(SPEC), WeightedSum(SPEC)
    for arrays, weight in [(ZERO, 1), *whole]:
        once.add(arrays, weight * times)
    for arrays, weight in [(ZERO, times), *repeated]:
        often.add(arrays, weight)

    assert once.weight == often.weight
    for name in SPEC.shapes:
        assert np.array_equal(once.mean()[name], often.mean()[name])


@CHECK
@given(ARRAYS, st.integers(1, 100))
def test_adding_leaves_the_update_alone(arrays: dict[str, Any], weight: int) -> None:
    before = {name: array.tobytes() for name, array in arrays.items()}

    WeightedSum(SPEC).add(arrays, weight)

    assert {name: array.tobytes() for name, array in arrays.items()} == before


DTYPES = st.sampled_from(["float32", "float64", "int64", "uint8", "float16"])
ANY_ARRAY = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
MODELS = st.dictionaries(st.text(max_size=5), ANY_ARRAY, min_size=1, max_size=4)


@CHECK
@given(MODELS, st.data())
def test_a_version_changes_with_any_bit(
    model: dict[str, NDArray[Any]], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(model)))
    raw = bytearray(model[name].tobytes())
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    flipped = np.frombuffer(bytes(raw), model[name].dtype).reshape(model[name].shape)

    assert model_version({**model, name: flipped}) != model_version(model)


@CHECK
@given(MODELS, st.data())
def test_a_version_changes_with_names_shapes_and_types(
    model: dict[str, NDArray[Any]], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(model)))
    array = model[name]
    others = [
        {**model, name: array[np.newaxis]},
        {**model, name: np.frombuffer(array.tobytes(), np.uint8)},
        {**model, "another": array},
        {k: v for k, v in model.items() if k != name},
        {(k if k != name else "renamed"): v for k, v in model.items()},
    ]
    if array.dtype == np.uint8 and array.ndim == 1:
        del others[1]

    assert all(model_version(other) != model_version(model) for other in others)


@CHECK
@given(MODELS, st.data())
def test_a_version_depends_on_neither_order_nor_memory_layout(
    model: dict[str, NDArray[Any]], data: st.DataObject
) -> None:
    names = data.draw(st.permutations(list(model)))
    strided = {name: np.asarray(model[name], order="F") for name in names}
    gapped = {name: np.repeat(model[name][..., None], 2, -1)[..., 0] for name in names}

    assert model_version(strided) == model_version(model)
    assert model_version(gapped) == model_version(model)


@settings(max_examples=100, deadline=None)
@given(NPY_BYTES)
def test_arrays_are_read_or_refused_whatever_their_bytes_are(data: bytes) -> None:
    record = ArrayRecord({"w": Array("uint8", (2, 4), "numpy.ndarray", data)})
    try:
        read = ArraySpec({"w": ((2, 4), "uint8")}).read(record)
    except ProtocolError:
        return
    assert read["w"].shape == (2, 4)
    assert read["w"].dtype == np.uint8
