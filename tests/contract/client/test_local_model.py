"""The record of the local model, and the model itself, on both stores."""

from dataclasses import replace

import numpy as np
from tests.support.client.questions import NOON, A, B, C, Store

from fedask.client.records.device_store import GLOBAL, LOCAL_MODEL
from fedask.client.records.local_model import LocalModelRecord
from fedask.common.ids import ModelVersion

ARRAYS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
RECORD = LocalModelRecord(
    base=ModelVersion("0123456789abcdef"), answers={A: 0, B: 2}, at=NOON
)


def kept(store: Store) -> list[float]:
    """Return what tells the kept local models apart."""
    return [float(arrays["weight"].sum()) for arrays in store.models.all(LOCAL_MODEL)]


def test_before_the_first_training_there_is_none(store: Store) -> None:
    assert store.local_model.record() is None
    assert store.models.all(LOCAL_MODEL) == []


def test_record_and_model_come_back_as_they_were(store: Store) -> None:
    assert store.local_model.put(RECORD, ARRAYS)

    assert store.local_model.record() == RECORD
    (own,) = store.models.all(LOCAL_MODEL)
    np.testing.assert_array_equal(own["weight"], ARRAYS["weight"])


def test_the_newest_takes_the_place_of_the_one_before(store: Store) -> None:
    store.models.put(GLOBAL, ARRAYS, keep=1)
    store.local_model.put(RECORD, ARRAYS)
    later = replace(RECORD, answers={A: 1, B: 2, C: 0})

    store.local_model.put(later, {"weight": ARRAYS["weight"] + 1})

    assert store.local_model.record() == later
    assert kept(store) == [21.0]
    assert len(store.models.all(GLOBAL)) == 1


def test_a_training_that_diverged_leaves_its_record_alone(store: Store) -> None:
    store.local_model.put(RECORD, ARRAYS)
    worthless = replace(RECORD, usable=False)

    assert store.local_model.put(worthless, None)

    assert store.local_model.record() == worthless
    assert kept(store) == []


def test_it_is_erased_with_a_sample_that_it_was_trained_on(store: Store) -> None:
    store.local_model.put(RECORD, ARRAYS)

    store.erasure.forget([C])
    assert store.local_model.record() == RECORD
    erased = store.erasure.forget([A])

    assert store.local_model.record() is None
    assert kept(store) == []
    assert erased.models == ()
    assert store.erasure.forget([A]).clean


def test_it_is_not_kept_if_a_sample_was_erased_meanwhile(store: Store) -> None:
    before = replace(RECORD, answers={B: 2})
    store.local_model.put(before, ARRAYS)
    store.erasure.forget([A])

    assert not store.local_model.put(RECORD, {"weight": ARRAYS["weight"] + 1})

    assert store.local_model.record() == before
    assert kept(store) == [15.0]
