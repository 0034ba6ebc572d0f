"""JSON: a value in each line (jsonl), or one list of values, read piece by piece.

Called by ``row_reader``. An object whose fields repeat is refused: nothing says which
of them is meant.
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from typing_extensions import override

from fedask.client.base.regular_file import BrokenSampleError
from fedask.client.data.sources.rows import (
    MAX_ROW_BYTES,
    Cells,
    Lines,
    Pick,
    Row,
    RowFile,
)

_LOOKED_AT_ROWS = 1000  # whose fields are the columns
_PIECE = 1 << 16
_SPACE = re.compile(r"[ \t\r\n]*")
_BOUNDS = json.JSONDecoder()


class JsonLinesFile(RowFile):
    """A file with a JSON value in each line."""

    typed = True

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._start = file.tell()

    @override
    def names(self) -> list[str]:
        found: dict[str, None] = {}
        for row in itertools.islice(self.rows(), _LOOKED_AT_ROWS):
            if isinstance(row.cells, dict):
                found.update(dict.fromkeys(row.cells))
        return list(found)

    @override
    def rows(self) -> Iterator[Row]:
        self.file.seek(self._start)
        lines = Lines(self.file)
        while True:
            lines.begin()
            try:
                line = next(lines)
                if not line.strip():
                    continue
                cells, reason = parse_json(line), ""
            except StopIteration:
                return
            except BrokenSampleError as err:
                cells, reason = None, str(err)
            if cells is None and not reason:
                reason = "holds null"
            yield lines.row(cells, reason)

    @override
    def decode(self, data: bytes) -> list[Cells]:
        lines = data.split(b"\n")
        return [parse_json(line) for line in lines if line.strip()]

    @override
    def pick(self, names: Sequence[str]) -> Pick:
        def picked(cells: Cells) -> list[Any]:
            if not isinstance(cells, dict):
                raise BrokenSampleError("is no object with fields")
            return [
                cells[name] if name in cells else _named(cells, name) for name in names
            ]

        return picked


def _named(cells: dict[str, Any], name: str) -> Any:  # noqa: ANN401  (JSON)
    """Return the field of a name that an option has without its white space."""
    for field, value in cells.items():
        if " ".join(field.split()) == name:
            return value
    raise BrokenSampleError(f"has no field {name!r:.80}")


class JsonListFile(JsonLinesFile):
    """A file that is one list in JSON; its items are the rows."""

    unit = "item"

    @override
    def rows(self) -> Iterator[Row]:
        self.file.seek(self._start)
        for number, (start, item) in enumerate(_items(self.file), 1):
            try:
                cells, reason = parse_json(item), "holds null"
            except BrokenSampleError as err:
                cells, reason = None, str(err)
            yield Row(start, len(item), number, cells, reason)

    @override
    def decode(self, data: bytes) -> list[Cells]:
        return list(parse_json(b"[" + data + b"]"))


def _items(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield place and bytes of each item of a list, holding a piece of it at a time.

    Raises
    ------
    BrokenSampleError
        If the list is none, or an item is longer than a row; those before it are good.
    """
    piece = _Piece(file)
    if piece.next_character() != "[":
        raise BrokenSampleError("is neither a list in JSON, nor a value in each line")
    piece.at += 1
    first = True
    while (character := piece.next_character()) != "]":
        if not first:
            if character != ",":
                raise BrokenSampleError(f"is no JSON from byte {piece.place} on")
            piece.at += 1
            piece.next_character()
        first = False
        yield piece.item()
    piece.at += 1
    if piece.next_character():
        raise BrokenSampleError(f"has more after its list, at byte {piece.place}")


class _Piece:
    """Some bytes of a file, from the next one on."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()
        # A character for a byte: no byte of a longer one is part of the syntax.
        self._text = ""
        self.at = 0  # of what was read

    @property
    def place(self) -> int:
        return self._start + self.at

    def next_character(self) -> str:
        """Go to the next one that is no space; "" at the end."""
        while True:
            space = _SPACE.match(self._text, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self._text) or not self._more():
                return self._text[self.at : self.at + 1]

    def item(self) -> tuple[int, bytes]:
        """Return place and bytes of the value that begins here, and go past it."""
        while True:
            try:
                _, end = _BOUNDS.raw_decode(self._text, self.at)
            except (ValueError, RecursionError) as err:
                if self._more():
                    continue
                raise BrokenSampleError(
                    f"is no JSON from byte {self.place} on, or an item has more than "
                    f"{MAX_ROW_BYTES} bytes: {err!s:.80}"
                ) from err
            # A number at the end of what was read may go on.
            if end == len(self._text) and self._more():
                continue
            found = self.place, self._text[self.at : end].encode("latin-1")
            self.at = end
            return found

    def _more(self) -> bool:
        """Read on; false at the end, or if an item would be too long."""
        kept = self._text[self.at :]
        if len(kept) > MAX_ROW_BYTES:
            return False
        read = self._file.read(max(_PIECE, len(kept)))
        self._start += self.at
        self._text, self.at = kept + read.decode("latin-1"), 0
        return bool(read)


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401  (JSON)
    """Decode a value.

    Raises
    ------
    BrokenSampleError
        If it is none, or a field stands twice.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as err:
        raise BrokenSampleError(f"is no JSON: {err!s:.80}") from err


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise BrokenSampleError(f"has two fields {twice!r:.80}")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_fields)
