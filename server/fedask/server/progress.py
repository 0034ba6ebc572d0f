"""Where a run stands: everything a checkpoint must keep besides the model itself.

Written by the strategy, saved and restored by ``checkpoint``.
"""

import dataclasses
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from fedask.common.cut import Cut
from fedask.common.grid_record import GRID
from fedask.common.ids import DeviceId
from fedask.common.part_record import PART_ARRAYS, PARTS
from fedask.common.records import wire_bytes
from fedask.server.ledger import Ledger

_KEPT_SIZES = 8  # contents of one round: with and without the cut


@dataclass(slots=True)
class _Wire:
    """What went over the wire, as Flower counts record bytes.

    Parameters
    ----------
    inner_messages
        Train messages that the inner strategy made.
    messages
        Train messages that were sent.
    replies
        Replies that carried a report.
    ask_bytes, report_bytes
        Our records, down and up; grids count as report.
    model_bytes
        Of the model, down and up: arrays by value, parts, and digests of parts.
    part_bytes
        Of these, parts and digests.
    """

    inner_messages: int = 0
    messages: int = 0
    replies: int = 0
    ask_bytes: int = 0
    report_bytes: int = 0
    model_bytes: int = 0
    part_bytes: int = 0
    _sizes: dict[int, tuple[RecordDict, int, int, int]] = field(default_factory=dict)

    def count_ask(self, content: RecordDict) -> None:
        """Count a message to a device; many share one content, so sizes are kept."""
        kept = self._sizes.get(id(content))
        if kept is None or kept[0] is not content:
            if len(self._sizes) > _KEPT_SIZES:
                self._sizes.clear()
            parts = _part_bytes(content)
            size = _model_bytes(content) + parts
            kept = (content, wire_bytes(content), size, parts)
            self._sizes[id(content)] = kept
        self.messages += 1
        self.ask_bytes += kept[1]
        self.model_bytes += kept[2]
        self.part_bytes += kept[3]

    def count_reply(self, report_bytes: int, update: RecordDict | None) -> None:
        """Count a reply.

        Parameters
        ----------
        update
            The content, if its update was taken.
        """
        self.replies += 1
        self.report_bytes += report_bytes
        self.model_bytes += 0 if update is None else _model_bytes(update)

    def to_state(self) -> dict[str, int]:
        """Return the counters."""
        names = [f.name for f in dataclasses.fields(self) if f.name != "_sizes"]
        return {name: getattr(self, name) for name in names}


def _model_bytes(content: RecordDict) -> int:
    """Count the bytes of a model by value, from shapes: nothing is encoded for it."""
    return sum(
        _array_bytes(record)
        for name, record in content.items()
        if isinstance(record, ArrayRecord) and name not in {GRID, PART_ARRAYS}
    )


def _part_bytes(content: RecordDict) -> int:
    """Count the bytes of what a message says of parts."""
    named = content.get(PARTS)
    size = named.count_bytes() if isinstance(named, ConfigRecord) else 0
    carried = content.get(PART_ARRAYS)
    return size + (_array_bytes(carried) if isinstance(carried, ArrayRecord) else 0)


def _array_bytes(record: ArrayRecord) -> int:
    return sum(
        prod(array.shape) * _item_bytes(array.dtype) for array in record.values()
    )


@lru_cache(maxsize=64)
def _item_bytes(dtype: str) -> int:
    return np.dtype(dtype).itemsize


@dataclass(slots=True)
class RunProgress:
    """State of an ``AskStrategy``.

    Parameters
    ----------
    cut
        What devices are asked in the current cycle, if anything.
    applied
        Node id to the last cycle whose cut it applied.
    classes
        Device to its labels per class.
    centres
        Of the groups, in the form of ``groups.to_wire``; b"" = none yet.
    accuracy
        Of the model that the last cycle ended with, in [0, 1]; None if not measured.
    run
        Names the run, the same when it is resumed: 16 hexadecimal digits.
    refused
        (round, device, reason) of everything dropped.
    """

    rounds: int = 0
    cut: Cut | None = None
    ledger: Ledger = field(default_factory=Ledger)
    applied: dict[int, int] = field(default_factory=dict)
    classes: dict[DeviceId, tuple[int, ...]] = field(default_factory=dict)
    centres: bytes = b""
    accuracy: float | None = None
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    wire: _Wire = field(default_factory=_Wire)

    @property
    def labelled(self) -> int:
        """Labels the fleet holds, by the last report of each device."""
        return sum(sum(counts) for counts in self.classes.values())

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Labels the fleet holds, per class: (c,); empty before the first report."""
        return tuple(sum(column) for column in zip(*self.classes.values(), strict=True))

    def to_state(self) -> dict[str, Any]:
        """Return plain data.

        A node id may be another device's after a restart; its first report mends that.
        """
        return {
            "rounds": self.rounds,
            "cut": None if self.cut is None else dataclasses.asdict(self.cut),
            "ledger": self.ledger.to_state(),
            "classes": {d: list(c) for d, c in self.classes.items()},
            "applied": [list(entry) for entry in self.applied.items()],
            "centres": self.centres.hex(),
            "accuracy": self.accuracy,
            "run": self.run,
            "refused": [list(entry) for entry in self.refused],
            "wire": self.wire.to_state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "RunProgress":
        """Rebuild from ``to_state``."""
        cut = state["cut"]
        return cls(
            rounds=int(state["rounds"]),
            cut=None if cut is None else Cut(**{**cut, "theta": tuple(cut["theta"])}),
            ledger=Ledger.from_state(state["ledger"]),
            classes={DeviceId(d): tuple(c) for d, c in state["classes"].items()},
            applied={int(node): int(cycle) for node, cycle in state["applied"]},
            centres=bytes.fromhex(state["centres"]),
            accuracy=state.get("accuracy"),  # older checkpoints have none
            run=state.get("run", ""),  # nor a name
            refused=[(int(n), str(d), str(r)) for n, d, r in state["refused"]],
            wire=_Wire(**state["wire"]),
        )
