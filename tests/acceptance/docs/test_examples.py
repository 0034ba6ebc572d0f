"""Every command and example of the documentation, page by page."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from tests.support.docs.blocks import PAGES, ROOT, Block, blocks, page_marks
from tests.support.docs.readers_files import SETUPS
from tests.support.simulations.program import fedask

from fedask.client.data.rights.rights_policy import RightsPolicy
from fedask.client.site.device_settings import read_device_settings
from fedask.common.config import Scenario

ACTIONS = {"run", "file", "device", "scenario", "rights", "not run"}
TYPED = {
    page: found
    for page in PAGES
    if (found := blocks(page)) and "run by" not in page_marks(page)
}


class Reader:
    """Somebody who reads a page from top to bottom and does what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, object] = {"__name__": "__main__"}

    def do(self, block: Block) -> None:
        if block.action == "file":
            self.write(block)
        elif block.language == "sh":
            for line in block.lines:
                self.type(line, block.where)
        elif block.language == "python":
            code = compile(block.text, block.where, "exec")
            exec(code, self.names)  # noqa: S102  (what the page says)
        else:
            self.read_toml(block)

    def write(self, block: Block) -> None:
        target = self.folder / block.argument
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(block.text, encoding="utf-8")

    def type(self, line: str, where: str) -> None:
        program, *arguments = shlex.split(line)
        assert program == "fedask", f"{where}: what is {program}?"
        done = fedask(*arguments, cwd=self.folder)
        assert done.returncode == 0, f"{where}: {line}\n{done.stdout}{done.stderr}"

    def read_toml(self, block: Block) -> None:
        """Let the settings engine read it: every key and type must be right."""
        if block.action == "scenario":
            Scenario.from_dict(tomllib.loads(block.text))
            return
        if block.action == "rights":
            RightsPolicy.parse(block.text.encode())
            return
        (self.folder / "device.toml").write_text(completed(block.text))
        read_device_settings(self.folder)


def completed(text: str) -> str:
    """Return a part of a ``device.toml`` with what no such file may lack."""
    needed = {"device": "ward-3", "app": "my-app", "rights": "open"}
    tree = tomllib.loads(text)
    head = [f'{key} = "{value}"' for key, value in needed.items() if key not in tree]
    data = [] if "data" in tree else ["[data]", 'data = "/srv/scans"']
    return "\n".join([*head, text, *data])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_block_of_a_page_says_how_it_is_tested(page: Path) -> None:
    tested_by = page_marks(page).get("run by")
    if tested_by is not None:
        assert page.name in (ROOT / tested_by).read_text(encoding="utf-8")
        return
    for block in blocks(page):
        assert block.action in ACTIONS, f"{block.where}: {block.mark}"
        if block.action == "not run":
            assert block.argument, f"{block.where}: say why it is not run"
        if block.language == "toml":
            assert block.action != "run", f"{block.where}: what is this TOML?"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", TYPED, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_example_of_a_page_works(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in re.split(r",\s*", page_marks(page).get("setup", "")):
        if name:
            SETUPS[name](tmp_path)
    reader = Reader(tmp_path)
    for block in TYPED[page]:
        if block.action != "not run":
            reader.do(block)
