"""The learning curves as a PNG, for slides and readmes. Called by ``fedask compare``.

matplotlib is imported on use and through its object interface only: nothing here opens
a window or touches the state that ``pyplot`` keeps.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fedask.common.errors import ConfigError, StoreError
from fedask.simulations.reporting.curve import (
    Curve,
    accuracy_ticks,
    curves_of,
    marked,
    spread_out,
)
from fedask.simulations.reporting.palette import DASHES, LIGHT, hues
from fedask.simulations.reporting.quantity import percent
from fedask.simulations.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE_INCHES = (8.0, 5.0)
_DPI = 150
_SOFT = "#565f69"
_RULE = "#dde2e7"
_ROW = 0.056  # height of a line of text, as a share of the plot
_LETTER = 0.0104  # width of a letter of a name, as a share of the figure
_TURN = 0.5  # marks right of this share of the width have their note on the left


def draw_curves(summary: Mapping[str, Any], path: Path) -> None:
    """Draw accuracy over labels bought, one line per policy.

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
    data = cast("Summary", summary)
    figure = _figure()
    _draw(figure, data)
    try:
        figure.savefig(path, format="png", dpi=_DPI, facecolor="white")
    except OSError as err:
        msg = f"cannot write {path}: {err}"
        raise StoreError(msg) from err


def _figure() -> "Figure":
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as err:
        msg = "curves need matplotlib: pip install 'fedask[simulation]'"
        raise ConfigError(msg) from err
    figure = Figure(figsize=_SIZE_INCHES)
    FigureCanvasAgg(figure)
    return figure


def _draw(figure: "Figure", summary: Summary) -> None:
    curves = curves_of(summary)
    longest = max((len(curve.ending) for curve in curves), default=0)
    axes = figure.add_axes((0.1, 0.13, 0.86 - _LETTER * longest, 0.75))
    axes.set_title(
        summary["name"] + (" (interrupted)" if summary["partial"] else ""),
        loc="left",
        fontweight="bold",
        pad=14,
        parse_math=False,
    )
    axes.set_xlabel("labels bought by the whole fleet", color=_SOFT)
    axes.set_ylabel("accuracy on the test set", color=_SOFT)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_RULE)
    axes.tick_params(length=0, colors=_SOFT)
    if not curves:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no cycle was finished", ha="center", color=_SOFT)
        return
    target = summary["target_accuracy"]
    _scale(axes, curves, target)
    table = hues(summary)
    for curve in curves:
        _draw_curve(axes, curve, table[curve.name], len(summary["seeds"]))
    if target is not None:
        _draw_target(axes, target)
    _draw_marks(axes, curves, table)
    _draw_names(axes, curves, table)


def _scale(axes: "Axes", curves: Sequence[Curve], target: float | None) -> None:
    steps = accuracy_ticks(curves, target)
    most = max(curve.labels[-1] for curve in curves)
    axes.set_xlim(0, max(most, 1))
    axes.set_ylim(steps[0], steps[-1])
    axes.set_yticks(steps, [percent(step, 0) for step in steps])
    axes.grid(axis="y", color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_curve(axes: "Axes", curve: Curve, hue: int, seeds: int) -> None:
    colour = LIGHT[hue]
    if seeds > 1:
        axes.fill_between(
            curve.labels, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0
        )
    axes.plot(
        curve.labels,
        curve.mean,
        color=colour,
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
    """Drop a line from where each policy met the target, with its note below."""
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
    """Write every policy's name and last accuracy beside the end of its line."""
    low, high = axes.get_ylim()
    ends = [(curve.mean[-1] - low) / (high - low) for curve in curves]
    for curve, place in zip(curves, spread_out(ends, _ROW), strict=True):
        axes.text(
            1.03,
            place,
            curve.ending,
            transform=axes.transAxes,
            va="center",
            color=LIGHT[table[curve.name]],
            fontweight="bold",
            fontsize=9,
            parse_math=False,
        )
