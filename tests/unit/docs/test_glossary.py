"""The glossary is the authority for words: the code and the glossary agree."""

import re
from collections import Counter

import pytest
from tests.support.docs.blocks import DOCS
from tests.support.docs.sources import class_names

ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", re.MULTILINE)
# Words of an earlier vocabulary. What replaced each stands in the glossary.
RETIRED = [
    *("Book", "Sheet", "Hold", "Verdict", "Vault", "Sealer", "Shelf", "Door", "Room"),
    *("Guard", "Gate", "Front", "Doorway", "Turns", "Patience", "Supply", "Roster"),
    *("Lookout", "Asker", "Viewer", "Precedent", "Sure"),
]


def rows() -> list[tuple[str, str, str]]:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    found = [(a.strip(), b.strip(), c.strip()) for a, b, c in ROW.findall(text)]
    return [row for row in found if row[0] not in {"word", "---"}]


def test_every_class_that_the_glossary_names_exists() -> None:
    named = {name for _, _, cell in rows() for name in re.findall(r"`(\w+)`", cell)}
    assert len(named) > 60
    assert named - class_names() == set()


def test_a_word_is_explained_once_and_in_one_line() -> None:
    words = Counter(word for word, _, _ in rows())
    assert [word for word, times in words.items() if times > 1] == []
    assert all(told for _, told, _ in rows())


@pytest.mark.parametrize("word", RETIRED)
def test_a_retired_word_names_no_class(word: str) -> None:
    assert word not in class_names()
