"""The comparison as a Markdown table, to be pasted. Called by ``fedask compare``."""

from collections.abc import Sequence

from fedask.simulations.comparison.summary import ArmSummary, ComparisonSummary
from fedask.simulations.report.headline import areas_told
from fedask.simulations.report.quantity import count, percent, plural
from fedask.simulations.report.ranking import mean_area, ranked

_NONE = "-"


def markdown_table(summary: ComparisonSummary) -> str:
    """Return the key figures of every arm, the best first, and how to read them."""
    target = summary["target_accuracy"]
    goal = "target" if target is None else percent(target)
    head = ["arm", f"labels to {goal}", "saved", "final accuracy", "AULC"]
    head += ["shift", "effect", "p", "p (Holm)"]
    rows = [_cells(name, summary) for name in ranked(summary)]
    rule = "| --- |" + " ---: |" * (len(head) - 1)
    told = f"Mean of {plural(len(summary['seeds']), 'seed')}. {areas_told(summary)}"
    if summary["partial"]:
        told += " Interrupted: some runs are missing."
    first = [line for doubt in summary["doubts"] for line in (f"**{doubt}**", "")]
    return "\n".join([*first, _line(head), rule, *map(_line, rows), "", told, ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cells(name: str, summary: ComparisonSummary) -> list[str]:
    arm = summary["policies"][name]
    needed, saved, area = arm["labels_to_target"], arm["labels_saved"], mean_area(arm)
    is_reference = name == summary["reference"]
    return [
        f"`{name}`" + (" (reference)" if is_reference else ""),
        "not reached" if needed is None else count(needed),
        _NONE if saved is None or is_reference else percent(saved, 0),
        percent(arm["final_accuracy"]) if any(arm["accuracy"]) else _NONE,
        _NONE if area is None else percent(area),
        *_paired(arm),
    ]


def _paired(arm: ArmSummary) -> list[str]:
    against = arm["against"]
    if against is None:
        return [_NONE] * 4
    return [
        f"{100 * against['shift']:+.1f}",
        f"{against['effect']:+.2f}",
        f"{against['p']:.2g}",
        f"{against['p_holm']:.2g}",
    ]
