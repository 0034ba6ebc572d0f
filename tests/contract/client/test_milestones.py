"""What the server told of the model, on both stores."""

from datetime import UTC, datetime, timedelta, timezone

from tests.support.client.questions import A, B, Store

from fedask.client.records.milestone import Milestone, with_milestone

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


RUN = "0123456789abcdef"


def milestone(
    cycle: int, accuracy: float = 1 / 3, trained: int = 0, run: str = RUN
) -> Milestone:
    at = NOON + timedelta(hours=5 * cycle)
    return Milestone(run=run, cycle=cycle, accuracy=accuracy, at=at, trained=trained)


def test_before_the_first_there_is_none(store: Store) -> None:
    assert store.milestones.all() == []


def test_it_comes_back_exactly_in_the_order_it_came(store: Store) -> None:
    told = [milestone(7, 0.1), milestone(8, 1.0, trained=12), milestone(9, 0.0)]
    for each in told:
        store.milestones.put(each)

    assert store.milestones.all() == told


def test_the_same_told_again_changes_nothing(store: Store) -> None:
    store.milestones.put(milestone(7))

    store.milestones.put(milestone(7, trained=3))

    assert store.milestones.all() == [milestone(7)]


def test_another_run_begins_anew(store: Store) -> None:
    store.milestones.put(milestone(7))

    store.milestones.put(milestone(8, run="f" * 16))

    assert store.milestones.all() == [milestone(8, run="f" * 16)]


def test_old_ones_are_thinned(store: Store) -> None:
    expected: list[Milestone] = []
    for cycle in range(1, 60):
        store.milestones.put(milestone(cycle))
        expected = with_milestone(expected, milestone(cycle))

    assert store.milestones.all() == expected
    assert len(expected) < 59


def test_another_time_zone_is_another_way_to_write_the_same(store: Store) -> None:
    zone = timezone(timedelta(hours=-5))
    there = Milestone(cycle=1, accuracy=0.5, at=NOON.astimezone(zone), trained=0)

    store.milestones.put(there)

    assert store.milestones.all() == [there]


def test_what_is_asked_answered_and_forgotten_leaves_it_alone(store: Store) -> None:
    store.milestones.put(milestone(7, trained=1))

    store.queue.add(8, [A, B])
    store.queue.answer({A: 1})
    store.erasure.forget([A])

    assert store.milestones.all() == [milestone(7, trained=1)]
    assert [item.uid for item in store.queue.items()] == [B]
