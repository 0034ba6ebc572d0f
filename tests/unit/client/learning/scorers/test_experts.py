import numpy as np
import pytest
from tests.support.client.views import rich
from typing_extensions import override

from fedask.client.learning.scorers.scorer import (
    Floats,
    PredictionView,
    Scorer,
    ScoringContext,
)
from fedask.client.learning.scorers.scorer_table import (
    MAX_EXPERTS,
    make_experts,
    make_scorer,
    opinions_of,
    with_experts,
)
from fedask.common.errors import ConfigError
from fedask.common.sections import AskConfig


class Faulty(Scorer):
    needs = frozenset[str]()

    @override
    def __call__(self, view: PredictionView, known: ScoringContext) -> Floats:
        return np.full(len(view), 1.5, dtype=np.float32)


def test_a_column_is_what_the_expert_gives_alone() -> None:
    view, known = rich(40)
    names = ["bald", "0.5 * margin + density", "random"]

    opinions = opinions_of(make_experts(", ".join(names)), view, known)

    assert opinions.shape == (40, 3)
    assert opinions.dtype == np.float32
    for column, name in enumerate(names):
        assert np.array_equal(opinions[:, column], make_scorer(name)(view, known))


def test_spaces_do_not_make_other_experts() -> None:
    assert list(make_experts(" margin,random ")) == ["margin", "random"]


def test_the_needs_of_experts_are_added_where_something_learns() -> None:
    assert with_experts(frozenset({"history"}), "bald, energy") == {
        "history",
        "draws",
        "logits",
    }
    assert with_experts(frozenset({"draws"}), "no such scorer") == {"draws"}


def test_the_usual_experts_are_five() -> None:
    assert len(make_experts(AskConfig().experts)) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be 1 to 16 scorers"),
        ("margin,", "must be 1 to 16 scorers"),
        (", ".join(f"{n} * margin" for n in range(1, MAX_EXPERTS + 2)), "1 to 16"),
        ("margin, entropy, margin", "twice"),
        ("margin, entropi", "unknown scorer 'entropi'.*'entropy'"),
        ("margin, learned", "'learned' learns from experts"),
        ("0.5 * albl + margin", "learns from experts, it cannot be one"),
    ],
)
def test_experts_that_cannot_be_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_experts(text)


def test_a_faulty_expert_is_named() -> None:
    view, known = rich(5)

    with pytest.raises(ConfigError, match=r"Faulty' gave NaN or a score outside"):
        opinions_of(make_experts(f"margin, {__name__}:Faulty"), view, known)
