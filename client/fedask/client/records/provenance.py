"""Provenance of a sample: where it comes from, and what was agreed about it.

Called by ``rights``, which decides on it; never decides anything itself. A field that
nobody filled is "", unknown, which no rule of a policy matches.

What a site says of its samples stands in ``provenance.csv`` files among the data
(``sidecar``); what all of them have in common stands in the policy.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fedask.client.records.pool import DataSource
from fedask.common.errors import DataError
from fedask.common.ids import Uid

MAX_FIELD = 256  # characters; a longer one is no name of a licence
TEXTS = ("source", "licence", "consent", "purpose")  # what a rule may look at
FIELDS = (*TEXTS, "until")

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
FOREVER = np.iinfo(np.int64).max  # seconds: no end
UNKNOWN = 0  # seconds: an end that nobody named


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What is known of one sample. Compared without regard to case and width.

    Parameters
    ----------
    source
        Who or what it comes from.
    licence
        Under which it may be used.
    consent
        What the person it is about has agreed to.
    purpose
        What it was collected for.
    until
        First second, since 1970 UTC, in which it may not be used any more. UNKNOWN: it
        may not be used, but nobody said that its time is over.
    """

    source: str = ""
    licence: str = ""
    consent: str = ""
    purpose: str = ""
    until: int = FOREVER


def clean(text: str) -> str:
    """Return a field so that texts which look the same are the same.

    Raises
    ------
    DataError
        If it is too long, or holds a control character.
    """
    text = unicodedata.normalize("NFKC", text).strip().casefold()
    if len(text) > MAX_FIELD or any(map(_is_control, text)):
        raise DataError(
            f"holds what is no field: at most {MAX_FIELD} printable characters"
        )
    return text


def _is_control(char: str) -> bool:
    """Tell a control character, or what stands for a byte that is no UTF-8."""
    return unicodedata.category(char) in {"Cc", "Cs"}


def parse_until(text: str) -> int:
    """Read the end of a right: a date, whose day still counts, or a time with a zone.

    Returns
    -------
    int
        Seconds since 1970 UTC, at least 1; ``FOREVER`` for ``never``; ``UNKNOWN`` for
        "": whoever has a column for it and leaves it empty has not said that there is
        no end.

    Raises
    ------
    DataError
        If it is none of these.
    """
    text = text.strip()
    if not text:
        return UNKNOWN
    if text.casefold() == "never":
        return FOREVER
    try:
        time = datetime.fromisoformat(text)
        if _DATE.fullmatch(text):
            time = time.replace(tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        time = None
    if time is None or time.tzinfo is None:
        raise DataError(
            "until must be a date (2027-12-31, UTC), a time with its zone, or never"
        )
    return max(UNKNOWN + 1, int(time.timestamp()))


def parse_fields(texts: Mapping[str, str]) -> dict[str, str | int]:
    """Read fields by name, as ``Provenance`` takes them.

    Raises
    ------
    DataError
        From ``clean`` and ``parse_until``.
    """
    read: dict[str, str | int] = {n: clean(t) for n, t in texts.items() if n in TEXTS}
    if "until" in texts:
        read["until"] = parse_until(texts["until"])
    return read


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOrigin:
    """Where the n samples of a source stand, so that sidecars find them.

    Parameters
    ----------
    folder
        That all files are below.
    files
        Names of files below the folder, with slashes.
    file_of
        (n,) the place in ``files`` of the one that holds each sample.
    keys
        (n,) hash of what names each (``reader.key_of``).
    uids
        (n,) str.
    """

    folder: Path
    files: Sequence[str]
    file_of: NDArray[np.int32]
    keys: NDArray[np.uint64]
    uids: NDArray[np.str_]

    def at(self, rows: NDArray[np.int64]) -> "SampleOrigin":
        """Return where these rows stand."""
        return replace(
            self,
            file_of=self.file_of[rows],
            keys=self.keys[rows],
            uids=self.uids[rows],
        )


class SampleName(NamedTuple):
    """What the owner of a sample knows it by.

    Parameters
    ----------
    file
        Below the folder of the data, with slashes.
    id
        Its name in that file, or in all parts of a joined sample; "" if it has none.
    """

    file: str
    id: str


NO_NAME = SampleName("", "")


@runtime_checkable
class NamedSource(DataSource, Protocol):
    """A source that can tell what the owner knows its samples by."""

    def names(self, wanted: Collection[Uid]) -> dict[Uid, SampleName]:
        """Return the names of these samples; of those that are there.

        Files that hold several samples are read again for it.
        """


@runtime_checkable
class TracedSource(DataSource, Protocol):
    """A source whose samples stand in files."""

    def origins(self) -> list[SampleOrigin]:
        """Return where the samples stand; one for each part of a joined sample."""


@runtime_checkable
class DescribedSource(DataSource, Protocol):
    """A source that brings provenance of its own with its samples."""

    def described(self) -> dict[str, NDArray[np.str_]]:
        """Return some of ``FIELDS``, as texts: (n,) str each."""
