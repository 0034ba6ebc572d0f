"""The ``fedask`` program: a host for the commands that installed packages declare.

Started as the console script. It knows no command: each is an entry point of the group
``fedask.commands``, of this package or of any other, and is imported when it runs and
not before, so that a device never loads the simulations. What a list of commands says
of each is read off its source text, which costs a millisecond and cannot go stale.
"""

import ast
import json
import logging
import os
import sys
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Annotated, Any, ClassVar

import click
import typer
from typing_extensions import override

from fedask.common.errors import FedaskError
from fedask.common.registry import declared, load_attr

COMMANDS = "fedask.commands"  # the group of entry points
INTERRUPTED = 130

# Where it finds rich, typer escapes the brackets of "[default: 3]" for markup that is
# off here, and the backslash is shown.
typer.core.HAS_RICH = False


class CommandTable(typer.core.TyperGroup):
    """A group of commands that are imported when they run; its docstring is its help.

    Attributes
    ----------
    targets
        Name to ``package.module:attr``: a function with typer's annotations, another
        table, a ``Typer`` or a click command.
    """

    targets: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  (as click has them)
        super().__init__(**options)
        # Stand-ins: for the names alone, which are listed, completed and suggested.
        self.commands = {name: click.Command(name) for name in self.targets}
        self.suggest_commands = False  # click does, too

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.targets:
            return None
        command = _as_command(load_attr(self.targets[cmd_name]))
        command.name = cmd_name
        return command

    @override
    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(k, summary(v)) for k, v in self.targets.items()])


def _as_command(found: Any) -> click.Command:  # noqa: ANN401  (whatever was named)
    if isinstance(found, click.Command):
        return found
    if isinstance(found, type) and issubclass(found, click.Group):
        return found(help=found.__doc__)
    if not isinstance(found, typer.Typer):
        function = found
        found = typer.Typer(rich_markup_mode=None, add_completion=False)
        found.command()(function)
    return typer.main.get_command(found)


def summary(target: str) -> str:
    """Return the first line that documents ``package.module:attr``; imports nothing.

    It is that of the function or class, else that of the module; "" without a source.
    """
    name, _, attr = target.partition(":")
    path: list[str] | None = None
    origin: str | None = None
    for end, char in enumerate(f"{name}.", start=0):
        if char == ".":
            spec = PathFinder.find_spec(name[:end], path)
            if spec is None:
                return ""
            path, origin = spec.submodule_search_locations, spec.origin
    if origin is None or not origin.endswith(".py"):
        return ""
    module = ast.parse(Path(origin).read_text(encoding="utf-8"))
    text = ast.get_docstring(module)
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == attr:
            text = ast.get_docstring(node)
    return (text or "").partition("\n")[0]


class Fedask(CommandTable):
    """Federated on-device active learning: simulate, compare, run a device.

    Exit codes: 0 done; 1 unexpected failure; 2 wrong usage or configuration; 3 data
    missing, damaged or unfit; 4 the disk refused; 5 a peer sent something refused; 6
    refused to protect data; 7 something needed is not there now; 130 interrupted,
    partial results kept (143 by SIGTERM, 129 by SIGHUP).
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
