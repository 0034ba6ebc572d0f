from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from fedask.client.site.eligibility.guard import (
    Eligibility,
    EligibilitySensor,
    MissingError,
    Obstacle,
    Reason,
    Watched,
)


class Case(NamedTuple):
    """A sensor: what it says ("" nothing, None cannot tell), and its weight."""

    says: Reason | str | None
    required: bool


class Said(EligibilitySensor):
    name = "said"

    def __init__(self, says: Reason | str | None) -> None:
        self.says = says

    @override
    def look(self) -> Obstacle | None:
        if self.says is None:
            raise MissingError
        if not self.says:
            return None
        return Obstacle(reason=Reason(self.says), sentence="")


CASES = st.lists(
    st.builds(Case, st.sampled_from([*Reason, "", None]), st.booleans()), max_size=6
)


def looked(cases: Sequence[Case]) -> list[Reason]:
    watched = [Watched(sensor=Said(c.says), required=c.required) for c in cases]
    return [obstacle.reason for obstacle in Eligibility(watched).look()]


@given(CASES, st.integers(0, 6))
def test_required_and_missing_is_never_eligible(cases: list[Case], at: int) -> None:
    with_it = [*cases[:at], Case(None, required=True), *cases[at:]]

    assert Reason.SENSOR_MISSING in looked(with_it)


@given(CASES)
def test_eligible_is_exactly_what_no_sensor_stands_against(cases: list[Case]) -> None:
    against = [c for c in cases if c.says or (c.says is None and c.required)]

    assert len(looked(cases)) == len(against)


@given(CASES)
def test_requiring_more_never_makes_a_device_eligible(cases: list[Case]) -> None:
    stricter = [case._replace(required=True) for case in cases]

    assert looked(stricter) or not looked(cases)
