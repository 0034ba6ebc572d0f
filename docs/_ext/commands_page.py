"""The command line as Markdown: every command, its arguments and options.

Called by ``generated``. Walks the same tree of commands that ``fedask --help`` shows.
"""

import inspect
import re
from collections.abc import Iterator
from typing import get_args, get_type_hints

import click
import typer.main

from fedask.common.command_line import app
from fedask.common.command_table import LazyCommand
from names_page import plain

_EXAMPLE = re.compile(r"^Example: (.*)$", re.MULTILINE)
_HEAD = "| option | | default |\n| --- | --- | --- |\n"


def root() -> click.Command:
    """Return the ``fedask`` command."""
    return typer.main.get_command(app)


def commands(argument: str) -> str:
    """Return the pages of the commands below one, ``device`` or ``""`` for all."""
    command, path = root(), ["fedask"]
    for name in argument.split()[1:]:
        command, path = _children(command)[name], [*path, name]
    return "\n".join(_pages(command, path))


def walk(
    command: click.Command, path: list[str]
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with how it is called."""
    children = _children(command)
    if not children:
        yield " ".join(path), command
    for name, child in children.items():
        yield from walk(child, [*path, name])


def _children(command: click.Command) -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {}
    return {
        name: each.load() if isinstance(each, LazyCommand) else each
        for name, each in command.commands.items()
        if not each.hidden
    }


def _pages(command: click.Command, path: list[str]) -> Iterator[str]:
    for name, each in walk(command, path):
        context = click.Context(each, info_name=name)
        yield f"## `{name}`\n"
        yield _help(each) + "\n"
        yield "```text\n" + each.get_usage(context).removeprefix("Usage: ") + "\n```\n"
        rows = [row for param in each.params if (row := _row(param, context))]
        if rows:
            yield _HEAD + "".join(rows)


def _help(command: click.Command) -> str:
    """Return what a command says of itself, its examples as they are typed."""
    told = plain(inspect.cleandoc(command.help or ""))
    return _EXAMPLE.sub(r"```sh\n\1\n```", told)


def _row(param: click.Parameter, context: click.Context) -> str:
    told = getattr(param, "help", None) or _annotated(param, context)
    if getattr(param, "hidden", False) or "--help" in param.opts:
        return ""
    if isinstance(param, click.Option):
        kind = "" if param.is_flag else f" {param.make_metavar(context)}"
        name = ", ".join([*param.opts, *param.secondary_opts]) + kind
    else:
        name = param.make_metavar(context)
    default = param.default
    shown = default not in {None, False, ""} and not callable(default)
    if param.envvar and isinstance(param.envvar, str):
        told += f" Or `${param.envvar}`."
    cells = (
        f"`{name}`",
        plain(" ".join(told.split())),
        f"`{default}`" if shown else "",
    )
    if param.required:
        cells = (cells[0], cells[1], "needed")
    return f"| {' | '.join(cells)} |\n"


def _annotated(param: click.Parameter, context: click.Context) -> str:
    """Return the help that stands at an argument: click 8.5 drops it from typer's."""
    hint = get_type_hints(
        inspect.unwrap(context.command.callback or _annotated), include_extras=True
    ).get(param.name or "")
    told = (getattr(each, "help", None) for each in get_args(hint)[1:])
    return next((text for text in told if text), "")
