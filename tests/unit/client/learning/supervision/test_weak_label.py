"""Labelling functions: how votes combine, what is drawn, what people outrank."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.world import (
    CLASSES,
    LABELS,
    NAME,
    SAMPLES,
    TRUTH,
    UIDS,
    World,
    first_cut,
)

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.labelling.oracles.oracle import SKIP
from fedask.client.learning.supervision.weak_label import (
    WeakLabels,
    combine,
    has_enough_labels,
    vote,
    vote_weights,
)
from fedask.client.records.label_queue import Item, ItemState
from fedask.client.records.pool import Pool
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid
from fedask.common.sections import WeakConfig

POOL = Pool(ArraySource(SAMPLES))
C = len(CLASSES)


def largest(raw: NDArray[Any]) -> NDArray[np.int64]:
    """The class of the largest of the first three numbers: mostly right here."""
    classes: NDArray[np.int64] = raw[:, :C].argmax(axis=1)
    return classes


def red(raw: NDArray[Any]) -> NDArray[np.int64]:
    return np.zeros(len(raw), dtype=np.int64)


def silent(raw: NDArray[Any]) -> NDArray[np.int64]:
    return np.full(len(raw), -1)


def broken(raw: NDArray[Any]) -> NDArray[np.int64]:
    msg = f"no {len(raw)} of these"
    raise KeyError(msg)


def vandal(raw: NDArray[Any]) -> NDArray[np.int64]:
    raw[:] = 0
    return silent(raw)


def beyond(raw: NDArray[Any]) -> NDArray[np.int64]:
    return np.full(len(raw), C)


def below(raw: NDArray[Any]) -> NDArray[np.int64]:
    return np.full(len(raw), -2)


def fractions(raw: NDArray[Any]) -> NDArray[np.float64]:
    return np.zeros(len(raw))


def single(raw: NDArray[Any]) -> int:
    return len(raw)


def named(*functions: str) -> str:
    return ", ".join(f"{__name__}:{function}" for function in functions)


def weak(functions: str = "largest", **settings: Any) -> WeakLabels:  # noqa: ANN401
    config = WeakConfig(functions=named(*functions.split(",")), **settings)
    return WeakLabels(config, C, NAME, seed=3)


def labelled(labels: Mapping[Uid, int]) -> list[Item]:
    return [
        Item(uid=u, state=ItemState.TRAINED, label=n, cycle=1)
        for u, n in labels.items()
    ]


@pytest.mark.parametrize(
    ("votes", "chosen"),
    [
        ([0, 0, 1], 0),
        ([2, -1, -1], 2),
        ([1, 2, -1], -1),  # a tie
        ([0, 1, 2], -1),
        ([-1, -1, -1], -1),
    ],
)
def test_majority_of_those_that_do_not_abstain_and_a_tie_abstains(
    votes: list[int], chosen: int
) -> None:
    assert combine(np.array([votes]), np.ones(3), C).tolist() == [chosen]


def test_a_weighty_function_outvotes_two_light_ones_and_a_worthless_one_is_mute() -> (
    None
):
    votes = np.array([[0, 1, 1], [0, -1, -1], [-1, 2, -1]])

    assert combine(votes, np.array([3.0, 1.0, 1.0]), C).tolist() == [0, 0, 2]
    assert combine(votes, np.array([0.0, 1.0, 1.0]), C).tolist() == [1, -1, 2]


def test_a_vote_weighs_the_log_odds_of_what_people_confirmed() -> None:
    truth = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    right = truth.copy()
    half = np.where(np.arange(8) < 4, truth, (truth + 1) % C)
    wrong = (truth + 1) % C
    rare = np.where(np.arange(8) == 0, truth, -1)

    found = vote_weights(
        np.stack([right, half, wrong, rare, rare * 0 - 1], axis=1), truth, C
    )

    # Rights and wrongs, one more of each: 9/1, 5/5, 1/9 (worse than chance), 2/1, 1/1.
    odds = np.array([9.0, 1.0, 0.5, 2.0, 1.0]) * (C - 1)
    np.testing.assert_allclose(found, np.log(odds), atol=1e-12)


@pytest.mark.parametrize(
    ("labels", "over"),
    [([], False), ([1], False), ([1, 1], True), ([0, 1, 1], False), ([0, 1] * 2, True)],
)
def test_enough_is_counted_per_class_that_people_named(
    labels: list[int], *, over: bool
) -> None:
    assert has_enough_labels(labels, 2) is over


def test_functions_label_a_bounded_share_that_is_always_the_same() -> None:
    given = weak(samples=20).labels(POOL, [])

    assert len(given) == 20
    assert given == weak(samples=20).labels(POOL, [])
    order = np.random.default_rng(1).permutation(len(SAMPLES))
    shuffled = Pool(ArraySource(SAMPLES[order]))
    assert given == weak(samples=20).labels(shuffled, [])
    rows = [UIDS.index(uid) for uid in given]
    assert list(given.values()) == largest(SAMPLES[rows]).tolist()
    assert set(weak(samples=10).labels(POOL, [])) < set(given)


def test_what_a_person_has_seen_gets_no_weak_label() -> None:
    every = weak(samples=60).labels(POOL, [])
    skipped = Item(uid=UIDS[0], state=ItemState.SKIPPED, cycle=1)
    waiting = Item(uid=UIDS[1], state=ItemState.QUEUED, cycle=1)
    answered = labelled({UIDS[2]: 0})

    left = weak(samples=60).labels(POOL, [skipped, waiting, *answered])

    assert set(every) - set(left) == {UIDS[0], UIDS[2]}


def test_weak_labels_end_with_enough_of_people() -> None:
    two = labelled({uid: LABELS[uid] for uid in UIDS[:2]})

    assert weak(until=3).labels(POOL, two)
    assert weak(until=1).labels(POOL, two) == {}


def test_people_judge_the_functions_once_they_have_said_enough() -> None:
    # Of these labels 'red' has none right, 'largest' most.
    judged = {u: LABELS[u] for u in UIDS if LABELS[u] != 0}
    few = labelled(dict(list(judged.items())[:12]))
    drawn = [u for u in UIDS if LABELS[u] == 1 and u not in {i.uid for i in few}]

    majority = weak("red,largest", samples=60, until=50).labels(POOL, few)
    judging = weak("red,largest", samples=60, until=50, judges=12).labels(POOL, few)
    waiting = weak("red,largest", samples=60, until=50, judges=13).labels(POOL, few)

    assert {majority.get(uid, 0) for uid in drawn} == {0}  # else a tie
    assert majority == waiting
    assert sum(judging.get(uid) == 1 for uid in drawn) > len(drawn) * 0.8


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        ("broken", ConfigError, "broken' fails: KeyError: .*no 7 of these.*py:"),
        ("beyond", ConfigError, "beyond' returned 3: .* 0 to 2, or -1 to abstain"),
        ("below", ConfigError, "below' returned -2"),
        ("fractions", ConfigError, r"fractions' returned float64 of shape \(7,\)"),
        ("single", ConfigError, r"single' returned int64 of shape \(\) for 7 samples"),
    ],
)
def test_a_function_that_goes_wrong_is_named_with_its_device(
    function: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=f"device {NAME}: labelling function .*{words}"):
        weak(function, samples=7).labels(POOL, [])


def test_a_function_may_do_with_its_batch_what_it_likes() -> None:
    raw = SAMPLES.copy()
    functions = {"vandal": vandal, "largest": largest}

    votes = vote(functions, raw, C, "a test")

    assert np.array_equal(raw, SAMPLES)
    assert votes[:, 1].tolist() == largest(SAMPLES).tolist()


def test_a_function_that_is_not_there_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"has no 'lagrest'.*'largest'"):
        weak("lagrest")


def world(functions: str = "largest", **settings: Any) -> World:  # noqa: ANN401
    values = {f"weak.{key}": value for key, value in settings.items()}
    return World({"weak.functions": named(functions), **values})


def test_a_device_without_a_label_trains_and_its_update_weighs_little() -> None:
    here = world(samples=25)
    here.people.willing = False

    outcome = here.round(1, 0, cut=first_cut())

    assert outcome.arrays is not None
    assert outcome.weight == 3  # 25 at 0.1 of a label, rounded up
    assert not np.array_equal(outcome.arrays["1.weight"], here.model["1.weight"])
    report = outcome.report
    assert (report.labelled, report.answered) == (0, 0)
    assert {item.label for item in here.store.queue.items()} == {None}


def test_a_persons_label_replaces_the_weak_one_and_weighs_more() -> None:
    here = world("red", samples=60, until=50)
    here.people.willing = False
    before = here.round(1, 0, cut=first_cut(take=4))
    here.people.willing = True

    after = here.round(1, 1)

    assert before.weight == 6
    assert after.weight == 4 + 6  # 56 weak ones are left
    assert after.report.labelled == 4
    asked = {item.uid: item.label for item in here.store.queue.items()}
    assert asked == {uid: LABELS[uid] for uid in asked}
    # In training: four of people at 1, the rest red at 0.1.
    prepared = here.device._planner._prepared_for
    assert prepared is not None
    weights, targets = prepared[1].weights, prepared[1].targets
    assert weights is not None
    assert weights.tolist() == pytest.approx([1.0] * 4 + [0.1] * 56)
    assert targets[:4].tolist() == [asked[uid] for uid in sorted(asked)]
    assert set(targets[4:].tolist()) == {0}


def test_weak_labels_that_have_ended_leave_no_trace() -> None:
    plain, here = World(), world(until=1)

    outcomes = [each.round(1, 0, cut=first_cut(take=4)) for each in (plain, here)]

    arrays = [outcome.arrays for outcome in outcomes]
    assert arrays[0] is not None
    assert arrays[1] is not None
    for name, array in arrays[0].items():
        assert np.array_equal(array, arrays[1][name])
    assert [outcome.weight for outcome in outcomes] == [4, 4]


def test_functions_that_all_abstain_leave_a_device_without_a_lesson() -> None:
    here = world("silent")
    here.people.answers = dict.fromkeys(UIDS, SKIP)

    outcome = here.round(1, 0, cut=first_cut())

    assert outcome.arrays is None
    assert outcome.weight == 0


def test_weak_labels_help_where_the_function_knows_the_answer() -> None:
    here = world(samples=60)
    here.people.willing = False

    for _ in range(10):
        outcome = here.round(1, 0)
        assert outcome.arrays is not None
        here.model = dict(outcome.arrays)

    here.learner.load(here.model)
    accuracy = (here.learner.predict(SAMPLES).argmax(axis=1) == TRUTH).mean()
    assert accuracy > 0.8
