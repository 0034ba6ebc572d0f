"""What people see while a simulation works, and of a comparison in the end.

Progress is drawn on standard error and only on a terminal.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fedask.client.cli.console import print_table, stderr, stdout
from fedask.simulations.comparison.summary import ArmSummary, ComparisonSummary
from fedask.simulations.report.headline import areas_told
from fedask.simulations.report.ranking import mean_area, ranked


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Draw bars with the time left; nothing when standard error is no terminal."""
    console = stderr()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        yield progress


def print_summary(summary: ComparisonSummary) -> None:
    """Print the key figures of a comparison, the best arm first; before them doubts."""
    for doubt in summary["doubts"]:
        stdout().print(f"WARNING: {doubt}", highlight=False, markup=False)
    target = summary["target_accuracy"]
    goal = "" if target is None else f" to {target:.1%}"
    columns = ["arm", "labels", "accuracy", f"labels{goal}", "saved"]
    columns += ["AULC", "shift", "p", "p Holm", "B/dev/cycle", "extra msgs"]
    rows = [_arm_row(summary, name) for name in ranked(summary)]
    seeds = len(summary["seeds"])
    print_table(f"{summary['name']}: mean of {seeds} seed(s)", columns, rows)
    if summary["aulc_labels"] is not None:
        stdout().print(areas_told(summary), highlight=False, markup=False)


def _arm_row(summary: ComparisonSummary, name: str) -> tuple[str, ...]:
    row = summary["policies"][name]
    needed, saved = row["labels_to_target"], row["labels_saved"]
    return (
        name + (" (reference)" if name == summary["reference"] else ""),
        str(row["labels"][-1]) if row["labels"] else "-",
        f"{row['final_accuracy']:.1%}" if row["labels"] else "-",
        "not reached" if needed is None else str(needed),
        "-" if saved is None else f"{saved:.0%}",
        *_area(row),
        f"{row['bytes_per_device_per_cycle']:.0f}",
        str(row["extra_messages"]),
    )


def _area(row: ArmSummary) -> tuple[str, ...]:
    """Write the area under the curve and what it is against the reference's."""
    area = mean_area(row)
    mean = "-" if area is None else f"{area:.1%}"
    against = row["against"]
    if against is None:
        return mean, "-", "-", "-"
    shift = f"{100 * against['shift']:+.1f}"
    return mean, shift, f"{against['p']:.2g}", f"{against['p_holm']:.2g}"
