"""Prints how many files and functions of fedask one trip comes through.

python -m tests.trips                # every trip: files, functions, and before
python -m tests.trips message image  # these alone
python -m tests.trips --list message # its functions, in the order of first touch
python -m tests.trips --json         # all of it, to be read by a program
"""

import argparse
import inspect
import json
import sys
from collections.abc import Mapping
from typing import Any

from tests.trips.tracer import Touched
from tests.trips.trips import BEFORE, TRIPS, trace


def main() -> None:
    """Make the trips that are named and print what they came through."""
    parser = argparse.ArgumentParser(prog="python -m tests.trips", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("trips", nargs="*", metavar="TRIP", help=", ".join(TRIPS))
    parser.add_argument("--list", metavar="TRIP", choices=TRIPS, help="its functions")
    parser.add_argument("--json", action="store_true", help="print JSON and no table")
    given = parser.parse_args()
    names = [given.list] if given.list else given.trips or list(TRIPS)
    unknown = sorted(set(names) - set(TRIPS))
    if unknown:
        parser.error(f"no such trip: {', '.join(unknown)}")
    found = {name: trace(name) for name in names}
    if given.json:
        told = json.dumps({name: as_json(name, found[name]) for name in names})
    elif given.list:
        told = as_list(found[given.list])
    else:
        told = as_table(found)
    sys.stdout.write(told + "\n")


def as_json(name: str, touched: Touched) -> dict[str, Any]:
    """Return a trip's figures and what stands behind them."""
    files, functions = BEFORE[name]
    return {
        "files": len(touched.files),
        "functions": touched.functions,
        "before": {"files": files, "functions": functions},
        "touched": touched.files,
    }


def as_list(touched: Touched) -> str:
    """Return the files of a trip, each with its functions below it."""
    lines = []
    for file, names in touched.files.items():
        lines += [file, *(f"    {name}" for name in names)]
    return "\n".join(lines)


def as_table(found: Mapping[str, Touched]) -> str:
    """Return a line per trip: files, functions, both of before, and what it is."""
    lines = [f"{'trip':<8} {'files':>5} {'functions':>9}   {'before':>9}  what"]
    for name, touched in found.items():
        what = (inspect.getdoc(TRIPS[name]) or "").partition("\n")[0]
        before = "/".join(map(str, BEFORE[name]))
        figures = f"{len(touched.files):>5} {touched.functions:>9}   {before:>9}"
        lines.append(f"{name:<8} {figures}  {what}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
