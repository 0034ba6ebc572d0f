"""What speaks against the result of a run. Called by the commands, before any figure.

Never flatters: a run that learned nothing, or whose devices failed, says so first, and
no saving is claimed on it.
"""

from collections.abc import Mapping
from typing import Any

# Of the way from naming the commonest class always to being always right.
_LEAST = 0.1
_FAR = 0.1  # accuracy below the plain baseline


def learned_nothing(accuracy: float, chance: float) -> str:
    """Say that a model does hardly better than naming the commonest class, or "".

    Parameters
    ----------
    accuracy, chance
        Of the model, and of always naming the commonest class, in [0, 1].
    """
    if accuracy - chance >= _LEAST * (1.0 - chance):
        return ""
    return (
        f"it learned next to nothing: accuracy {accuracy:.1%}, where naming the "
        f"commonest class gives {chance:.1%}"
    )


def far_below(accuracy: float, baseline: float | None) -> str:
    """Say that a ridge regression makes far more of the same labels, or ""."""
    if baseline is None or accuracy >= baseline - _FAR:
        return ""
    return (
        f"it makes little of its labels: accuracy {accuracy:.1%}, where a plain ridge "
        f"regression on the same labels gives {baseline:.1%}; look at train.rounds, "
        "train.steps and train.lr, and at the scale of the inputs"
    )


def doubts_of(result: Mapping[str, Any]) -> list[str]:
    """Return what speaks against the result of one run, the worst first.

    Parameters
    ----------
    result
        Of ``result.json``; of an older version it lacks what is compared with.
    """
    found = [result.get("failed", "")]
    last = next((r for r in reversed(result["rows"]) if "accuracy" in r), None)
    if last is not None and "chance" in result:
        nothing = learned_nothing(last["accuracy"], result["chance"])
        found.append(nothing or far_below(last["accuracy"], result["baseline"]))
    return [doubt for doubt in found if doubt]


def is_worthless(result: Mapping[str, Any]) -> bool:
    """Tell whether a run ended without success: devices failed, or nothing was learned.

    One that is merely far below the baseline has learned something.
    """
    if result.get("failed"):
        return True
    last = next((r for r in reversed(result["rows"]) if "accuracy" in r), None)
    if last is None or "chance" not in result:
        return False
    return bool(learned_nothing(last["accuracy"], result["chance"]))
