"""The languages of the page: which one a browser gets, and what it is told in it.

Made by ``html_pages``. English needs no catalogue; every other language is a PO file in
``words``. Names of classes, samples and people are never translated: they are values
that go into messages.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fedask.client.labelling.web.catalogue import Catalogue, read_catalogue

ENGLISH = "en"
WORDS = Path(__file__).parent / "words"
_LEFTWARDS = frozenset({"ar", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})
_MAX_WISHES = 20  # of a header that anybody can send


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language of the page.

    Parameters
    ----------
    code
        As in HTML: "de", "pt-br".
    """

    code: str
    catalogue: Catalogue

    @property
    def direction(self) -> str:
        """Where lines run: "ltr" or "rtl"."""
        return "rtl" if self.code.partition("-")[0] in _LEFTWARDS else "ltr"

    @property
    def for_page(self) -> dict[str, Any]:
        """The words as the page's JavaScript takes them."""
        return {
            "messages": dict(self.catalogue.messages),
            "plurals": self.catalogue.plurals,
        }


@cache
def codes(folder: Path = WORDS) -> tuple[str, ...]:
    """Return the codes of all languages, English first."""
    return (ENGLISH, *sorted(path.stem for path in folder.glob("*.po")))


class Languages:
    """The languages of a page.

    Parameters
    ----------
    chosen
        The owner's choice; "": that of each browser.
    folder
        With a PO file for each language but English.

    Raises
    ------
    ConfigError
        If a file cannot be read.
    """

    def __init__(self, chosen: str = "", folder: Path = WORDS) -> None:
        self._chosen = chosen
        self._all = {ENGLISH: Language(code=ENGLISH, catalogue=Catalogue({}))}
        for code in codes(folder)[1:]:
            catalogue = read_catalogue(folder / f"{code}.po")
            self._all[code] = Language(code=code, catalogue=catalogue)

    def choose(self, wishes: str) -> Language:
        """Return the language for a browser.

        Parameters
        ----------
        wishes
            Its Accept-Language header (RFC 9110): "de-AT,de;q=0.9,en;q=0.5".
        """
        if self._chosen:
            return self._all[self._chosen]
        for wish in _wishes(wishes):
            for code in (wish, wish.partition("-")[0]):
                if code in self._all:
                    return self._all[code]
        return self._all[ENGLISH]


def _wishes(header: str) -> list[str]:
    """Return the languages that a browser asks for, the dearest first."""
    found: list[tuple[float, int, str]] = []
    for part in header.lower().split(",")[:_MAX_WISHES]:
        code, _, parameter = part.strip().partition(";")
        try:
            quality = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if quality > 0:
            found.append((-quality, len(found), code.strip()))
    return [code for *_, code in sorted(found)]
