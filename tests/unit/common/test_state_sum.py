from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.common.errors import ProtocolError
from fedask.common.manifest import ArrayEntry, ArrayKind, Manifest
from fedask.common.state_sum import StateSum


def manifest(**arrays: NDArray[Any]) -> Manifest:
    kinds = {"f": ArrayKind.STATISTIC}
    return Manifest(
        tuple(
            ArrayEntry(
                name=name,
                shape=array.shape,
                dtype=array.dtype.name,
                kind=kinds.get(array.dtype.kind, ArrayKind.COUNTER),
            )
            for name, array in arrays.items()
        )
    )


def summed(
    base: dict[str, NDArray[Any]], *given: tuple[dict[str, NDArray[Any]], int]
) -> dict[str, NDArray[Any]]:
    total = StateSum(manifest(**base), base)
    for arrays, weight in given:
        total.check(arrays, weight)
        total.add(arrays, weight)
    return total.result()


def floats(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def test_statistics_are_averaged_by_weight() -> None:
    base = {"mean": floats(0, 10)}
    made = summed(base, ({"mean": floats(1, 10)}, 3), ({"mean": floats(-1, 14)}, 1))
    assert made["mean"].tolist() == [0.5, 11.0]
    assert made["mean"].dtype == np.float32


def test_what_nobody_changed_keeps_its_bits() -> None:
    tiny = floats(-0.0, 1e-30, 1 / 3, 2.0**39)
    made = summed({"table": tiny}, ({"table": tiny.copy()}, 7), ({}, 2))
    assert made["table"].tobytes() == tiny.tobytes()


def test_nothing_added_leaves_all_as_it_was() -> None:
    base = {"mean": floats(1 / 3), "steps": np.array(5)}
    assert summed(base)["mean"].tobytes() == base["mean"].tobytes()
    assert summed(base)["steps"] == 5


def test_a_variance_of_raw_data_is_exact_and_one_near_zero_never_negative() -> None:
    base = {"var": floats(1, 0.3, 1e-12)}
    one, other = floats(2.5e9, 1e-12, 0), floats(2.5e9 + 256, 1e-12, 0)
    made = summed(base, ({"var": one}, 1), ({"var": other}, 1))["var"]
    assert made[0] == np.float32(2.5e9 + 128)
    assert made[1] == np.float32(1e-12)
    assert made[2] >= 0


def test_of_counters_the_largest_is_taken_exactly() -> None:
    base = {"steps": np.array([65_536, 2**53]), "ready": np.array(False)}
    given = {"steps": np.array([65_541, 2**53 + 1]), "ready": np.array(True)}
    made = summed(base, (given, 1), ({}, 40))
    assert made["steps"].tolist() == [65_541, 2**53 + 1]
    assert made["ready"].dtype == np.bool_
    assert made["ready"]


def test_a_ring_that_all_have_passed_begins_anew() -> None:
    base = {"place": np.array(12, dtype=np.int32)}
    made = summed(base, ({"place": np.int32(2) + np.zeros((), np.int32)}, 1))
    assert made["place"] == 2


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("var", floats(np.nan), "statistic 'var' holds NaN"),
        ("var", floats(np.inf), "statistic 'var' holds NaN"),
        ("var", floats(2.0**41), "beyond 1.09951e"),
        (
            "steps",
            np.array([2**31 + 8]),
            "counter 'steps' moved by more than",
        ),
        ("steps", np.array([-(2**63)]), "counter 'steps' moved"),
    ],
)
def test_what_training_cannot_have_made_is_refused_by_name_and_not_added(
    name: str, value: NDArray[Any], part: str
) -> None:
    base = {"var": floats(1), "steps": np.array([7])}
    total = StateSum(manifest(**base), base)
    with pytest.raises(ProtocolError, match=part):
        total.check({name: value}, 1)
    assert {k: v.tolist() for k, v in total.result().items()} == {
        "var": [1.0],
        "steps": [7],
    }


def test_a_sum_that_could_wrap_is_refused() -> None:
    base = {"var": floats(0)}
    total = StateSum(manifest(**base), base)
    total.check({"var": floats(2.0**40)}, 2**21)
    total.add({"var": floats(2.0**40)}, 2**21)
    with pytest.raises(ProtocolError, match="sum of statistics out of range"):
        total.check({"var": floats(2.0**40)}, 2**21)
