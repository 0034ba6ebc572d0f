"""Which arm has which colour and dash, on paper and on a dark screen.

Called by the drawing and the report. Hue 0, grey, is the reference; the others follow
Okabe and Ito's order, darkened (light scheme) or lightened (dark scheme) until text in
them is readable. Dashes tell the lines apart without any colour.
"""

from fedask.simulations.comparison.summary import ComparisonSummary
from fedask.simulations.report.ranking import drawn

PAPER = {
    "paper": "#fff",
    "card": "#f5f7f9",
    "ink": "#1b2026",
    "soft": "#565f69",
    "rule": "#dde2e7",
    "heat": "0 104 168",
    "warn": "#fff3d6",
    "shade": "#0000001f",
    "h0": "#5b636d",
    "h1": "#0068a8",
    "h2": "#b84a00",
    "h3": "#007a5a",
    "h4": "#a03c7b",
    "h5": "#7d6200",
    "h6": "#4b3fb3",
    "h7": "#a5182f",
}
DARK = {
    "paper": "#14181c",
    "card": "#1c2228",
    "ink": "#e9edf1",
    "soft": "#a8b1bb",
    "rule": "#333c45",
    "heat": "98 182 242",
    "warn": "#3b3117",
    "shade": "#000000a0",
    "h0": "#a3acb6",
    "h1": "#62b6f2",
    "h2": "#ff9d5c",
    "h3": "#41cfa0",
    "h4": "#f29dcb",
    "h5": "#e3c558",
    "h6": "#b3a9ff",
    "h7": "#ff8b98",
}
DASHES: tuple[tuple[int, ...], ...] = (
    *((), (), (8, 3), (2, 3)),
    *((9, 3, 2, 3), (5, 2), (12, 4), (1, 2)),
)


def hues(summary: ComparisonSummary) -> dict[str, int]:
    """Return an index into the tables above for every arm that is drawn, by name.

    As many as there are to be drawn at most: no two lines look alike.
    """
    lines = set(drawn(summary)) - {summary["reference"]}
    others = [name for name in summary["policies"] if name in lines]
    return {summary["reference"]: 0} | {n: 1 + rank for rank, n in enumerate(others)}
