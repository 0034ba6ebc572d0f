"""The code blocks of the documentation, and what the comment above each one says.

A comment in the line above a block says how it is tested::

    <!-- file: my-app/my_app/task.py -->   it is the content of that file
    <!-- device -->                        it is read as a device.toml
    <!-- scenario -->                      it is read as a scenario
    <!-- rights -->                        it is read as a policy of rights
    <!-- not run: why -->                  nothing can be done with it here

Without one, a ``sh`` block is typed line by line and a ``python`` block is executed.
Blocks of other languages are for reading alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = (
    *sorted(p for p in DOCS.rglob("*.md") if p.relative_to(DOCS).parts[0][0] != "_"),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
)
TESTED = frozenset({"sh", "python", "toml"})
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_PAGE = re.compile(r"^<!-- (setup|run by): (.*?) -->$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def where(self) -> str:
        """Return the place for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def action(self) -> str:
        """Return what to do with it: run, file, device, scenario or not run."""
        return self.mark.partition(":")[0] if self.mark else "run"

    @property
    def argument(self) -> str:
        """Return what stands behind the colon of the comment."""
        return self.mark.partition(": ")[2]

    @property
    def lines(self) -> Iterator[str]:
        """Yield what is typed, line by line: no comments, continued lines joined."""
        for line in self.text.replace("\\\n", " ").splitlines():
            typed = re.sub(r"\s+#.*$", "", line).strip()
            if typed and not typed.startswith("#"):
                yield typed


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that are tested, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text[: found.start()].count("\n") + 1,
            found["language"],
            found["mark"] or "",
            found["text"],
        )
        for found in _BLOCK.finditer(text)
        if found["language"] in TESTED
    ]


def page_marks(page: Path) -> dict[str, str]:
    """Return what comments say of a whole page: ``setup`` and ``run by``."""
    return dict(_PAGE.findall(page.read_text(encoding="utf-8")))
