"""Prints for commands: results to standard output, everything else to standard error.

Used by every command, the simulations' too. Standard output carries the result alone,
so that ``--json`` can be piped.
"""

import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 120  # columns
_WIDEST = 1000  # columns of a piped table


def log_to_stderr() -> None:
    """Write log messages to standard error, each on a line with the time."""
    log = logging.getLogger("fedask")
    log.setLevel(logging.INFO)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)


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
