"""A watched folder, and no server for a month: as cron would run it, day after day."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
from tests.support.client.wards import CAPACITY, FIRST, Ward
from tests.support.client.world import first_cut, whole_cut

from fedask.client.records.label_queue import ItemState, QueryOrigin
from fedask.client.site.data_watcher import DataWatcher
from fedask.client.site.local_training import LocalTraining, TrainingDecision
from fedask.client.site.model_guess import ModelGuesses

PER_DAY, DAYS = 12, 30
ANSWERS = 10  # new ones after which the local model is trained: the default


def check_local_model(ward: Ward, trained: list[int]) -> None:
    """Check on how many answers the local model was trained each time, and its use."""
    gains = np.diff([0, *trained])
    assert len(gains) >= 4
    assert min(gains) >= ANSWERS
    assert max(gains) < ANSWERS + 2  # people give two a day: no day later than it takes
    some = next(iter(ward.truth))
    guess = ModelGuesses(ward.process(FIRST)).guess(some)
    assert guess is not None
    assert guess.local


def test_a_month_alone_keeps_to_the_budget_and_catches_up(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.arrive(40, FIRST)
    ward.round(1, 0, first_cut(take=CAPACITY))
    answered = ward.people(FIRST, 10)
    ward.round(1, 1, score=True)
    ward.round(2, 0, whole_cut(2, ward.version(), groups=2))
    with ward.process(FIRST) as site:
        before = {item.uid for item in site.store.queue.items()}
    asked: list[int] = []
    trained: list[int] = []
    for day in range(1, DAYS + 1):
        now = FIRST + timedelta(days=day)
        ward.arrive(PER_DAY, now)
        with ward.process(now) as site:  # `fedask device run-once`, from cron
            watcher = DataWatcher(site)
            looked = watcher.look()
            own = LocalTraining(site).attempt(watcher.held)
        # The first look finds what nobody asked before; later ones only what is new.
        assert looked.new == PER_DAY + (40 - len(before)) * (day == 1)
        assert looked.samples == 40 + PER_DAY * day
        asked.append(looked.asked)
        if own.outcome is TrainingDecision.TRAINED:
            trained.append(own.answers)
            assert own.answers == answered
        else:
            assert own.outcome is TrainingDecision.WAITS
        with ward.process(now) as site:
            assert DataWatcher(site).look().new == 0
        answered += ward.people(now, 2)

    assert max(asked) <= CAPACITY
    assert sum(asked) >= DAYS  # a budget is there to be used
    with ward.process(FIRST + timedelta(days=DAYS)) as site:
        items = site.store.queue.items()
    alone = [item for item in items if item.uid not in before]
    assert len(alone) == sum(asked)
    assert {item.origin for item in alone} <= {QueryOrigin.SCORE, QueryOrigin.CHANCE}

    check_local_model(ward, trained)

    report = ward.round(2, 1)  # sends nothing of the local model, and counts no less

    assert report.asked == len(items)
    assert report.answered == answered == sum(report.class_counts)
    with ward.process(FIRST + timedelta(days=DAYS)) as site:
        states = Counter(item.state for item in site.store.queue.items())
        right = [i for i in site.store.queue.items() if i.label is not None]
    assert states[ItemState.TRAINED] == answered
    assert all(item.label == ward.truth[item.uid] for item in right)
