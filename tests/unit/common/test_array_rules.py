from math import inf, nan
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.common.array_rules import check_model, fault_of, first_unfit
from fedask.common.errors import ProtocolError
from fedask.common.manifest import ArrayEntry, ArrayKind, Manifest


def entry(name: str, kind: ArrayKind, dtype: str = "float32") -> ArrayEntry:
    return ArrayEntry(name=name, shape=(2,), dtype=dtype, kind=kind)


MANIFEST = Manifest(
    (
        entry("weight", ArrayKind.PARAMETER),
        entry("var", ArrayKind.STATISTIC),
        entry("steps", ArrayKind.COUNTER, "int64"),
        entry("mask", ArrayKind.CONSTANT),
    )
)


def model(**changes: list[float]) -> dict[str, NDArray[Any]]:
    plain = {
        "weight": np.zeros(2, np.float32),
        "var": np.full(2, 1e9, np.float32),
        "steps": np.array([65_537, 2**62]),
        "mask": np.array([-inf, nan], np.float32),
    }
    given = {n: np.array(v, plain[n].dtype) for n, v in changes.items()}
    return {**plain, **given}


def test_counters_and_constants_hold_anything_and_statistics_more() -> None:
    check_model(MANIFEST, model())
    assert first_unfit(MANIFEST, model(), model()) == ""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"weight": [0, 65_537]}, "parameter 'weight' holds NaN, infinity or values"),
        ({"weight": [nan, 0]}, "beyond 65536"),
        ({"weight": [-inf, 0]}, "beyond 65536"),
        ({"var": [0, 2.0**41]}, "statistic 'var' holds"),
        ({"var": [nan, 0]}, "beyond 1.09951e"),
    ],
)
def test_a_model_with_a_value_that_none_has_is_refused_by_name(
    change: dict[str, list[float]], fault: str
) -> None:
    with pytest.raises(ProtocolError, match=fault):
        check_model(MANIFEST, model(**change))
    name = first_unfit(MANIFEST, model(), model(**change))
    assert fault in fault_of(MANIFEST.by_name[name])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"steps": [65_537 + 2**31 + 1, 2**62]}, "counter 'steps' moved by more"),
        ({"mask": [0, nan]}, "training changed 'mask', which is a constant"),
    ],
)
def test_a_training_that_moves_what_it_must_not_is_told(
    change: dict[str, list[float]], fault: str
) -> None:
    check_model(MANIFEST, model(**change))
    name = first_unfit(MANIFEST, model(), model(**change))
    assert fault in fault_of(MANIFEST.by_name[name])
