"""What people see while a command works: progress, tables, errors.

Progress is drawn on standard error and only on a terminal; standard output carries the
result alone, so that ``--json`` can be piped.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from fedask.simulations.paired import least_p
from fedask.simulations.summary import PolicySummary, Summary

_PIPED_WIDTH = 120  # columns


def stderr() -> Console:
    """Return the console for everything that is not the result."""
    return Console(stderr=True, soft_wrap=True)


def stdout() -> Console:
    """Return the console for the result; wide enough for a table when piped."""
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    return console


def print_json(value: Any) -> None:  # noqa: ANN401  (whatever json can hold)
    """Print a result as JSON."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


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


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print a table; the first column is text, the others are figures."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    stdout().print(table)


def print_summary(summary: Summary) -> None:
    """Print the key figures of a comparison."""
    target = summary["target_accuracy"]
    goal = "" if target is None else f" to {target:.1%}"
    rows = []
    for name, row in summary["policies"].items():
        needed, saved = row["labels_to_target"], row["labels_saved"]
        rows.append(
            (
                name,
                str(row["labels"][-1]) if row["labels"] else "-",
                f"{row['final_accuracy']:.1%}" if row["labels"] else "-",
                "not reached" if needed is None else str(needed),
                "-" if saved is None else f"{saved:.0%}",
                *_area(row),
                f"{row['bytes_per_device_per_cycle']:.0f}",
                str(row["extra_messages"]),
            )
        )
    columns = (
        "policy",
        "labels",
        "accuracy",
        f"labels{goal}",
        "saved",
        "AULC",
        "shift",
        "p",
        "B/dev/cycle",
        "extra msgs",
    )
    seeds = len(summary["seeds"])
    print_table(f"{summary['name']}: mean of {seeds} seed(s)", columns, rows)
    between = summary["aulc_labels"]
    if between is not None:
        low, high = between
        text = f"AULC: mean accuracy between {low} and {high} labels. Shift and p: "
        text += (
            f"against {summary['reference']}, paired by seed (Hodges-Lehmann, exact "
        )
        text += (
            f"Wilcoxon); with {seeds} seed(s) p is never below {least_p(seeds):.2g}."
        )
        stdout().print(text, highlight=False)


def _area(row: PolicySummary) -> tuple[str, str, str]:
    """Write the area under the curve and what it is against the reference's."""
    areas = [area for area in row["aulc"] if area is not None]
    mean = f"{fmean(areas):.1%}" if areas else "-"
    against = row["against"]
    if against is None:
        return mean, "-", "-"
    return mean, f"{100 * against['shift']:+.1f}", f"{against['p']:.2g}"
