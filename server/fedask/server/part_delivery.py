"""Which parts of the model go with which message. Used by ``AskStrategy``.

A node gets every part with its first message, and none after a reply that lacks none.
What it holds is not kept over a restart of the server, nor over a message that it
found wrong: then all parts go again.
"""

from collections.abc import Mapping

from flwr.app import Message, RecordDict

from fedask.common.errors import ProtocolError
from fedask.common.ids import PartDigest
from fedask.common.manifest import Manifest
from fedask.common.part import ModelPart
from fedask.common.part_record import PartRecords, read_lacking, write_parts

_KEPT = 64  # sets of parts whose records the messages of a round share

Digests = frozenset[PartDigest]


class PartDelivery:
    """Tells which parts each node has still to get.

    Parameters
    ----------
    manifest
        Of the model.
    parts
        Name of an array to its part.
    """

    def __init__(self, manifest: Manifest, parts: Mapping[str, ModelPart]) -> None:
        self._manifest = manifest
        self._parts = dict(parts)
        self._digests = frozenset(part.digest for part in parts.values())
        self._held: dict[int, Digests] = {}  # by node
        self._sent: dict[int, Digests] = {}  # by node, with the last message
        self._records: dict[Digests, PartRecords] = {}

    def missing(self, node: int) -> Digests:
        """Return what the next message to a node is to carry."""
        return self._digests - self._held.get(node, frozenset())

    def send(self, node: int) -> PartRecords:
        """Return the records for a message to a node; messages share them."""
        missing = self._sent[node] = self.missing(node)
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
