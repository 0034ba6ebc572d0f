"""The plot: a PNG of the promised size for every summary, without global state."""

import struct
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.simulations.summaries import CUT, arm, comparison, many

from fedask.common.errors import ConfigError, StoreError
from fedask.simulations.comparison.summary import ComparisonSummary
from fedask.simulations.report.curve import curves_of, shorten, spread_out, ticks
from fedask.simulations.report.palette import hues
from fedask.simulations.report.plot import draw_curves
from fedask.simulations.report.ranking import left_out, ranked


@pytest.fixture
def summary() -> ComparisonSummary:
    return comparison()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "curves.png"


def drawn(summary: ComparisonSummary, path: Path) -> bytes:
    draw_curves(summary, path)
    return path.read_bytes()


def test_png_has_its_signature_and_the_promised_size(
    summary: ComparisonSummary, path: Path
) -> None:
    image = drawn(summary, path)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", image[16:24]) == (1200, 750)
    assert len(image) > 20_000


def test_pyplot_is_never_loaded(
    summary: ComparisonSummary, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert drawn(summary, path)


def test_one_seed_is_drawn(summary: ComparisonSummary, path: Path) -> None:
    summary["seeds"] = [0]
    for found in summary["policies"].values():
        found["accuracy"] = found["accuracy"][:1]
    assert len(drawn(summary, path)) > 20_000


def test_missed_target_is_drawn(summary: ComparisonSummary, path: Path) -> None:
    summary["policies"]["global-cut"]["labels_to_target"] = None
    summary["policies"]["global-cut"]["labels_saved"] = None
    assert len(drawn(summary, path)) > 20_000


def test_summary_without_target_is_drawn(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["target_accuracy"] = None
    assert len(drawn(summary, path)) > 20_000


def test_run_without_a_finished_cycle_is_drawn(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["partial"] = True
    for found in summary["policies"].values():
        found["labels"], found["accuracy"] = [], [[], [], []]
    assert len(drawn(summary, path)) > 1_000


def test_names_are_not_read_as_formulas(summary: ComparisonSummary, path: Path) -> None:
    summary["name"] = "costs $5 \\frac{ and $6"
    summary["policies"]["$\\frac{$" * 9] = arm([CUT] * 3, 160, 0.5)
    assert len(drawn(summary, path)) > 20_000


def test_missing_matplotlib_is_named_with_its_remedy(
    summary: ComparisonSummary, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'fedask\[simulation\]'"):
        draw_curves(summary, path)


def test_unwritable_place_is_a_store_error(
    summary: ComparisonSummary, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="cannot write"):
        draw_curves(summary, tmp_path / "missing" / "curves.png")


def test_curve_is_the_mean_over_the_seeds_that_got_there(
    summary: ComparisonSummary,
) -> None:
    summary["policies"] = {"p": arm([[0.2, 0.6], [0.4], []], 20, 0.5, [10, 30, 50])}
    (curve,) = curves_of(summary)
    assert curve.labels == (10, 30)
    assert curve.mean == pytest.approx((0.3, 0.6))
    assert (curve.low, curve.high) == ((0.2, 0.6), (0.4, 0.6))
    assert curve.seeds == (2, 1)
    assert curve.mean_at(20) == pytest.approx(0.45)
    assert curve.note == "20 labels (-50 %)"


def test_names_beside_lines_never_overlap_and_keep_their_order() -> None:
    places = spread_out([5.0, 1.0, 5.5, 5.1, 40.0], 2.0)
    ranked = sorted(places)
    gaps = [high - low for low, high in pairwise(ranked)]
    assert min(gaps) >= 2.0 - 1e-6
    assert places[1] < places[0] < places[3] < places[2] < places[4]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.31, 0.97), (0.5, 0.5)])
def test_ticks_enclose_the_values(low: float, high: float) -> None:
    steps = ticks(low, high, 5)
    assert steps[0] <= low + 1e-6
    assert steps[-1] >= high - 1e-6
    assert 2 <= len(steps) <= 7


def test_many_arms_are_drawn_as_few_curves(path: Path) -> None:
    summary = many(30)
    drawn_names = [curve.name for curve in curves_of(summary)]
    best = [f"global-cut + s{rank:02}" for rank in range(6)]
    assert drawn_names == [*best, "uniform-random", "global-cut + s29"]
    assert len({hues(summary)[name] for name in drawn_names}) == 8
    assert left_out(summary) == (
        "8 of 31 arms: the best by AULC, the reference, the worst"
    )
    assert len(drawn(summary, path)) > 20_000


def test_as_many_arms_as_there_are_hues_are_all_drawn() -> None:
    summary = many(7)
    assert len(curves_of(summary)) == 8
    assert left_out(summary) == ""


def test_arms_without_areas_are_ranked_by_where_they_ended() -> None:
    summary = many(3)
    for found in summary["policies"].values():
        found["aulc"] = [None] * 3
    assert ranked(summary) == [
        "global-cut + s00",
        "global-cut + s01",
        "global-cut + s02",
        "uniform-random",
    ]


def test_reference_and_worst_are_drawn_even_if_they_are_the_same() -> None:
    summary = many(12)
    summary["policies"]["uniform-random"]["aulc"] = [0.1] * 3
    names = [curve.name for curve in curves_of(summary)]
    assert len(names) == 8
    assert names[-1] == "uniform-random"


def test_long_names_make_the_picture_wider(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["policies"]["global-cut + (0.7*margin + 0.3*entropy) + top"] = arm(
        [CUT] * 3, 160, 0.5
    )
    width, height = struct.unpack(">II", drawn(summary, path)[16:24])
    assert (width, height) > (1200, 750)
    assert height == 750


def test_names_lose_their_middle_unless_they_would_be_alike() -> None:
    long = "a" * 40 + "b" * 40
    twin = "a" * 40 + "c" + "b" * 40
    assert shorten([long, "short"]) == {
        long: "a" * 25 + "\N{HORIZONTAL ELLIPSIS}" + "b" * 24,
        "short": "short",
    }
    assert shorten([long, twin]) == {long: long, twin: twin}
