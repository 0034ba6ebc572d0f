"""The notebook: its cells run in order, and nothing of a run is kept in it.

The cells are executed here and not by nbclient, which brings a kernel, ZeroMQ and some
twenty packages: they hold plain Python, and what a cell shows is asked for below.
"""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.docs.blocks import DOCS

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def execute(source: str, names: dict[str, Any]) -> object:
    """Run a cell, and return what a notebook would show: its last expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)  # noqa: S102  (our own notebook)
    if not isinstance(last, ast.Expr):
        return None
    shown = compile(ast.Expression(last.value), "cell", "eval")
    return eval(shown, names)  # noqa: S307  (our own notebook)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_no_output(path: Path) -> None:
    for cell in code_cells(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_of_a_notebook_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    names: dict[str, Any] = {"__name__": "__main__"}
    drawn: list[str] = []
    for cell in code_cells(path):
        shown = execute("".join(cell["source"]), names)
        if hasattr(shown, "_repr_svg_"):
            drawn.append(shown._repr_svg_())
    assert len(drawn) == 2
    assert drawn[0].count("<polyline") == 2
    assert drawn[1].count("<polyline") == 3
