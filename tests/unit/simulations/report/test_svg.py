"""The drawing: an SVG file that stands alone, for every summary."""

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.support.simulations.summaries import CUT, arm, comparison, many

from fedask.common.errors import StoreError
from fedask.simulations.comparison.summary import ComparisonSummary
from fedask.simulations.report.curve import curves_of, shorten, spread_out, ticks
from fedask.simulations.report.palette import hues
from fedask.simulations.report.ranking import left_out, ranked
from fedask.simulations.report.svg import write_curves


@pytest.fixture
def summary() -> ComparisonSummary:
    return comparison()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "curves.svg"


def drawn(summary: ComparisonSummary, path: Path) -> str:
    write_curves(summary, path)
    return path.read_text(encoding="utf-8")


def size(drawing: str) -> tuple[int, int]:
    box = ElementTree.fromstring(drawing).attrib["viewBox"].split()  # noqa: S314  (ours)
    return int(box[2]), int(box[3])


def test_file_stands_alone_on_white(summary: ComparisonSummary, path: Path) -> None:
    drawing = drawn(summary, path)
    root = ElementTree.fromstring(drawing)  # noqa: S314  (ours)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert size(drawing) == (952, 512)
    assert 'fill="#fff"' in drawing
    for missing in ("var(", "@import", "url(", "href", "<script"):
        assert missing not in drawing
    told = "".join(root.itertext())
    for text in ("digits", "target 91.9 %", "global-cut 95.5 %", "160 labels (-50 %)"):
        assert text in told


def test_one_seed_is_drawn(summary: ComparisonSummary, path: Path) -> None:
    summary["seeds"] = [0]
    for found in summary["policies"].values():
        found["accuracy"] = found["accuracy"][:1]
    assert drawn(summary, path).count('class="line"') == 2


def test_missed_target_is_drawn(summary: ComparisonSummary, path: Path) -> None:
    summary["policies"]["global-cut"]["labels_to_target"] = None
    summary["policies"]["global-cut"]["labels_saved"] = None
    drawing = drawn(summary, path)
    assert 'class="goal"' in drawing
    assert drawing.count('class="mark"') == 1


def test_summary_without_target_is_drawn(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["target_accuracy"] = None
    drawing = drawn(summary, path)
    assert 'class="goal"' not in drawing
    assert drawing.count('class="line"') == 2


def test_interrupted_comparison_says_so(summary: ComparisonSummary, path: Path) -> None:
    summary["partial"] = True
    assert "digits (interrupted)" in drawn(summary, path)


def test_names_are_not_read_as_markup(summary: ComparisonSummary, path: Path) -> None:
    summary["name"] = 'costs <b>$5</b> & "6"'
    summary["policies"]["</svg>" * 9] = arm([CUT] * 3, 160, 0.5)
    told = "".join(ElementTree.fromstring(drawn(summary, path)).itertext())  # noqa: S314  (ours)
    assert summary["name"] in told
    assert "</svg>" * 5 in told


def test_unwritable_place_is_a_store_error(
    summary: ComparisonSummary, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="cannot write"):
        write_curves(summary, tmp_path / "missing" / "curves.svg")


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
    drawing = drawn(summary, path)
    assert drawing.count('class="line"') == 8
    assert f"drawn: {left_out(summary)}" in drawing


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
    width, height = size(drawn(summary, path))
    assert width > 952
    assert height == 512


def test_names_lose_their_middle_unless_they_would_be_alike() -> None:
    long = "a" * 40 + "b" * 40
    twin = "a" * 40 + "c" + "b" * 40
    assert shorten([long, "short"]) == {
        long: "a" * 25 + "\N{HORIZONTAL ELLIPSIS}" + "b" * 24,
        "short": "short",
    }
    assert shorten([long, twin]) == {long: long, twin: twin}
