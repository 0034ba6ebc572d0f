"""Fills in what pages show of the code: settings, commands, names, pictures.

A Sphinx extension. A line ``<!-- KIND: ARGUMENT -->`` of a page becomes Markdown, each
time the site is built, so nothing of it can be out of date. Never writes a source.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from sphinx.application import Sphinx

from commands_page import commands
from names_page import names
from pictures import layers, picture
from settings_page import settings

KINDS: Mapping[str, Callable[[str], str]] = {
    "settings": settings,
    "commands": commands,
    "names": names,
    "picture": picture,
    "layers": layers,
}
_LINE = re.compile(r"^<!-- (\w+): (.*?) -->$", re.MULTILINE)


def fill_in(text: str) -> str:
    """Return a page with its lines replaced by what they ask for."""
    return _LINE.sub(_generate, text)


def _generate(found: re.Match[str]) -> str:
    kind, argument = found.groups()
    return KINDS[kind](argument) if kind in KINDS else found[0]


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    del app, docname
    source[0] = fill_in(source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Fill in each page when it is read."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
