"""Reads answers from CSV with the columns uid, label, annotator, at, kind.

Called by whoever serves the people of one device. For spreadsheets, scripts and tools
without an exchange of their own. The columns file and id are for people, and are passed
over.

A spreadsheet runs a cell that begins like a formula, so such a cell is written with an
apostrophe before it, and read without it. Times have a zone (2026-03-01T12:00:00+00:00)
or are missing; without a kind, a label is a LABEL and none is a SKIP; a row that still
``WAITS`` says nothing until it has a label. The key of a line is what it says, so the
same line again, in whatever file, changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.imported_annotation import CLASSED
from fedask.client.labelling.labelstudio.csv_rows import CsvRows, names_of, open_rows
from fedask.client.labelling.labelstudio.import_summary import (
    Asides,
    ImportSummary,
    bring_in,
    is_sound,
)
from fedask.client.labelling.labelstudio.studio_annotation import (
    Reading,
    derived_key,
    read_time,
)
from fedask.client.records.annotation import Annotation, Kind
from fedask.common.errors import DataError
from fedask.common.ids import is_uid
from fedask.common.registry import nearest

COLUMNS = ("uid", "label", "annotator", "at", "kind", "file", "id")
MOST_BYTES = 256 * 2**20  # of a file: some two million lines
WAITS = "waiting"  # instead of a kind: nobody has said anything yet

_OF_STUDIO = "annotation_id"  # a column that only Label Studio's tables have
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # OWASP, "CSV injection"


def import_table(
    desk: Desk,
    path: Path,
    reading: Reading,
    *,
    most: int = MOST_BYTES,
    encoding: str = "",
) -> ImportSummary:
    """Keep the answers of a table.

    The file is read twice: refused whole if it is no table, then kept. Lines that are
    wrong, and those of unknown samples, are set aside with their reason.

    Parameters
    ----------
    reading
        ``people`` may name annotators; the column may be missing if it has a ``""``.
    most
        Bytes of the file.
    encoding
        As in ``open_rows``.

    Raises
    ------
    ConfigError
        If there is no such encoding.
    DataError
        If the file is too large, or no table of this kind: names the line.
    StoreError
        If the disk refuses.
    """
    with open_rows(path, most, encoding) as rows:
        header: list[str] = []
        for _, row in rows:  # to the end: it is a table, or nothing is kept
            header = header or names_of(row)
        _check_header(header, path, reading)
        asides, places = Asides(), dict[str, str]()
        answers = _answers(rows, header, reading, desk, asides, places)
        return bring_in(desk, answers, asides, places)


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith((*_FORMULA, "'")) else cell


def _plain(cell: str) -> str:
    if cell.startswith("'") and cell[1:].startswith((*_FORMULA, "'")):
        return cell[1:]
    return cell


def _answers(
    rows: CsvRows,
    header: Sequence[str],
    reading: Reading,
    desk: Desk,
    asides: Asides,
    places: dict[str, str],
) -> Iterator[list[Annotation]]:
    """Yield the answers of a table, and note where each stands."""
    lines = iter(rows)
    next(lines)  # the header
    for line, row in lines:
        where = f"line {line}"
        try:
            answer = _annotation(row, header, reading)
        except DataError as err:
            asides.add(where, str(err))
            continue
        if answer is not None and is_sound(desk, answer, asides, where):
            places[answer.key] = where
            yield [answer]


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
    row: Sequence[str], header: Sequence[str], reading: Reading
) -> Annotation | None:
    """Read a row; None if nobody has said anything yet."""
    more = [cell for cell in row[len(header) :] if cell.strip()]
    if len(row) < len(header) or more:
        raise DataError(f"has {len(row)} cells, the header {len(header)}")
    cells = {name: _plain(cell) for name, cell in zip(header, row, strict=False)}
    if cells.get("kind") == WAITS:
        if not cells["label"]:
            return None
        cells["kind"] = ""
    return _read_cells(cells, reading)


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
