import numpy as np
import pytest

from fedask.common.cut import Cut
from fedask.common.grid import Scored
from fedask.common.ids import DeviceId, content_uid
from fedask.common.policies.local_topk import LocalTopk
from fedask.common.policies.policy import FleetSum
from fedask.common.sections import AskConfig

MODEL = "0123456789abcdef"
DEVICES = tuple(DeviceId(f"device-{i}") for i in range(4))


def scored(count: int) -> Scored:
    uids = [content_uid(np.array([row])) for row in range(count)]
    return Scored(
        np.array(uids, dtype="U32"),
        np.linspace(1, 0, count, dtype=np.float32),
        np.zeros(count, dtype=np.int64),
    )


def plan(policy: LocalTopk, sizes: tuple[int, ...], quota: int) -> Cut:
    grid = np.zeros(policy.traits.grid_shape, dtype=np.int64)
    for size in sizes:
        grid += policy.contribute(scored(size))
    return policy.plan(
        FleetSum(
            cycle=3,
            nonce=11,
            model_version=MODEL,
            grid=grid,
            labelled=np.zeros(2, dtype=np.int64),
            devices=DEVICES,
            quota=quota,
        )
    )


@pytest.mark.parametrize(
    ("sizes", "quota", "take", "extra"),
    [
        ((9, 9, 9, 9), 8, 2, 0),
        ((9, 9, 9, 9), 10, 2, 2),
        ((9, 9, 9, 9), 3, 0, 3),
        ((0, 1, 9, 9), 8, 3, 1),  # 1 + 3 + 3, and one more
        ((0, 1, 9, 9), 11, 5, 0),
        ((0, 1, 2, 3), 6, 5, 0),  # all there is: as far as the capacity
        ((0, 0, 0, 0), 6, 5, 0),
        ((9, 9, 9, 9), 100, 5, 0),
    ],
)
def test_the_level_rises_as_far_as_the_quota_pays(
    sizes: tuple[int, ...], quota: int, take: int, extra: int
) -> None:
    policy = LocalTopk(AskConfig(capacity=5), 2)

    cut = plan(policy, sizes, quota)

    nine = scored(9)
    got = sorted(int(policy.accept(cut, nine, device).sum()) for device in DEVICES)
    assert cut.take == take
    assert got == [take] * (4 - extra) + [take + 1] * extra
    assert (cut.cycle, cut.nonce, cut.model_version) == (3, 11, MODEL)


@pytest.mark.parametrize("ticket", [0.0, 1.0])
def test_a_cut_that_buys_everything_stops_at_the_capacity(ticket: float) -> None:
    policy = LocalTopk(AskConfig(capacity=3), 2)
    hostile = Cut(cycle=2, model_version=MODEL, nonce=1, take=10**6, ticket=ticket)

    accepted = policy.accept(hostile, scored(10), DEVICES[0])

    assert accepted.tolist() == [True] * 3 + [False] * 7


def test_a_device_says_only_how_many_it_could_ask() -> None:
    policy = LocalTopk(AskConfig(capacity=3), 2)

    assert policy.traits.grid_shape == (1, 4)
    assert policy.contribute(scored(0)).tolist() == [[1, 0, 0, 0]]
    assert policy.contribute(scored(2)).tolist() == [[0, 0, 1, 0]]
    assert policy.contribute(scored(9)).tolist() == [[0, 0, 0, 1]]


def test_a_capacity_beyond_the_grid_is_counted_as_its_end() -> None:
    policy = LocalTopk(AskConfig(capacity=60_000), 2)

    assert policy.traits.grid_shape == (1, 4096)
    assert policy.contribute(scored(5000))[0, -1] == 1
