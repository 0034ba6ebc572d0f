from datetime import UTC, datetime, timedelta

import pytest

from fedask.common import errors
from fedask.common.clock import SystemClock
from fedask.common.errors import ConfigError, FedaskError, ProtocolError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, FedaskError)
    and kind is not errors.SealError  # a StoreError to whoever must act
]


def test_each_kind_of_error_has_an_exit_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in KINDS]

    assert len(KINDS) == 8
    assert len(set(codes)) == len(codes)
    assert 0 not in codes


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_says_what_it_is_told_or_else_what_it_means(
    kind: type[FedaskError],
) -> None:
    assert str(kind("the disk is full")) == "the disk is full"
    assert str(kind()) == kind.__doc__
    assert kind.__name__.endswith("Error")


def test_who_must_act_can_be_told_apart() -> None:
    assert not issubclass(ProtocolError, ConfigError)
    assert ConfigError.exit_code == 2


def test_the_system_clock_is_aware_and_in_utc() -> None:
    now = SystemClock().now()

    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
