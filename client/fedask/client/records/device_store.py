"""All that a device keeps between messages: the seams of its store.

Called by the device; kept by ``store.SqliteStore``, or by ``testing.MemoryStore``. The
queue is described beside its states, in ``records.label_queue``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fedask.client.records.erasure import ErasureStore
from fedask.client.records.label_queue import LabelStore, QueryOrigin
from fedask.client.records.local_model import LocalModelStore
from fedask.client.records.milestone import MilestoneStore
from fedask.client.records.pseudo_label import PseudoLabelStore
from fedask.client.records.query_outcome import QueryOutcomeStore
from fedask.common.arrays import Arrays
from fedask.common.cut import Cut
from fedask.common.errors import StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a new model makes of samples that wait for a person.

    Parameters
    ----------
    scores
        Uid to score in [0, 1], the higher the sooner.
    near
        Pairs of near-duplicates among what waits and what may be asked next.
    """

    scores: Mapping[Uid, float]
    near: Sequence[tuple[Uid, Uid]] = ()


class ScoreStore(Protocol):
    """Keeps the last scoring, the models it takes, and which cut was applied last."""

    def put_scores(
        self, version: str, scored: Scored, waiting: Waiting | None = None
    ) -> None:
        """Replace the kept scores, and with them the order of what waits.

        Parameters
        ----------
        version
            Of the model.
        scored
            What may be asked next. What is queued from it keeps its score.
        waiting
            What the same model makes of the queue; None leaves it alone.
        """
        ...

    def scores(self) -> tuple[str, Scored] | None:
        """Return the version and the scores, or None before the first scoring."""
        ...

    def last_cycle(self) -> int:
        """Return the last cycle whose cut was applied; 0 = none."""
        ...

    def put_model(self, kind: str, arrays: Arrays, keep: int) -> None:
        """Keep a model as the newest of its kind; of older ones ``keep - 1`` stay.

        The arrays must not change afterwards.
        """
        ...

    def models(self, kind: str) -> list[Arrays]:
        """Return the models kept of a kind, oldest first."""
        ...


class ArrivalStore(Protocol):
    """Keeps what a stream of new samples needs between batches."""

    def put_cut(self, cut: Cut) -> None:
        """Keep the last cut, in place of the one before."""
        ...

    def cut(self) -> "Cut | None":
        """Return the last cut, or None before the first."""
        ...

    def add_arrivals(
        self,
        cycle: int,
        asked: Mapping[Uid, QueryOrigin],
        pace: bytes,
        before: bytes,
        taken: Collection[Uid] = (),
    ) -> frozenset[Uid]:
        """Queue samples that have just arrived, and keep the pace; both, or neither.

        Unlike ``add``, any number of times in a cycle: a sample that is in the queue
        already, in whatever state, is left alone. Returns those that are new.

        Parameters
        ----------
        cycle
            In which they are asked.
        asked
            Uid to origin.
        pace
            What the stream goes on from.
        before
            What this batch went on from.
        taken
            All samples that were decided about, for ``taken``.

        Raises
        ------
        StoreError
            If the pace that is kept is not ``before``: someone else took a batch in the
            meantime. Nothing is changed then.
        """
        ...

    def pace(self) -> bytes:
        """Return the pace that was kept last, or b"" before the first."""
        ...

    def taken(self, uids: Sequence[Uid]) -> frozenset[Uid]:
        """Return which of these samples were decided about on arrival."""
        ...


def check_pace(kept: bytes, before: bytes) -> None:
    """Refuse a batch that was decided on another pace than the one kept.

    Raises
    ------
    StoreError
        Saying what to do.
    """
    if kept != before:
        msg = "another process took in samples at the same time: give this batch again"
        raise StoreError(msg)


class DeviceStore(
    ScoreStore,
    LabelStore,
    ArrivalStore,
    QueryOutcomeStore,
    PseudoLabelStore,
    LocalModelStore,
    ErasureStore,
    MilestoneStore,
    Protocol,
):
    """All that a device keeps between messages."""

    def close(self) -> None:
        """Release the file, if there is one."""
        ...
