"""The plot: a PNG of the promised size for every summary, without global state."""

import struct
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from tests.unit.simulations.summaries import CUT, comparison, policy

from fedask.common.errors import ConfigError, StoreError
from fedask.simulations.plot import draw_curves
from fedask.simulations.reporting.curve import curves_of, spread_out, ticks
from fedask.simulations.summary import Summary


@pytest.fixture
def summary() -> Summary:
    return comparison()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "curves.png"


def drawn(summary: Summary, path: Path) -> bytes:
    draw_curves(summary, path)
    return path.read_bytes()


def test_png_has_its_signature_and_the_promised_size(
    summary: Summary, path: Path
) -> None:
    image = drawn(summary, path)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", image[16:24]) == (1200, 750)
    assert len(image) > 20_000


def test_pyplot_is_never_loaded(
    summary: Summary, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert drawn(summary, path)


def test_one_seed_is_drawn(summary: Summary, path: Path) -> None:
    summary["seeds"] = [0]
    for found in summary["policies"].values():
        found["accuracy"] = found["accuracy"][:1]
    assert len(drawn(summary, path)) > 20_000


def test_missed_target_is_drawn(summary: Summary, path: Path) -> None:
    summary["policies"]["global-cut"]["labels_to_target"] = None
    summary["policies"]["global-cut"]["labels_saved"] = None
    assert len(drawn(summary, path)) > 20_000


def test_summary_without_target_is_drawn(summary: Summary, path: Path) -> None:
    summary["target_accuracy"] = None
    assert len(drawn(summary, path)) > 20_000


def test_run_without_a_finished_cycle_is_drawn(summary: Summary, path: Path) -> None:
    summary["partial"] = True
    for found in summary["policies"].values():
        found["labels"], found["accuracy"] = [], [[], [], []]
    assert len(drawn(summary, path)) > 1_000


def test_names_are_not_read_as_formulas(summary: Summary, path: Path) -> None:
    summary["name"] = "costs $5 \\frac{ and $6"
    summary["policies"]["$\\frac{$" * 9] = policy([CUT] * 3, 160, 0.5)
    assert len(drawn(summary, path)) > 20_000


def test_missing_matplotlib_is_named_with_its_remedy(
    summary: Summary, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'fedask\[simulation\]'"):
        draw_curves(summary, path)


def test_unwritable_place_is_a_store_error(summary: Summary, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write"):
        draw_curves(summary, tmp_path / "missing" / "curves.png")


def test_curve_is_the_mean_over_the_seeds_that_got_there(summary: Summary) -> None:
    summary["policies"] = {"p": policy([[0.2, 0.6], [0.4], []], 20, 0.5, [10, 30, 50])}
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
