"""Fails the build if a page would load anything from the network when it is viewed.

A Sphinx extension: ``make docs`` makes its warnings errors. Links that a reader may
click are no loads. Never changes a page.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

_log = logging.getLogger(__name__)
_REMOTE = r"""["'(]?\s*(?:https?:)?//[\w.-]+"""
_LOADS = re.compile(
    rf"<link\b[^>]*\bhref\s*=\s*{_REMOTE}"  # style sheets, fonts, icons
    rf"|\b(?:src|srcset|poster|data)\s*=\s*{_REMOTE}"  # scripts, pictures, frames
    rf"|@import\s+(?:url)?{_REMOTE}|\burl\({_REMOTE}"  # from a style sheet
    rf"|\b(?:fetch|importScripts|import)\(\s*{_REMOTE}",  # from a script
    re.IGNORECASE,
)
_KINDS = {".html", ".css", ".js", ".svg"}


def remote_loads(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file of a built site, and what in it loads from another machine."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in _KINDS and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            for found in _LOADS.finditer(text):
                yield path.relative_to(folder), found[0][:120]


def _check(app: Sphinx, error: Exception | None) -> None:
    if error is None:
        for path, what in remote_loads(Path(app.outdir)):
            _log.warning("%s loads from the network: %s", path, what)


def setup(app: Sphinx) -> dict[str, Any]:
    """Check what was built, when all is there."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True}
