"""A group of commands that are imported when they run, and not before.

The ``fedask`` program and its groups are made of these. Its help, its suggestions and
the shell's completion import none of the commands, so that a device never loads the
simulations, and a broken command of somebody else stays alone with its error. What is
listed of a command is read off its source text: it takes a millisecond, and is never
out of date.
"""

import ast
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, ClassVar

import click
import typer
from typing_extensions import override

from fedask.common.registry import load_attr


class LazyCommand(click.Command):
    """Stands for a command until it runs, where names and summaries are enough.

    Parameters
    ----------
    name
        What is typed.
    target
        ``package.module:attr``: a function with typer's annotations, a table of
        commands, a ``Typer`` or a click command.
    """

    def __init__(self, name: str, target: str) -> None:
        super().__init__(name)
        self.target = target

    @override
    def get_short_help_str(self, limit: int = 45) -> str:
        return summary(self.target)  # of any length: help breaks lines

    def load(self) -> click.Command:
        """Import the command.

        Raises
        ------
        ConfigError
            If it does not import.
        """
        command = _command(load_attr(self.target))
        command.name = self.name
        return command


class CommandTable(typer.core.TyperGroup):
    """A group of lazy commands; its docstring is its help.

    Attributes
    ----------
    targets
        Name to ``package.module:attr``, as ``LazyCommand`` takes it.
    """

    targets: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  (as click has them)
        super().__init__(**options)
        self.commands = {k: LazyCommand(k, v) for k, v in self.targets.items()}
        self.suggest_commands = False  # click does, too

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else None, rest


def _command(found: Any) -> click.Command:  # noqa: ANN401  (whatever was named)
    if isinstance(found, click.Command):
        return found
    if isinstance(found, type) and issubclass(found, CommandTable):
        return found(help=found.__doc__)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    program = typer.Typer(rich_markup_mode=None, add_completion=False)
    program.command()(found)
    return typer.main.get_command(program)


def summary(target: str) -> str:
    """Return the first line that documents ``package.module:attr``; imports nothing.

    It is that of the function or class, else that of the module; "" without a source.
    """
    name, _, attr = target.partition(":")
    spec = _find(name)
    if spec is None or not (spec.origin or "").endswith(".py"):
        return ""
    module = ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8"))
    text = ast.get_docstring(module)
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == attr:
            text = ast.get_docstring(node)
    return (text or "").partition("\n")[0]


def _find(name: str) -> ModuleSpec | None:
    """Return where a module stands, or None; ``importlib`` would import its parents."""
    parent = name.rpartition(".")[0]
    if not parent:
        return PathFinder.find_spec(name)
    if parent in sys.modules:  # and may have changed its path, as ``fedask`` does
        return PathFinder.find_spec(name, sys.modules[parent].__path__)
    above = _find(parent)
    if above is None or above.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, above.submodule_search_locations)
