"""The Markdown table: one row per arm, the best first, and how to read it."""

import pytest
from tests.support.simulations.summaries import arm, comparison, many, paired

from fedask.simulations.comparison.summary import ComparisonSummary
from fedask.simulations.report.markdown import markdown_table


@pytest.fixture
def summary() -> ComparisonSummary:
    return comparison()


def test_every_arm_has_its_row_the_best_first(summary: ComparisonSummary) -> None:
    summary["policies"]["global-cut"]["aulc"] = [0.8, 0.9, 0.7]
    summary["policies"]["global-cut"]["against"] = paired(p_holm=0.75)
    head, rule, *rows = markdown_table(summary).splitlines()[:4]
    assert head.startswith("| arm | labels to 91.9 % | saved | final accuracy | AULC |")
    assert head.endswith("| shift | effect | p | p (Holm) |")
    assert rule == "| --- |" + " ---: |" * 8
    assert rows == [
        "| `global-cut` | 160 | 50 % | 95.5 % | 80.0 % | +8.2 | +1.00 | 0.25 | 0.75 |",
        "| `uniform-random` (reference) | 320 | - | 91.9 % | 76.0 % | - | - | - | - |",
    ]
    assert "adjusted for 1 comparison (Holm)" in markdown_table(summary)


def test_what_is_not_known_is_a_dash(summary: ComparisonSummary) -> None:
    found = arm([], None, None, [])
    found["aulc"] = []
    summary["policies"] = {"none": found}
    summary["target_accuracy"] = summary["aulc_labels"] = None
    summary["partial"] = True
    table = markdown_table(summary)
    assert "| `none` | not reached | - | - | - | - | - | - | - |" in table
    assert "areas do not compare" in table
    assert "Interrupted" in table


def test_all_of_many_arms_are_listed() -> None:
    rows = markdown_table(many(30)).splitlines()
    assert sum(row.startswith("| `") for row in rows) == 31


def test_doubts_stand_before_the_table() -> None:
    summary = comparison()
    summary["doubts"] = ["the reference, uniform-random: it learned next to nothing"]

    first = markdown_table(summary).splitlines()[0]

    assert first == "**the reference, uniform-random: it learned next to nothing**"
