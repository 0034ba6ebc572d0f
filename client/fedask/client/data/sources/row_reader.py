"""What readers of rows have in common: how a file of rows is opened.

Called by ``texts`` and ``windows``, and by whoever reads a csv file of the owner's.
"""

import io
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, ClassVar

from fedask.client.base.regular_file import (
    PACKED,
    BrokenSampleError,
    File,
    suffix_of,
)
from fedask.client.data.sources.csv_file import CsvFile
from fedask.client.data.sources.json_file import JsonLinesFile, JsonListFile
from fedask.client.data.sources.reader import FormatReader
from fedask.client.data.sources.rows import MAX_ROW_BYTES, RowFile
from fedask.client.data.sources.text_file import UTF_8, encoding_of, open_text
from fedask.common.settings import require

PLAIN_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
ROW_SUFFIXES = frozenset({*PLAIN_SUFFIXES, *(s + PACKED for s in PLAIN_SUFFIXES)})
_OBJECT = b"{"


@dataclass(frozen=True, kw_only=True)
class RowReader(FormatReader):
    """Reads csv and JSON.

    Parameters
    ----------
    delimiter
        Between the cells of csv; "" tells it from the file.
    encoding
        Of the files, as Python names it (``"cp1252"``); "" is UTF-8, or what a byte
        order mark says.
    """

    delimiter: str = ""
    encoding: str = ""
    # The last file that had to be unpacked: not again for every batch.
    _kept: dict[File, bytes] = field(default_factory=dict, repr=False, compare=False)

    suffixes: ClassVar[frozenset[str]] = ROW_SUFFIXES

    def __post_init__(self) -> None:
        mark = self.delimiter
        good = not mark or (len(mark) == 1 and mark not in '"\r\n\0')
        require(good, "delimiter", mark, 'must be one character, no quote, or ""')
        check_encoding(self.encoding)

    def opened(self, file: File, wanted: Collection[str] = ()) -> RowFile:
        """Open a file; ``wanted`` are names of columns that help to tell delimiters.

        Raises
        ------
        BrokenSampleError
            If it cannot be decoded, or is a csv file without a header.
        OSError
            If it cannot be read.
        """
        plain = self._plain(file)
        return _as_rows(plain, suffix_of(file.name), self.delimiter, wanted)

    def _plain(self, file: File) -> BinaryIO:
        kept = self._kept.get(file)
        if kept is None:
            plain = open_text(file.path, encoding_of(self.encoding or UTF_8) or UTF_8)
            if not isinstance(plain, io.BytesIO):
                return plain
            kept = plain.read()
            self._kept.clear()
            self._kept[file] = kept
        return io.BytesIO(kept)  # places count from the first character


def check_encoding(name: str) -> None:
    """Check the option ``encoding``.

    Raises
    ------
    SettingError
        If Python has no such encoding of text.
    """
    known = encoding_of(name or UTF_8) is not None
    require(known, "encoding", name, "must be an encoding that Python has")


def open_csv(path: Path) -> RowFile:
    """Open a csv file in UTF-8.

    Raises
    ------
    BrokenSampleError
        If it has no header.
    OSError
        If it cannot be opened.
    """
    return _as_rows(open_text(path), ".csv", "", ())


def _as_rows(
    plain: BinaryIO, suffix: str, delimiter: str, wanted: Collection[str]
) -> RowFile:
    """Return the rows of an open file; closes it if there can be none."""
    try:
        suffix = suffix.removesuffix(PACKED)
        if suffix in {".jsonl", ".ndjson"}:
            return JsonLinesFile(plain)
        if suffix == ".json":
            return _json_rows(plain)
        if suffix == ".tsv":
            delimiter = delimiter or "\t"
        return CsvFile(plain, delimiter, wanted)
    except BaseException:
        plain.close()
        raise


def _json_rows(plain: BinaryIO) -> RowFile:
    """Return the rows of a ``.json``: of a list, or lines that somebody called so."""
    start = plain.tell()
    lines = iter(lambda: plain.readline(MAX_ROW_BYTES), b"")
    line = next((stripped for each in lines if (stripped := each.strip())), b"")
    plain.seek(start)
    if not line.startswith(_OBJECT):
        return JsonListFile(plain)
    try:
        json.loads(line)
    except (ValueError, RecursionError) as err:
        raise BrokenSampleError(
            "is one object in JSON, not a list of objects, nor one in each line"
        ) from err
    return JsonLinesFile(plain)
