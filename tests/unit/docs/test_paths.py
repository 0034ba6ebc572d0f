"""Files and folders that the documentation names are there."""

import re
from pathlib import Path

import pytest
from tests.support.docs.blocks import PAGES, ROOT

NAMED = re.compile(r"`((?:client|common|server|simulations|tests|docs)/[\w/.-]+)`")
LINKED = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[\w-]+)?\)")
MODULE = re.compile(r"`(?:[\w/]+/)?(\w+\.py)`")
ROOT_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]

# A decision speaks of what was, and of what shall not be.
NOW = [p for p in dict.fromkeys([*PAGES, *ROOT_PAGES]) if p.parent.name != "adr"]


@pytest.mark.parametrize("page", NOW, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_in_a_page_exists(page: Path) -> None:
    named = NAMED.findall(page.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", ROOT_PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_outside_the_site_leads_somewhere(page: Path) -> None:
    linked = LINKED.findall(page.read_text(encoding="utf-8"))
    assert linked
    assert [path for path in linked if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", ROOT_PAGES, ids=lambda page: page.name)
def test_every_module_that_is_named_without_its_folder_exists(page: Path) -> None:
    own = {"task.py"}  # of the user's app
    there = {path.name for path in ROOT.glob("*/fedask/**/*.py")} | own
    there |= {path.name for path in (ROOT / "tests").rglob("*.py")}

    assert set(MODULE.findall(page.read_text(encoding="utf-8"))) - there == set()
