"""Settings as Markdown tables: name, type, default, what it is, its rule.

Called by ``generated`` with a dataclass. Reads fields, docstrings and comments, and
learns the rules by giving each field values that it must refuse.
"""

import ast
import dataclasses
import inspect
import re
import textwrap
import tokenize
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fedask.common.errors import FedaskError
from fedask.common.registry import load_attr
from names_page import plain

_HEAD = "| setting | type | default | |\n| --- | --- | --- | --- |\n"
# Values that a field with a rule refuses, by the type of the field.
_WRONG: dict[type, tuple[Any, ...]] = {
    int: (-2, 10**9),
    float: (-2.0, 1e12),
    str: ("?",),
}
_ENTRY = re.compile(r"^(\w+(?:, \w+)*)\n((?:    .*\n|\n)+)", re.MULTILINE)


def settings(argument: str) -> str:
    """Return the tables of ``module:Class PREFIX``, one per section.

    Parameters
    ----------
    argument
        A dataclass, and after a space the name of its table, or nothing.
    """
    target, _, table = argument.partition(" ")
    return "\n".join(_sections(load_attr(target), table, level=2))


def _sections(cls: type[Any], table: str, level: int) -> Iterator[str]:
    hints = get_type_hints(cls)
    told = described(cls)
    fields = [f for f in dataclasses.fields(cls) if f.metadata.get("in_file", True)]
    sections = {f.name: inner for f in fields if (inner := _section(hints[f.name]))}
    rows = [
        _row(cls, each, hints[each.name], told.get(each.name, ""))
        for each in fields
        if each.name not in sections
    ]
    if table:
        yield f"{'#' * level} `[{table}]`\n"
        yield _prose(inspect.getdoc(cls) or "") + "\n"
    yield _HEAD + "".join(rows) if rows else ""
    for name, inner in sections.items():
        yield from _sections(inner, f"{table}.{name}" if table else name, level)


def _section(hint: object) -> type[Any] | None:
    """Return the dataclass of a table, needed or not; None for a simple setting."""
    for each in (hint, *get_args(hint)):
        if isinstance(each, type) and dataclasses.is_dataclass(each):
            return each
    return None


def _row(
    cls: type[Any], each: "dataclasses.Field[Any]", hint: object, told: str
) -> str:
    rule = rule_of(cls, each.name, hint)
    text = "; ".join(
        part for part in (plain(told), rule and f"*{plain(rule)}*") if part
    )
    cells = (f"`{each.name}`", plain(type_name(hint)), _default(each), text)
    return f"| {' | '.join(cells)} |\n"


def type_name(hint: Any) -> str:  # noqa: ANN401  (a type, of any form)
    """Return a type as a reader of a TOML file thinks of it."""
    hint = getattr(hint, "__supertype__", hint)  # of a NewType
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return " or ".join(f'"{word}"' for word in arguments)
    if get_origin(hint) in {Union, UnionType}:
        return " or ".join(type_name(a) for a in arguments if a is not NoneType)
    if arguments:
        origin = get_origin(hint)
        return "list of str" if origin in {tuple, frozenset} else "table"
    return {Path: "path"}.get(hint, getattr(hint, "__name__", str(hint)))


def _default(each: "dataclasses.Field[Any]") -> str:
    if each.default is not dataclasses.MISSING:
        value = each.default
    elif each.default_factory is not dataclasses.MISSING:
        value = each.default_factory()
    else:
        return "needed"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str | Path):
        return f'`"{value}"`'
    return f"`{value}`" if isinstance(value, int | float) else ""


def _prose(docstring: str) -> str:
    """Return what a docstring says before its sections of parameters."""
    return plain(docstring.partition("\n\nParameters\n")[0])


def described(cls: type[Any]) -> dict[str, str]:
    """Return what the docstring and the comments of a dataclass say of its fields."""
    told: dict[str, str] = {}
    body = (inspect.getdoc(cls) or "").partition("\n\nParameters\n----------\n")[2]
    body = body.partition("\n\nRaises\n")[0].partition("\n\nReferences\n")[0]
    for names, text in _ENTRY.findall(body + "\n"):
        for name in names.split(", "):
            told[name] = " ".join(text.split()).rstrip(".")
    for name, comment in _comments(cls).items():
        told[name] = "; ".join(part for part in (told.get(name), comment) if part)
    return told


def _comments(cls: type[Any]) -> dict[str, str]:
    """Return the comment above a field and the one beside it, by field."""
    lines, _ = inspect.getsourcelines(cls)
    source = textwrap.dedent("".join(lines))
    readline = iter(source.splitlines(keepends=True)).__next__
    found: dict[int, str] = {}
    alone: set[int] = set()
    for token in tokenize.generate_tokens(readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("# noqa"):
            text = re.sub(r"\s*# noqa.*", "", token.string)
            found[token.start[0]] = text.removeprefix("#").strip()
            if not token.line[: token.start[1]].strip():
                alone.add(token.start[0])
    (tree,) = ast.parse(source).body
    told: dict[str, str] = {}
    for node in tree.body if isinstance(tree, ast.ClassDef) else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = node.lineno
            while above - 1 in alone:
                above -= 1
            within = range(above, (node.end_lineno or node.lineno) + 1)
            text = " ".join(found[number] for number in within if number in found)
            if text:
                told[node.target.id] = text
    return told


def rule_of(cls: type[Any], name: str, hint: object) -> str:
    """Return the rules that a field breaks with values far off, as their errors say."""
    rules: list[str] = []
    kinds = [each for each in (hint, *get_args(hint)) if each in _WRONG]
    for value in _WRONG[kinds[0]] if kinds else ():
        try:
            cls(**{name: value})
        except FedaskError as err:
            rule = _rule(str(err), name, value)
            if rule not in {"", *rules} and "(valid" not in rule:
                rules.append(rule)
        except TypeError:  # a field without a default is missing
            return ""
    return "; ".join(rules)


def _rule(message: str, name: str, value: object) -> str:
    """Return what an error says of the rule, if it is about this field."""
    about, told, rule = message.partition(f"{value!r}: ")
    return rule if told and name in about.replace("-", "_") else ""
