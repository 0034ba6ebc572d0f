"""What every scorer of the table must do; a new one gets all of it for free.

The functions behind them have a conformance test of their own, in tests/unit.
"""

from dataclasses import fields, replace

import numpy as np
import pytest
from tests.support.client.views import ARRAYS, rich, rows_of, softmax

from fedask.client.learning.scorers.scorer import (
    NEEDS,
    Floats,
    PredictionView,
    Scorer,
    ScoringContext,
    check_scores,
)
from fedask.client.learning.scorers.scorer_table import SCORERS, make_scorer
from fedask.client.records.query_outcome import OutcomeHistory

EXPRESSIONS = [
    "margin * typicality",
    "0.5 * bald + density ^ 2 * entropy * cheap",
    "learned + 0.5 * albl",
]


@pytest.fixture(params=[*SCORERS, *EXPRESSIONS])
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return make_scorer(request.param)


def test_needs_are_fields_of_what_a_scorer_is_given(scorer: Scorer) -> None:
    assert scorer.needs <= NEEDS
    names = {
        field.name
        for kind in (PredictionView, ScoringContext)
        for field in fields(kind)
    }
    assert names >= NEEDS


@pytest.mark.parametrize("dtype", ["f4", "f2"])
def test_scores_lie_between_zero_and_one_and_differ(scorer: Scorer, dtype: str) -> None:
    view, known = rich(200, dtype=dtype)

    scores = scorer(view, known)

    check_scores("any", scores, 200)
    assert scores.dtype == np.float32
    assert len(np.unique(scores)) > 1


def test_permuted_rows_permute_the_scores_to_the_bit(scorer: Scorer) -> None:
    view, known = rich(300)
    order = np.random.default_rng(1).permutation(300)

    scores = scorer(view, known)

    assert np.array_equal(scorer(rows_of(view, order), known), scores[order])


@pytest.mark.parametrize("n", [1, 17])
def test_a_score_does_not_depend_on_the_rest_of_the_batch(
    scorer: Scorer, n: int
) -> None:
    view, known = rich(300)

    part = scorer(rows_of(view, np.arange(40, 40 + n)), known)

    assert np.array_equal(part, scorer(view, known)[40 : 40 + n])


def test_duplicates_get_the_same_score(scorer: Scorer) -> None:
    view, known = rich(20)
    twice = rows_of(view, np.concatenate([np.arange(20), np.arange(20)]))

    scores = scorer(twice, known)

    assert np.array_equal(scores[:20], scores[20:])


def test_an_empty_batch_is_fine(scorer: Scorer) -> None:
    view, known = rich(5)

    check_scores("any", scorer(rows_of(view, np.arange(0)), known), 0)


def test_what_it_is_given_is_left_alone(scorer: Scorer) -> None:
    view, known = rich(50)
    arrays = [getattr(view, name) for name in ARRAYS]
    arrays += [known.anchors, known.sample, known.counts, known.targets]
    history = known.history
    arrays += [history.cycles, history.descriptors, history.levels]
    arrays += [history.truths, history.hits]
    for array in arrays:
        array.flags.writeable = False  # numpy raises where it is written to

    first, second = scorer(view, known), scorer(view, known)

    assert np.array_equal(first, second)


def test_certain_predictions_and_exact_zeros_are_scored(scorer: Scorer) -> None:
    view, known = rich(8)
    certain = np.eye(4, dtype=np.float32)[np.arange(8) % 4]
    view = replace(view, probs=certain, draws=np.stack([certain] * 3))

    check_scores("any", scorer(view, known), 8)


def ruled_out(logits: Floats, *classes: int) -> Floats:
    """Return logits by which these classes cannot be."""
    given = logits.copy()
    given[:, list(classes)] = -np.inf
    return given


@pytest.mark.parametrize(
    ("here", "local"),
    [((1,), (1,)), ((0, 1, 3), (0, 1, 3)), ((1,), (2,)), ((), (0, 2, 3)), ((3,), ())],
    ids=["both", "all but one", "others", "local", "global"],
)
def test_classes_that_a_model_rules_out_are_scored(
    scorer: Scorer, here: tuple[int, ...], local: tuple[int, ...]
) -> None:
    view, known = rich(40)
    logits = ruled_out(view.logits, *here)
    local_logits = ruled_out(view.local_logits, *local)
    both = [softmax(each.astype(np.float64)) for each in (logits, local_logits)]
    view = replace(
        view,
        logits=logits,
        local_logits=local_logits,
        probs=both[0].astype(np.float32),
        draws=np.stack(both).astype(np.float32),
    )
    known = replace(
        known,
        anchor_logits=ruled_out(known.anchor_logits, *here),
        anchor_local_logits=ruled_out(known.anchor_local_logits, *local),
    )

    scores = scorer(view, known)

    check_scores("any", scores, 40)
    part = scorer(rows_of(view, np.arange(9)), known)
    assert np.array_equal(part, scores[:9])


def test_nothing_need_be_labelled_yet(scorer: Scorer) -> None:
    view, known = rich(8)
    none = np.zeros((0, 4), dtype=np.float32)
    known = replace(
        known,
        counts=np.zeros(4, dtype=np.int64),
        targets=np.zeros(0, dtype=np.int64),
        anchors=np.zeros((0, 6), dtype=np.float32),
        anchor_logits=none,
        anchor_local_logits=none,
        history=OutcomeHistory(
            descriptors=np.zeros((0, 3), dtype=np.float32),
            levels=np.zeros((0, 3), dtype=np.float32),
        ),
    )

    check_scores("any", scorer(view, known), 8)


def test_a_committee_may_have_one_member(scorer: Scorer) -> None:
    view, known = rich(8)

    check_scores("any", scorer(replace(view, draws=view.draws[:1]), known), 8)
