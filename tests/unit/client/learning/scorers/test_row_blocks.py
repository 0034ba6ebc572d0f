import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedask.client.learning.scorers.row_blocks import (
    block,
    check_same_rows,
    chunks,
    row_max,
    row_sum,
    to_unit,
)
from fedask.common.errors import ConfigError


@given(st.integers(0, 2000), st.integers(0, 40_000))
def test_chunks_cover_every_row_once(rows: int, width: int) -> None:
    parts = list(chunks(rows, width))

    assert [part.start for part in parts] == [0, *(p.stop for p in parts[:-1])][
        : len(parts)
    ]
    assert sum(part.stop - part.start for part in parts) == rows
    assert all(part.stop > part.start for part in parts)
    assert all((part.stop - part.start - 1) * width < 16_384 for part in parts)


@pytest.mark.parametrize("width", [0, 1, 2, 8, 9, 32, 33, 200])
def test_a_row_sums_to_the_same_bits_alone(width: int) -> None:
    values = np.random.default_rng(0).random((70, width)).astype(np.float32)

    total = row_sum(values)

    assert total.dtype == np.float32
    alone = [row_sum(values[row : row + 1])[0] for row in range(70)]
    assert np.array_equal(total, np.array(alone, dtype=np.float32))
    np.testing.assert_allclose(total, [math.fsum(row) for row in values], rtol=1e-5)


@pytest.mark.parametrize("width", [1, 2, 32, 33])
def test_the_largest_of_a_row_is_found_and_nan_is_not_lost(width: int) -> None:
    values = np.random.default_rng(0).normal(size=(50, width))
    values[3, -1] = np.nan

    best = row_max(values)

    expected = [max(row) for row in values.tolist()]
    expected[3] = np.nan
    assert np.array_equal(best, expected, equal_nan=True)


@pytest.mark.parametrize("width", [2, 40])
def test_a_sum_leaves_its_block_alone(width: int) -> None:
    values = np.ones((3, width), dtype=np.float32)
    values.flags.writeable = False

    assert row_sum(values).tolist() == [width] * 3
    assert row_max(values).tolist() == [1.0] * 3


def test_a_block_is_in_row_order_and_not_copied_without_need() -> None:
    array = np.arange(12, dtype=np.float32).reshape(4, 3)

    same = block(array, slice(1, 3), np.float32)
    turned = block(np.asfortranarray(array), slice(0, 4), np.float64)

    assert np.shares_memory(same, array)
    assert turned.flags.c_contiguous
    assert turned.dtype == np.float64
    assert np.array_equal(turned, array)


def test_rounding_errors_are_clipped_and_nan_is_kept() -> None:
    scores = to_unit(np.array([-1e-9, -0.0, 0.25, 1.0 + 1e-9, np.nan]))

    assert scores.dtype == np.float32
    assert np.array_equal(scores, [0, 0, 0.25, 1, np.nan], equal_nan=True)
    assert not np.signbit(scores[:2]).any()


def test_arrays_of_different_samples_are_refused_by_name() -> None:
    check_same_rows(probs=np.zeros((3, 2)), features=np.zeros((3, 9)))

    with pytest.raises(ConfigError, match="probs has 3, features has 4"):
        check_same_rows(probs=np.zeros((3, 2)), features=np.zeros((4, 9)))
