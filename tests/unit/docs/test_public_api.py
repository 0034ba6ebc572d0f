"""What is public: the names in ``__all__``, and those on the reference pages."""

import ast
import importlib
import re

import pytest
from tests.support.docs.blocks import DOCS
from tests.support.docs.sources import trees

PAGES = (DOCS / "reference" / "api.md", DOCS / "reference" / "wire.md")
NAMED = re.compile(
    r"^\.\. auto(?:class|function|data):: ([\w.]+)\.(\w+)$", re.MULTILINE
)
WHOLE = re.compile(r"^\.\. automodule:: ([\w.]+)\n(?!   :no-members:)", re.MULTILINE)
# Packages of test doubles say what they hold, and promise nothing to users.
PRIVATE = frozenset({"fedask.client.store.memory"})


def exported() -> dict[str, frozenset[str]]:
    """Return the names in ``__all__``, by module."""
    found: dict[str, frozenset[str]] = {}
    for module, tree in trees().items():
        for node in tree.body:
            if (
                isinstance(node, ast.Assign)
                and ast.unparse(node.targets[0]) == "__all__"
            ):
                found[module] = frozenset(ast.literal_eval(node.value))
    return {module: names for module, names in found.items() if module not in PRIVATE}


def documented() -> dict[str, frozenset[str]]:
    """Return the names that the reference pages describe, by module."""
    found: dict[str, set[str]] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for module, name in NAMED.findall(text):
            found.setdefault(module, set()).add(name)
        for module in WHOLE.findall(text):
            found.setdefault(module, set()).update(exported()[module])
    return {module: frozenset(names) for module, names in found.items()}


def test_the_reference_lists_what_is_public_and_nothing_else() -> None:
    assert documented() == exported()


@pytest.mark.parametrize("module", exported())
def test_every_public_name_exists_and_says_what_it_is(module: str) -> None:
    found = importlib.import_module(module)
    for name in exported()[module]:
        assert getattr(found, name).__doc__, f"{module}.{name}"


@pytest.mark.parametrize(
    "path",
    [
        "fedask.common.Task",
        "fedask.client.app.client_app",
        "fedask.server.app.server_app",
    ],
)
def test_an_import_path_that_users_write_never_changes(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))
