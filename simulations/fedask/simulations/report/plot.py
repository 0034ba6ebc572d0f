"""The learning curves as a PNG, for slides and readmes. Called by ``fedask compare``.

matplotlib is imported on use and through its object interface only: nothing here opens
a window or touches the state that ``pyplot`` keeps.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fedask.common.errors import ConfigError, StoreError
from fedask.simulations.comparison.summary import ComparisonSummary
from fedask.simulations.report.curve import (
    Curve,
    accuracy_ticks,
    curves_of,
    in_focus,
    marked,
    spread_out,
)
from fedask.simulations.report.palette import DASHES, LIGHT, hues
from fedask.simulations.report.quantity import percent
from fedask.simulations.report.ranking import left_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE_INCHES = (8.0, 5.0)
_MOST_LETTERS = 34  # of a name, before the figure grows wider
_DPI = 150
_SOFT = "#565f69"
_RULE = "#dde2e7"
_LEFT, _RIGHT = 0.8, 0.32  # margins in inches
_ROW = 0.056  # height of a line of text, as a share of the plot
_LETTER = 0.0832  # width of a letter of a name, in inches
_TURN = 0.5  # marks right of this share of the width have their note on the left


def draw_curves(summary: Mapping[str, Any], path: Path) -> None:
    """Draw accuracy over labels bought, one line per arm; of many, some, and say so.

    Parameters
    ----------
    summary
        As in ``summary.json``; ``summary.Summary`` has its shape.
    path
        The PNG file; replaced if it exists.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    StoreError
        If the file cannot be written.
    """
    data = cast("ComparisonSummary", summary)
    figure = _figure()
    _draw(figure, data)
    try:
        figure.savefig(path, format="png", dpi=_DPI, facecolor="white")
    except OSError as err:
        msg = f"cannot write {path}: {err}"
        raise StoreError(msg) from err


def _figure() -> "Figure":
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  (an extra)
        from matplotlib.figure import Figure  # noqa: PLC0415  (an extra)
    except ImportError as err:
        msg = "curves need matplotlib: pip install 'fedask[simulation]'"
        raise ConfigError(msg) from err
    figure = Figure(figsize=_SIZE_INCHES)
    FigureCanvasAgg(figure)
    return figure


def _draw(figure: "Figure", summary: ComparisonSummary) -> None:
    curves = curves_of(summary)
    axes = _axes(figure, curves)
    title = summary["name"] + (" (interrupted)" if summary["partial"] else "")
    axes.set_title(title, loc="left", fontweight="bold", pad=14, parse_math=False)
    if not curves:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no cycle was finished", ha="center", color=_SOFT)
        return
    target, table = summary["target_accuracy"], hues(summary)
    focus = in_focus(curves, table)
    _scale(axes, curves, target)
    for curve in focus if len(summary["seeds"]) > 1 else ():
        _draw_band(axes, curve, table[curve.name])
    for curve in curves:
        _draw_curve(axes, curve, table[curve.name])
    if target is not None:
        _draw_target(axes, target)
    _draw_marks(axes, focus, table)
    _draw_names(axes, curves, table)
    some = left_out(summary)
    told = [f"drawn: {some}"] if some else []
    if len(focus) < len(curves):
        told.append("bands and rings: the best and the reference")
    figure.text(0.01, 0.015, "; ".join(told), color=_SOFT, fontsize=8)


def _axes(figure: "Figure", curves: Sequence[Curve]) -> "Axes":
    """Make room for the names: long ones widen the figure, and leave the plot."""
    longest = max((len(curve.ending) for curve in curves), default=0)
    width, height = _SIZE_INCHES
    width += _LETTER * max(0, longest - _MOST_LETTERS)
    figure.set_size_inches(width, height)
    inside = width - _LEFT - _RIGHT - _LETTER * longest
    axes = figure.add_axes((_LEFT / width, 0.13, inside / width, 0.75))
    axes.set_xlabel("labels bought by the whole fleet", color=_SOFT)
    axes.set_ylabel("accuracy on the test set", color=_SOFT)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_RULE)
    axes.tick_params(length=0, colors=_SOFT)
    return axes


def _scale(axes: "Axes", curves: Sequence[Curve], target: float | None) -> None:
    steps = accuracy_ticks(curves, target)
    most = max(curve.labels[-1] for curve in curves)
    axes.set_xlim(0, max(most, 1))
    axes.set_ylim(steps[0], steps[-1])
    axes.set_yticks(steps, [percent(step, 0) for step in steps])
    axes.grid(axis="y", color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_band(axes: "Axes", curve: Curve, hue: int) -> None:
    axes.fill_between(
        curve.labels, curve.low, curve.high, color=LIGHT[hue], alpha=0.15, linewidth=0
    )


def _draw_curve(axes: "Axes", curve: Curve, hue: int) -> None:
    axes.plot(
        curve.labels,
        curve.mean,
        color=LIGHT[hue],
        linewidth=2,
        linestyle=(0, tuple(0.6 * length for length in DASHES[hue])),
        marker="o",
        markersize=3,
        clip_on=False,
    )


def _draw_target(axes: "Axes", target: float) -> None:
    axes.axhline(target, color=_SOFT, linewidth=1, linestyle=(0, (5, 4)))
    axes.annotate(
        f"target {percent(target)}",
        (0, target),
        xycoords=("axes fraction", "data"),
        xytext=(4, 5),
        textcoords="offset points",
        color=_SOFT,
        fontsize=9,
    )


def _draw_marks(axes: "Axes", curves: Sequence[Curve], table: dict[str, int]) -> None:
    """Drop a line from where each arm met the target, with its note below."""
    reached = marked(curves)
    floor, ceiling = axes.get_ylim()
    for rank, curve in enumerate(reached):
        labels, colour = float(curve.mark or 0), LIGHT[table[curve.name]]
        height = curve.mean_at(labels)
        left = labels >= _TURN * axes.get_xlim()[1]
        row = 0.03 + _ROW * (len(reached) - 1 - rank)
        end = floor + row * (ceiling - floor)
        axes.plot([labels] * 2, [end, height], ":", color=colour, lw=1.2, clip_on=False)
        axes.plot(
            labels, height, "o", color=colour, mfc="white", mew=2, ms=8, clip_on=False
        )
        axes.annotate(
            curve.note,
            (labels, row),
            xycoords=("data", "axes fraction"),
            xytext=(-6 if left else 6, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            color=colour,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.8},
        )


def _draw_names(axes: "Axes", curves: Sequence[Curve], table: dict[str, int]) -> None:
    """Write every arm's name and last accuracy beside the end of its line."""
    low, high = axes.get_ylim()
    ends = [(curve.mean[-1] - low) / (high - low) for curve in curves]
    for curve, place in zip(curves, spread_out(ends, _ROW), strict=True):
        axes.annotate(
            curve.ending,
            (1.0, place),
            xycoords="axes fraction",
            xytext=(12, 0),
            textcoords="offset points",
            va="center",
            color=LIGHT[table[curve.name]],
            fontweight="bold",
            fontsize=9,
            parse_math=False,
        )
