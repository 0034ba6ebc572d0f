"""Reads the words of one language from a PO file, as translators' tools write it.

Called by ``languages``. The file is read as it is, so that nothing has to be compiled,
and gives what the standard library's ``gettext`` would make of it.
"""

import gettext
import json
import re
from collections.abc import Callable, Iterator, Mapping
from email import message_from_string
from pathlib import Path

from typing_extensions import override

from fedask.common.errors import ConfigError

_LINE = re.compile(r'(?:(msgid|msgid_plural|msgstr|msgstr\[(\d)\])\s+)?(".*")')
_PERIOD = 100  # after which the rule of every language repeats, but for small numbers


class Catalogue(gettext.NullTranslations):
    """The messages of one language; English ones are their own keys.

    Parameters
    ----------
    messages
        English message to its forms: one, or for a message that counts, one for each
        number that the language knows.
    plural
        Number to the place of its form.
    """

    def __init__(
        self,
        messages: Mapping[str, tuple[str, ...]],
        plural: Callable[[int], int] = lambda number: int(number != 1),
    ) -> None:
        super().__init__()
        self.messages = messages
        self._plural = plural

    @override
    def gettext(self, message: str) -> str:
        return self.messages.get(message, (message,))[0]

    @override
    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        forms = self.messages.get(msgid1, (msgid1, msgid2))
        return forms[self._plural(n)]

    @property
    def plurals(self) -> str:
        """The place of the form of each number from 0 to 199, one digit for each.

        The page's JavaScript looks a larger number up by its last two digits, at 100
        to 199: it needs no rule of its own.
        """
        return "".join(str(self._plural(number)) for number in range(2 * _PERIOD))


def read_catalogue(path: Path) -> Catalogue:
    """Read a PO file.

    Messages without a translation, and those marked fuzzy, are left out: they are shown
    in English.

    Raises
    ------
    ConfigError
        If a line or its rule of plurals cannot be read.
    """
    messages: dict[str, tuple[str, ...]] = {}
    header = ""
    for entry in _entries(path):
        forms = tuple(
            entry[f"msgstr{n}"] for n in range(len(entry) - 1 - _counts(entry))
        )
        if not entry["msgid"]:
            header = forms[0]
        elif all(forms):
            messages[entry["msgid"]] = forms
    rule = message_from_string(header).get("Plural-Forms", "")
    found = re.fullmatch(r"nplurals=\d; plural=([^;]+);?", rule.strip())
    try:
        plural = gettext.c2py(found[1] if found else "")
    except ValueError as err:
        raise ConfigError(f"{path}: no rule of plurals: {rule!r}") from err
    return Catalogue(messages, plural)


def _counts(entry: Mapping[str, str]) -> int:
    return int("msgid_plural" in entry)


def _entries(path: Path) -> Iterator[dict[str, str]]:
    """Yield the entries that are no fuzzy ones: keyword to text."""
    text = path.read_text(encoding="utf-8")
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.splitlines()]
        entry: dict[str, str] = {}
        keyword = ""
        for line in lines:
            if line.startswith("#"):
                continue
            found = _LINE.fullmatch(line)
            if found is None:
                raise ConfigError(f"{path}: not a line of a PO file: {line!r:.60}")
            keyword = _keyword(found) or keyword
            entry[keyword] = entry.get(keyword, "") + json.loads(found[3])
        fuzzy = any(line.startswith("#,") and "fuzzy" in line for line in lines)
        if entry and not (fuzzy and entry["msgid"]):
            yield entry


def _keyword(found: "re.Match[str]") -> str:
    """Return a keyword; the only form of a message is its form 0."""
    word = found[1] or ""
    if word.startswith("msgstr"):
        return f"msgstr{found[2] or 0}"
    return word
