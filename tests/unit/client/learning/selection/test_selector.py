import numpy as np
import pytest
from tests.support.client.world import (
    LABELS,
    UIDS,
    World,
    first_cut,
    whole_cut,
)

from fedask.client.learning.batchers.batcher import BATCHERS
from fedask.common.cut import Cut
from fedask.common.errors import ProtocolError
from fedask.common.ids import hash_uids
from fedask.common.policies.policy import POLICIES
from fedask.common.records import OTHER_GROUPS, OTHER_MODEL

# Groups of the policies that cut by groups.
THETAS = {
    "global-cut": 3,
    "class-cut": 3,
    "proportional-random": 1,
    "tail": 1,
    "auto": 3,
}
OTHER_VERSION = "0123456789abcdef"


@pytest.mark.parametrize("take", [0, 1, 4])
def test_the_first_cut_takes_samples_by_hash(take: int) -> None:
    world = World()

    report = world.round(1, 0, cut=first_cut(take=take)).report

    uids = np.array(UIDS)
    expected = uids[np.argsort(hash_uids(uids, 9))[:take]]
    assert world.queued_in(1) == sorted(expected.tolist())
    assert (report.asked, report.answered, report.cut_cycle) == (take, take, 1)
    assert sum(report.class_counts) == take


def test_the_first_cut_loads_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.people.willing = False

    def load(_rows: object) -> None:
        pytest.fail("a sample was loaded")

    monkeypatch.setattr(world.device.pool._source, "load", load)

    world.round(1, 0, cut=first_cut())

    assert len(world.queued_in(1)) == 2


def test_a_cut_of_the_scored_model_asks_the_best() -> None:
    world = World()
    world.scored()
    kept = world.store.scores.last()
    assert kept is not None

    report = world.round(2, 0, cut=whole_cut(2, world.version)).report

    assert world.queued_in(2) == sorted(kept[1].uids[:5].tolist())
    assert (report.refused, report.cut_cycle, report.asked) == ("", 2, 7)


def test_a_cut_of_another_model_is_refused_and_the_device_still_trains() -> None:
    world = World()
    world.scored()
    before = world.items()

    outcome = world.round(2, 0, cut=whole_cut(2, OTHER_VERSION))

    assert outcome.report.refused == OTHER_MODEL
    assert outcome.report.cut_cycle == 1
    assert world.items() == before
    assert outcome.arrays is not None


def test_a_cut_before_any_scoring_is_refused() -> None:
    world = World()

    outcome = world.round(2, 0, cut=whole_cut(2, world.version))

    assert outcome.report.refused == OTHER_MODEL
    assert world.items() == {}


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_cut_with_other_groups_is_refused_and_the_device_still_trains(
    groups: int,
) -> None:
    world = World()
    world.scored()

    outcome = world.round(2, 0, cut=whole_cut(2, world.version, groups))

    assert outcome.report.refused == OTHER_GROUPS
    assert outcome.report.cut_cycle == 1
    assert outcome.arrays is not None


def test_a_device_that_missed_the_first_rounds_applies_the_cut_later() -> None:
    on_time, late = World(), World()
    for world in (on_time, late):
        world.scored()
    cut = whole_cut(2, on_time.version)
    on_time.round(2, 0, cut=cut)

    late.round(2, 2, cut=cut)

    assert late.queued_in(2) == on_time.queued_in(2)
    assert len(late.queued_in(2)) == 5


def test_a_device_that_missed_a_cycle_is_asked_in_the_next() -> None:
    world = World()
    world.scored()

    world.round(5, 0, cut=whole_cut(5, world.version))

    assert len(world.queued_in(5)) == 5


def test_a_device_that_was_never_asked_takes_a_later_cut() -> None:
    world = World()
    world.round(1, 2, score=world.version)
    assert world.items() == {}

    world.round(2, 0, cut=whole_cut(2, world.version))

    assert len(world.queued_in(2)) == 5


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("capacity", [1, 3])
def test_no_cut_asks_more_than_the_capacity(policy: str, capacity: int) -> None:
    world = World({"ask.policy": policy, "ask.capacity": capacity})
    hostile = Cut(
        cycle=2,
        model_version=world.version,
        nonce=1,
        theta=(0,) * THETAS.get(policy, 0),
        rho=1.0,
        take=10_000_000,
        ticket=1.0,
    )

    world.round(1, 0, cut=first_cut(take=10_000_000))
    assert len(world.queued_in(1)) == capacity
    world.round(1, 2, score=world.version)
    world.round(2, 0, cut=hostile)
    assert len(world.queued_in(2)) == capacity
    world.round(3, 0, cut=first_cut(3, take=10_000_000))

    assert len(world.queued_in(3)) <= capacity


@pytest.mark.parametrize("policy", POLICIES)
def test_no_cut_asks_more_in_all_than_the_device_may_be_asked(policy: str) -> None:
    world = World({"ask.policy": policy, "ask.device_labels": 9})
    for cycle, total in ((2, 7), (3, 9), (4, 9)):
        if cycle == 2:
            world.scored()
        else:
            world.round(cycle - 1, 2, score=world.version)
        hostile = Cut(
            cycle=cycle,
            model_version=world.version,
            nonce=cycle,
            theta=(0,) * THETAS.get(policy, 0),
            rho=1.0,
            take=10_000_000,
        )
        assert world.round(cycle, 0, cut=hostile).report.asked == total
    world.round(5, 0, cut=first_cut(5, take=5))
    assert len(world.items()) == 9


def test_a_first_cut_is_clipped_to_what_the_device_may_be_asked() -> None:
    world = World({"ask.device_labels": 3})

    world.round(1, 0, cut=first_cut(take=4))

    assert len(world.queued_in(1)) == 3


def test_a_device_counts_no_scores_that_it_may_not_be_asked() -> None:
    world = World({"ask.device_labels": 4})
    kept_back, free = world.scored().report.grid, World().scored().report.grid
    assert kept_back is not None
    assert free is not None
    assert (int(kept_back.sum()), int(free.sum())) == (2, 5)

    # Of the five over the cut it asks the best two, those that it has counted.
    world.round(2, 0, cut=whole_cut(2, world.version))

    kept = world.store.scores.last()
    assert kept is not None
    assert world.queued_in(2) == sorted(kept[1].uids[:2].tolist())
    done = world.round(2, 2, score=world.version).report.grid
    assert done is not None
    assert int(done.sum()) == 0


def test_expired_questions_do_not_use_up_what_a_device_may_be_asked() -> None:
    world = World({"ask.device_labels": 3, "ask.patience": 1})
    world.people.willing = False
    world.round(1, 0, cut=first_cut(take=3))
    world.round(2, 0)

    report = world.round(2, 1, cut=first_cut(2, take=5)).report

    assert (report.asked, report.expired) == (6, 3)


@pytest.mark.parametrize("batcher", BATCHERS)
@pytest.mark.parametrize("k", [0, 1, 3, 5])
def test_every_batcher_asks_as_many_as_the_cut_buys(batcher: str, k: int) -> None:
    world = World(
        {"ask.batcher": batcher, "ask.shortlist": 3.0, "ask.policy": "local-topk"}
    )
    world.scored()
    kept = world.store.scores.last()
    assert kept is not None
    assert len(kept[1]) == 15

    cut = Cut(cycle=2, model_version=world.version, nonce=7, take=k)
    world.round(2, 0, cut=cut)

    picked = world.queued_in(2)
    assert len(picked) == k
    # Out of the device's own best m * k, the shortlist.
    assert set(picked) <= set(kept[1].uids[: 3 * k].tolist())


@pytest.mark.parametrize("batcher", ["cluster", "kmeans++"])
def test_a_batcher_chooses_by_what_the_model_sees(batcher: str) -> None:
    world = World({"ask.batcher": batcher, "ask.shortlist": 8.0})
    world.scored()
    kept = world.store.scores.last()
    assert kept is not None

    world.round(2, 0, cut=whole_cut(2, world.version))

    assert world.queued_in(2) != sorted(kept[1].uids[:5].tolist())


def test_a_cut_without_groups_is_refused_where_the_policy_has_them() -> None:
    world = World()
    world.scored()
    before = world.items()
    cut = Cut(cycle=2, model_version=world.version, nonce=7, take=3)

    with pytest.raises(ProtocolError, match="the cut has 0 groups, must have 3"):
        world.round(2, 0, cut=cut)

    assert world.items() == before


@pytest.mark.parametrize("first", ["typicality", "density", "margin"])
@pytest.mark.parametrize("take", [1, 3, 5])
def test_first_questions_may_be_spread_over_what_the_pool_looks_like(
    first: str, take: int
) -> None:
    asked = []
    for _ in range(2):
        world = World({"ask.first": first})
        world.round(1, 0, cut=first_cut(take=take))
        asked.append(world.queued_in(1))

    assert len(set(asked[0])) == take
    assert asked[0] == asked[1]


def test_typical_first_questions_come_from_different_clusters() -> None:
    # The pool is three clouds, one per class; hashes alone would often miss one.
    asked = World({"ask.first": "typicality"})
    asked.round(1, 0, cut=first_cut(take=3))

    classes = {LABELS[uid] for uid in asked.queued_in(1)}

    assert classes == {0, 1, 2}
