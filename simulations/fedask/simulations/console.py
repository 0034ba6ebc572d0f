"""What people see while a command works: progress, tables, errors.

Progress is drawn on standard error and only on a terminal; standard output carries the
result alone, so that ``--json`` can be piped.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from fedask.simulations.reporting.headline import areas_told
from fedask.simulations.reporting.ranking import mean_area, ranked
from fedask.simulations.summary import ArmSummary, Summary

_PIPED_WIDTH = 120  # columns
_WIDEST = 1000  # columns of a piped table


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
        table.add_row(*(Text(cell) for cell in row))  # never markup
    console = stdout()
    if not console.is_terminal:  # long names would break lines that are searched
        unlimited = console.options.update(width=_WIDEST)
        needed = Measurement.get(console, unlimited, table).maximum
        console.width = max(console.width, needed)
    console.print(table)


def print_summary(summary: Summary) -> None:
    """Print the key figures of a comparison, the best arm first."""
    target = summary["target_accuracy"]
    goal = "" if target is None else f" to {target:.1%}"
    columns = ["arm", "labels", "accuracy", f"labels{goal}", "saved"]
    columns += ["AULC", "shift", "p", "p Holm", "B/dev/cycle", "extra msgs"]
    rows = [_arm_row(summary, name) for name in ranked(summary)]
    seeds = len(summary["seeds"])
    print_table(f"{summary['name']}: mean of {seeds} seed(s)", columns, rows)
    if summary["aulc_labels"] is not None:
        stdout().print(areas_told(summary), highlight=False, markup=False)


def _arm_row(summary: Summary, name: str) -> tuple[str, ...]:
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
