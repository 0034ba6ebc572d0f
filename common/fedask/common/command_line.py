"""The ``fedask`` program: a host for the commands that installed packages declare.

Started as the console script. It knows no command: each is an entry point of the group
``fedask.commands``, of this package or of any other, and is imported when it runs.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer

from fedask.common.command_table import CommandTable
from fedask.common.errors import FedaskError
from fedask.common.registry import declared

COMMANDS = "fedask.commands"  # the group of entry points
INTERRUPTED = 130

# Where it finds rich, typer escapes the brackets of "[default: 3]" for markup that is
# off here, and the backslash is shown.
typer.core.HAS_RICH = False


class Fedask(CommandTable):
    """Federated on-device active learning: simulate, compare, run a device.

    Exit codes: 0 done; 1 unexpected failure; 2 wrong usage or configuration; 3 data
    missing, damaged or unfit; 4 the disk refused; 5 a peer sent something refused; 6
    refused to protect data; 7 something needed is not there now; 8 over, but no
    success: nothing was learned, or most devices failed; 130 interrupted, partial
    results kept (143 by SIGTERM, 129 by SIGHUP).
    """

    targets: ClassVar[Mapping[str, str]] = declared(COMMANDS)


app = typer.Typer(
    name="fedask",
    cls=Fedask,
    help=Fedask.__doc__,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
        _say_in_json(err)
        typer.echo(f"fedask: {type(err).__name__}: {err}", err=True)
        sys.exit(err.exit_code)
    except KeyboardInterrupt:
        typer.echo("fedask: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except Exception as err:  # a fault of fedask itself: its traceback is wanted
        _say_in_json(err)
        raise


def _say_in_json(err: Exception) -> None:
    """Print the error where the result was to stand, if it was asked for as JSON."""
    if "--json" in sys.argv:
        error = {"kind": type(err).__name__, "message": str(err)}
        typer.echo(json.dumps({"error": error}, indent=1))


if __name__ == "__main__":
    main()
