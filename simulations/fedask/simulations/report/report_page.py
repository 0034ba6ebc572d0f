"""The report of a comparison: one HTML file that needs nothing but a browser.

Called by ``fedask compare`` at its end, also after an interruption. The page makes no
request and runs no script; it shows what ``summary.json`` holds and computes no result
of its own. What it looks like is in ``templates/``, where every value is escaped.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from fedask.common.settings import Scalar
from fedask.server.checkpoint import replace_file
from fedask.simulations.comparison.summary import ArmSummary, ComparisonSummary
from fedask.simulations.report import quantity
from fedask.simulations.report.curve import Curve, curves_of, in_focus
from fedask.simulations.report.headline import areas_told, caveats, outcomes
from fedask.simulations.report.palette import DARK, DASHES, PAPER, hues
from fedask.simulations.report.ranking import drawn, left_out, mean_area, ranked
from fedask.simulations.report.svg import CURVES_CSS, NARROW, WIDE, Drawing

_TEMPLATES = Path(__file__).with_name("templates")
_MOST_DEVICES = 40  # shown one by one; the others become one row


def write_report(summary: ComparisonSummary, path: Path) -> None:
    """Write the report of a comparison.

    Parameters
    ----------
    path
        The HTML file; replaced if it exists.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    page = _template().render(_values(summary))
    replace_file(path, page.encode())


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    for write in ("percent", "size", "duration", "count", "plural"):
        environment.filters[write] = getattr(quantity, write)
    return environment.get_template("report.html")


def _values(summary: ComparisonSummary) -> dict[str, Any]:
    """Return what the template shows."""
    arms, curves, lines = summary["policies"], curves_of(summary), hues(summary)
    needed = [arm["labels_to_target"] for arm in arms.values()]
    held = [held for arm in arms.values() for held in arm["labels_by_device"].values()]
    drawings = [
        Drawing(frame, curves, lines, summary["target_accuracy"]).render()
        for frame in (WIDE, NARROW)
        if curves
    ]
    return {
        "summary": summary,
        "arms": arms,
        "names": ranked(summary),
        "drawn": drawn(summary),
        "left_out": left_out(summary),
        "hues": lines,
        "dashes": DASHES,
        "curves": curves,
        "focused": len(in_focus(curves, lines)),
        "spans": _spans(curves),
        "drawings": drawings,
        "outcomes": outcomes(summary),
        "caveats": caveats(summary),
        "areas_told": areas_told(summary),
        "area": mean_area,
        "fewest": min(
            (labels for labels in needed if labels is not None), default=None
        ),
        "heat_of": lambda arm: _heat(arm, len(summary["classes"])),
        "most_held": max((max(counts, default=0) for counts in held), default=0),
        "sections": _sections(summary),
        "style": _style(),
    }


def _style() -> str:
    """Return the style sheet: both colour schemes, the page, the drawing."""
    paper, dark = (
        "".join(f"--{name}:{colour};" for name, colour in scheme.items())
        for scheme in (PAPER, DARK)
    )
    return (
        f":root{{color-scheme:light dark;{paper}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        + (_TEMPLATES / "report.css").read_text(encoding="utf-8")
        + CURVES_CSS
    )


def _spans(curves: Sequence[Curve]) -> list[tuple[int, int]]:
    """Return the fewest and the most labels that an arm had bought, per cycle."""
    cycles = range(max((len(curve.labels) for curve in curves), default=0))
    bought = [[c.labels[n] for c in curves if n < len(c.labels)] for n in cycles]
    return [(min(labels), max(labels)) for labels in bought]


def _heat(arm: ArmSummary, classes: int) -> dict[str, Any]:
    """Return the labels per device and class, those of many devices added up."""
    held = arm["labels_by_device"]
    if not held:
        return {}
    most_first = sorted(held, key=lambda device: (-sum(held[device]), device))
    shown, others = most_first[:_MOST_DEVICES], most_first[_MOST_DEVICES:]

    def total(devices: Sequence[str]) -> list[int]:
        return [sum(held[device][n] for device in devices) for n in range(classes)]

    return {
        "shown": [(device, held[device]) for device in sorted(shown)],
        "others": len(others),
        "rest": total(others),
        "total": total(most_first),
        "most": sum(held[most_first[0]]),
        "least": sum(held[most_first[-1]]),
    }


def _sections(summary: ComparisonSummary) -> dict[str, list[tuple[str, Scalar]]]:
    """Return the settings of the scenario by their section."""
    sections: dict[str, list[tuple[str, Scalar]]] = {}
    for key, value in summary["scenario"].items():
        group, _, name = key.rpartition(".")
        sections.setdefault(group or "general", []).append((name, value))
    return sections
