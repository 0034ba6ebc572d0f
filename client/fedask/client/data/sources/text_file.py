"""Opens files of text as UTF-8 that can be sought in, whatever they are on the disk.

Called by the readers of rows. Plain UTF-8 is read where it stands; what is compressed
or in another encoding is unpacked into memory, never onto the disk, and no further than
a limit: some bytes of a file may stand for gigabytes.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fedask.client.base.regular_file import PACKED, BrokenSampleError, open_regular

MAX_UNPACKED_BYTES = 1 << 28
UTF_8 = "utf-8"
_PIECE = 1 << 20
# The longer ones first: that of UTF-16 begins that of UTF-32.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: UTF_8,
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def encoding_of(name: str) -> str | None:
    """Return Python's name of an encoding of text; None if there is none."""
    try:
        " ".encode(name)  # refuses what is no encoding of text, too
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
    return UTF_8 if found in {"utf-8-sig", "ascii"} else found


def open_text(path: Path, encoding: str = UTF_8) -> BinaryIO:
    """Open a file at its first character.

    Parameters
    ----------
    path
        ``.gz`` is unpacked.
    encoding
        As ``encoding_of`` names it. A byte order mark in the file overrules it.

    Returns
    -------
    BinaryIO
        UTF-8; bytes that mean nothing in ``encoding`` are none in UTF-8 either. An
        ``io.BytesIO`` if the file had to be unpacked.

    Raises
    ------
    BrokenSampleError
        If it cannot be unpacked, or is too large to be.
    OSError
        If it cannot be read.
    """
    file = open_regular(path)
    try:
        if path.name.lower().endswith(PACKED):
            file = _unpacked(file)
        length, encoding = _mark(file.read(4), encoding)
        file.seek(length)
        return file if encoding == UTF_8 else _transcoded(file, encoding)
    except BaseException:
        file.close()
        raise


def decoded(data: bytes, encoding: str = UTF_8) -> str:
    """Decode a text; what means nothing in its encoding becomes half a surrogate pair.

    Parameters
    ----------
    encoding
        As for ``open_text``.

    Raises
    ------
    BrokenSampleError
        If it cannot be decoded at all.
    """
    length, encoding = _mark(data[:4], encoding)
    try:
        return data[length:].decode(encoding, "surrogateescape")
    except UnicodeError as err:
        raise BrokenSampleError(
            f"is not {encoding.upper()}; set encoding in [data]: {err!s:.200}"
        ) from err


def _mark(start: bytes, encoding: str) -> tuple[int, str]:
    """Return the length of a byte order mark, and the encoding that counts."""
    for mark, marked in _MARKS.items():
        if start.startswith(mark):
            return len(mark), marked
    return 0, encoding


def _unpacked(file: BinaryIO) -> io.BytesIO:
    """Return what a gzip file holds; closes it."""
    plain = io.BytesIO()
    with file, gzip.GzipFile(fileobj=file) as packed:
        try:
            while piece := packed.read(_PIECE):
                _put(plain, piece, "unpack it")
        except (EOFError, zlib.error, gzip.BadGzipFile) as err:
            raise BrokenSampleError(f"cannot be unpacked: {err}") from err
    plain.seek(0)
    return plain


def _transcoded(file: BinaryIO, encoding: str) -> io.BytesIO:
    """Return the rest of a file as UTF-8; closes it."""
    plain = io.BytesIO()
    with file:
        try:
            for text in _texts(file, encoding):
                # As UTF-8 would write surrogates, which nothing reads: bytes as they
                # were might mean something in UTF-8.
                piece = text.encode("utf-8", "surrogatepass")
                _put(plain, piece, "convert it to UTF-8")
        except UnicodeError as err:
            line = plain.getvalue().count(b"\n") + 1
            if isinstance(err, UnicodeDecodeError):
                line += err.object[: err.start].decode(encoding, "ignore").count("\n")
            raise BrokenSampleError(
                f"is not {encoding.upper()} in line {line}; set encoding in [data]: "
                f"{err!s:.200}"
            ) from err
    plain.seek(0)
    return plain


def _texts(file: BinaryIO, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
    while piece := file.read(_PIECE):
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def _put(plain: io.BytesIO, piece: bytes, advice: str) -> None:
    plain.write(piece)
    if plain.tell() > MAX_UNPACKED_BYTES:
        raise BrokenSampleError(
            f"has more than {MAX_UNPACKED_BYTES} bytes in memory: {advice}"
        )
