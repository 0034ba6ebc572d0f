"""Which policy has which colour and dash, on paper and on a dark screen.

Called by the plot and the report. Hue 0, grey, is the reference; the others follow
Okabe and Ito's order, darkened (light scheme) or lightened (dark scheme) until text in
them is readable. Dashes tell the lines apart without any colour.
"""

from fedask.simulations.summary import Summary

LIGHT = ("#5b636d", "#0068a8", "#b84a00", "#007a5a", "#a03c7b", "#7d6200")
DARK = ("#a3acb6", "#62b6f2", "#ff9d5c", "#41cfa0", "#f29dcb", "#e3c558")
DASHES: tuple[tuple[int, ...], ...] = ((), (), (8, 3), (2, 3), (9, 3, 2, 3), (5, 2))


def hues(summary: Summary) -> dict[str, int]:
    """Return an index into the tables above for every policy, by name."""
    others = [name for name in summary["policies"] if name != summary["reference"]]
    table = {name: 1 + rank % (len(LIGHT) - 1) for rank, name in enumerate(others)}
    return {summary["reference"]: 0, **table}
