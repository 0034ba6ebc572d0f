"""What lies beside a device's samples and is no sample. Called by ``init`` and doctor.

Whoever points a device at a folder expects all of it to be used: each file that is not
is counted, with the reason.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from fedask.client.base.regular_file import HIDDEN, LINKED, UNFINISHED, walk
from fedask.client.data.sources.joined_source import joined_parts
from fedask.client.data.sources.reader import lacking
from fedask.client.data.sources.source import (
    JOINED,
    SEALED,
    kind_in_folders,
    kind_of,
    make_reader,
)

_MOST = 8  # lines shown
_LONGEST = 12  # characters of a suffix that people know
_REASONS = {
    LINKED: "not followed",
    HIDDEN: "left alone",
    UNFINISHED: "still being written, or copies",
}


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Files that are no samples, for one reason.

    Parameters
    ----------
    count
        How many.
    what
        Their suffix, or what else they have in common.
    reason
        Why they are no samples.
    is_loss
        Whether the owner may have meant them to be samples.
    """

    count: int
    what: str
    reason: str
    is_loss: bool = False

    @override
    def __str__(self) -> str:
        return f"{self.count} {self.what}: {self.reason}"


def passed_over(options: Mapping[str, Any]) -> list[PassedOver]:
    """Count the files of some data that are no samples, losses and many first.

    Parameters
    ----------
    options
        As for ``open_source``.

    Raises
    ------
    ConfigError, DataError
        As from ``open_source``.
    """
    root = Path(str(options["data"]))
    kind = str(options["kind"]) if "kind" in options else kind_of(root, options)
    if kind == SEALED:
        return []
    if kind == JOINED:
        parts = joined_parts(root).values()
        found = [each for part in parts for each in passed_over(part)]
    else:
        found = [*_passed(root, kind, options)]
    return sorted(found, key=lambda each: (not each.is_loss, -each.count, each.what))


def shown(found: list[PassedOver]) -> str:
    """Return it in one line: the first few, and how many more there are."""
    texts = [str(each) for each in found[:_MOST]]
    left = sum(each.count for each in found[_MOST:])
    return "; ".join([*texts, *([f"{left} others"] if left else [])])


def _passed(root: Path, kind: str, options: Mapping[str, Any]) -> Iterator[PassedOver]:
    reader, counts = make_reader(kind, options), Counter[str]()
    without = lacking(reader)
    for _ in walk(root, reader.suffixes - without.keys(), counts):
        pass
    others = kind_in_folders()
    for what, count in counts.items():
        if what in _REASONS:
            yield PassedOver(count, what, _REASONS[what], is_loss=what == LINKED)
        elif what in without:
            extra = without[what]
            reason = f"need the extra {extra} (pip install 'fedask[{extra}]')"
            yield PassedOver(count, what, reason, is_loss=True)
        elif what in others:
            yield PassedOver(count, what, f"data of kind {others[what]}, not {kind}")
        else:
            yield PassedOver(count, _named(what), "no kind of data")


def _named(suffix: str) -> str:
    """Return a suffix as people may read it."""
    if not suffix:
        return "without a suffix"
    is_plain = suffix.isprintable() and len(suffix) <= _LONGEST
    return suffix if is_plain else "with a strange suffix"
