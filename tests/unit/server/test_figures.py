"""Key figures: worked examples, limits, and what is not defined."""

from math import log

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.server.scripted import report

from fedask.server.figures import (
    aulc,
    class_balance,
    cohen_kappa,
    cycle_figures,
    mean_score,
)
from fedask.server.progress import RunProgress


def _pairs(table: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List the two judgements of every case that a contingency table counts."""
    cases = [
        (row, column)
        for row, counts in enumerate(table)
        for column, count in enumerate(counts)
        for _ in range(count)
    ]
    first, second = np.array(cases, dtype=np.int64).T
    return first, second


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        # Two readers of 50 proposals: observed 0.7, by chance 0.5.
        ([[20, 5], [10, 15]], 0.4),
        # Cohen's three diagnoses, 200 cases: observed 0.70, by chance 0.41.
        ([[88, 14, 18], [10, 40, 10], [2, 6, 12]], 0.4915),
        ([[25, 0], [0, 25]], 1.0),
        ([[10, 10], [10, 10]], 0.0),
        ([[0, 25], [25, 0]], -1.0),
    ],
)
def test_kappa_of_worked_examples(table: list[list[int]], kappa: float) -> None:
    first, second = _pairs(table)

    assert cohen_kappa(first, second) == pytest.approx(kappa, abs=5e-5)
    assert cohen_kappa(second, first) == cohen_kappa(first, second)
    shuffled = np.random.default_rng(3).permutation(len(first))
    assert cohen_kappa(first[shuffled], second[shuffled]) == cohen_kappa(first, second)


def test_models_that_know_one_class_only_do_not_agree_beyond_chance() -> None:
    always = np.full(9, 4, dtype=np.uint16)

    assert cohen_kappa(always, always) == 0.0
    assert cohen_kappa(always, np.full(9, 2, dtype=np.uint16)) == 0.0


def test_area_of_a_line_is_its_middle() -> None:
    assert aulc([20, 60], [0.4, 0.8]) == pytest.approx(0.6)
    assert aulc([20, 40, 60], [0.4, 0.6, 0.8]) == pytest.approx(0.6)


def test_area_weighs_every_stretch_by_its_labels() -> None:
    expected = (10 * 0.5 + 30 * 0.8) / 40
    assert aulc([0, 10, 40], [0.2, 0.8, 0.8]) == pytest.approx(expected)


def test_area_within_a_range_cuts_the_curve_there() -> None:
    labels, accuracy = [0, 10, 40], [0.2, 0.8, 0.8]

    expected = (5 * 0.65 + 10 * 0.8) / 15
    assert aulc(labels, accuracy, (5, 20)) == pytest.approx(expected)
    assert aulc(labels, accuracy, (0, 40)) == aulc(labels, accuracy)


def test_cycle_that_brought_no_label_has_no_area() -> None:
    with_pause = aulc([0, 10, 10, 20], [0.0, 0.4, 0.6, 0.8])

    assert with_pause == pytest.approx((10 * 0.2 + 10 * 0.7) / 20)
    assert aulc([0, 10, 20, 20], [0.0, 0.4, 0.8, 0.1]) == pytest.approx(0.4)


def test_area_over_no_labels_is_not_defined() -> None:
    assert aulc([20], [0.5]) is None
    assert aulc([20, 20], [0.5, 0.7]) is None
    assert aulc([20, 40], [0.5, 0.7], (40, 40)) is None


def test_class_balance_is_the_normalised_entropy() -> None:
    assert class_balance([5, 5, 5]) == pytest.approx(1.0)
    assert class_balance([9, 0, 0]) == 0.0
    expected = (0.75 * log(4 / 3) + 0.25 * log(4)) / log(3)
    assert class_balance([3, 1, 0]) == pytest.approx(expected)
    assert class_balance([0, 0, 0]) is None
    assert class_balance([]) is None


def test_mean_score_weighs_bin_centres_by_their_counts() -> None:
    grid = np.array([[0, 0, 0, 2], [1, 0, 0, 1]], dtype=np.int64)

    # Centres of four bins: 1/8, 3/8, 5/8, 7/8.
    assert mean_score(grid) == pytest.approx((3 * 7 / 8 + 1 / 8) / 4)
    assert mean_score(np.zeros((2, 4), dtype=np.int64)) is None


def test_mean_score_is_within_half_a_bin_of_the_scores() -> None:
    scores = np.random.default_rng(5).random(400)
    bins = np.floor(scores * 64).astype(np.int64)
    grid = np.bincount(bins, minlength=64).reshape(1, 64)

    mean = mean_score(grid)

    assert mean == pytest.approx(float(scores.mean()), abs=0.5 / 64)


def _progress(*reports: object) -> RunProgress:
    progress = RunProgress()
    for number, fields in enumerate(reports):
        assert isinstance(fields, dict)
        said = report(11 + number, **fields)
        progress.ledger.note(said)
        progress.classes[said.device] = said.class_counts
    return progress


def test_figures_of_a_cycle_follow_from_the_ledger_and_the_rows_before() -> None:
    progress = _progress(
        {"asked": 9, "answered": 4, "skipped": 2, "expired": 1},
        {"asked": 7, "answered": 4, "skipped": 0, "expired": 1},
    )
    first = {"labels": 4, "asked": 6, "spent": 6, "accuracy": 0.5}

    figures = cycle_figures({"labels": 8, "accuracy": 0.7}, [first], progress, 10)

    assert figures == {
        "asked": 16,
        "spent": 14,
        "answered": 8,
        "skipped": 2,
        "expired": 2,
        "answered_share": 0.5,
        "capacity_used": (16 - 6) / (10 * 2),
        "spent_per_label": 14 / 8,
        "class_balance": pytest.approx(class_balance([2, 4, 0])),
        "aulc": pytest.approx(0.6),
        "labels_per_point": pytest.approx((14 - 6) / 20),
    }


def test_figures_that_are_not_defined_yet_are_none() -> None:
    figures = cycle_figures({"labels": 0, "accuracy": 0.1}, [], RunProgress(), 10)

    counts = dict.fromkeys(("asked", "spent", "answered", "skipped", "expired"), 0)
    assert {key: value for key, value in figures.items() if value is not None} == counts


def test_accuracy_that_fell_has_no_price_per_point() -> None:
    first = {"labels": 4, "asked": 6, "spent": 6, "accuracy": 0.5}
    progress = _progress({"asked": 9, "answered": 4})

    row = {"labels": 8, "accuracy": 0.5}
    assert cycle_figures(row, [first], progress, 10)["labels_per_point"] is None


def test_without_an_evaluation_there_is_no_curve() -> None:
    figures = cycle_figures({"labels": 3}, [], _progress({}), 10)

    assert "aulc" not in figures
    assert "labels_per_point" not in figures
    assert figures["answered_share"] == 1.0
