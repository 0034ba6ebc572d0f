"""Looks for secrets in files, in every form that a disk might hold them in."""

import base64
import contextlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

ZLIB_HEADS = (b"\x78\x01", b"\x78\x9c", b"\x78\xda")


def forms_of(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield every form of a secret; the raw one first."""
    yield "raw", secret
    yield "hex", secret.hex().encode()
    yield "HEX", secret.hex().upper().encode()
    for encoding in ("utf-16-le", "utf-16-be"):
        yield encoding, secret.decode("latin-1").encode(encoding)
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + secret)
        # What depends on the bytes before and after is left out.
        inner = text[4 * bool(shift) : len(text) - 4]
        yield f"base64 {shift}", inner
        yield f"base64url {shift}", inner.translate(bytes.maketrans(b"+/", b"-_"))


def forms_of_numbers(numbers: Iterable[float]) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes of numbers in a row, in the types that arrays have."""
    values = list(numbers)
    codes = "fde" if max(map(abs, values)) < 1 << 16 else "fd"
    if all(value == int(value) for value in values):
        codes, values = codes + "qi", list(map(int, values))
    for code in codes:
        for order in "<>":
            kind = f"{order}{len(values)}{code}"
            yield f"numbers {kind}", struct.pack(kind, *values)


def streams_of(data: bytes) -> Iterator[bytes]:
    """Yield a file's bytes, and what each zlib stream in them unpacks to."""
    yield data
    for head in ZLIB_HEADS:
        at = data.find(head)
        while at >= 0:
            with contextlib.suppress(zlib.error):
                yield zlib.decompressobj().decompress(data[at:], 1 << 20)
            at = data.find(head, at + 1)


def found_in(
    files: Iterable[Path], forms: Iterable[tuple[str, bytes]]
) -> list[tuple[str, str]]:
    """Return (name of file, form) for every form that is somewhere."""
    wanted = [(name, form) for name, form in forms if len(form) > 3]
    return [
        (path.name, name)
        for path in files
        for stream in streams_of(path.read_bytes())
        for name, form in wanted
        if form in stream
    ]
