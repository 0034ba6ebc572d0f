"""Federated on-device active learning: simulate, compare, start an app, run a device.

Exit codes: 0 done; 1 unexpected failure; 2 wrong usage or configuration; 3 data
missing, damaged or unfit; 4 the disk refused; 5 a peer sent something refused; 6
refused to protect data; 7 something needed is not there now; 130 interrupted, partial
results kept (143 by SIGTERM, 129 by SIGHUP).
"""

import logging
import os
import sys
from typing import Annotated

import typer

from fedask.client.cli import group
from fedask.client.cli.console import print_json, stderr
from fedask.common.errors import FedaskError
from fedask.simulations.cli import bench, compare, new, simulate

INTERRUPTED = 130

# Where it finds rich, typer escapes the brackets of "[default: 3]" for markup that is
# off here, and the backslash is shown.
typer.core.HAS_RICH = False

app = typer.Typer(
    name="fedask",
    help=__doc__,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("simulate")(simulate.simulate_command)
app.command("compare")(compare.compare_command)
app.command("new")(new.new_command)
app.add_typer(group.app, name="device")
app.add_typer(bench.app, name="bench")


@app.callback()
def settings(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show Flower's own log.")
    ] = False,
) -> None:
    """Set up logging before any command runs."""
    # Flower phones home unless told not to; a privacy tool tells it.
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    for name in ("flwr", "fedask"):
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.ERROR)


def main() -> None:
    """Run the program; every failure becomes a message and a documented exit code."""
    try:
        app()
    except FedaskError as err:
        kind = type(err).__name__
        if "--json" in sys.argv:
            print_json({"error": {"kind": kind, "message": str(err)}})
        stderr().print(f"fedask: {kind}: {err}", markup=False, highlight=False)
        sys.exit(err.exit_code)
    except KeyboardInterrupt:
        stderr().print("fedask: interrupted", markup=False)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
