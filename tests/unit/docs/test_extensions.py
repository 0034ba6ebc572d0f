"""What the extensions of the site make of the code, and what they refuse."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.docs.blocks import DOCS, ROOT
from tests.support.docs.extensions import extension
from tests.support.docs.sources import class_names

from fedask.client.learning.scorers.scorer_table import SCORERS
from fedask.common.errors import ConfigError

FLOWERS = {"ClientApp", "ServerApp", "SuperNode", "SuperLink"}
PICTURES = sorted((DOCS / "pictures").glob("*.txt"))


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large things are.

    Parameters
    ----------
    width
        In pixels.
    """

    width: int = 3  # as wide as it was
    # Of a thing that has one.
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.width <= 9:
            msg = f"width = {self.width}: must be 0 to 9"
            raise ConfigError(msg)


def test_a_setting_is_shown_with_all_that_the_code_says_of_it() -> None:
    page = extension("settings_page").settings(f"{__name__}:Sizes sizes")
    assert "## `[sizes]`\n\nHow large things are." in page.replace("\n\n\n", "\n\n")
    assert (
        "| `width` | int | `3` | In pixels; as wide as it was; *must be 0 to 9* |"
        in page
    )
    assert '| `name` | str | `""` | Of a thing that has one. |' in page


def test_every_setting_of_a_scenario_is_on_its_page() -> None:
    page = extension("settings_page").settings("fedask.common.config:Scenario")
    assert "| `quota` | int | `20` | labels the fleet may buy per cycle;" in page
    assert page.count("\n| `") > 80


def test_every_command_is_on_its_page() -> None:
    page = extension("commands_page").commands("fedask")
    for name in ("simulate", "compare", "new", "device init", "device audit"):
        assert f"## `fedask {name}`" in page
    assert "A scenario file (TOML)" in page  # the help of an argument
    assert "```sh\nfedask device doctor --site ward-3\n```" in page


@pytest.mark.parametrize(
    "loads",
    [
        '<script src="https://cdn.example/x.js"></script>',
        "<link rel=stylesheet href='//fonts.example/css'>",
        '<img src="http://example.org/a.png">',
        "<style>@import url(https://fonts.example/css);</style>",
        "a { background: url('https://example.org/b.png') }",
    ],
)
def test_a_page_that_loads_from_elsewhere_is_found(loads: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(f"<html>{loads}</html>")
    assert len(list(extension("offline").remote_loads(tmp_path))) == 1


def test_a_link_that_a_reader_may_click_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<a href="https://flower.ai">Flower</a>')
    assert list(extension("offline").remote_loads(tmp_path)) == []


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_every_class_in_a_picture_exists(path: Path) -> None:
    named = set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", path.read_text()))
    assert named - class_names() - FLOWERS == set()


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_every_picture_is_in_a_page(path: Path) -> None:
    mark = f"<!-- picture: {path.stem} -->"
    assert any(mark in page.read_text() for page in DOCS.rglob("*.md"))
    pictures = extension("pictures")
    assert pictures.draw(pictures.read(path)).count("<rect") >= 3


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_the_page_of_names_lists_every_scorer() -> None:
    text = (DOCS / "reference" / "names.md").read_text(encoding="utf-8")
    part = text.partition("## `ask.scorer`")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", part, re.MULTILINE) == list(SCORERS)
