"""Tables of names, such as the scorers, as Markdown: a name, and what it stands for.

Called by ``generated`` with ``module:TABLE``, whose values are ``module:attr``.
"""

import inspect

from fedask.common.registry import load_attr


def names(argument: str) -> str:
    """Return a table of the names in a registry, each with its first line."""
    table: dict[str, str] = load_attr(argument)
    rows = [f"| `{name}` | {first_line(load_attr(to))} |" for name, to in table.items()]
    return "\n".join(["| name | |", "| --- | --- |", *rows])


def first_line(thing: object) -> str:
    """Return the first line of a docstring; of a made scorer, of what made it."""
    told = inspect.getdoc(thing) or ""
    return plain(told.partition("\n\n")[0].replace("\n", " "))


def plain(text: str) -> str:
    """Return a text of the code as Markdown that shows it as it is."""
    return text.replace("``", "`").replace("*", "\\*").replace("|", "\\|")
