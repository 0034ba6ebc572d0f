"""Statistics and counters do not depend on who answers first."""

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedask.common.manifest import ArrayEntry, ArrayKind, Manifest
from fedask.common.state_sum import StateSum

MANIFEST = Manifest(
    (
        ArrayEntry(name="s", shape=(3,), dtype="float32", kind=ArrayKind.STATISTIC),
        ArrayEntry(name="c", shape=(), dtype="int64", kind=ArrayKind.COUNTER),
    )
)
FLOATS = st.lists(st.floats(-(2.0**40), 2.0**40, width=32), min_size=3, max_size=3)
DEVICES = st.lists(
    st.tuples(FLOATS, st.integers(0, 2**31), st.integers(1, 1000)),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(FLOATS, DEVICES, st.randoms())
def test_any_order_gives_the_same_bits_between_the_least_and_the_largest(
    base: list[float],
    devices: list[tuple[list[float], int, int]],
    random: Random,
) -> None:
    sent = {"s": np.array(base, dtype=np.float32), "c": np.array(0)}

    def result(order: list[tuple[list[float], int, int]]) -> tuple[bytes, int]:
        total = StateSum(MANIFEST, sent)
        for values, count, weight in order:
            given = {"s": np.array(values, dtype=np.float32), "c": np.array(count)}
            total.check(given, weight)
            total.add(given, weight)
        made = total.result()
        return made["s"].tobytes(), int(made["c"])

    shuffled = list(devices)
    random.shuffle(shuffled)
    first = result(devices)
    assert first == result(shuffled)
    values = np.array([each for each, *_ in devices], dtype=np.float32)
    mean = np.frombuffer(first[0], dtype=np.float32)
    assert (values.min(axis=0) <= mean).all()
    assert (mean <= values.max(axis=0)).all()
    weights = np.array([weight for *_, weight in devices], dtype=np.float64)
    expected = weights @ values.astype(np.float64) / weights.sum()
    np.testing.assert_allclose(mean, expected, rtol=3e-7, atol=2.0**-15)
    assert first[1] == max(count for _, count, _ in devices)
