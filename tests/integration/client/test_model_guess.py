"""What people are told of the model, when they ask."""

from pathlib import Path

import numpy as np
import pytest
from tests.support.client.wards import CAPACITY, FIRST, Ward
from tests.support.client.world import first_cut

from fedask.client.labelling.web.hints import Guess
from fedask.client.records.device_store import GLOBAL
from fedask.client.records.local_model import LocalModelRecord
from fedask.client.site.model_guess import ModelGuesses
from fedask.common.arrays import Arrays, model_version
from fedask.common.ids import Uid


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    made = Ward(tmp_path)
    made.arrive(10, FIRST)
    return made


def always(label: int, like: Arrays) -> Arrays:
    """Return a model that takes everything for one class."""
    arrays = {name: np.zeros_like(array) for name, array in like.items()}
    (bias,) = (array for array in arrays.values() if array.ndim == 1)
    bias[label] = 1.0
    return arrays


def guesses(ward: Ward) -> ModelGuesses:
    return ModelGuesses(ward.process(FIRST))


def test_before_the_first_model_there_is_no_guess(ward: Ward) -> None:
    assert guesses(ward).guess(next(iter(ward.truth))) is None


def test_every_sample_of_the_data_gets_the_model_s_guess(ward: Ward) -> None:
    ward.round(1, 0, first_cut(take=CAPACITY))
    ward.people(FIRST, 2)  # of these the site knows the label: they may be controls
    ward.round(1, 1, score=True)
    learner = ward.loaded()
    asked = guesses(ward)
    with ward.process(FIRST) as site:
        for uid in ward.truth:
            expected = int(learner.predict(site.pool.load([uid]))[0].argmax())
            assert asked.guess(uid) == Guess(label=expected, local=False)


def test_the_local_model_is_asked_while_no_newer_global_one_is_there(
    ward: Ward,
) -> None:
    ward.round(1, 0, first_cut(take=CAPACITY))
    ward.people(FIRST, CAPACITY)
    ward.round(1, 1, score=True)
    asked, (uid, *_) = guesses(ward), ward.truth
    with ward.process(FIRST) as site:
        (shared,) = site.store.models.all(GLOBAL)
        record = LocalModelRecord(
            base=model_version(shared), answers={uid: 0}, at=FIRST
        )
        for label in (0, 1):
            site.store.local_model.put(record, always(label, shared))
            assert asked.guess(uid) == Guess(label=label, local=True)

        site.store.models.put(GLOBAL, always(1, shared), keep=1)
        site.store.local_model.put(record, always(0, shared))
        assert asked.guess(uid) == Guess(label=1, local=False)

        site.store.erasure.forget([uid])
        other = next(each for each in ward.truth if each != uid)
        assert asked.guess(other) == Guess(label=1, local=False)


def test_a_sample_that_is_gone_gets_none(ward: Ward) -> None:
    ward.round(1, 0, first_cut(take=CAPACITY))
    ward.round(1, 1, score=True)
    assert guesses(ward).guess(Uid("0" * 32)) is None
