"""Brings answers from another tool to the desk, and counts what became of them.

Called by the readers of files and by the connection to a labelling server. Never
parses.

What is wrong is set aside, entry by entry, with its place and the reason; the rest is
kept. Whole samples are kept, some of them in a transaction, so that people at the desk
do not wait for a long import. A device that dies in between has kept whole samples; the
same import again finishes it, because what is kept is known by its key.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.imported_annotation import Acceptance
from fedask.client.records.annotation import Annotation
from fedask.common.errors import ProtocolError, StoreError

_log = logging.getLogger(__name__)

MOST_NAMED = 100  # of what is set aside: the rest is only counted
_TOGETHER = 200  # answers of a transaction: some 0.1 s, in which others wait

_ASIDE = {
    Acceptance.UNKNOWN: "the sample was never asked on this device",
    Acceptance.BARRED: "the sample may not be used any more: its right to be has ended",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """An entry that was left out, while the others were kept.

    Parameters
    ----------
    where
        Of the entry: a uid, a task, a line.
    reason
        Why, and what to do.
    """

    where: str
    reason: str


@dataclass(slots=True)
class Asides:
    """The entries that were left out: the first ones by name, all of them by number."""

    named: list[Aside] = field(default_factory=list)
    count: int = 0

    def add(self, where: str, reason: str) -> None:
        """Leave out an entry."""
        self.count += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(Aside(where=where[:80], reason=reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """How many entries of an import were kept, known, too late or left out.

    Parameters
    ----------
    known
        Those that came before: nothing changed.
    late
        Those whose annotator has said something since: nothing changed.
    aside
        Entries that were left out.
    asides
        The first ``MOST_NAMED`` of these, with the reason.
    """

    kept: int
    known: int
    late: int
    aside: int
    asides: tuple[Aside, ...]


def is_sound(desk: Desk, answer: Annotation, asides: Asides, where: str) -> bool:
    """Return whether the desk would take an answer; set it aside if not."""
    try:
        desk.check([answer])
    except ProtocolError as err:
        asides.add(where, str(err))
        return False
    return True


def bring_in(
    desk: Desk,
    samples: Iterable[Sequence[Annotation]],
    asides: Asides,
    places: dict[str, str] | None = None,
) -> ImportSummary:
    """Keep answers that were read and checked before.

    Parameters
    ----------
    samples
        Answers of one sample each.
    asides
        What the reader set aside; unknown samples are added.
    places
        Key of an answer to where it stands; emptied on the way.

    Raises
    ------
    StoreError
        If the disk refuses: says how many answers are kept.
    """
    counts: Counter[Acceptance] = Counter()
    for batch in _batches(samples):
        try:
            outcomes = desk.accept(batch)
        except StoreError as err:
            raise StoreError(
                f"{err}; {counts[Acceptance.KEPT]} answers were kept before that: "
                "mend the disk and import the same again, what is kept is known"
            ) from err
        counts.update(outcomes)
        for answer, outcome in zip(batch, outcomes, strict=True):
            place = (places or {}).get(answer.key)
            if outcome in _ASIDE:
                where = answer.uid if place is None else f"{place}, {answer.uid}"
                asides.add(where, _ASIDE[outcome])
        if places:
            for answer in batch:
                places.pop(answer.key, None)
    numbers = {outcome.value: number for outcome, number in counts.items()}
    _log.info("annotations_imported", extra={**numbers, "aside": asides.count})
    return ImportSummary(
        kept=counts[Acceptance.KEPT],
        known=counts[Acceptance.KNOWN],
        late=counts[Acceptance.LATE],
        aside=asides.count,
        asides=tuple(asides.named),
    )


def _batches(samples: Iterable[Sequence[Annotation]]) -> Iterator[list[Annotation]]:
    """Put answers together in batches that keep those of one sample together."""
    held: list[Sequence[Annotation]] = []
    for answers in samples:
        held.append(answers)
        if sum(map(len, held)) >= _TOGETHER:
            yield list(chain.from_iterable(held))
            held = []
    if held:
        yield list(chain.from_iterable(held))
