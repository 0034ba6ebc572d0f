"""The report: complete, honest, escaped, and alone in one file."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.support.simulations.summaries import LABELS, arm, comparison, many, paired
from typing_extensions import override

from fedask.common.errors import StoreError
from fedask.simulations.comparison.summary import ComparisonSummary, Stopped
from fedask.simulations.report.report_page import write_report

VOID = {"meta", "br"}
HOSTILE = "<script>alert('x')</script>"


class Reader(HTMLParser):
    """Collects tags and text, and remembers every end tag that does not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.misfits: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.misfits.append(tag)


@pytest.fixture
def summary() -> ComparisonSummary:
    return comparison()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "report.html"


def written(summary: ComparisonSummary, path: Path) -> str:
    write_report(summary, path)
    return path.read_text(encoding="utf-8")


def headline(page: str) -> str:
    return page.partition('<p class="headline">')[2].partition("</p>")[0]


def test_page_asks_for_nothing_and_runs_nothing(
    summary: ComparisonSummary, path: Path
) -> None:
    page = written(summary, path)
    reader = Reader()
    reader.feed(page)
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "form"}
    assert not {name for name in reader.attributes if name.startswith("on")}
    assert not reader.attributes & {"src", "href"}


def test_page_forbids_what_it_does_not_need(
    summary: ComparisonSummary, path: Path
) -> None:
    page = written(summary, path)
    assert "content=\"default-src 'none'; style-src 'unsafe-inline'\"" in page


def test_every_tag_is_closed_where_it_should_be(
    summary: ComparisonSummary, path: Path
) -> None:
    reader = Reader()
    reader.feed(written(summary, path))
    assert reader.misfits == []
    assert reader.open == []


def test_every_arm_and_figure_appears(summary: ComparisonSummary, path: Path) -> None:
    page = written(summary, path)
    for name in summary["policies"]:
        assert page.count(name) > 5
    figures = ["95.5 %", "91.9 %", "94.3 % to 96.7 %", ">160<", ">320<", ">50 %<"]
    figures += ["2.3 kB", "456.8 kB", "812 B", "1.5 kB", "1,800", "12.5 s", "41.0 s"]
    figures += [">961<", ">953<", ">947<", ">6<", ">13<", ">21<"]
    figures += ["82.4 \N{PLUS-MINUS SIGN} 1.2 %", "5e1ec7ed5e1e", "0de1d16e0de1"]
    for figure in figures:
        assert figure in page


def test_pairs_are_told_with_the_smallest_p_there_can_be(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["policies"]["global-cut"]["against"] = paired(p_holm=0.75)
    page = written(summary, path)
    for told in ("between 20 and 320 labels", "With 3 seeds p cannot be below 0.25."):
        assert told in page
    for figure in (
        ">+8.2<",
        ">+1.00<",
        ">0.25<small>3 pairs<",
        ">0.75<",
        "75.0 % to 77.0 %",
    ):
        assert figure in page
    assert "significan" not in page


def test_areas_that_do_not_compare_are_said_not_to(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["aulc_labels"] = None
    for found in summary["policies"].values():
        found["aulc"] = [None] * 3
    assert "No range of labels is covered by all curves" in written(summary, path)


def test_runs_that_ended_early_say_why(summary: ComparisonSummary, path: Path) -> None:
    end: Stopped = {"cycle": 4, "reason": "budget: <all> spent"}
    summary["policies"]["global-cut"]["stopped"] = [end, None, end]
    page = written(summary, path)
    assert "2<small>cycle 4: budget: &lt;all&gt; spent; cycle 4: " in page


def test_key_figures_of_every_cycle_are_shown(
    summary: ComparisonSummary, path: Path
) -> None:
    page = written(summary, path)
    cells = ("6", "320", "5.5", "96 %", "40 %", "1.04", "0.87", "\N{EN DASH}")
    last = "".join(f"<td>{text}</td>" for text in cells[1:])
    assert page.count(f'<th scope="row">6</th>{last}') == 2
    assert "<dt>labels per point</dt>" in page


def test_every_section_has_its_heading(summary: ComparisonSummary, path: Path) -> None:
    page = written(summary, path)
    assert page.count("<h1>") == 1
    assert page.count("<h2>") == 8
    assert page.count("<caption>") == page.count("<table")


def test_origin_of_the_run_is_told(summary: ComparisonSummary, path: Path) -> None:
    page = written(summary, path)
    for told in (summary["command"], "1.41.0", "2.9.0", "Linux x86_64", "0, 1, 2"):
        assert told in page
    assert '<th scope="row">quota</th><td><code>20</code></td>' in page
    assert '<th scope="row">restart</th><td><code>false</code></td>' in page


def test_what_stays_on_the_device_is_said(
    summary: ComparisonSummary, path: Path
) -> None:
    page = written(summary, path)
    assert "Samples, their ids (uids) and single scores never leave a device" in page
    assert "sent no message of its own" in page


def test_extra_messages_are_not_denied(summary: ComparisonSummary, path: Path) -> None:
    summary["policies"]["global-cut"]["extra_messages"] = 7
    page = written(summary, path)
    assert "sent no message of its own" not in page
    assert "sent 7 messages beside" in page


def test_names_cannot_become_markup(summary: ComparisonSummary, path: Path) -> None:
    found = arm([[0.5, 0.6]] * 3, 60, 0.5, [20, 60])
    found["labels_by_device"] = {HOSTILE: [1, 2, 3]}
    summary["policies"][HOSTILE] = found
    summary["name"] = summary["command"] = summary["runtime"] = HOSTILE
    summary["classes"] = [HOSTILE, "b", "c"]
    summary["scenario"] = {HOSTILE: HOSTILE, f"ask.{HOSTILE}": 1}
    summary["machine"]["system"] = HOSTILE
    page = written(summary, path)
    assert "<script" not in page
    assert "alert('x')" not in page
    assert page.count("&lt;script&gt;") > 10


def test_labels_and_zeros_of_every_device_are_shown(
    summary: ComparisonSummary, path: Path
) -> None:
    page = written(summary, path)
    for mark in ("device-000", "device-001", ">cat<", ">dog<", ">owl<", "--a:0.62"):
        assert mark in page
    assert '<td class="sum">33</td>' in page
    assert '<td class="zero">0</td>' in page


def test_large_fleets_are_cut_short_without_losing_labels(
    summary: ComparisonSummary, path: Path
) -> None:
    fleet = {f"device-{number:03}": [1, 0, 2] for number in range(100)}
    summary["policies"]["global-cut"]["labels_by_device"] = fleet
    page = written(summary, path)
    assert "60 others" in page
    assert "device-039" in page
    assert "device-040" not in page
    assert '<td class="sum">300</td>' in page


def test_headline_says_how_many_labels_were_saved(
    summary: ComparisonSummary, path: Path
) -> None:
    assert headline(written(summary, path)) == (
        "global-cut reached 91.9 % with 160 labels; "
        "uniform-random needed 320: 50 % fewer labels."
    )


def test_headline_admits_that_more_labels_were_needed(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["policies"]["global-cut"]["labels_to_target"] = 400
    summary["policies"]["global-cut"]["labels_saved"] = -0.25
    page = written(summary, path)
    assert "needed 320: 25 % more labels." in headline(page)
    assert "25 % more" in page.partition("Learning curves")[0]
    assert "400 labels (+25 %)" in page


def test_headline_admits_that_the_target_was_missed(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["policies"]["global-cut"]["labels_to_target"] = None
    summary["policies"]["global-cut"]["labels_saved"] = None
    page = written(summary, path)
    assert headline(page) == (
        "global-cut did not reach 91.9 % with 320 labels; uniform-random needed 320."
    )
    assert ">not reached<" in page


def test_headline_tells_when_only_the_reference_missed_the_target(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["policies"]["uniform-random"]["labels_to_target"] = None
    summary["policies"]["global-cut"]["labels_saved"] = None
    assert headline(written(summary, path)) == (
        "global-cut reached 91.9 % with 160 labels; "
        "uniform-random did not reach it, with 320 labels."
    )


def test_headline_without_a_target_compares_where_arms_ended(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["target_accuracy"] = None
    for found in summary["policies"].values():
        found["labels_to_target"] = found["labels_saved"] = None
    assert headline(written(summary, path)) == (
        "global-cut ended at 95.5 % after 320 labels; "
        "uniform-random ended at 91.9 % after 320 labels."
    )


def test_best_arm_comes_first_and_the_others_are_not_hidden(
    summary: ComparisonSummary, path: Path
) -> None:
    worse = arm([[0.5] * len(LABELS)] * 3, None, None)
    summary["policies"] = {"worse": worse, **summary["policies"]}
    page = written(summary, path)
    assert headline(page).startswith("global-cut reached")
    assert "<li>worse did not reach 91.9 % with 320 labels;" in page


def test_one_seed_shows_no_spread_and_a_warning(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["seeds"] = [0]
    for found in summary["policies"].values():
        found["accuracy"] = found["accuracy"][:1]
    page = written(summary, path)
    assert "One seed only" in page
    assert "\N{PLUS-MINUS SIGN}" not in page
    assert "nan" not in page


def test_interrupted_run_says_so_on_top(summary: ComparisonSummary, path: Path) -> None:
    summary["partial"] = True
    lists = summary["policies"]["global-cut"]["accuracy"]
    lists[1], lists[2] = lists[1][:2], []
    page = written(summary, path)
    assert page.index("This run was interrupted") < page.index("<h1>")
    assert "2 of 3 seeds" in page
    assert "1 of 3 seeds" in page


def test_run_without_a_finished_cycle_still_has_a_report(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["partial"] = True
    for found in summary["policies"].values():
        found["labels"], found["accuracy"], found["labels_by_device"] = [], [], {}
        found["labels_to_target"] = found["labels_saved"] = None
    page = written(summary, path)
    assert headline(page).startswith("No arm has finished a cycle")
    assert "No cycle was finished" in page


def test_run_without_any_arm_still_has_a_report(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["policies"] = {}
    assert "No arm has finished a cycle" in written(summary, path)


def test_unwritable_place_is_a_store_error(
    summary: ComparisonSummary, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="cannot write"):
        write_report(summary, tmp_path / "missing" / "report.html")


def test_page_of_many_arms_draws_few_and_lists_all(path: Path) -> None:
    summary = many(30)
    page = written(summary, path)
    curves = page.partition("<h2>Learning curves")[2].partition("<h2>")[0]
    assert "8 of 31 arms: the best by AULC, the reference, the worst" in curves
    assert "global-cut + s05" in curves
    assert "global-cut + s06" not in curves
    keys = page.partition("<h2>Key figures</h2>")[2].partition("<h2>")[0]
    places = [keys.index(f"global-cut + s{rank:02}") for rank in range(30)]
    assert places == sorted(places)
    assert places[19] < keys.index("uniform-random (reference)") < places[20]
    assert page.count("<details>") == page.count("</details>") == 3
    assert "<summary>23 other arms</summary>" in page
    assert "<li>23 other arms: see the key figures.</li>" in page
    assert "adjusted for 30 comparisons (Holm)" in page
    reader = Reader()
    reader.feed(page)
    assert reader.misfits == []


def test_what_an_arm_sets_is_told(summary: ComparisonSummary, path: Path) -> None:
    summary["policies"]["global-cut"]["settings"] = {
        "ask.policy": "global-cut",
        "ask.calibrate": True,
    }
    page = written(summary, path)
    assert "<code>ask.policy = global-cut</code><br>" in page
    assert "<code>ask.calibrate = true</code>" in page
    assert "the scenario as it is" in page


def test_doubts_come_before_everything_else(
    summary: ComparisonSummary, path: Path
) -> None:
    summary["doubts"] = [f"the reference: {HOSTILE}"]
    write_report(summary, path)

    page = path.read_text(encoding="utf-8")

    assert page.index("the reference: &lt;script&gt;") < page.index("<h1>")
