"""What people are told of the model, when they ask."""

from pathlib import Path

import pytest
from tests.integration.client.wards import CAPACITY, FIRST, Ward
from tests.unit.client.world import first_cut

from fedask.client.site.guessing import ModelGuesses
from fedask.client.testing import FakeClock
from fedask.common.ids import Uid


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    made = Ward(tmp_path)
    made.arrive(10, FIRST)
    return made


def guesses(ward: Ward) -> ModelGuesses:
    return ModelGuesses(ward.folder, FakeClock(FIRST))


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
            assert asked.guess(uid) == expected


def test_a_sample_that_is_gone_gets_none(ward: Ward) -> None:
    ward.round(1, 0, first_cut(take=CAPACITY))
    ward.round(1, 1, score=True)
    assert guesses(ward).guess(Uid("0" * 32)) is None
