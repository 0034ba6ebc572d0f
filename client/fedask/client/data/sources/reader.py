"""The seam of readers: each reads one kind of file.

Implemented by the kinds; called by ``IndexedSource``. A reader keeps no sample.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import (
    Broken,
    BrokenSampleError,
    File,
    read_whole,
    suffix_of,
)
from fedask.client.records.original import Original
from fedask.common.ids import Uid, bytes_uid, content_uid, stable_seed

Raw = NDArray[Any] | str

# An array of texts takes four bytes for each character of the longest, for every text
# of a batch: with 4096 samples, 128 MiB at this length.
MAX_CHARACTERS = 1 << 13
COLUMNS = " #"  # in a form, before a hash of the names of columns that files chose
SHARED_KEY = "has the key of another row, by which neither is found again"
# What an extra installs, by which it is told.
_EXTRAS = {"heic": "pi_heif", "sounds": "soundfile"}
MAX_BROKEN = 1000  # kept per file; a file of nothing else must not fill the disk

__all__ = ["FileReader", "FormatReader", "FoundSample"]


class FoundSample(NamedTuple):
    """A sample of a file.

    Parameters
    ----------
    uid
        Hash of its content as it is stored.
    place
        Two numbers by which the reader finds it again: offset and length in bytes, or
        row and group.
    form
        What samples of one pool must have in common, to be stacked: type and shape.
    key
        Hash of what names it in other parts of a joined source.
    """

    uid: Uid
    place: tuple[int, int]
    form: str
    key: int = 0


@dataclass(slots=True)
class FileContents:
    """The samples of a file, or of many, column by column; 40 bytes a sample."""

    uids: bytearray = field(default_factory=bytearray)  # 16 bytes each
    places: "array[int]" = field(default_factory=lambda: array("q"))  # 2 each
    forms: "array[int]" = field(default_factory=lambda: array("i"))  # ids of forms
    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    broken: list[Broken] = field(default_factory=list)
    left_out: int = 0  # broken ones beyond MAX_BROKEN

    @classmethod
    def of(
        cls, uids: bytes, places: bytes, forms: bytes, keys: bytes
    ) -> "FileContents | None":
        """Rebuild the contents from bytes of the index; None if they are damaged."""
        lengths = {len(uids), len(places), 4 * len(forms), 2 * len(keys)}
        if len(lengths) > 1 or len(uids) % 16:
            return None
        contents = cls(uids=bytearray(uids))
        contents.places.frombytes(places)
        contents.forms.frombytes(forms)
        contents.keys.frombytes(keys)
        return contents

    def __len__(self) -> int:
        return len(self.forms)

    def add(self, found: FoundSample, form: int) -> None:
        """Add a sample; ``form`` is the id of its form."""
        self.uids += bytes.fromhex(found.uid)
        self.places.extend(found.place)
        self.forms.append(form)
        self.keys.append(found.key)

    def set_aside(self, broken: Broken) -> None:
        """Add a broken sample, up to a limit."""
        if len(self.broken) < MAX_BROKEN:
            reason = broken.reason.encode("utf-8", "backslashreplace").decode()
            self.broken.append(Broken(broken.name, reason))
        else:
            self.left_out += 1

    def without(self, uid: bytes) -> "FileContents":
        """Return the samples without the given one."""
        kept = FileContents()
        for row in range(len(self)):
            if self.uids[16 * row : 16 * row + 16] != uid:
                self._copy(row, kept)
        return kept

    def with_own_places(self, file: str) -> "FileContents":
        """Return the samples whose place is theirs alone; the others are set aside.

        All of them: nothing says which of two rows a place would find.
        """
        places = np.array(self.places, dtype=np.int64).reshape(-1, 2)
        _, which, counts = np.unique(
            places, axis=0, return_inverse=True, return_counts=True
        )
        shared = counts[which.reshape(-1)] > 1
        if not shared.any():
            return self
        kept = FileContents(broken=self.broken, left_out=self.left_out)
        for row, is_shared in enumerate(shared.tolist()):
            if is_shared:
                name = f"{file} row {places[row, 0]}"
                kept.set_aside(Broken(name, SHARED_KEY))
            else:
                self._copy(row, kept)
        return kept

    def _copy(self, row: int, other: "FileContents") -> None:
        other.uids += self.uids[16 * row : 16 * row + 16]
        other.places.extend(self.places[2 * row : 2 * row + 2])
        other.forms.append(self.forms[row])
        other.keys.append(self.keys[row])

    def extend(self, other: "FileContents") -> None:
        """Add the samples of another file; its broken ones stay out."""
        self.uids += other.uids
        self.places.extend(other.places)
        self.forms.extend(other.forms)
        self.keys.extend(other.keys)


class FormatReader(Protocol):
    """Reads one kind of file. Its fields are the options of the kind."""

    suffixes: ClassVar[frozenset[str]]
    extras: ClassVar[Mapping[str, str]] = {}  # by suffix, where fedask alone cannot

    def stamp(self, file: File) -> tuple[int, int]:
        """Return (size in bytes, time in ns); the content changes only with these."""
        return file.size, file.mtime_ns

    def scan(self, file: File) -> Iterator[FoundSample | Broken]:
        """Yield every sample of a file, and what is broken in it.

        Raises
        ------
        BrokenSampleError
            If the whole file, or the rest of it, is of no use.
        OSError
            If it cannot be read now.
        """

    def read(self, file: File, places: NDArray[np.int64]) -> Iterator[tuple[Uid, Raw]]:
        """Yield uid and raw sample of each place, (m, 2) as found, in their order.

        Raises
        ------
        BrokenSampleError, OSError
            If there is no such sample any more.
        """

    def original(
        self,
        file: File,
        place: NDArray[np.int64],
        side: int,  # noqa: ARG002  (the seam's signature)
    ) -> tuple[Uid, Original]:
        """Return uid of a sample, and what people see of it.

        Parameters
        ----------
        place
            (2,), as found.
        side
            As for ``DataSource.originals``.

        Raises
        ------
        BrokenSampleError, OSError
            If there is no such sample any more.
        """
        ((uid, sample),) = self.read(file, place.reshape(1, 2))
        return uid, _seen(sample)

    def note(self, file: File) -> str:  # noqa: ARG002  (the seam's signature)
        """Return what an owner should know of how a file is read, or "".

        Raises
        ------
        BrokenSampleError, OSError
            If it cannot be read.
        """
        return ""


def lacking(reader: FormatReader) -> dict[str, str]:
    """Return the suffixes that need an extra which is not installed, with its name."""
    return {
        suffix: extra
        for suffix, extra in reader.extras.items()
        if find_spec(_EXTRAS[extra]) is None
    }


def form_of(sample: Raw) -> str:
    """Return type and shape of a sample, as text."""
    return "text" if isinstance(sample, str) else _form(sample.dtype, sample.shape)


@lru_cache(maxsize=64)  # the name of a type takes as long as reading a row
def _form(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"{dtype} {'x'.join(map(str, shape)) or 'scalar'}"


def for_model(sample: Raw) -> Raw:
    """Return a sample as a model gets it: of a text no more than ``MAX_CHARACTERS``."""
    return sample[:MAX_CHARACTERS] if isinstance(sample, str) else sample


def _seen(sample: Raw) -> Original:
    """Return what people see of a sample: of a text all, and how much a model reads."""
    is_cut = isinstance(sample, str) and len(sample) > MAX_CHARACTERS
    return Original(content=sample, model_reads=MAX_CHARACTERS if is_cut else 0)


class SampleKey(int):
    """The hash of a name; knows the name as long as nobody has written it down."""

    name: str


def key_of(name: object) -> SampleKey:
    """Hash a name that samples of several sources share, into 64 bits."""
    text = str(name).encode("utf-8", "backslashreplace").decode()
    key = SampleKey(stable_seed("key", text))
    key.name = text
    return key


def stack(samples: Sequence[Any]) -> NDArray[Any]:
    """Put samples of one form into one array: (m, ...), or (m,) str."""
    if isinstance(samples[0], str):
        return np.array(samples, dtype=np.str_)
    return np.stack(samples)


def check_finite(sample: Raw) -> None:
    """Refuse a sample with numbers that are not finite.

    Raises
    ------
    BrokenSampleError
        If a number is not finite.
    """
    if isinstance(sample, str):
        return
    if sample.dtype.kind in "fc" and not np.isfinite(sample).all():
        raise BrokenSampleError("holds NaN or infinity")


def identified(sample: Raw) -> tuple[Uid, Raw]:
    """Return the uid of a sample, a hash of its content, and the sample.

    Raises
    ------
    BrokenSampleError
        If a number is not finite.
    """
    check_finite(sample)
    if isinstance(sample, str):
        return bytes_uid(sample.encode()), sample
    return content_uid(sample), sample


def found_sample(
    name: str,
    place: tuple[int, int],
    decode: Callable[..., tuple[Raw, int]],
    *arguments: object,
) -> FoundSample | Broken:
    """Decode one row of a file in a scan.

    Parameters
    ----------
    name
        Of the row, if it is broken.
    place
        As in ``FoundSample``.
    decode
        Maps the arguments to a sample and its key; may raise BrokenSampleError.
    """
    try:
        raw, key = decode(*arguments)
        uid, sample = identified(raw)
    except BrokenSampleError as err:
        return Broken(name, str(err))
    return FoundSample(uid, place, form_of(sample), key)


@dataclass(frozen=True, kw_only=True)
class FileReader(FormatReader):
    """One file is one sample: what images and sounds have in common."""

    max_bytes: ClassVar[int] = 1 << 26

    def decode(self, data: bytes, suffix: str) -> Raw:
        """Return the sample that the bytes of a file stand for.

        Raises
        ------
        BrokenSampleError
            If they stand for none.
        """
        raise NotImplementedError

    def whole(self, data: bytes, suffix: str, side: int) -> Original:  # noqa: ARG002  (the seam's signature)
        """Return what people see of a sample: by default, what models get.

        Raises
        ------
        BrokenSampleError
            If the bytes stand for none.
        """
        return _seen(self.decode(data, suffix))

    def form(self, sample: Raw, data: bytes, suffix: str) -> str:  # noqa: ARG002  (the seam's signature)
        """Return the form of a sample that was decoded from ``data``."""
        return form_of(sample)

    @override
    def scan(self, file: File) -> Iterator[FoundSample | Broken]:
        uid, sample, data = self._read(file)
        form = self.form(sample, data, suffix_of(file.name))
        key = key_of(PurePosixPath(file.name).with_suffix(""))
        yield FoundSample(uid, (0, file.size), form, key)

    @override
    def read(self, file: File, places: NDArray[np.int64]) -> Iterator[tuple[Uid, Raw]]:
        uid, sample, _ = self._read(file)
        for _ in range(len(places)):
            yield uid, sample

    @override
    def original(
        self, file: File, place: NDArray[np.int64], side: int
    ) -> tuple[Uid, Original]:
        data = read_whole(file.path, self.max_bytes)
        return bytes_uid(data), self.whole(data, suffix_of(file.name), side)

    def _read(self, file: File) -> tuple[Uid, Raw, bytes]:
        data = read_whole(file.path, self.max_bytes)
        sample = self.decode(data, suffix_of(file.name))
        check_finite(sample)
        return bytes_uid(data), sample, data
