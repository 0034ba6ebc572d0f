"""Which parts of the model go with which message. Used by ``AskStrategy``.

Parts are the arrays that no gradient moves, as long as nothing else moves them either:
frozen weights and constants, statistics of a layer that is frozen, tables. A node gets
each with its first message, and none after a reply that lacks none. What it holds is
not kept over a restart of the server, nor over a message that it found wrong: then all
parts go again.
"""

from collections.abc import Mapping

import numpy as np
from flwr.app import Message, RecordDict
from numpy.typing import NDArray

from fedask.common.arrays import Arrays
from fedask.common.errors import ProtocolError
from fedask.common.ids import PartDigest
from fedask.common.manifest import ArrayKind, Manifest
from fedask.common.part import Part
from fedask.common.part_record import PartRecords, read_lacking, write_parts

_KEPT = 64  # sets of parts whose records the messages of a round share

Digests = frozenset[PartDigest]


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
        self._parts = {
            entry.name: Part.of(initial[entry.name])
            for entry in manifest.entries
            if entry.kind is not ArrayKind.PARAMETER
        }
        self._held: dict[int, Digests] = {}  # by node
        self._sent: dict[int, Digests] = {}  # by node, with the last message
        self._records: dict[Digests, PartRecords] = {}

    @property
    def parts(self) -> Mapping[str, Part]:
        """The parts, by the names of their arrays."""
        return self._parts

    @property
    def _digests(self) -> Digests:
        return frozenset(part.digest for part in self._parts.values())

    def follow(self, arrays: Arrays) -> None:
        """Take note of the model of the next messages.

        An array that is not what it was in the beginning is no part from now on.
        """
        moved = [
            name
            for name, part in self._parts.items()
            if not _same(arrays[name], part.array)
        ]
        for name in moved:
            del self._parts[name]
        if moved:
            self._records.clear()

    def send(self, node: int) -> PartRecords:
        """Return the records for a message to a node; messages share them."""
        missing = self._digests - self._held.get(node, frozenset())
        self._sent[node] = missing
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

    def take_error(self, reply: Message) -> None:
        """Note an error: of a message found wrong nothing may have been kept."""
        if str(reply.error.reason).startswith(ProtocolError.__name__):
            self._held.pop(reply.metadata.src_node_id, None)


def _same(one: NDArray[np.generic], two: NDArray[np.generic]) -> bool:
    """Tell whether two arrays of one shape and dtype are the same to the bit."""
    return one is two or one.tobytes() == two.tobytes()
