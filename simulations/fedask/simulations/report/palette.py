"""Which arm has which colour and dash, on paper and on a dark screen.

Called by the plot and the report. Hue 0, grey, is the reference; the others follow
Okabe and Ito's order, darkened (light scheme) or lightened (dark scheme) until text in
them is readable. Dashes tell the lines apart without any colour.
"""

from fedask.simulations.comparison.summary import ComparisonSummary
from fedask.simulations.report.ranking import drawn

LIGHT = (
    *("#5b636d", "#0068a8", "#b84a00", "#007a5a"),
    *("#a03c7b", "#7d6200", "#4b3fb3", "#a5182f"),
)
DARK = (
    *("#a3acb6", "#62b6f2", "#ff9d5c", "#41cfa0"),
    *("#f29dcb", "#e3c558", "#b3a9ff", "#ff8b98"),
)
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
