"""Scores made of scores: ``0.7 * margin + 0.3 * typicality ^ 2 * entropy``.

Called by ``make_scorer`` for a name with an operator in it. A sum is weighted and
divided by its weights, a product multiplies powers, so the result stays in [0, 1].

References
----------
Density-weighted uncertainty, a product with a power: Settles and Craven, "An analysis
of active learning strategies for sequence labeling tasks", EMNLP 2008, equation 13.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from fedask.client.learning.scorers.scorer import (
    Floats,
    PredictionView,
    Scorer,
    ScoringContext,
)
from fedask.common.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Term:
    """One product of a sum.

    Parameters
    ----------
    weight
        Positive.
    powers
        Name of a scorer to its power, positive. Empty: no term at all.
    """

    weight: float
    powers: Mapping[str, float]


def is_expression(text: str) -> bool:
    """Tell whether a scorer's name is an expression: names have none of ``+ * ^``."""
    return any(sign in text for sign in "+*^")


def parse(text: str) -> list[Term]:
    """Read an expression: terms joined by ``+``, factors by ``*``, powers by ``^``.

    Raises
    ------
    ConfigError
        If a part is empty, a number is not positive, a term has no scorer, or a scorer
        stands twice in one term.

    Examples
    --------
    >>> parse("0.7 * margin + 0.3 * typicality ^ 2 * entropy")[1]
    Term(weight=0.3, powers={'typicality': 2.0, 'entropy': 1.0})
    """
    terms = []
    for part in text.split("+"):
        weight, powers = 1.0, dict[str, float]()
        for factor in part.split("*"):
            name, hat, power = (piece.strip() for piece in factor.partition("^"))
            number = _number(name)
            if number is not None and not hat:
                weight *= _positive(number, text)
                continue
            if number is not None or not name or name in powers:
                raise ConfigError(
                    f"scorer {text!r}: {factor.strip()!r} must be a number, or a "
                    "scorer that stands once in its term, or its power: a ^ 2"
                )
            powers[name] = _positive(_number(power) if hat else 1.0, text)
        if not powers:
            raise ConfigError(
                f"scorer {text!r}: the term {part.strip()!r} names no scorer"
            )
        terms.append(Term(weight, powers))
    return terms


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _positive(number: float | None, text: str) -> float:
    if number is None or not 0.0 < number < float("inf"):
        raise ConfigError(
            f"scorer {text!r}: weights and powers must be positive numbers"
        )
    return number


class Combined(Scorer):
    """A weighted sum of products of powers of scores.

    Parameters
    ----------
    terms
        At least one.
    make
        Makes a scorer by name.
    """

    def __init__(self, terms: Sequence[Term], make: Callable[[str], Scorer]) -> None:
        names = sorted({name for term in terms for name in term.powers})
        self._scorers = {name: make(name) for name in names}
        self._terms = terms
        self._total = sum(term.weight for term in terms)

    @property
    @override
    def needs(self) -> frozenset[str]:
        return frozenset[str]().union(*(s.needs for s in self._scorers.values()))

    @override
    def __call__(self, view: PredictionView, context: ScoringContext) -> Floats:
        parts = {
            name: np.asarray(scorer(view, context), dtype=np.float64)
            for name, scorer in self._scorers.items()
        }
        total = np.zeros(len(view))
        for term in self._terms:
            product = np.full(len(view), term.weight / self._total)
            for name, power in term.powers.items():
                product *= parts[name] ** power
            total += product
        # Weights that are not exact in binary may add up to a little more than one.
        return np.minimum(total, 1.0).astype(np.float32)
