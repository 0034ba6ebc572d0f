"""Finds and opens the files of a source: regular ones inside its folder, no others.

Called by the readers and by the source over them. Never follows a link to a folder, a
link that leads out of the root, a device or a pipe, and never opens a file that is
still being written under a temporary name.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fedask.common.errors import DataError

# Names under which programs write what is not whole yet, and copies of editors.
TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".swp", "~")
PACKED = ".gz"  # what is in such a file says the suffix before
LINKED, HIDDEN, UNFINISHED = "linked folders", "hidden", "unfinished"
SIDECAR = "provenance.csv"  # what the site says of the samples beside it
# A pipe that replaces a file after the look must not block the device (POSIX only).
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


class BrokenSampleError(DataError):
    """A sample is damaged and is set aside; the others are not touched."""


class Broken(NamedTuple):
    """What a source set aside: where it stands, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class File:
    """A file as a walk through a folder found it.

    Parameters
    ----------
    name
        Its path below the root, with slashes.
    path
        Where to open it: links are resolved.
    size
        In bytes.
    mtime_ns
        When it was last written, in nanoseconds since 1970.
    """

    name: str
    path: Path
    size: int
    mtime_ns: int


def walk(
    root: Path, suffixes: frozenset[str], passed: Counter[str] | None = None
) -> Iterator[File | Broken]:
    """Yield the files at or below ``root``, folder by folder in the order of names.

    Parameters
    ----------
    root
        A folder, or a single file, which may have any suffix.
    suffixes
        Of the files wanted, lower case, with the dot; others are passed over.
    passed
        Is told how many files are passed over, by suffix, and how many are
        ``LINKED`` (folders), ``HIDDEN`` or ``UNFINISHED``.

    Raises
    ------
    DataError
        If there is nothing at ``root``, or it may not be read.
    """
    passed = Counter() if passed is None else passed
    try:
        top = _resolved(root)
        if not top.is_dir():
            yield _found(top.parent, str(top), os.lstat(top))
            return
        waiting = [iter(_entries(top, passed))]
    except OSError as err:
        raise DataError(f"cannot read samples from {root}: {err}") from err
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(iter(_entries(entry.path, passed)))
            elif suffix_of(entry.name) in suffixes:
                yield _found(top, entry.path, entry.stat(follow_symlinks=False))
            else:
                passed[LINKED if entry.is_dir() else suffix_of(entry.name)] += 1
        except OSError as err:
            name = _printable(_name_in(top, entry.path))
            yield Broken(name, f"cannot be read: {err.strerror}")


def suffix_of(name: str) -> str:
    """Return the suffix of a file name, lower case, with the dot.

    Examples
    --------
    >>> suffix_of("a.b.CSV"), suffix_of("a.b.csv.gz"), suffix_of("a.gz")
    ('.csv', '.csv.gz', '.gz')
    """
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  (a Path is ten times slower)
    if suffix.lower() == PACKED:
        suffix = os.path.splitext(stem)[1] + suffix  # noqa: PTH122  (as above)
    return suffix.lower()


def _entries(folder: Path | str, passed: Counter[str]) -> "list[os.DirEntry[str]]":
    entries = []
    with os.scandir(folder) as found:
        for entry in found:
            if reason := _no_sample(entry.name):
                passed[reason] += 1
            elif entry.name != SIDECAR:
                entries.append(entry)
    return sorted(entries, key=lambda entry: entry.name)


def _no_sample(name: str) -> str:
    """Say why a file is no sample, though its suffix may be one of them."""
    if name.startswith((".", "~")):
        return HIDDEN
    return UNFINISHED if name.lower().endswith(TEMPORARY) else ""


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _name_in(top: Path, path: str) -> str:
    """Return a path below ``top`` with slashes; Path itself takes ten times as long."""
    return path[len(str(top)) :].replace(os.sep, "/").lstrip("/")


def _resolved(path: Path) -> Path:
    """Follow links; unlike ``Path.resolve``, a loop of them is an OSError."""
    return Path(os.path.realpath(path, strict=True))


def _found(top: Path, where: str, status: os.stat_result) -> File | Broken:
    name = _name_in(top, where)
    if not name.isascii() and _printable(name) != name:
        return Broken(_printable(name), "its name is not UTF-8")
    path = Path(where)
    if stat.S_ISLNK(status.st_mode):
        path = _resolved(path)
        if not path.is_relative_to(top):
            return Broken(name, "is a link that leads out of the folder")
        status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        return Broken(name, "is no regular file")
    return File(name, path, status.st_size, status.st_mtime_ns)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, whatever stands at its path by now.

    Raises
    ------
    BrokenSampleError
        If it is no regular file any more.
    OSError
        If it cannot be opened.
    """
    file = os.fdopen(os.open(path, _OPEN | getattr(os, "O_BINARY", 0)), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise BrokenSampleError("is no regular file")
    return file


def read_whole(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file.

    Raises
    ------
    BrokenSampleError
        If it has more than ``max_bytes``, of which no more are read.
    OSError
        If it cannot be read.
    """
    with open_regular(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise BrokenSampleError(f"has more than {max_bytes} bytes")
    return data
