import numpy as np
import pytest

from fedask.common.cut import Cut
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import DeviceId, content_uid, hash_uids
from fedask.common.policies.global_cut import GlobalCut
from fedask.common.policies.policy import FleetSum, draws_ticket, make_policy
from fedask.common.sections import AskConfig

MODEL = "0123456789abcdef"
DEVICE = DeviceId("device-0")


def fleet_sum(grid: IntArray, labelled: list[int], quota: int) -> FleetSum:
    return FleetSum(
        cycle=3,
        nonce=11,
        model_version=MODEL,
        grid=grid,
        labelled=np.array(labelled),
        devices=(DEVICE,),
        quota=quota,
    )


def one_per_bin(groups: int) -> IntArray:
    """One sample in each of 16 bins of each group."""
    return np.ones((groups, 16), dtype=np.int64)


def bought(cut: Cut, grid: IntArray) -> list[int]:
    return [int(grid[g, theta:].sum()) for g, theta in enumerate(cut.theta)]


def equal_scores(count: int) -> Scored:
    uids = np.array([content_uid(np.array([row])) for row in range(count)], dtype="U32")
    scores = np.full(count, 0.5, dtype=np.float32)
    return Scored.ranked(uids, scores, np.zeros(count, dtype=np.int64))


@pytest.mark.parametrize(
    ("balance", "labelled", "expected"),
    [
        (1.0, [0, 0, 0], [4, 4, 4]),
        (1.0, [10, 0, 0], [0, 6, 6]),
        (1.0, [10, 8, 0], [0, 2, 10]),
        (0.5, [10, 10, 0], [3, 3, 6]),  # 6 for the balance, 6 for the highest scores
    ],
)
def test_the_quota_fills_the_labelled_classes_up_to_one_level(
    balance: float, labelled: list[int], expected: list[int]
) -> None:
    policy = GlobalCut(AskConfig(bins=16, balance=balance), 3)
    grid = one_per_bin(3)

    cut = policy.plan(fleet_sum(grid, labelled, quota=12))

    assert bought(cut, grid) == expected


def test_without_balance_the_scores_alone_decide() -> None:
    policy = GlobalCut(AskConfig(bins=4, balance=0.0), 3)
    grid = np.array([[5, 0, 0, 1], [0, 0, 0, 3], [0, 0, 4, 2]])

    cut = policy.plan(fleet_sum(grid, [0, 1000, 0], quota=10))

    assert bought(cut, grid) == [1, 3, 6]


def test_a_cut_names_its_cycle_nonce_and_model() -> None:
    cut = GlobalCut(AskConfig(bins=16), 2).plan(fleet_sum(one_per_bin(2), [0, 0], 5))

    assert (cut.cycle, cut.nonce, cut.model_version) == (3, 11, MODEL)


def test_the_split_bin_gives_the_samples_of_lowest_hash() -> None:
    policy = GlobalCut(AskConfig(bins=16, capacity=20), 1)
    scored = equal_scores(20)
    cut = policy.plan(fleet_sum(policy.contribute(scored), [0], quota=7))

    accepted = policy.accept(cut, scored, DEVICE)

    order = np.argsort(hash_uids(scored.uids, 11))
    assert set(scored.uids[accepted]) == set(scored.uids[order[:7]])


def test_another_nonce_gives_other_samples_of_the_split_bin() -> None:
    policy = GlobalCut(AskConfig(bins=16, capacity=20), 1)
    scored = equal_scores(20)
    picks = {
        tuple(policy.accept(split_cut(nonce, rho=0.4), scored, DEVICE).tolist())
        for nonce in range(20)
    }

    assert len(picks) == 20


def split_cut(nonce: int, *, rho: float, ticket: float = 0.0) -> Cut:
    """The bin of score 0.5 is split, nothing is above."""
    return Cut(
        cycle=2,
        model_version=MODEL,
        nonce=nonce,
        theta=(9,),
        boundary=0,
        rho=rho,
        ticket=ticket,
    )


@pytest.mark.parametrize(
    ("rho", "ticket", "expected"),
    [(0.0, 0.0, 0), (0.0, 1.0, 1), (0.25, 0.0, 2), (0.25, 1.0, 3), (1.0, 1.0, 10)],
)
def test_a_device_buys_its_share_rounded_down_and_one_for_a_ticket(
    rho: float, ticket: float, expected: int
) -> None:
    policy = GlobalCut(AskConfig(bins=16), 1)

    accepted = policy.accept(
        split_cut(1, rho=rho, ticket=ticket), equal_scores(10), DEVICE
    )

    assert accepted.sum() == expected


def test_a_cut_that_buys_everything_stops_at_the_capacity() -> None:
    policy = GlobalCut(AskConfig(bins=16, capacity=3), 1)
    hostile = Cut(cycle=2, model_version=MODEL, nonce=1, theta=(0,), ticket=1.0)

    accepted = policy.accept(hostile, equal_scores(10), DEVICE)

    assert accepted.tolist() == [True] * 3 + [False] * 7


@pytest.mark.parametrize("theta", [(), (3,), (3, 3, 3)])
def test_a_cut_for_other_groups_is_refused(theta: tuple[int, ...]) -> None:
    policy = GlobalCut(AskConfig(bins=16), 2)
    cut = Cut(cycle=2, model_version=MODEL, nonce=1, theta=theta)

    with pytest.raises(ProtocolError, match=f"has {len(theta)} groups, must have 2"):
        policy.accept(cut, equal_scores(3), DEVICE)


def test_a_device_without_samples_contributes_zeros_and_accepts_nothing() -> None:
    policy = GlobalCut(AskConfig(bins=16), 1)
    nothing = equal_scores(0)

    assert policy.contribute(nothing).tolist() == [[0] * 16]
    assert policy.accept(split_cut(1, rho=0.5), nothing, DEVICE).tolist() == []


def test_nobody_draws_a_ticket_of_zero() -> None:
    cut = split_cut(1, rho=0.5, ticket=0.0)

    assert not any(draws_ticket(cut, DeviceId(f"d{i}")) for i in range(100))


def test_an_unknown_policy_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'global-cutt'.*did you mean 'global-cut'"):
        make_policy(AskConfig(policy="global-cutt"), 2)
