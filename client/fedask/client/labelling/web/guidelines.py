"""Reads a site's rules for labelling: plain text, or a little Markdown. Pure.

Called by the page. Headings, lists, paragraphs, ``**bold**``, ``*italic*`` and
```code```; everything else stays as it is written. It makes no HTML: a template does,
and escapes each text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fedask.common.errors import ConfigError

MAX_BYTES = 1 << 18
_SPAN = re.compile(
    r"\*\*(?P<strong>[^*\n]+)\*\*|\*(?P<em>[^*\n]+)\*|`(?P<code>[^`\n]+)`"
)
_HEADING = re.compile(r"(#{1,4})\s+(.+)")
_BULLET = re.compile(r"\s{0,3}[-*+]\s+(.+)")
_NUMBER = re.compile(r"\s{0,3}\d{1,3}[.)]\s+(.+)")


class Span(NamedTuple):
    """A run of text; kind is "" or the name of an element."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class GuidelineBlock:
    """A heading ("h3" to "h6"), a paragraph ("p"), or a list ("ul", "ol").

    Parameters
    ----------
    kind
        Name of the element.
    lines
        One, or the items of a list.
    """

    kind: str
    lines: tuple[tuple[Span, ...], ...]


def read_guidelines(path: Path | None) -> tuple[GuidelineBlock, ...]:
    """Return the blocks of a file in UTF-8; none if there is no path.

    Raises
    ------
    ConfigError
        If it cannot be read, is no UTF-8, or is too long.
    """
    if path is None:
        return ()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        msg = f"cannot read the guidelines {path}: {err}"
        raise ConfigError(msg) from err
    if len(data) > MAX_BYTES:
        msg = f"the guidelines {path} have more than {MAX_BYTES} bytes"
        raise ConfigError(msg)
    return parse_guidelines(text)


def parse_guidelines(text: str) -> tuple[GuidelineBlock, ...]:
    """Return the blocks of a text."""
    blocks: list[GuidelineBlock] = []
    for group in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        for kind, line in _lines(group):
            last = blocks[-1] if blocks else None
            if kind in {"ul", "ol"} and last is not None and last.kind == kind:
                blocks[-1] = GuidelineBlock(kind, (*last.lines, _spans(line)))
            else:
                blocks.append(GuidelineBlock(kind, (_spans(line),)))
    return tuple(blocks)


def _lines(group: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text): lines of a paragraph are one."""
    plain: list[str] = []
    for line in group.split("\n"):
        kind, text = _kind_of(line)
        if kind == "p":
            plain += [text] if text else []
            continue
        if plain:
            yield "p", " ".join(plain)
            plain = []
        yield kind, text
    if plain:
        yield "p", " ".join(plain)


def _kind_of(line: str) -> tuple[str, str]:
    heading = _HEADING.fullmatch(line.strip())
    if heading:
        return f"h{len(heading[1]) + 2}", heading[2]
    for kind, pattern in (("ul", _BULLET), ("ol", _NUMBER)):
        found = pattern.fullmatch(line)
        if found:
            return kind, found[1]
    return "p", line.strip()


def _spans(line: str) -> tuple[Span, ...]:
    spans, at = [], 0
    for found in _SPAN.finditer(line):
        if found.start() > at:
            spans.append(Span("", line[at : found.start()]))
        kind = str(found.lastgroup)
        spans.append(Span(kind, found[kind]))
        at = found.end()
    if at < len(line):
        spans.append(Span("", line[at:]))
    return tuple(spans)
