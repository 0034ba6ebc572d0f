"""What a comparison found, in plain sentences. Called by the report.

Never flatters: an arm that needed more labels, or never got there, is said to.
"""

from fedask.simulations.comparison.paired_statistics import least_p
from fedask.simulations.comparison.summary import ArmSummary, ComparisonSummary
from fedask.simulations.report.quantity import count, percent, plural
from fedask.simulations.report.ranking import drawn


def outcomes(summary: ComparisonSummary) -> list[str]:
    """Return one sentence per arm beside the reference, fewest labels first.

    Of many arms only those that are drawn, and how many others there are. With no other
    arm the reference gets the sentence; the list is never empty.
    """
    reference = summary["reference"]
    done = {name: p for name, p in summary["policies"].items() if _labels(p)}
    if not done:
        return ["No arm has finished a cycle, so there is nothing to compare yet."]
    shown = [name for name in drawn(summary) if name in done]
    names = [name for name in shown if name != reference] or shown
    names.sort(key=lambda name: _rank(done[name]))
    told = [_sentence(name, done, summary) for name in names]
    rest = len(done) - len(shown)
    if rest:
        told.append(f"{plural(rest, 'other arm')}: see the key figures.")
    return told


def areas_told(summary: ComparisonSummary) -> str:
    """Say what the areas under the curves are, and how they are compared."""
    between, seeds = summary["aulc_labels"], len(summary["seeds"])
    if between is None:
        return "No range of labels is covered by all curves, so areas do not compare."
    low, high = between
    compared = sum(arm["against"] is not None for arm in summary["policies"].values())
    return (
        f"AULC: area under the learning curve between {count(low)} and {count(high)} "
        "labels, which all runs cover, divided by that range. Against "
        f"{summary['reference']}, on the same seeds: shift in points "
        "(Hodges-Lehmann), effect from -1 to 1 (matched-pairs rank-biserial), "
        "two-sided p (exact Wilcoxon signed-rank), and p adjusted for "
        f"{plural(compared, 'comparison')} (Holm). With {plural(seeds, 'seed')} p "
        f"cannot be below {least_p(seeds):.2g}."
    )


def caveats(summary: ComparisonSummary) -> list[str]:
    """Return what a careful reader should know before quoting the numbers."""
    notes = list(summary["doubts"])
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


def _labels(arm: ArmSummary) -> int:
    """Return the labels bought until the last finished cycle; 0 = none finished."""
    longest = max((len(seed) for seed in arm["accuracy"]), default=0)
    return max(arm["labels"][:longest], default=0)


def _rank(arm: ArmSummary) -> tuple[bool, int, float]:
    needed = arm["labels_to_target"]
    return needed is None, needed or 0, -arm["final_accuracy"]


def _sentence(
    name: str, done: dict[str, ArmSummary], summary: ComparisonSummary
) -> str:
    arm = done[name]
    rival = done.get(summary["reference"]) if name != summary["reference"] else None
    target = summary["target_accuracy"]
    if target is None:
        text = _ended(name, arm)
        return text + (f"; {_ended(summary['reference'], rival)}." if rival else ".")
    goal, needed = percent(target), arm["labels_to_target"]
    if needed is None:
        text = f"{name} did not reach {goal} with {plural(_labels(arm), 'label')}"
    else:
        text = f"{name} reached {goal} with {plural(needed, 'label')}"
    if rival is None:
        return f"{text}."
    return f"{text}; {_against(summary['reference'], rival, arm)}."


def _ended(name: str, arm: ArmSummary) -> str:
    final, labels = percent(arm["final_accuracy"]), _labels(arm)
    return f"{name} ended at {final} after {plural(labels, 'label')}"


def _against(reference: str, rival: ArmSummary, arm: ArmSummary) -> str:
    """Compare with the reference; both numbers always, the difference if known."""
    theirs, ours = rival["labels_to_target"], arm["labels_to_target"]
    if theirs is None:
        neither = "did not reach it either" if ours is None else "did not reach it"
        return f"{reference} {neither}, with {plural(_labels(rival), 'label')}"
    text = f"{reference} needed {count(theirs)}"
    saved = arm["labels_saved"]
    if ours is None or saved is None:
        return text
    if ours == theirs:
        return f"{text} as well: no labels saved"
    points = abs(round(100 * saved))
    if points == 0:
        return f"{text}: less than 1 % apart"
    return f"{text}: {points} % {'fewer' if saved > 0 else 'more'} labels"
