"""Bytes that claim to be a .npy array and are not one that may be read."""

import io

import numpy as np


def npy(header: str, body: bytes = b"") -> bytes:
    """Write a header as given, whatever it says."""
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


def plain(shape: str, body: bytes = bytes(8), *, descr: str = "'|u1'") -> bytes:
    """Write a well-formed header with any shape and type."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"
    return npy(header, body)


def archive() -> bytes:
    """Return a zip archive of arrays, which numpy opens too."""
    buffer = io.BytesIO()
    np.savez(buffer, counts=np.zeros((2, 4), dtype=np.uint8))
    return buffer.getvalue()


def pickled() -> bytes:
    """Return an array of objects: reading it would run code."""
    buffer = io.BytesIO()
    objects = np.array([[None] * 4] * 2, dtype=object)
    np.save(buffer, objects, allow_pickle=True)
    return buffer.getvalue()


UNREADABLE = {
    "nothing": b"",
    "half a magic": b"\x93NUM",
    "no header": b"\x93NUMPY\x01\x00",
    "text": b"hello, this is no array",
    "a pickle": b"\x80\x04N.",
    "objects": pickled(),
    "an archive": archive(),
    "half an archive": b"PK\x03\x04" + bytes(20),
    "version 9": b"\x93NUMPY\x09\x00" + bytes(20),
    "header not a dict": npy("[1, 2]"),
    "header cut short": npy("{'descr': ["),
    "header not Python": npy("}}{{"),
    "header deeply nested": npy("(" * 300),
    "header a long sum": npy("-" * 900 + "1"),
    "header of code": npy("__import__('os').abort()"),
    "type unknown": plain("(2, 4)", descr="'nonsense'"),
    "type empty": plain("(2, 4)", descr="()"),
    "type of fields": plain("(2, 4)", descr="[('a',)]"),
    "type of nothing": plain("(2, 4)", descr="{}"),
    "body too short": plain("(2, 4)", bytes(7)),
    "a huge shape": plain("(1000000000000000,)"),
    "a shape beyond integers": plain(f"({2**70}, 4)"),
    "a negative shape": plain("(-2, 4)"),
    "a shape of floats": plain("(2.0, 4)"),
    "another shape": plain("(4, 2)"),
    "a flat shape": plain("(8,)"),
    "another type": plain("(2, 4)", bytes(16), descr="'<u2'"),
    "signed": plain("(2, 4)", descr="'|i1'"),
}
