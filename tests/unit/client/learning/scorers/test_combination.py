import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.client.views import NOTHING, scored, seen

from fedask.client.learning.scorers.combination import parse
from fedask.client.learning.scorers.scorer import Floats
from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.client.learning.scorers.uncertainty import entropy, margin
from fedask.common.errors import ConfigError

RNG = np.random.default_rng(3)
PROBS: Floats = RNG.dirichlet([0.5] * 4, 40).astype(np.float32)
UIDS = np.array([f"{i:032x}" for i in range(40)])
M, E = (f(PROBS).astype(np.float64) for f in (margin, entropy))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("margin + entropy", (M + E) / 2),
        ("0.7*margin+0.3*entropy", 0.7 * M + 0.3 * E),
        ("2 * margin + entropy * 3", (2 * M + 3 * E) / 5),
        ("margin * entropy", M * E),
        ("margin ^ 2 * entropy", M**2 * E),
        ("margin^0.5 + 3*entropy*margin", (M**0.5 + 3 * E * M) / 4),
        ("1.0 * margin", M),
    ],
)
def test_sums_are_weighted_means_and_products_multiply(
    text: str, expected: Floats
) -> None:
    scores = scored(make_scorer(text), PROBS, UIDS)

    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("margin +", "names no scorer|must be a number, or a scorer"),
        ("2 * 3", "names no scorer"),
        ("margin * margin", "stands once in its term"),
        ("0 * margin", "must be positive"),
        ("-1 * margin", "must be positive"),
        ("nan * margin", "must be positive"),
        ("inf * margin", "must be positive"),
        ("margin ^ 0", "must be positive"),
        ("margin ^", "must be positive"),
        ("margin ^ entropy", "must be positive"),
        ("2 ^ margin", "must be a number, or a scorer"),
        ("margin * * entropy", "must be a number, or a scorer"),
        ("margin + entropi", "unknown scorer 'entropi' .did you mean 'entropy'"),
    ],
)
def test_a_wrong_expression_says_which_part(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_scorer(text)


@given(st.text(alphabet="margin entropy0.5+*^ -", max_size=25))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        terms = parse(text)
    except ConfigError:
        return
    assert all(term.weight > 0 and term.powers for term in terms)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5))
def test_scores_of_one_stay_one(weights: list[float]) -> None:
    text = " + ".join(f"{weight} * margin" for weight in weights)
    uniform = np.full((3, 4), 0.25, dtype=np.float32)

    scores = make_scorer(text + " + entropy")(seen(uniform, UIDS[:3]), NOTHING)

    np.testing.assert_allclose(scores, 1.0, atol=1e-6)
    assert scores.max() <= 1.0


def test_needs_are_those_of_the_parts() -> None:
    assert make_scorer("margin * entropy").needs == frozenset()


def test_exponents_in_numbers_are_not_joined() -> None:
    # "1e+3" would be a sum of "1e" and "3": written so, it is refused, not misread.
    with pytest.raises(ConfigError, match=r"unknown scorer|names no scorer"):
        make_scorer("1e+3 * margin")
