"""The tree: tiers do not know each other, unit tests mirror it, names stand once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIERS = sorted(
    folder.name
    for folder in (ROOT / "tests").iterdir()
    if folder.is_dir() and folder.name not in {"support", "__pycache__"}
)
# A newcomer looks for the tests of a folder in the folder of the same name.
UNIT = sorted(
    path.relative_to(ROOT / "tests" / "unit").parent
    for path in (ROOT / "tests" / "unit").rglob("test_*.py")
    if path != Path(__file__)
)


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_imports_no_other_tier(tier: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "tests" / tier).rglob("*.py")
        for name in imports(path)
        if name.startswith("tests.")
        and name.split(".")[1] not in {tier, "support", "trips"}
    ]

    assert found == []


def test_what_tiers_share_knows_none_of_them() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "tests" / "support").rglob("*.py")
        for name in imports(path)
        if name.startswith("tests.") and name.split(".")[1] != "support"
    ]

    assert found == []


@pytest.mark.parametrize("folder", sorted(set(UNIT)), ids=str)
def test_unit_tests_stand_where_their_code_stands(folder: Path) -> None:
    role = folder.parts[0]
    if role == "docs":  # its code is one folder of Sphinx extensions
        assert (ROOT / "docs" / "_ext").is_dir()
        return

    assert (ROOT / role / "fedask" / role / Path(*folder.parts[1:])).is_dir()


def test_no_public_class_name_stands_twice() -> None:
    places: dict[str, list[str]] = {}
    for path in ROOT.glob("*/fedask/**/*.py"):
        if path.name.endswith(("_pb2.py", "_pb2_grpc.py")):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))

    assert {name: where for name, where in places.items() if len(where) > 1} == {}
