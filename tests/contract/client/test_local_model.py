"""The record of the own model, and the model itself, on both stores."""

from dataclasses import replace

import numpy as np
from tests.support.client.questions import NOON, A, B, C, Store

from fedask.client.records.local_model import LocalModelRecord
from fedask.client.records.model_kind import GLOBAL, OWN
from fedask.common.ids import ModelVersion

ARRAYS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
RECORD = LocalModelRecord(
    base=ModelVersion("0123456789abcdef"), answers={A: 0, B: 2}, at=NOON
)


def kept(store: Store) -> list[float]:
    """Return what tells the kept own models apart."""
    return [float(arrays["weight"].sum()) for arrays in store.models(OWN)]


def test_before_the_first_training_there_is_none(store: Store) -> None:
    assert store.own() is None
    assert store.models(OWN) == []


def test_record_and_model_come_back_as_they_were(store: Store) -> None:
    assert store.put_own(RECORD, ARRAYS)

    assert store.own() == RECORD
    (own,) = store.models(OWN)
    np.testing.assert_array_equal(own["weight"], ARRAYS["weight"])


def test_the_newest_takes_the_place_of_the_one_before(store: Store) -> None:
    store.put_model(GLOBAL, ARRAYS, keep=1)
    store.put_own(RECORD, ARRAYS)
    later = replace(RECORD, answers={A: 1, B: 2, C: 0})

    store.put_own(later, {"weight": ARRAYS["weight"] + 1})

    assert store.own() == later
    assert kept(store) == [21.0]
    assert len(store.models(GLOBAL)) == 1


def test_a_training_that_diverged_leaves_its_record_alone(store: Store) -> None:
    store.put_own(RECORD, ARRAYS)
    worthless = replace(RECORD, usable=False)

    assert store.put_own(worthless, None)

    assert store.own() == worthless
    assert kept(store) == []


def test_it_is_erased_with_a_sample_that_it_was_trained_on(store: Store) -> None:
    store.put_own(RECORD, ARRAYS)

    store.forget([C])
    assert store.own() == RECORD
    erased = store.forget([A])

    assert store.own() is None
    assert kept(store) == []
    assert erased.models == ()
    assert store.forget([A]).clean


def test_it_is_not_kept_if_a_sample_was_erased_meanwhile(store: Store) -> None:
    before = replace(RECORD, answers={B: 2})
    store.put_own(before, ARRAYS)
    store.forget([A])

    assert not store.put_own(RECORD, {"weight": ARRAYS["weight"] + 1})

    assert store.own() == before
    assert kept(store) == [15.0]
