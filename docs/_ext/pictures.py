"""Sequence pictures as SVG: who tells whom what, from top to bottom.

Called by ``generated`` with the name of a file in ``docs/pictures``, whose lines are ::

    title: One answer
    lanes: person | page | desk | store
    person -> page: presses a key
    page: checks cookie and token

Colours come from the page's style sheet, so a picture fits a light and a dark page.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "pictures"
_STEP = re.compile(r"(?P<a>[^:]+?)(?: -> (?P<b>[^:]+?))?: (?P<text>.+)")
_LANE, _LINE, _TOP, _MARGIN = 190, 17, 46, 95  # sizes in pixels
_LETTERS = 25  # of a line beside a lane
_STACK = 520  # width of the picture of layers


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a picture: from a lane to another, or beside one."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """What a file says."""

    title: str
    lanes: tuple[str, ...]
    steps: tuple[Step, ...]


def picture(argument: str) -> str:
    """Return a picture as HTML that stands in a page."""
    sequence = read(FOLDER / f"{argument}.txt")
    return (
        f'<figure class="picture">{draw(sequence)}'
        f"<figcaption>{escape(sequence.title)}</figcaption></figure>"
    )


def read(path: Path) -> Sequence:
    """Read a file; a lane that is not in its second line is an error."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    title = lines[0].removeprefix("title: ")
    lanes = tuple(lines[1].removeprefix("lanes: ").split(" | "))
    steps = []
    for line in lines[2:]:
        found = _STEP.fullmatch(line)
        if found is None:
            msg = f"{path}: not a step: {line}"
            raise ValueError(msg)
        start = lanes.index(found["a"])
        end = lanes.index(found["b"]) if found["b"] else start
        steps.append(Step(start, end, found["text"]))
    return Sequence(title, lanes, tuple(steps))


def draw(sequence: Sequence) -> str:
    """Return the SVG of a picture."""
    parts: list[str] = []
    y = float(_TOP)
    for step in sequence.steps:
        lines = list(_wrap(step.text, _width(step)))
        y += 14 + _LINE * len(lines)
        parts += _step(step, lines, y)
    height, width = y + 24, _MARGIN * 2 + _LANE * (len(sequence.lanes) - 1)
    head = [
        (
            f'<svg viewBox="0 0 {width} {height:.0f}" width="{width}" role="img" '
            f'aria-label="{escape(sequence.title)}">'
        ),
        (
            '<defs><marker id="head" markerWidth="9" markerHeight="8" refX="8" '
            'refY="4" orient="auto"><path class="head" d="M0,0 L9,4 L0,8 z"/>'
            "</marker></defs>"
        ),
    ]
    for number, lane in enumerate(sequence.lanes):
        x = _x(number)
        head.append(f'<path class="line" d="M{x},36 V{height - 6:.0f}"/>')
        head.append(
            f'<rect class="box" x="{x - 80}" y="6" width="160" height="30" rx="6"/>'
        )
        head.append(
            f'<text class="lane" x="{x}" y="26" text-anchor="middle">'
            f"{escape(lane)}</text>"
        )
    return "".join([*head, *parts, "</svg>"])


def _x(lane: int) -> int:
    return _MARGIN + _LANE * lane


def _width(step: Step) -> int:
    """Return how many letters a line of a step may have."""
    return max(_LETTERS, (abs(step.end - step.start) * _LANE - 16) * 10 // 66)


def _step(step: Step, lines: list[str], y: float) -> Iterator[str]:
    middle = (_x(step.start) + _x(step.end)) / 2
    top = y - _LINE * len(lines)
    if step.start == step.end:  # something that happens there: a note on the line
        yield (
            f'<rect class="box" x="{middle - 88}" y="{top - 1:.0f}" width="176" '
            f'height="{_LINE * len(lines) + 6}" rx="3"/>'
        )
    for number, line in enumerate(lines):
        at = top + _LINE * (number + 1) - 4
        yield (
            f'<text class="small" x="{middle:.0f}" y="{at:.0f}" '
            f'text-anchor="middle">{escape(line)}</text>'
        )
    if step.start != step.end:
        yield (
            f'<path class="arrow" marker-end="url(#head)" '
            f'd="M{_x(step.start)},{y + 3:.0f} H{_x(step.end)}"/>'
        )


def _wrap(text: str, letters: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > letters:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    yield line


def layers(argument: str) -> str:
    """Return the layers of a root as the contract in ``pyproject.toml`` has them."""
    path = FOLDER.parents[1] / "pyproject.toml"
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["tool"]["importlinter"]
    (found,) = (
        table["layers"]
        for table in tables["contracts"]
        if table.get("containers") == [f"fedask.{argument}"]
    )
    parts = []
    for row, names in enumerate(found):
        beside = names.replace(":", "|").split("|")
        width = (_STACK - 10 * (len(beside) - 1)) / len(beside)
        for column, name in enumerate(beside):
            x, y = column * (width + 10) + 1, row * 42 + 1
            parts.append(
                f'<rect class="box" x="{x:.0f}" y="{y}" width="{width:.0f}" '
                f'height="34" rx="5"/><text class="lane" x="{x + width / 2:.0f}" '
                f'y="{y + 22}" text-anchor="middle">{escape(name.strip())}</text>'
            )
    height = len(found) * 42
    svg = f'<svg viewBox="0 0 {_STACK + 2} {height}" width="{_STACK + 2}" role="img">'
    told = "A room may import those below it; rooms side by side never meet"
    return (
        f'<figure class="picture">{svg}{"".join(parts)}</svg>'
        f"<figcaption>{told}</figcaption></figure>"
    )
