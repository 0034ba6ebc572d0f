"""The modules of fedask as syntax trees. Called by tests of the documentation."""

import ast
from collections.abc import Mapping
from functools import cache

from tests.support.docs.blocks import ROOT

ROOTS = ("client", "common", "server", "simulations")


@cache
def trees() -> Mapping[str, ast.Module]:
    """Return the tree of every module, by its dotted name; imports nothing."""
    found: dict[str, ast.Module] = {}
    for root in ROOTS:
        for path in sorted((ROOT / root).rglob("*.py")):
            parts = path.relative_to(ROOT / root).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


@cache
def class_names() -> frozenset[str]:
    """Return the name of every class."""
    return frozenset(
        node.name
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
