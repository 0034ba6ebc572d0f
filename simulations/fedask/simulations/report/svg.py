"""Learning curves as SVG: inside the report, and as a file to be opened or pasted.

Called by ``fedask compare`` and the report; loads nothing, runs nothing. Colours are
classes (``h0``, ``h1``, ...) that a style sheet gives a hue. Points carry their numbers
as ``<title>``, which browsers show on hover.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from fedask.server.checkpoint import replace_file
from fedask.simulations.comparison.summary import ComparisonSummary
from fedask.simulations.report.curve import (
    Curve,
    accuracy_ticks,
    curves_of,
    in_focus,
    marked,
    spread_out,
    ticks,
)
from fedask.simulations.report.palette import DASHES, PAPER, hues
from fedask.simulations.report.quantity import count, percent, plural
from fedask.simulations.report.ranking import left_out

CURVES_CSS = (Path(__file__).with_name("templates") / "curves.css").read_text("utf-8")
_MARGIN, _HEAD, _FOOT = 16, 44, 28  # around a drawing that is a file, in its units
_LINE_HEIGHT = 18.0  # of text, in units of the drawing
_LETTER = 7.7  # width of a bold letter, in the same units
_MOST_ROOM = 290  # for names, before the drawing grows
_TURN = 0.5  # marks right of this share of the width have their note on the left


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Size of a drawing and of the margins around its plot area, in its own units."""

    name: str
    width: int
    height: int
    left: int
    right: int
    named: bool  # arms are named beside their lines; ``right`` makes room
    top: int = 34
    bottom: int = 46


WIDE = _Frame(name="wide", width=920, height=440, left=56, right=0, named=True)
NARROW = _Frame(name="narrow", width=380, height=340, left=50, right=14, named=False)


class Drawing:
    """Draws curves into a frame.

    Parameters
    ----------
    frame
        Where to draw. A narrow one has no room for names beside the lines.
    curves
        At least one.
    hues
        Index into the palette by arm.
    target
        Accuracy to draw a line at, or None.
    """

    def __init__(
        self,
        frame: _Frame,
        curves: Sequence[Curve],
        hues: Mapping[str, int],
        target: float | None,
    ) -> None:
        longest = max(len(curve.ending) for curve in curves)
        room = 22 + int(_LETTER * longest) if frame.named else frame.right
        # Long names make the drawing wider, not the plot narrower.
        more = max(0, room - _MOST_ROOM) if frame.named else 0
        self._frame = replace(frame, right=room, width=frame.width + more)
        self._curves = curves
        self._hues = hues
        self._target = target
        most = max(curve.labels[-1] for curve in curves)
        self._x_ticks = [tick for tick in ticks(0, most, 6) if tick <= most]
        self._y_ticks = accuracy_ticks(curves, target)
        self._most = float(max(most, 1))

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height, in the drawing's own units."""
        return self._frame.width, self._frame.height

    def render(self) -> str:
        """Return the ``<svg>`` element."""
        ends = "; ".join(
            f"{curve.name} ends at {percent(curve.mean[-1])}, {curve.note}"
            for curve in self._curves
        )
        label = f"Learning curves, accuracy over labels bought: {ends}."
        box = "0 0 {} {}".format(*self.size)
        head = f'<svg class="{self._frame.name}" viewBox="{box}" role="img"'
        head += f' aria-label="{escape(label)}">'
        return "\n".join([head, *self.parts(), "</svg>"])

    def parts(self) -> Iterable[str]:
        """Yield what is inside the element."""
        yield from self._axes()
        yield from (self._band(c) for c in in_focus(self._curves, self._hues))
        yield from self._goal()
        yield from (self._line(curve) for curve in self._curves)
        yield from self._marks()
        if self._frame.named:
            yield from self._names()

    def _x(self, labels: float) -> float:
        frame = self._frame
        inside = frame.width - frame.left - frame.right
        return frame.left + inside * labels / self._most

    def _y(self, accuracy: float) -> float:
        frame, low, high = self._frame, self._y_ticks[0], self._y_ticks[-1]
        inside = frame.height - frame.top - frame.bottom
        return frame.top + inside * (high - accuracy) / (high - low)

    def _axes(self) -> Iterable[str]:
        frame = self._frame
        right, floor = frame.width - frame.right, frame.height - frame.bottom
        for tick in self._y_ticks:
            y = self._y(tick)
            yield f'<path class="rule" d="M{frame.left} {y:.1f}H{right}"/>'
            yield _text(frame.left - 8, y + 4, percent(tick, 0), "tick end")
        for tick in self._x_ticks:
            text = count(round(tick))
            yield _text(self._x(tick), floor + 20, text, "tick middle")
        yield _text(frame.left, 16, "accuracy on the test set", "tick")
        yield _text(right, floor + 40, "labels bought by the whole fleet", "tick end")

    def _band(self, curve: Curve) -> str:
        upper = list(zip(curve.labels, curve.high, strict=True))
        lower = list(zip(curve.labels, curve.low, strict=True))
        path = self._path([*upper, *reversed(lower)])
        return f'<path class="band h{self._hues[curve.name]}" d="{path}Z"/>'

    def _line(self, curve: Curve) -> str:
        hue = self._hues[curve.name]
        path = self._path(list(zip(curve.labels, curve.mean, strict=True)))
        dash = " ".join(str(length) for length in DASHES[hue])
        line = f'<path class="line" stroke-dasharray="{dash or "none"}" d="{path}"/>'
        dots = "".join(self._dot(curve, index) for index in range(len(curve.labels)))
        return f'<g class="h{hue}">{line}{dots}</g>'

    def _dot(self, curve: Curve, index: int) -> str:
        low, high = percent(curve.low[index]), percent(curve.high[index])
        told = f"{curve.name}, {plural(curve.labels[index], 'label')}: "
        told += f"{percent(curve.mean[index])} ({low} to {high}, "
        told += f"{plural(curve.seeds[index], 'seed')})"
        x, y = self._x(curve.labels[index]), self._y(curve.mean[index])
        dot = f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>'
        reach = f'<circle class="reach" cx="{x:.1f}" cy="{y:.1f}" r="9"/>'
        return f"<g>{dot}{reach}<title>{escape(told)}</title></g>"

    def _path(self, points: Sequence[tuple[float, float]]) -> str:
        return "M" + "L".join(f"{self._x(x):.1f} {self._y(y):.1f}" for x, y in points)

    def _goal(self) -> Iterable[str]:
        if self._target is None:
            return
        left, y = self._frame.left, self._y(self._target)
        right = self._frame.width - self._frame.right
        yield f'<path class="goal" d="M{left} {y:.1f}H{right}"/>'
        yield _text(left + 6, y - 7, f"target {percent(self._target)}", "tick halo")

    def _marks(self) -> Iterable[str]:
        """Drop a line from where each arm met the target, with its note below."""
        floor = self._frame.height - self._frame.bottom
        reached = marked(in_focus(self._curves, self._hues))
        for rank, curve in enumerate(reached):
            labels = float(curve.mark or 0)
            x, y = self._x(labels), self._y(curve.mean_at(labels))
            left = labels >= _TURN * self._most
            low = floor - 9 - _LINE_HEIGHT * (len(reached) - 1 - rank)
            place = "note halo end" if left else "note halo"
            note = _text(x - 7 if left else x + 7, low, curve.note, place)
            yield (
                f'<g class="h{self._hues[curve.name]}">'
                f'<path class="drop" d="M{x:.1f} {y:.1f}V{low + 3:.1f}"/>'
                f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="6"/>{note}</g>'
            )

    def _names(self) -> Iterable[str]:
        x = self._frame.width - self._frame.right + 14
        wanted = [self._y(curve.mean[-1]) for curve in self._curves]
        places = spread_out(wanted, _LINE_HEIGHT)
        for curve, y in zip(self._curves, places, strict=True):
            hue = self._hues[curve.name]
            yield f'<g class="h{hue}">{_text(x, y + 5, curve.ending, "name")}</g>'


def write_curves(summary: ComparisonSummary, path: Path) -> None:
    """Draw accuracy over labels bought into an SVG file of its own.

    Its style is inside, its background white. Of many arms some are drawn, and the
    drawing says which.

    Parameters
    ----------
    summary
        With at least one finished cycle.
    path
        The file; replaced if it exists.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    curves, table, some = curves_of(summary), hues(summary), left_out(summary)
    drawing = Drawing(WIDE, curves, table, summary["target_accuracy"])
    notes = [f"drawn: {some}"] if some else []
    if len(in_focus(curves, table)) < len(curves):
        notes.append("bands and rings: the best and the reference")
    title = summary["name"] + (" (interrupted)" if summary["partial"] else "")
    width, height = drawing.size[0] + 2 * _MARGIN, drawing.size[1] + _HEAD + _FOOT
    # Not every program that shows a drawing knows variables.
    css = re.sub(r"var\(--(\w+)\)", lambda name: PAPER[name[1]], CURVES_CSS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"',
        f' viewBox="0 0 {width} {height}">',
        f"<style>{css}svg{{font-family:system-ui,sans-serif}}</style>",
        f'<rect width="{width}" height="{height}" fill="{PAPER["paper"]}"/>',
        _text(_MARGIN, _HEAD - 18, title, "title"),
        f'<g transform="translate({_MARGIN} {_HEAD})">',
        *drawing.parts(),
        "</g>",
        _text(_MARGIN, height - 10, "; ".join(notes), "tick"),
        "</svg>\n",
    ]
    replace_file(path, "\n".join(parts).encode())


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
