"""What a comparison makes of its runs: areas over a common range, pairs by seed."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from tests.support.simulations.summaries import LEDGER

from fedask.common.config import Scenario
from fedask.simulations.comparison.arms import Arm
from fedask.simulations.comparison.jobs import JobResult
from fedask.simulations.comparison.summary import ComparisonSummary
from fedask.simulations.comparison.summary_builder import Question, summarise
from fedask.simulations.report.headline import caveats, outcomes

WIRE = ("ask_bytes", "report_bytes", "model_bytes", "messages", "inner_messages")
REFERENCE, RIVAL = "uniform-random", "global-cut"


def run(
    labels: Sequence[int],
    accuracy: Sequence[float],
    stopped: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Make a finished run, whose other figures follow from the cycle."""
    rows = [
        {
            "labels": count,
            "accuracy": value,
            "labels_per_point": None if cycle == 0 else 2.0 * cycle,
            "answered_share": 1.0,
            "capacity_used": 0.1 * (cycle + 1),
            "spent_per_label": 1.0,
            "class_balance": value,
        }
        for cycle, (count, value) in enumerate(zip(labels, accuracy, strict=True))
    ]
    return {
        "rows": [{"labels": 0}, *rows],
        "stopped": stopped,
        "diversity": [0.5] * len(rows),
        "wire": dict.fromkeys(WIRE, 10),
        "ledger": LEDGER,
        "devices": 2,
        "classes": ["cat", "dog"],
        "labels_by_device": {},
        "seconds": 1.0,
        "digest": {"selected": "a", "model": "b"},
    }


def found(**arms: Sequence[dict[str, Any]]) -> ComparisonSummary:
    """Summarise runs by arm, ``_`` for the hyphen, one per seed."""
    named = {name.replace("_", "-"): runs for name, runs in arms.items()}
    results = {
        (name, seed): result
        for name, runs in named.items()
        for seed, result in enumerate(runs)
        if result
    }
    seeds = range(max(len(runs) for runs in named.values()))
    asked = [Arm(name=name, settings={"ask.policy": name}) for name in named]
    return summarise(JobResult(results), Scenario(), Question(arms=asked, seeds=seeds))


def test_areas_are_taken_over_the_labels_that_all_runs_cover() -> None:
    summary = found(
        uniform_random=[run([20, 60], [0.4, 0.8])],
        global_cut=[run([10, 20, 40], [0.2, 0.5, 0.7])],
    )

    assert summary["aulc_labels"] == (20, 40)
    assert summary["policies"][REFERENCE]["aulc"] == pytest.approx([0.5])
    assert summary["policies"][RIVAL]["aulc"] == pytest.approx([0.6])


def test_arms_are_paired_by_seed_against_the_reference() -> None:
    summary = found(
        uniform_random=[run([0, 10], [0.5, value]) for value in (0.5, 0.6, 0.7)],
        global_cut=[run([0, 10], [0.5, value]) for value in (0.7, 0.6, 0.8)],
    )

    against = summary["policies"][RIVAL]["against"]
    assert against is not None
    # Differences of the areas: 0.1, 0, 0.05.
    assert against["pairs"] == 3
    assert against["shift"] == pytest.approx(0.05)
    assert (against["effect"], against["p"], against["p_least"]) == (1.0, 0.5, 0.25)
    assert summary["policies"][REFERENCE]["against"] is None


def test_seeds_that_only_one_arm_has_finished_are_no_pairs() -> None:
    curve = run([0, 10], [0.5, 0.7])
    summary = found(uniform_random=[{}, curve], global_cut=[curve, curve, curve])

    against = summary["policies"][RIVAL]["against"]
    assert against is not None
    assert against["pairs"] == 1
    assert len(summary["policies"][RIVAL]["aulc"]) == 3
    alone = found(global_cut=[curve])
    assert alone["policies"][RIVAL]["against"] is None


def test_runs_without_a_common_range_have_no_areas() -> None:
    summary = found(
        uniform_random=[run([20, 60], [0.4, 0.8])],
        global_cut=[run([10, 20], [0.2, 0.5])],
    )

    assert summary["aulc_labels"] is None
    assert summary["policies"][RIVAL]["aulc"] == [None]
    assert summary["policies"][RIVAL]["against"] is None
    assert found(global_cut=[{}])["aulc_labels"] is None


def test_figures_are_means_over_the_seeds_that_have_them() -> None:
    summary = found(
        uniform_random=[run([0, 10, 20], [0.2, 0.4, 0.6]), run([0, 10], [0.4, 0.6])]
    )

    figures = summary["policies"][REFERENCE]["figures"]
    assert figures["class_balance"] == pytest.approx([0.3, 0.5, 0.6])
    assert figures["labels_per_point"] == [None, 2.0, 4.0]
    assert figures["capacity_used"] == pytest.approx([0.1, 0.2, 0.3])
    assert figures["diversity"] == [0.5] * 3


def test_early_ends_are_listed_by_seed() -> None:
    end = {"cycle": 2, "reason": "plateau: flat"}
    summary = found(
        uniform_random=[run([0, 10], [0.5, 0.6]), run([0, 10], [0.5, 0.6], end)]
    )

    assert summary["policies"][REFERENCE]["stopped"] == [None, end]


def test_p_is_adjusted_for_the_arms_that_are_compared() -> None:
    low, same, high = (
        [run([0, 10], [0.5, value + 0.01 * seed]) for seed in range(3)]
        for value in (0.5, 0.6, 0.7)
    )
    summary = found(uniform_random=same, better=high, worse=low, alike=same, empty=[{}])

    arms = summary["policies"]
    told = {n: arm["against"] for n, arm in arms.items() if arm["against"]}
    assert {n: a["p"] for n, a in told.items()} == {
        "better": 0.25,
        "worse": 0.25,
        "alike": 1.0,
    }
    # Three comparisons: 3 * 0.25, then 2 * 0.25 but not less than before, then 1.
    assert {n: a["p_holm"] for n, a in told.items()} == {
        "better": 0.75,
        "worse": 0.75,
        "alike": 1.0,
    }


def test_settings_of_every_arm_are_told() -> None:
    summary = found(uniform_random=[run([0, 10], [0.5, 0.7])], global_cut=[{}])
    settings = {name: arm["settings"] for name, arm in summary["policies"].items()}
    assert settings == {
        "uniform-random": {"ask.policy": "uniform-random"},
        "global-cut": {"ask.policy": "global-cut"},
    }


def judged(
    accuracy: Sequence[float], baseline: float | None, failed: str = ""
) -> dict[str, Any]:
    made = run([20 * (n + 1) for n in range(len(accuracy))], accuracy)
    return {**made, "chance": 0.013, "baseline": baseline, "failed": failed}


@pytest.mark.parametrize(
    ("reference", "words", "worthless"),
    [
        (judged([0.02, 0.025, 0.027], 0.79), "learned next to nothing", True),
        (judged([0.1, 0.2, 0.247], 0.64), "ridge regression .* gives 64.0%", False),
        (judged([0.5, 0.6, 0.7], 0.72, failed="most devices failed"), "devices", True),
    ],
)
def test_no_saving_is_claimed_against_a_reference_that_is_none(
    reference: dict[str, Any], words: str, worthless: bool
) -> None:
    better = judged([0.6, 0.65, 0.71], 0.73)

    summary = found(uniform_random=[reference], global_cut=[better])

    assert re.search(words, " ".join(summary["doubts"]))
    assert summary["worthless"] is worthless
    assert summary["target_accuracy"] is None
    assert [arm["labels_saved"] for arm in summary["policies"].values()] == [None, None]
    assert "fewer" not in " ".join(outcomes(summary))
    assert caveats(summary)[0] == summary["doubts"][0]


def test_a_reference_that_learned_is_not_doubted() -> None:
    summary = found(
        uniform_random=[judged([0.5, 0.6, 0.7], 0.75)],
        global_cut=[judged([0.6, 0.7, 0.8], None)],
    )

    assert summary["doubts"] == []
    assert not summary["worthless"]
    assert summary["policies"][REFERENCE]["baseline_accuracy"] == 0.75
    assert summary["policies"][RIVAL]["labels_saved"] == pytest.approx(1 / 3, abs=1e-4)


def test_an_arm_whose_devices_failed_saves_nothing_and_is_named() -> None:
    summary = found(
        uniform_random=[judged([0.5, 0.6, 0.7], 0.75)],
        global_cut=[judged([0.7, 0.7, 0.8], 0.75, failed="most devices failed in 3")],
    )

    assert summary["doubts"] == ["global-cut: most devices failed in 3"]
    assert not summary["worthless"]
    assert summary["policies"][RIVAL]["labels_saved"] is None
    assert summary["policies"][REFERENCE]["labels_saved"] == 0.0
