"""Parts of models in a folder: one file each, named by the digest of its content.

A part of a device's store; simulated devices share one. What stands in a file counts
only if its digest is its name, at every reading, so whoever may write there can do no
more than have it asked for again. Files are made under another name, put on the disk
and renamed: a process that is killed leaves a part whole, or not there. Room is counted
in blocks, so that it bounds the number of files too.
"""

import logging
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.private_file import write_private
from fedask.client.base.regular_file import BrokenSampleError, read_whole
from fedask.client.records.part_store import PartStore, too_large
from fedask.common.errors import StoreError
from fedask.common.ids import DeviceId, PartDigest, is_part_digest
from fedask.common.part import ModelPart, from_bytes, pieces

PARTS = ".parts"  # after the name of a store's file
MAX_BYTES = 2 << 30  # two versions of a large encoder
_BLOCK = 4096  # bytes that a file takes at least
_ASKED = ".asked"  # after a device's name: what it has asked the server for
_MAX_ASKED = 1 << 20  # bytes of it

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PartFolder(PartStore):
    """A folder of parts.

    Parameters
    ----------
    path
        Made with the first part, for its owner alone.
    max_bytes
        Room for all of them.
    """

    path: Path
    max_bytes: int = MAX_BYTES

    @override
    def get(self, digest: PartDigest) -> NDArray[Any] | None:
        file = self._file(digest)
        try:
            array = from_bytes(read_whole(file, self.max_bytes), digest)
            if array is not None:
                os.utime(file)  # by it the least recently used is found
                return array
        except FileNotFoundError:
            return None
        except (OSError, BrokenSampleError) as err:
            _log.warning("a part of the model cannot be read: %s", err)
        else:
            _log.warning("a part of the model is damaged: %s", file)
        _remove(file)
        return None

    @override
    def put(self, parts: Sequence[ModelPart], used: Collection[PartDigest]) -> None:
        new = {part.digest: part for part in parts}
        missing = [p for p in new.values() if not self._file(p.digest).is_file()]
        if missing:
            stay = {*used, *new}
            self._make_room(sum(_room(_size(part)) for part in missing), stay)
        for part in missing:
            # What is written need not be bytes, as long as it is a buffer.
            written = cast("Iterator[bytes]", pieces(part.array))
            write_private(self._file(part.digest), written)

    def _make_room(self, wanted: int, stay: Collection[str]) -> None:
        """Delete what was used least recently until there is room for so many bytes.

        Raises
        ------
        StoreError
            If there would not be, without what must stay.
        """
        kept = sorted(self._kept())
        size = sum(room for _, room, _ in kept) + wanted
        least = sum(room for _, room, name in kept if name in stay) + wanted
        if least > self.max_bytes:
            raise StoreError(f"{self.path}: {too_large(least, self.max_bytes)}")
        for _, room, name in kept:
            if size <= self.max_bytes:
                break
            if name not in stay:
                _remove(self.path / name)
                size -= room

    def _kept(self) -> Iterator[tuple[int, int, str]]:
        """Yield when each file was used, its room and its name.

        What a killed process left behind is among them, and goes as it ages.
        """
        try:
            entries = list(os.scandir(self.path))
        except FileNotFoundError:
            return
        except OSError as err:
            raise StoreError(f"cannot read {self.path}: {err}") from err
        for entry in entries:
            if entry.name.endswith(_ASKED):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:  # another process has just deleted it
                continue
            yield status.st_mtime_ns, _room(status.st_size), entry.name

    @override
    def ask(self, device: DeviceId, lacking: Collection[PartDigest]) -> bool:
        file = self.path / f"{device}{_ASKED}"
        try:
            before = read_whole(file, _MAX_ASKED).decode().split()
        except (OSError, BrokenSampleError, UnicodeDecodeError):
            before = []
        if not lacking:
            if before:
                _remove(file)
            return False
        try:
            write_private(file, ["\n".join(sorted(lacking)).encode()])
        except StoreError as err:  # it only asks once more then
            _log.warning("cannot note what was asked for: %s", err)
        return not set(lacking).isdisjoint(before)

    def _file(self, digest: PartDigest) -> Path:
        """Return the file of a part; a digest is a safe name, and nothing else is.

        Raises
        ------
        ValueError
            If it is no digest.
        """
        if not is_part_digest(digest):
            raise ValueError(f"{digest!r:.80} is no digest of a part")
        return self.path / digest


def _size(part: ModelPart) -> int:
    return sum(memoryview(piece).nbytes for piece in pieces(part.array))


def _room(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as err:
        _log.warning("cannot delete %s: %s", file, err)
