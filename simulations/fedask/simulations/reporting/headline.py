"""What a comparison found, in plain sentences. Called by the report.

Never flatters: a policy that needed more labels, or never got there, is said to.
"""

from fedask.simulations.reporting.quantity import count, percent, plural
from fedask.simulations.summary import PolicySummary, Summary


def outcomes(summary: Summary) -> list[str]:
    """Return one sentence per policy beside the reference, fewest labels first.

    With no other policy the reference gets the sentence; the list is never empty.
    """
    reference = summary["reference"]
    done = {name: p for name, p in summary["policies"].items() if _labels(p)}
    if not done:
        return ["No policy has finished a cycle, so there is nothing to compare yet."]
    names = [name for name in done if name != reference] or [reference]
    names.sort(key=lambda name: _rank(done[name]))
    return [_sentence(name, done, summary) for name in names]


def caveats(summary: Summary) -> list[str]:
    """Return what a careful reader should know before quoting the numbers."""
    notes = []
    if summary["partial"]:
        notes.append(
            "This run was interrupted. The page shows what was finished until then; "
            "later points may rest on fewer seeds."
        )
    if len(summary["seeds"]) == 1:
        notes.append(
            "One seed only: a difference of a few points may be chance. "
            "Run more seeds before you rely on it."
        )
    return notes


def _labels(policy: PolicySummary) -> int:
    """Return the labels bought until the last finished cycle; 0 = none finished."""
    longest = max((len(seed) for seed in policy["accuracy"]), default=0)
    return max(policy["labels"][:longest], default=0)


def _rank(policy: PolicySummary) -> tuple[bool, int, float]:
    needed = policy["labels_to_target"]
    return needed is None, needed or 0, -policy["final_accuracy"]


def _sentence(name: str, done: dict[str, PolicySummary], summary: Summary) -> str:
    policy = done[name]
    rival = done.get(summary["reference"]) if name != summary["reference"] else None
    target = summary["target_accuracy"]
    if target is None:
        text = _ended(name, policy)
        return text + (f"; {_ended(summary['reference'], rival)}." if rival else ".")
    goal, needed = percent(target), policy["labels_to_target"]
    if needed is None:
        text = f"{name} did not reach {goal} with {plural(_labels(policy), 'label')}"
    else:
        text = f"{name} reached {goal} with {plural(needed, 'label')}"
    if rival is None:
        return f"{text}."
    return f"{text}; {_against(summary['reference'], rival, policy)}."


def _ended(name: str, policy: PolicySummary) -> str:
    final, labels = percent(policy["final_accuracy"]), _labels(policy)
    return f"{name} ended at {final} after {plural(labels, 'label')}"


def _against(reference: str, rival: PolicySummary, policy: PolicySummary) -> str:
    """Compare with the reference; both numbers always, the difference if known."""
    theirs, ours = rival["labels_to_target"], policy["labels_to_target"]
    if theirs is None:
        neither = "did not reach it either" if ours is None else "did not reach it"
        return f"{reference} {neither}, with {plural(_labels(rival), 'label')}"
    text = f"{reference} needed {count(theirs)}"
    saved = policy["labels_saved"]
    if ours is None or saved is None:
        return text
    if ours == theirs:
        return f"{text} as well: no labels saved"
    points = abs(round(100 * saved))
    if points == 0:
        return f"{text}: less than 1 % apart"
    return f"{text}: {points} % {'fewer' if saved > 0 else 'more'} labels"
