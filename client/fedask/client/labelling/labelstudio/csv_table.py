"""Writes and reads answers as CSV with the columns uid, label, annotator, at, kind.

Called by whoever serves the people of one device. For spreadsheets, scripts and tools
without an exchange of their own; holds no samples. Read line by line, never whole.

A spreadsheet runs a cell that begins like a formula, so such a cell is written with an
apostrophe before it, and read without it. Times have a zone (2026-03-01T12:00:00+00:00)
or are missing; without a kind, a label is a LABEL and none is a SKIP. The key of a line
is what it says, so the same line again, in whatever file, changes nothing.
"""

import csv
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TextIO

from fedask.client.base.private_file import write_private
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.imported_annotation import CLASSED
from fedask.client.labelling.labelstudio.capped_file import open_capped
from fedask.client.labelling.labelstudio.import_summary import (
    Asides,
    ImportSummary,
    bring_in,
    refuse_wrong,
)
from fedask.client.labelling.labelstudio.studio_annotation import (
    Reading,
    class_of,
    derived_key,
    read_time,
)
from fedask.client.records.annotation import Annotation, Kind
from fedask.client.records.sample_record import AnnotationStore
from fedask.common.errors import DataError
from fedask.common.ids import is_uid
from fedask.common.registry import nearest

_log = logging.getLogger(__name__)

COLUMNS = ("uid", "label", "annotator", "at", "kind")
MOST_BYTES = 256 * 2**20  # of a file: some two million lines

_OF_STUDIO = "annotation_id"  # a column that only Label Studio's tables have
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # OWASP, "CSV injection"
_EVERY = 2**62


class ExportedTable(NamedTuple):
    """How many answers were written, and left out as their samples may not be used."""

    answers: int
    aside: int


def export_table(
    store: AnnotationStore, classes: Sequence[str], path: Path, now: datetime
) -> ExportedTable:
    """Write the answers that stand, in the order in which they count.

    Controls are left out, and what is said of samples whose right to be used has ended
    at ``now``: whoever gets the file could use it. UTF-8 with a byte order mark, so
    that spreadsheets know.

    Raises
    ------
    DataError
        If a label is of no class.
    StoreError
        If the disk refuses.
    """
    standing = sorted(
        (a for a in store.newest(_EVERY, None) if a.undone is None and not a.control),
        key=lambda answer: answer.place or answer.number,  # as they count here
    )
    with store.transaction() as rows:
        may = {uid: rows.may_show(uid, now) for uid in {v.uid for v in standing}}
    usable = [answer for answer in standing if may[answer.uid]]
    write_private(path, _lines(_row(answer, classes) for answer in usable))
    done = ExportedTable(answers=len(usable), aside=len(standing) - len(usable))
    _log.info("annotations_exported", extra=done._asdict())
    return done


def import_table(
    desk: Desk, path: Path, reading: Reading, *, most: int = MOST_BYTES
) -> ImportSummary:
    """Keep the answers of a table.

    The file is read twice: refused whole if one line is wrong, then kept. Lines of
    unknown samples are set aside, and the rest is kept.

    Parameters
    ----------
    reading
        ``people`` may name annotators; the column may be missing if it has a ``""``.
    most
        Bytes of the file.

    Raises
    ------
    DataError
        If the file is too large, no table of this kind, or a line is wrong: names it.
    StoreError
        If the disk refuses.
    """
    # -sig: spreadsheets put a byte order mark before the first column.
    with (
        open_capped(path, most) as file,
        closing(io.TextIOWrapper(file, encoding="utf-8-sig", newline="")) as lines,
    ):
        for where, answer in _answers(lines, path, reading, most):
            refuse_wrong(desk, [[answer]], where)
        again = _answers(lines, path, reading, most)
        return bring_in(desk, _unchanged(again, path), Asides())


def _lines(rows: Iterator[Sequence[str]]) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    yield b"\xef\xbb\xbf"
    for row in (COLUMNS, *rows):
        writer.writerow(row)
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()


def _row(answer: Annotation, classes: Sequence[str]) -> list[str]:
    label = class_of(answer, classes) or ""
    at = "" if answer.at is None else answer.at.isoformat()
    cells = [answer.uid, label, answer.annotator, at, answer.kind.value]
    return [_guarded(cell) for cell in cells]


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith((*_FORMULA, "'")) else cell


def _plain(cell: str) -> str:
    if cell.startswith("'") and cell[1:].startswith((*_FORMULA, "'")):
        return cell[1:]
    return cell


def _answers(
    lines: TextIO, path: Path, reading: Reading, most: int
) -> Iterator[tuple[str, Annotation]]:
    """Yield the answers of a table from its first line on, each with its place."""
    lines.seek(0)
    rows = csv.reader(_limited(lines, most), strict=True)
    try:
        header = [cell.strip() for cell in next(rows, [])]
        _check_header(header, path, reading)
        for row in rows:
            where = f"{path} line {rows.line_num}"
            if row:  # an empty line, as at the end of a file
                yield where, _annotation(row, header, where, reading)
    except (UnicodeDecodeError, csv.Error, OSError) as err:
        # Not the text of a decoding error: it quotes what stands there.
        reason = err if isinstance(err, csv.Error) else type(err).__name__
        raise DataError(
            f"{path} line {rows.line_num} cannot be read: {reason}"
        ) from err


def _unchanged(
    answers: Iterator[tuple[str, Annotation]], path: Path
) -> Iterator[list[Annotation]]:
    """Yield the answers of a file that was read before and found right."""
    try:
        for _, answer in answers:
            yield [answer]
    except DataError as err:
        raise DataError(
            f"{path} was changed while it was imported: import it again, what is kept "
            "is known"
        ) from err


def _limited(lines: TextIO, most: int) -> Iterator[str]:
    """Yield lines until more was read than the file may have."""
    read = 0
    for line in lines:
        read += len(line)
        if read > most:
            raise csv.Error(f"it grew beyond {most} characters while it was read")
        yield line


def _check_header(header: Sequence[str], path: Path, reading: Reading) -> None:
    needed = {"uid", "label"} | (set() if "" in reading.people else {"annotator"})
    missing = sorted(needed - set(header))
    if missing:
        msg = (
            f"{path} must have the columns {','.join(COLUMNS)}: {missing[0]} is missing"
        )
        if _OF_STUDIO in header:
            msg += "; a CSV of Label Studio does not say its samples: export it as JSON"
        raise DataError(msg)
    for name in header:
        if name not in COLUMNS:
            raise DataError(
                f"{path}: column {name!r:.40} is none of a table of answers"
                + nearest(name, COLUMNS)
            )
    if len(set(header)) < len(header):
        raise DataError(f"{path}: a column is there twice")


def _annotation(
    row: Sequence[str], header: Sequence[str], where: str, reading: Reading
) -> Annotation:
    if len(row) != len(header):
        raise DataError(f"{where} has {len(row)} cells, the header {len(header)}")
    cells = {name: _plain(cell) for name, cell in zip(header, row, strict=True)}
    try:
        return _read_cells(cells, reading)
    except DataError as err:
        raise DataError(f"{where}: {err}; nothing was kept") from err


def _read_cells(cells: Mapping[str, str], reading: Reading) -> Annotation:
    """Read the cells of a line."""
    uid, name = cells["uid"], cells["label"]
    if not is_uid(uid):
        raise DataError(
            f"{uid!r:.40} is no uid of 32 hexadecimal digits: did a spreadsheet take "
            "it for a number?"
        )
    written = cells.get("kind") or (Kind.LABEL if name else Kind.SKIP)
    if written not in set(Kind):
        raise DataError(
            f"{written!r:.40} is no kind" + nearest(written[:40], set(Kind))
        )
    kind = Kind(written)
    if (kind in CLASSED) != bool(name):
        raise DataError(
            f"{kind} goes {'with' if kind in CLASSED else 'without'} a label"
        )
    label = reading.index(name) if name else None
    at = read_time(cells.get("at") or None)
    annotator = reading.annotator(cells.get("annotator", ""))
    key = derived_key(uid, annotator, kind, label, at)
    return Annotation(
        uid=uid, annotator=annotator, kind=kind, label=label, at=at, key=key
    )
