"""Writes answers, or what waits for them, as CSV. Holds no samples.

Called by whoever serves the people of one device. Beside the uid stand the file of a
sample and its name in there, so that its owner finds it again. What waits may be filled
in with a spreadsheet and imported: rows without a label are passed over (``WAITS``).
"""

import csv
import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from fedask.client.base.private_file import write_private
from fedask.client.labelling.labelstudio.csv_table import COLUMNS, WAITS, guarded
from fedask.client.labelling.labelstudio.studio_annotation import class_of
from fedask.client.records.annotation import Annotation
from fedask.client.records.provenance import NO_NAME, SampleName
from fedask.client.records.sample_record import AnnotationStore
from fedask.common.ids import Uid

_log = logging.getLogger(__name__)

Names = Mapping[Uid, SampleName]
_EVERY = 2**62


class ExportedTable(NamedTuple):
    """How many rows were written, and left out as their samples may not be used."""

    rows: int
    aside: int


def standing_answers(store: AnnotationStore) -> list[Annotation]:
    """Return the answers that stand, controls left out, in the order of counting."""
    return sorted(
        (a for a in store.newest(_EVERY, None) if a.undone is None and not a.control),
        key=lambda answer: answer.place or answer.number,  # as they count here
    )


def export_table(
    store: AnnotationStore,
    classes: Sequence[str],
    path: Path,
    now: datetime,
    names: Names | None = None,
) -> ExportedTable:
    """Write the answers that stand, in the order in which they count.

    Controls are left out, and what is said of samples whose right to be used has ended
    at ``now``: whoever gets the file could use it. UTF-8 with a byte order mark, so
    that spreadsheets know.

    Parameters
    ----------
    names
        Where the samples stand; what is not known stays empty.

    Raises
    ------
    DataError
        If a label is of no class.
    StoreError
        If the disk refuses.
    """
    standing = standing_answers(store)
    may = _usable(store, (answer.uid for answer in standing), now)
    rows = [
        _row(answer, classes, (names or {}).get(answer.uid, NO_NAME))
        for answer in standing
        if answer.uid in may
    ]
    write_private(path, _lines(rows))
    done = ExportedTable(rows=len(rows), aside=len(standing) - len(rows))
    _log.info("annotations_exported", extra=done._asdict())
    return done


def export_queue(
    store: AnnotationStore, path: Path, now: datetime, names: Names | None = None
) -> ExportedTable:
    """Write the samples that wait for a person, in the order of asking.

    Parameters
    ----------
    names
        As in ``export_table``.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    waiting = [uid for uid, _ in store.waiting()]
    may = _usable(store, waiting, now)
    rows = []
    for uid in waiting:
        name = (names or {}).get(uid, NO_NAME)
        if uid in may:
            rows.append([uid, "", "", "", WAITS, *map(guarded, name)])
    write_private(path, _lines(rows))
    done = ExportedTable(rows=len(rows), aside=len(waiting) - len(rows))
    _log.info("queue_exported", extra=done._asdict())
    return done


def _usable(store: AnnotationStore, uids: Iterable[Uid], now: datetime) -> set[Uid]:
    with store.transaction() as rows:
        return {uid for uid in set(uids) if rows.may_show(uid, now)}


def _lines(rows: Iterable[Sequence[str]]) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    yield b"\xef\xbb\xbf"
    for row in (COLUMNS, *rows):
        writer.writerow(row)
        yield buffer.getvalue().encode("utf-8", "backslashreplace")
        buffer.seek(0)
        buffer.truncate()


def _row(answer: Annotation, classes: Sequence[str], name: SampleName) -> list[str]:
    label = class_of(answer, classes) or ""
    at = "" if answer.at is None else answer.at.isoformat()
    cells = [answer.uid, label, answer.annotator, at, answer.kind.value, *name]
    return [guarded(cell) for cell in cells]
