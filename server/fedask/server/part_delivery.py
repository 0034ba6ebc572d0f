"""Which parts of the model go with which message. Used by ``AskStrategy``.

Parts are the arrays that no gradient moves, as long as nothing else moves them either:
frozen weights and constants, statistics of a layer that is frozen, tables. A node gets
each with its first message, and none after a reply that lacks none. What it holds is
not kept over a restart of the server, nor over a message that it found wrong: then all
parts go again.
"""

from collections.abc import Mapping
from contextlib import suppress

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from fedask.common.arrays import Arrays
from fedask.common.errors import ProtocolError
from fedask.common.ids import PartDigest
from fedask.common.manifest import ArrayKind, Manifest
from fedask.common.part import ModelPart
from fedask.common.part_record import PartRecords, read_lacking, write_parts
from fedask.common.weights import to_record

_KEPT = 64  # sets of parts whose records the messages of a round share

Digests = frozenset[PartDigest]
Record = ArrayRecord | ConfigRecord | MetricRecord


class PartDelivery:
    """Tells which arrays of a model are parts, and which parts a node has to get.

    Parameters
    ----------
    manifest
        Of the model.
    initial
        The model that the run begins with.
    """

    def __init__(self, manifest: Manifest, initial: Arrays) -> None:
        self._manifest = manifest
        self._model = initial
        self._parts = {
            entry.name: ModelPart.of(initial[entry.name])
            for entry in manifest.entries
            if entry.kind is not ArrayKind.PARAMETER
        }
        self._held: dict[int, Digests] = {}  # by node
        self._sent: dict[int, Digests] = {}  # by node, with the last message
        self._records: dict[Digests, PartRecords] = {}
        self._contents: dict[tuple[int, Digests], tuple[RecordDict, RecordDict]] = {}

    @property
    def parts(self) -> Mapping[str, ModelPart]:
        """The parts, by the names of their arrays."""
        return self._parts

    @property
    def _digests(self) -> Digests:
        return frozenset(part.digest for part in self._parts.values())

    def follow(self, arrays: Arrays) -> None:
        """Take note of the model of the next messages.

        An array that is not what it was in the beginning is no part from now on.
        """
        self._model = arrays
        self._contents.clear()
        moved = [
            name
            for name, part in self._parts.items()
            if not _same(arrays[name], part.array)
        ]
        for name in moved:
            del self._parts[name]
        if moved:
            self._records.clear()

    def send(self, node: int, content: RecordDict) -> RecordDict:
        """Return a message to a node with the whole model, by value or by digest.

        Parameters
        ----------
        content
            As the inner strategy made it, with what it knows of the model. Messages of
            one content that carry the same parts are of one content again.
        """
        missing = self._digests - self._held.get(node, frozenset())
        self._sent[node] = missing
        key = (id(content), missing)
        if key not in self._contents:
            records = {name: self._by_value(record) for name, record in content.items()}
            whole = RecordDict({**records, **self._parts_of(missing)})
            self._contents[key] = (content, whole)  # the first keeps its id
        return self._contents[key][1]

    def _by_value(self, record: Record) -> Record:
        """Return a model without the parts, but with all else; others as they are."""
        names = [name for name in self._manifest.by_name if name not in self._parts]
        if not isinstance(record, ArrayRecord) or list(record) == names:
            return record
        own = {name: array.numpy() for name, array in record.items()}
        whole = {**self._model, **own}
        return to_record({name: whole[name] for name in names})

    def _parts_of(self, missing: Digests) -> PartRecords:
        if missing not in self._records:
            if len(self._records) >= _KEPT:
                self._records.clear()
            self._records[missing] = write_parts(self._manifest, self._parts, missing)
        return self._records[missing]

    def take(self, node: int, content: RecordDict, *, idle: bool) -> None:
        """Note what a node asks for in a reply; it holds all the rest.

        Parameters
        ----------
        idle
            Whether it says that it could do nothing without these parts.

        Raises
        ------
        ProtocolError
            If the model has no such part, or it was idle for want of what it was sent.
        """
        lacking = read_lacking(content, self._digests)
        self._held[node] = self._digests - lacking
        if idle and lacking <= self._sent.get(node, frozenset()):
            raise ProtocolError("the device lacks parts that came with the message")

    def take_evaluation(self, reply: Message) -> None:
        """Note what a node asks for that was to evaluate the model."""
        if reply.has_error():
            self.take_error(reply)
            return
        with suppress(ProtocolError):  # it asks for what is none, and gets nothing
            self.take(reply.metadata.src_node_id, reply.content, idle=False)

    def take_error(self, reply: Message) -> None:
        """Note an error: of a message found wrong nothing may have been kept."""
        if str(reply.error.reason).startswith(ProtocolError.__name__):
            self._held.pop(reply.metadata.src_node_id, None)


def _same(one: NDArray[np.generic], two: NDArray[np.generic]) -> bool:
    """Tell whether two arrays of one shape and dtype are the same to the bit."""
    return one is two or one.tobytes() == two.tobytes()
