from datetime import UTC, datetime

import numpy as np

from fedask.client.records.local_model import LocalModelRecord, fresh_answers, is_newest
from fedask.common.arrays import model_version
from fedask.common.ids import Uid

A, B, C = (Uid(letter * 32) for letter in "abc")
SHARED = {"weight": np.ones(3, np.float32)}
RECORD = LocalModelRecord(
    base=model_version(SHARED),
    answers={A: 0, B: 1},
    at=datetime(2026, 3, 1, tzinfo=UTC),
)


def test_before_the_first_training_every_answer_is_new() -> None:
    assert fresh_answers({A: 0}, None) == {A: 0}


def test_new_are_those_given_or_corrected_since() -> None:
    assert fresh_answers({A: 0, B: 2, C: 1}, RECORD) == {B: 2, C: 1}


def test_an_answer_that_was_taken_back_makes_nothing_new() -> None:
    assert fresh_answers({A: 0}, RECORD) == {}


def test_a_local_model_of_an_older_global_one_is_not_the_newest() -> None:
    assert is_newest(RECORD, SHARED)
    assert not is_newest(RECORD, {"weight": np.zeros(3, np.float32)})
    assert not is_newest(None, SHARED)


def test_a_record_does_not_show_what_people_said() -> None:
    assert A not in repr(RECORD)
