"""Which milestones stay, which change they tell of, and what of it people are shown."""

from datetime import UTC, datetime, timedelta

import pytest

from fedask.client.labelling.web.hints import Gain, gain_of
from fedask.client.records.milestone import (
    FURTHEST,
    Milestone,
    recent_change,
    with_milestone,
)

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def milestone(
    after: timedelta,
    accuracy: float = 0.5,
    trained: int = 0,
    cycle: int | None = None,
    run: str = "",
) -> Milestone:
    number = round(after / timedelta(minutes=1)) if cycle is None else cycle
    at = START + after
    return Milestone(run=run, cycle=number, accuracy=accuracy, at=at, trained=trained)


def kept(*milestones: Milestone) -> list[Milestone]:
    stays: list[Milestone] = []
    for each in milestones:
        stays = with_milestone(stays, each)
    return stays


def test_however_many_rounds_there_were_what_is_kept_stays_small() -> None:
    stays: list[Milestone] = []
    for number in range(400 * 8):  # one every three hours
        stays = with_milestone(stays, milestone(number * 3 * HOUR))
        assert len(stays) <= 90
    assert stays[0].at >= stays[-1].at - FURTHEST
    assert len({each.at.date() for each in stays}) == 60  # a point for every day


def test_many_in_an_hour_leave_the_first_and_the_last() -> None:
    minutes = [milestone(timedelta(minutes=n)) for n in range(60)]

    assert kept(*minutes) == [minutes[0], minutes[-1]]


def test_hours_of_yesterday_stay_and_of_older_days_the_first() -> None:
    hours = [milestone(number * HOUR) for number in range(49)]

    stays = kept(*hours)

    assert stays[0] == hours[0]
    assert [each for each in stays if hours[-1].at - each.at <= DAY] == hours[24:]
    assert len(stays) == 1 + 1 + 25  # two days before, and 24 hours with both ends


def test_the_same_told_again_changes_nothing() -> None:
    first = milestone(HOUR, cycle=3)
    again = milestone(2 * HOUR, trained=9, cycle=3)

    assert kept(first, again) == [first]


@pytest.mark.parametrize("cycle", [1, 7, 9])
def test_what_another_run_reached_goes_with_it(cycle: int) -> None:
    old = [milestone(n * HOUR, cycle=n, run="a") for n in range(1, 8)]
    new = milestone(30 * HOUR, 0.9, cycle=cycle, run="b")

    assert kept(*old, new) == [new]


def test_a_server_that_names_no_run_began_another_where_its_cycles_go_back() -> None:
    old = [milestone(n * HOUR, cycle=n) for n in range(1, 8)]
    new = [milestone((30 + n) * HOUR, 0.9, cycle=n) for n in (1, 2)]

    assert kept(*old, *new) == new


def test_a_run_that_went_back_to_its_checkpoint_loses_what_it_does_anew() -> None:
    told = [milestone(n * HOUR, n / 10, cycle=n, run="a") for n in range(1, 6)]
    anew = milestone(9 * HOUR, 0.6, cycle=4, run="a")

    assert kept(*told, anew) == [*told[:3], anew]


def test_a_clock_that_was_ahead_does_not_put_the_past_into_the_future() -> None:
    early, ahead = milestone(HOUR, cycle=1), milestone(400 * DAY, cycle=2)
    now = milestone(2 * DAY, cycle=3)

    stays = kept(early, ahead, now)

    assert [each.at for each in stays] == sorted(each.at for each in stays)
    assert stays[-1] == now
    assert all(each.at <= now.at for each in stays)


def test_a_week_is_compared_not_all_of_history() -> None:
    days = [milestone(day * DAY, 0.5 + day / 100, trained=day) for day in range(15)]

    change = recent_change(kept(*days), START + 14 * DAY)

    assert change is not None
    assert (change.first, change.last) == (days[7], days[14])
    assert (change.points, change.answers) == (7.0, 7)


def test_a_younger_device_is_compared_with_its_first_model() -> None:
    days = [milestone(day * DAY) for day in range(3)]

    change = recent_change(days, START + 2 * DAY)

    assert change is not None
    assert change.first == days[0]


def test_models_of_two_runs_are_never_compared() -> None:
    # As a store holds them that was written before runs had names.
    told = [
        milestone(HOUR, 0.6, cycle=1),
        milestone(2 * HOUR, 0.7, cycle=2),
        milestone(3 * HOUR, 0.25, cycle=1),
    ]
    later = milestone(4 * HOUR, 0.275, cycle=2)

    assert recent_change(told, START + DAY) is None
    change = recent_change([*told, later], START + DAY)
    assert change is not None
    assert (change.first, change.points) == (told[2], 2.5)


@pytest.mark.parametrize(
    ("told", "now"),
    [
        pytest.param([], DAY, id="nothing was told"),
        pytest.param([milestone(HOUR)], DAY, id="one only"),
        pytest.param(
            [milestone(HOUR), milestone(DAY)], 9 * DAY, id="nothing new for a week"
        ),
        pytest.param(
            [milestone(HOUR, 0.6, run="a"), milestone(2 * HOUR, 0.875, run="b")],
            3 * HOUR,
            id="of two runs",
        ),
    ],
)
def test_without_two_models_to_compare_there_is_no_change(
    told: list[Milestone], now: timedelta
) -> None:
    assert recent_change(told, START + now) is None


def test_after_a_silence_of_three_weeks_the_last_known_model_is_the_first() -> None:
    told = [milestone(HOUR), milestone(DAY), milestone(22 * DAY)]

    change = recent_change(told, START + 22 * DAY)

    assert change is not None
    assert change.first == told[1]


def gain(points: float, answers: int) -> Gain | None:
    told = [
        milestone(HOUR, 0.5, trained=10),
        milestone(2 * DAY, 0.5 + points / 100, trained=10 + answers),
    ]
    return gain_of(recent_change(told, START + 2 * DAY))


def test_a_gain_names_its_points_and_its_day() -> None:
    assert gain(3, 5) == Gain(measure="accuracy", points=3.0, since=START + HOUR)


@pytest.mark.parametrize(
    ("points", "answers"),
    [
        pytest.param(0.9, 50, id="less than a point"),
        pytest.param(0, 50, id="none"),
        pytest.param(-4, 50, id="a loss"),
        pytest.param(3, 4, id="four answers"),
        pytest.param(3, 0, id="no part in it"),
        pytest.param(3, -6, id="samples were erased"),
    ],
)
def test_what_is_no_gain_of_this_device_is_not_shown(
    points: float, answers: int
) -> None:
    assert gain(points, answers) is None


def test_the_smallest_gain_is_what_is_shown_as_one_point() -> None:
    shown = gain(100 * (0.57 - 0.56), 5)  # 0.99999... in floating point

    assert shown is not None
    assert shown.points == 1.0
