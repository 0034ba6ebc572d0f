import pytest
from tests.support.client.streams import arriving, drifting, made, run

from fedask.client.learning.stream.controller import (
    CONTROLLERS,
    FixedCut,
    make_controller,
)
from fedask.client.records.arrival_pace import ControllerState
from fedask.common.errors import ConfigError
from fedask.common.sections import StreamConfig

# What scikit-activeml 1.0.1 asks of the same streams, with numpy 2.4. Of each utility u
# in turn: ``ids = manager.query_by_utility([u])``, ``manager.update([[u]], ids)``; the
# quantile filter wants ``[u]`` as well. The managers are
# ``BalancedIncrementalQuantileFilter(w=w, w_tol=w_tol, budget=B)`` and
# ``SplitBudgetManager(v=v, s=s, w=w, budget=B, random_state=scripted)``, in which
# ``scripted.random_sample()`` gives the sample's draw, and then the draw over v.
# fmt: off
BIQF = [
    # seed, B, w, w_tol, rows asked of 400
    (7, 0.1, 100, 50, [
        0, 6, 10, 16, 19, 25, 32, 52, 74, 86, 91, 98, 105, 121, 122, 156, 157, 158, 172,
        173, 177, 180, 188, 201, 202, 203, 204, 206, 207, 208, 212, 213, 297, 303, 330,
        344, 349, 361, 375, 383, 396,
    ]),
    (8, 0.25, 100, 50, [
        0, 2, 6, 11, 13, 14, 17, 26, 29, 37, 39, 41, 43, 44, 49, 53, 55, 56, 57, 65, 69,
        70, 83, 86, 87, 88, 89, 97, 104, 109, 111, 112, 117, 122, 133, 136, 139, 147,
        148, 152, 155, 158, 161, 166, 167, 171, 173, 175, 178, 191, 195, 200, 201, 202,
        203, 204, 205, 206, 208, 210, 211, 212, 213, 215, 218, 219, 220, 221, 222, 227,
        228, 231, 235, 239, 269, 275, 292, 301, 304, 307, 309, 313, 314, 318, 326, 331,
        336, 341, 344, 358, 362, 363, 364, 369, 372, 374, 377, 387, 393, 394, 399,
    ]),
    (9, 0.1, 20, 5, [
        0, 14, 15, 30, 39, 49, 62, 71, 82, 92, 101, 107, 125, 134, 135, 159, 167, 174,
        181, 197, 198, 200, 217, 231, 239, 251, 258, 277, 278, 283, 305, 313, 320, 334,
        340, 345, 361, 373, 382, 385, 398,
    ]),
]
SPLIT = [
    # seed, B, v, s, w, rows asked of 400, theta and u at the end
    (7, 0.1, 0.1, 0.01, 100, [
        0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 13, 18, 26, 36, 46, 55, 65, 74, 84, 94, 103, 113,
        123, 132, 144, 152, 161, 171, 182, 193, 200, 210, 219, 229, 239, 248, 258, 268,
        277, 289, 298, 306, 316, 326, 336, 345, 355, 364, 374, 383, 393,
    ], 0.6618185826113454, 10.21767011450242),
    (8, 0.25, 0.1, 0.01, 100, [
        0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 25, 26, 27,
        29, 30, 33, 35, 37, 38, 41, 42, 43, 44, 49, 52, 55, 62, 64, 67, 73, 76, 80, 83,
        87, 91, 95, 99, 104, 107, 111, 115, 119, 123, 127, 133, 137, 139, 144, 147, 154,
        155, 160, 164, 170, 171, 178, 183, 185, 188, 191, 195, 200, 203, 207, 211, 215,
        219, 223, 227, 231, 235, 239, 243, 247, 251, 255, 259, 263, 267, 271, 275, 279,
        282, 286, 290, 296, 298, 302, 307, 310, 314, 318, 323, 326, 330, 334, 338, 342,
        346, 350, 354, 358, 362, 366, 370, 374, 378, 382, 386, 390, 394, 399,
    ], 0.4548778368204227, 25.263291462481202),
    (9, 0.1, 0.4, 0.05, 20, [
        2, 3, 7, 14, 22, 35, 43, 56, 62, 70, 81, 88, 101, 107, 115, 125, 134, 141, 151,
        159, 168, 185, 188, 197, 206, 214, 222, 231, 241, 248, 259, 267, 276, 285, 294,
        302, 314, 320, 328, 337, 345, 356, 363, 372, 380, 389, 397,
    ], 0.30850662818331565, 2.5768611918134368),
]
# fmt: on


@pytest.mark.parametrize(("seed", "budget", "memory", "tolerance", "rows"), BIQF)
def test_biqf_asks_what_scikit_activeml_asks(
    seed: int, budget: float, memory: int, tolerance: float, rows: list[int]
) -> None:
    utilities, _ = drifting(seed, 400)
    biqf = made("biqf", memory=memory, tolerance=tolerance)

    asked, state = run(biqf, arriving(utilities, budget))

    assert asked == rows
    assert state.owed == pytest.approx(budget * 400 - len(rows), abs=1e-9)
    assert state.recent == tuple(utilities[-memory:])


@pytest.mark.parametrize(
    ("seed", "budget", "explore", "step", "memory", "rows", "theta", "spent"), SPLIT
)
def test_split_asks_what_scikit_activeml_asks(  # noqa: PLR0913  (a table)
    seed: int,
    budget: float,
    explore: float,
    step: float,
    memory: int,
    rows: list[int],
    theta: float,
    spent: float,
) -> None:
    utilities, draws = drifting(seed, 400)
    split = made("split", explore=explore, step=step, memory=memory)

    asked, state = run(split, arriving(utilities, budget, draws))

    assert asked == rows
    assert (state.theta, state.spent) == pytest.approx((theta, spent), rel=1e-12)


def test_biqf_by_hand() -> None:
    biqf = made("biqf", memory=4, tolerance=2.0)

    asked, state = run(biqf, arriving([0.2, 0.4, 0.3, 0.1, 0.2, 0.9], 0.5))

    # B 0.5: theta is the median of the last four, owed as it is with this sample.
    # 0.2: range 0, owed 0.5: asked.
    # 0.4: theta 0.3, owed 0.0: asked.
    # 0.3: theta 0.3, range 0.2, owed -0.5: 0.3 + 0.2 * 0.25 = 0.35: not.
    # 0.1: theta 0.25, owed 0.0: not.
    # 0.2: theta 0.25, range 0.3, owed 0.5: 0.25 - 0.3 * 0.25 = 0.175: asked.
    # 0.9: theta 0.25, owed 0.0: asked.
    assert asked == [0, 1, 4, 5]
    assert state.owed == 6 * 0.5 - 4


def test_split_by_hand() -> None:
    # w 2, B 0.5: pays while spent < 1. s 0.5, theta 1, chance below a draw of 0.2.
    split = made("split", memory=2, step=0.5, explore=0.2)
    arrivals = arriving(
        [0.1, 0.9, 0.2, 0.6, 0.9, 0.0], 0.5, [0.5, 0.5, 0.5, 0.5, 0.15, 0.05]
    )

    asked, state = run(split, arrivals)

    # 0.1: confidence 0.9 < 1: asked; theta 0.5, spent 1.
    # 0.9: does not pay; spent 0.5.
    # 0.2: 0.8 < 0.5 is false; theta 0.75, spent 0.25.
    # 0.6: 0.4 < 0.75: asked; theta 0.375, spent 1.125.
    # 0.9: does not pay; spent 0.5625.
    # 0.0: left to chance, 0.05 < 0.2 * 0.5: asked, theta stays.
    assert asked == [0, 3, 5]
    assert state.theta == 0.375
    assert state.spent == 0.5625 / 2 + 1


@pytest.mark.parametrize("draw", [0.0, 0.0499, 0.05, 0.0999])
def test_split_leaves_a_share_to_chance_whatever_the_utility(draw: float) -> None:
    split = made("split", explore=0.1)
    before = ControllerState(theta=0.5)
    for utility in (0.0, 1.0):
        (arrival,) = arriving([utility], 0.5, [draw])

        queried = split.query(before, arrival)

        assert queried == (draw < 0.05)
        assert split.update(before, arrival, queried=queried).theta == 0.5


@pytest.mark.parametrize("count", [1, 10, 300])
def test_biqf_keeps_the_budget_where_all_utilities_are_equal(count: int) -> None:
    # scikit-activeml 1.0.1 asks all of them.
    asked, _ = run(made("biqf"), arriving([0.5] * count, 0.1))

    assert asked == list(range(0, count, 10))


@pytest.mark.parametrize("name", ["biqf", "split"])
def test_with_a_cut_the_first_threshold_is_the_cut(name: str) -> None:
    controller = made(name)
    start = controller.start(ControllerState(), cut=True)

    for utility in (-0.5, -0.01, 0.01, 0.5):
        (arrival,) = arriving([utility], 0.1)
        assert controller.query(start, arrival) == (utility > 0)


@pytest.mark.parametrize("shift", [-2.0, 0.0, 0.5])  # far below the cut, all above it
def test_biqf_comes_from_the_cut_to_what_the_device_can_pay_for(shift: float) -> None:
    utilities, _ = drifting(3, 1200)
    biqf = made("biqf")
    start = biqf.start(ControllerState(), cut=True)

    asked, _ = run(biqf, arriving(utilities[:600] + shift, 0.1), start)

    assert len(asked) == pytest.approx(60, abs=15)
    assert len([row for row in asked if row >= 300]) == pytest.approx(30, abs=10)


@pytest.mark.parametrize("name", sorted(CONTROLLERS))
@pytest.mark.parametrize("cut", [False, True])
def test_a_new_beginning_forgets_the_threshold_but_no_debt(
    name: str, cut: bool
) -> None:
    controller = made(name, memory=3)
    state = ControllerState(owed=-7.0, recent=(0.3,), spent=9.0, theta=0.2)

    again = controller.start(state, cut=cut)

    assert (again.owed, again.spent) == (-7.0, 9.0)
    if name == "biqf":
        assert again.recent == ((0.0,) * 3 if cut else ())
    if name == "split":
        assert again.theta == 1.0


def test_the_fixed_cut_asks_what_is_over_it() -> None:
    fixed = made("fixed-cut")
    assert isinstance(fixed, FixedCut)

    asked, state = run(fixed, arriving([-0.1, 0.0, 0.4, -0.4, 0.9], 0.01))

    assert asked == [1, 2, 4]
    assert state == ControllerState()


def test_a_threshold_that_fell_for_a_million_labels_comes_back() -> None:
    split = made("split")
    state = ControllerState(theta=2.0**-24)
    (sure,) = arriving([0.5], 1.0)

    (doubtful,) = arriving([1.0], 1.0)
    assert split.query(state, doubtful)
    assert split.update(state, doubtful, queried=True).theta == state.theta
    steps = 0
    while not split.query(state, sure):
        state = split.update(state, sure, queried=False)
        steps += 1
    assert steps < 1700


class Never(FixedCut):
    """A user's own."""

    def __init__(self, config: StreamConfig) -> None:
        self.step = config.step


def test_a_controller_may_be_ones_own() -> None:
    config = StreamConfig(controller=f"{__name__}:Never", step=0.5)

    controller = make_controller(config)

    assert isinstance(controller, Never)
    assert controller.step == 0.5


def test_an_unknown_controller_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"controller 'bigf'.*did you mean 'biqf'"):
        make_controller(StreamConfig(controller="bigf"))
