import pytest

from fedask.client.records.arrival_pace import FIRST_BUDGET, ControllerState, Pace
from fedask.common.errors import StoreError
from fedask.common.ids import Uid

FULL = Pace(
    period=20_000,
    cycle=4,
    arrived=70,
    asked=9,
    by_chance=2,
    usual=80.5,
    begun="biqf 4 0123456789abcdef",
    state=ControllerState(
        owed=0.1 + 0.2, recent=(0.1, -1.5, 1.0), spent=3.3, theta=0.7
    ),
    last=(Uid("a" * 32), Uid("b" * 32)),
)


@pytest.mark.parametrize("pace", [Pace(), FULL])
def test_a_pace_survives_the_store(pace: Pace) -> None:
    assert Pace.from_bytes(pace.to_bytes()) == pace


def test_there_is_a_pace_before_the_first_arrival() -> None:
    assert Pace.from_bytes(b"") == Pace()


@pytest.mark.parametrize(
    "kept", [b"{", b"\xff", b"[]", b"{}", b'{"state": 1}', FULL.to_bytes()[:-1] + b","]
)
def test_damaged_bytes_are_refused(kept: bytes) -> None:
    with pytest.raises(StoreError, match="pace of arrivals cannot be read"):
        Pace.from_bytes(kept)


def test_a_new_period_gives_people_new_time_and_remembers_what_came() -> None:
    pace = Pace(period=5, arrived=80, asked=9, by_chance=2).at(6)

    assert (pace.period, pace.arrived, pace.asked, pace.by_chance) == (6, 0, 0, 0)
    assert pace.usual == 80


def test_the_usual_follows_a_change_within_a_few_periods() -> None:
    pace = Pace(period=1, usual=80.0)
    expected = 80.0
    for period in range(2, 8):
        pace = Pace(period=pace.period, arrived=200, usual=pace.usual).at(period)
        expected = 0.75 * expected + 0.25 * 200
        assert pace.usual == pytest.approx(expected)
    assert pace.usual > 170


def test_periods_without_an_arrival_do_not_count() -> None:
    busy = Pace(period=1, arrived=80).at(2)

    assert busy.at(9).at(30).usual == 80


@pytest.mark.parametrize("period", [20_000, 19_999, 0])
def test_a_clock_that_was_set_back_gives_people_no_new_time(period: int) -> None:
    pace = FULL.at(period)

    assert (pace.asked, pace.arrived, pace.usual) == (9, 70, 80.5)
    assert pace.period == period
    assert pace.at(period + 1).asked == 0  # and it does not stop the stream for ever


@pytest.mark.parametrize(
    ("usual", "most", "budget"),
    [
        (0.0, 0.0, FIRST_BUDGET),
        (0.0, 0.3, 0.3),
        (200.0, 0.0, 0.05),
        (200.0, 0.02, 0.02),
        (200.0, 0.5, 0.05),
        (4.0, 0.0, 1.0),
        (4.0, 0.6, 0.6),
    ],
)
def test_the_budget_is_what_people_can_pay_for(
    usual: float, most: float, budget: float
) -> None:
    assert Pace(usual=usual).budget(10, most) == budget
