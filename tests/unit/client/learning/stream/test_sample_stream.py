from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from tests.support.client.arrivals import (
    BINS,
    DAY,
    HOUR,
    MONDAY,
    VERSION,
    arrivals,
    cut_at,
    draws_of,
    honest_model,
    make_stream,
    origins,
    pace_of,
    scored,
    some,
    take,
)
from tests.support.client.world import NAME
from typing_extensions import override

from fedask.client.records.device_store import GLOBAL
from fedask.client.records.label_queue import ItemState, QueryOrigin
from fedask.client.records.pool import Pool
from fedask.client.records.rights import Permits
from fedask.client.store.memory import MemoryStore
from fedask.common.cut import Cut
from fedask.common.errors import ConfigError, DataError, StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Uid
from fedask.common.policies.policy import make_policy

ALL = {"stream.budget": 1.0}
FIXED = {"stream.controller": "fixed-cut"}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_a_stream_that_is_off_is_refused(store: MemoryStore) -> None:
    with pytest.raises(ConfigError, match=r"stream\.controller = 'off'"):
        make_stream(store, {"stream.controller": "off"})


def test_before_the_first_scoring_chance_alone_asks(store: MemoryStore) -> None:
    batch = arrivals(some(300))
    stream = make_stream(store, {**ALL, "stream.explore": 0.2})

    asked = take(stream, batch)

    assert asked == np.flatnonzero(draws_of(batch.uids) < 0.2).tolist()
    assert set(origins(store).values()) == {QueryOrigin.CHANCE}
    assert pace_of(store).state.owed == 0.0


@pytest.mark.parametrize(
    ("score", "group", "asked"),
    [(0.5, 0, True), (0.49, 0, False), (0.76, 1, True), (0.74, 1, False)],
)
def test_the_fixed_cut_is_that_of_the_predicted_class(
    store: MemoryStore, score: float, group: int, asked: bool
) -> None:
    scored(store, cut_at(8, 12, BINS))

    rows = take(make_stream(store, FIXED), arrivals([score], [group]))

    assert rows == [0] * asked
    assert set(origins(store).values()) <= {QueryOrigin.SCORE}


@pytest.mark.parametrize("score", [0.0, 0.9, 1.0])
def test_of_a_group_that_nothing_was_bought_of_nothing_is_over_the_cut(
    store: MemoryStore, score: float
) -> None:
    scored(store, cut_at(8, 12, BINS))

    assert take(make_stream(store, FIXED), arrivals([score], [2])) == []


def test_one_cut_for_all_classes_holds_for_each(store: MemoryStore) -> None:
    scored(store, cut_at(8))
    stream = make_stream(store, FIXED)

    assert take(stream, arrivals([0.6] * 3 + [0.4] * 3, [0, 1, 2] * 2)) == [0, 1, 2]


@pytest.mark.parametrize("bins", [2, 10, 16, 64, 1000, 4096])
def test_the_fixed_cut_asks_what_the_policy_would_accept(
    store: MemoryStore, bins: int
) -> None:
    rng = np.random.default_rng(bins)
    edges = np.arange(bins + 1) / bins
    scores = np.concatenate([edges, rng.random(200)])
    batch = arrivals(scores, rng.integers(0, 3, len(scores)))
    cut = cut_at(*rng.integers(0, bins + 1, 3).tolist())
    scored(store, cut)
    stream = make_stream(store, {**FIXED, "ask.bins": bins, "ask.capacity": 60_000})

    rows = take(stream, batch)

    policy = make_policy(stream._run.scenario.ask, 3)
    ranked = batch.ranked()
    bought = ranked.uids[policy.accept(cut, ranked, NAME)]
    assert sorted(batch.uids[rows]) == sorted(bought)


def test_without_a_threshold_the_fixed_cut_asks_nothing(store: MemoryStore) -> None:
    scored(store, Cut(cycle=2, model_version=VERSION, nonce=5, take=3))

    assert take(make_stream(store, FIXED), arrivals([1.0, 0.5])) == []


def test_a_cut_without_thresholds_leaves_it_to_the_controller() -> None:
    for cut in (None, Cut(cycle=2, model_version=VERSION, nonce=5, take=3)):
        bare = MemoryStore()
        scored(bare, cut)
        batch = arrivals(some(300))

        rows = take(make_stream(bare, {"stream.budget": 0.1}), batch)

        assert len(rows) == pytest.approx(30, abs=8)
        assert batch.scores[rows].mean() > 0.8
        assert pace_of(bare).state.recent == tuple(batch.told[-100:].tolist())


def test_the_threshold_begins_at_the_cut(store: MemoryStore) -> None:
    scored(store, cut_at(8, 12, 4))
    stream = make_stream(store)
    batch = arrivals([0.45, 0.7, 0.2, 0.55, 0.8, 0.3], [0, 1, 2, 0, 1, 2])

    assert take(stream, batch) == [3, 4, 5]

    heights = [-0.05, -0.05, -0.05, 0.05, 0.05, 0.05]
    assert pace_of(store).state.recent[-6:] == pytest.approx(heights, abs=1e-6)


def test_another_cut_or_model_begins_anew_and_forgives_no_debt(
    store: MemoryStore,
) -> None:
    scored(store, cut_at(8, 8, 8))
    stream = make_stream(store, {"stream.budget": 0.25})
    take(stream, arrivals(some(150)))
    owed = pace_of(store).state.owed
    assert len([u for u in pace_of(store).state.recent if u != 0.0]) == 100

    for seed, (cut, version) in enumerate(
        [(cut_at(8, 8, 8, cycle=3), VERSION), (cut_at(8, 8, 8, cycle=3), "f" * 16)], 1
    ):
        scored(store, cut, version)
        rows = take(stream, arrivals([0.25], seed=seed))

        *begun, last = pace_of(store).state.recent
        assert begun == [0.0] * 99
        assert last == pytest.approx(-0.25)
        owed += 0.25 - len(rows)
        assert pace_of(store).state.owed == pytest.approx(owed)


@pytest.mark.parametrize("controller", ["biqf", "split", "fixed-cut"])
@pytest.mark.parametrize("explore", [0.0, 0.1, 1.0])
def test_people_are_never_asked_more_than_they_can_do(
    store: MemoryStore, controller: str, explore: float
) -> None:
    scored(store, cut_at(4, 4, 4))
    values = {**ALL, "stream.controller": controller, "stream.explore": explore}
    stream = make_stream(store, {**values, "ask.capacity": 7, "ask.initial": 1})

    asked = []
    for hour in range(72):
        count = 20 * 4 ** (hour // 24)  # more every day than was usual before
        batch = arrivals(some(count, hour), seed=hour)
        asked.append(len(take(stream, batch, MONDAY + hour * HOUR)))

    assert [sum(asked[start : start + 24]) for start in (0, 24, 48)] == [7, 7, 7]


def test_what_a_cut_asked_counts_as_well(store: MemoryStore) -> None:
    scored(store)
    stream = make_stream(store, {**ALL, "ask.capacity": 10})
    for cycle, (own, count, expected) in enumerate([(2, 3, 3), (3, 9, 2)], start=1):
        store.queue.add(cycle, [Uid(f"{cycle}{n}" * 16) for n in range(own)])

        assert len(take(stream, arrivals([0.5] * count, seed=cycle))) == expected

    tuesday = take(stream, arrivals([0.5] * 40, seed=3), MONDAY + DAY)
    assert len(tuesday) == 10  # its questions of yesterday do not count again


def test_a_device_that_gave_all_its_labels_is_asked_no_more(
    store: MemoryStore,
) -> None:
    scored(store)
    store.queue.add(1, [Uid("a" * 32), Uid("b" * 32)])
    store.queue.move([Uid("b" * 32)], ItemState.EXPIRED)
    stream = make_stream(store, {**ALL, "ask.device_labels": 6})

    asked = [len(take(stream, arrivals([0.5] * 3, seed=seed))) for seed in range(3)]

    assert asked == [3, 2, 0]  # with the one that did not expire


def test_a_sample_that_nobody_has_time_for_runs_up_no_debt(store: MemoryStore) -> None:
    scored(store)
    stream = make_stream(store, {"stream.budget": 0.5, "ask.capacity": 5})
    take(stream, arrivals(some(1000)))

    pace = pace_of(store)

    assert (pace.arrived, pace.asked) == (1000, 5)
    assert abs(pace.state.owed) < 10


@pytest.mark.parametrize(("first", "by_chance"), [(0, 2), (5, 5), (30, 20)])
def test_the_share_of_chance_is_kept_free(
    store: MemoryStore, first: int, by_chance: int
) -> None:
    scored(store, cut_at(0, 0, 0))
    values = {**FIXED, **ALL, "stream.explore": 0.1, "ask.capacity": 20}
    batch = arrivals(some(600))
    lucky = np.flatnonzero(draws_of(batch.uids) < 0.1).tolist()
    others = np.flatnonzero(draws_of(batch.uids) >= 0.1).tolist()
    batch = batch[[*lucky[:first], *others, *lucky[first:]]]

    rows = take(make_stream(store, values), batch)

    counts = Counter(origins(store).values())
    assert (len(rows), counts[QueryOrigin.CHANCE]) == (20, by_chance)
    assert pace_of(store).by_chance == by_chance


@pytest.mark.parametrize("controller", ["biqf", "split", "fixed-cut"])
def test_chance_asks_whatever_the_score(store: MemoryStore, controller: str) -> None:
    scored(store, cut_at(15, 15, 15))
    values = {"stream.budget": 0.5, "stream.explore": 0.1}
    batch = arrivals(some(400) * 0.1)

    rows = take(make_stream(store, {**values, "stream.controller": controller}), batch)

    expected = np.flatnonzero(draws_of(batch.uids) < 0.05).tolist()
    assert set(expected) <= set(rows)
    told = origins(store)
    for row in rows:
        chance = told[Uid(batch.uids[row])] is QueryOrigin.CHANCE
        assert chance == (row in expected)


def test_split_explores_once_not_twice(store: MemoryStore) -> None:
    scored(store)
    values = {"stream.controller": "split", "stream.explore": 0.4}
    batch = arrivals(np.zeros(500))  # of which its threshold buys nothing at first

    rows = take(make_stream(store, {**values, "stream.budget": 0.2}), batch)

    drawn = draws_of(batch.uids)
    assert all(drawn[row] < 0.08 or drawn[row] >= 0.4 for row in rows)
    assert sum(drawn[row] < 0.08 for row in rows) == (drawn < 0.08).sum()


def test_the_budget_is_people_over_arrivals_once_both_are_known(
    store: MemoryStore,
) -> None:
    scored(store)
    stream = make_stream(store, {"ask.capacity": 10})
    asked = []
    for day in range(12):
        rows = []
        for hour in range(10):
            batch = arrivals(some(20, day * 100 + hour), seed=day * 100 + hour)
            rows += [
                hour * 20 + row
                for row in take(stream, batch, MONDAY + day * DAY + hour * HOUR)
            ]
        asked.append(rows)

    assert pace_of(store).usual == 200
    # On the first day a guess, used up early; then spread over the day.
    assert max(asked[0]) < 150
    assert all(len(rows) <= 10 for rows in asked)
    assert sum(len(rows) for rows in asked[1:]) >= 90
    assert np.median([max(rows) for rows in asked[2:]]) > 150


def test_questions_are_of_the_current_cycle(store: MemoryStore) -> None:
    scored(store, cut_at(4, 4, 4, cycle=6))
    take(make_stream(store, ALL), arrivals([0.5, 0.6]))

    assert [(i.cycle, i.state, i.asked) for i in store.queue.items()] == [
        (6, ItemState.QUEUED, 1)
    ] * 2


def test_a_uid_for_every_sample(store: MemoryStore) -> None:
    batch = arrivals([0.5, 0.6])

    with pytest.raises(DataError, match="1 uids were given for 2 samples"):
        make_stream(store).take(batch.uids[:1], batch.raw, MONDAY)


def test_a_model_of_another_task_is_refused(store: MemoryStore) -> None:
    scored(store)
    small = {name: array[:2] for name, array in honest_model().items()}
    store.models.put(GLOBAL, small, keep=1)

    with pytest.raises(StoreError, match="not one of this task"):
        take(make_stream(store), arrivals([0.5]))

    assert store.arrivals.pace() == b""


def test_what_is_not_permitted_is_not_looked_at(store: MemoryStore) -> None:
    class Half(Permits):
        digest = "d" * 64

        @override
        def until(self, uids: Sequence[Uid]) -> list[datetime | None]:
            return [MONDAY + DAY if uid in good else None for uid in uids]

    scored(store, cut_at(4, 4, 4))
    batch = arrivals(some(20))
    good = set(batch.uids[::2].tolist())
    stream = make_stream(store, ALL)
    stream._permits = permits = Half()
    store.rights.apply(permits, MONDAY)
    looked: list[str] = []
    inner = stream._rater.scored

    def noted(samples: Pool, *args: Any) -> Scored:  # noqa: ANN401
        looked.extend(samples.uids.tolist())
        return inner(samples, *args)

    stream._rater.scored = noted  # type: ignore[method-assign,assignment]

    rows = take(stream, batch)

    assert rows
    assert {str(batch.uids[row]) for row in rows} <= good
    assert set(looked) == good
