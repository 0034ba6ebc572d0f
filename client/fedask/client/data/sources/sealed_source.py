"""Samples that are kept sealed in the device's own store: kind ``sealed``.

Called by the table of kinds. Each payload is decoded by the reader of its suffix, as
the file that it was; the options are those of that kind. What the readers found is kept
in the index, so that only new payloads are decoded when the pool is opened.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fedask.client.base.regular_file import Broken, BrokenSampleError
from fedask.client.data.sources.indexed_source import (
    OTHER_FORM,
    NoSamplesError,
    ScanContext,
    commonest,
)
from fedask.client.data.sources.reader import (
    FileContents,
    FileReader,
    FoundSample,
    check_finite,
    for_model,
    stack,
)
from fedask.client.data.sources.source import kind_of_suffix, make_reader
from fedask.client.records.original import ONLY, Originals
from fedask.client.records.payload import Payload, PayloadStore
from fedask.client.records.pool import DataSource
from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import Uid


def open_sealed(options: Mapping[str, Any], look: ScanContext) -> "SealedSource":
    """Open the payloads of a device's store.

    Parameters
    ----------
    options
        Of the kind of most payloads: ``images``, ``sounds`` or ``documents``.

    Raises
    ------
    ConfigError
        If there is no store, or an option is wrong.
    NoSamplesError
        If no payload can be used.
    """
    if look.payloads is None:
        raise ConfigError(
            "data of kind 'sealed' is kept in a device's store: there is none here"
        )
    listed = look.payloads.all()
    kinds = Counter(filter(None, (kind_of_suffix(each.suffix) for each in listed)))
    if not kinds:
        raise NoSamplesError(
            f"no samples in the store: none of {len(listed)} payloads can be decoded"
        )
    _, kind = min((-count, kind) for kind, count in kinds.items())
    reader = make_reader(kind, options)
    if not isinstance(reader, FileReader):
        raise ConfigError(f"data of kind {kind!r} cannot be kept sealed")
    return SealedSource(look.payloads, listed, reader, look)


class SealedSource(DataSource):
    """Payloads of one kind and form, as a source.

    Parameters
    ----------
    look
        With the index, which must stay open.

    Raises
    ------
    NoSamplesError
        If none can be used.
    """

    def __init__(
        self,
        store: PayloadStore,
        listed: Sequence[Payload],
        reader: FileReader,
        look: ScanContext,
    ) -> None:
        self._store = store
        self._reader = reader
        self._index = look.index
        self._source = look.index.source(f"sealed {reader!r}")
        self._refused: list[Broken] = []
        found: list[tuple[Payload, int]] = []
        for payload in listed:
            contents = self._contents(payload)
            found += [(payload, form) for form in contents.forms]
        self._index.keep(self._source, {payload.uid for payload in listed})
        self._payloads = self._of_one_form(found)
        if not self._payloads:
            broken = self.broken()
            raise NoSamplesError(
                f"no samples in the store: {len(broken)} payloads were set aside"
            )
        self._uids = np.array([each.uid for each in self._payloads], dtype="<U32")

    def _contents(self, payload: Payload) -> FileContents:
        """Return what a payload is, from the index if it was decoded before."""
        stamp = (payload.size, 0)
        kept = self._index.find(self._source, payload.uid, stamp)
        if kept is not None:
            return kept
        contents = FileContents()
        try:
            data = self._store.content(payload.uid)
            sample = self._decode(data, payload.suffix)
            form = self._index.form(self._reader.form(sample, data, payload.suffix))
            contents.add(FoundSample(payload.uid, (0, payload.size), ""), form)
        except BrokenSampleError as err:
            contents.set_aside(Broken(payload.uid, str(err)))
        except OSError as err:  # not the payload's fault: tried again next time
            self._refused.append(Broken(payload.uid, f"cannot be read: {err}"))
            return FileContents()
        self._index.put(self._source, payload.uid, stamp, contents)
        return contents

    def _decode(self, data: bytes, suffix: str) -> NDArray[Any] | str:
        if suffix not in self._reader.suffixes:
            raise BrokenSampleError(
                f"is a {suffix} file, which is of another kind than most"
            )
        sample = self._reader.decode(data, suffix)
        check_finite(sample)
        return sample

    def _of_one_form(self, found: Sequence[tuple[Payload, int]]) -> list[Payload]:
        """Return the payloads of the commonest form; ties by its text."""
        if not found:
            return []
        named = self._index.forms()
        best = commonest(Counter(form for _, form in found), named)
        reason = f"is not {named.get(best, '')} {OTHER_FORM}"
        self._refused += [Broken(p.uid, reason) for p, form in found if form != best]
        return [payload for payload, form in found if form == best]

    @override
    def uids(self) -> NDArray[np.str_]:
        return self._uids

    @override
    def load(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        if not len(rows):
            return self.load(np.zeros(1, dtype=np.int64))[:0]
        return stack([self._sample(self._payloads[row]) for row in rows.tolist()])

    def _sample(self, payload: Payload) -> NDArray[Any] | str:
        try:
            content = self._store.content(payload.uid)
            return for_model(self._decode(content, payload.suffix))
        except (BrokenSampleError, OSError) as err:
            raise _undecoded(payload.uid, err) from err

    @override
    def originals(self, row: int, side: int) -> Originals:
        payload = self._payloads[row]
        try:
            data = self._store.content(payload.uid)
            return {ONLY: self._reader.whole(data, payload.suffix, side)}
        except (BrokenSampleError, OSError) as err:
            raise _undecoded(payload.uid, err) from err

    @override
    def broken(self) -> list[Broken]:
        return self._refused + self._index.broken(self._source)

    @override
    def dropped(self) -> frozenset[Uid]:
        return self._store.dropped()


def _undecoded(uid: Uid, err: Exception) -> DataError:
    return DataError(f"the payload of sample {uid} cannot be decoded: {err}")
