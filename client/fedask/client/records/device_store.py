"""What a device keeps between messages: the parts of its store.

Used by the device, the desk and the commands; kept by ``sqlite.store`` and
``memory.store``. Each part is a seam of its own, described in the module of its record.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fedask.client.records.audit_event import Event, Fact
from fedask.client.records.erasure import ErasureStore
from fedask.client.records.label_queue import LabelQueue, QueryOrigin
from fedask.client.records.local_model import LocalModelStore
from fedask.client.records.milestone import MilestoneStore
from fedask.client.records.part_store import PartStore
from fedask.client.records.payload import PayloadStore
from fedask.client.records.pseudo_label import PseudoLabelStore
from fedask.client.records.query_outcome import QueryOutcomeStore
from fedask.client.records.rights import RightsStore
from fedask.client.records.sample_record import AnnotationStore
from fedask.common.arrays import Arrays
from fedask.common.cut import Cut
from fedask.common.errors import ConfigError, StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Uid

# Kinds of models that a store keeps.
GLOBAL = "global"  # of the fleet, as the device last scored with it; oldest first
LAST_UPDATE = "last update"  # of this device, for scorers that look through it
LOCAL_MODEL = "local model"  # trained for this device alone; never sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The view that a new model has of the samples that wait for a person.

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
    """Keeps the scores of the last scoring."""

    def put(self, version: str, scored: Scored, waiting: Waiting | None = None) -> None:
        """Replace the kept scores, and with them the order of what waits.

        Parameters
        ----------
        scored
            What may be asked next. What is queued from it keeps its score.
        waiting
            What the same model makes of the queue; None leaves it alone.
        """

    def last(self) -> tuple[str, Scored] | None:
        """Return the version and the scores, or None before the first scoring."""


class ModelStore(Protocol):
    """Keeps models by kind: ``GLOBAL``, ``LAST_UPDATE`` or ``LOCAL_MODEL``."""

    def put(self, kind: str, arrays: Arrays, keep: int) -> None:
        """Keep a model as the newest of its kind; of older ones ``keep - 1`` stay.

        The arrays must not change afterwards.
        """

    def all(self, kind: str) -> list[Arrays]:
        """Return the models of a kind, oldest first."""


class CutStore(Protocol):
    """Keeps the server's last cut, and the cycle whose cut was applied last."""

    def put(self, cut: Cut) -> None:
        """Replace the kept cut."""

    def last(self) -> Cut | None:
        """Return the last cut, or None before the first."""

    def last_cycle(self) -> int:
        """Return the last cycle that was queued; 0 = none."""


class ArrivalStore(Protocol):
    """Keeps what a stream of new samples needs between batches."""

    def add(
        self,
        cycle: int,
        asked: Mapping[Uid, QueryOrigin],
        pace: bytes,
        before: bytes,
        decided: Collection[Uid] = (),
    ) -> frozenset[Uid]:
        """Queue samples that have just arrived, and keep the pace; both, or neither.

        Unlike ``LabelQueue.add``, any number of times in a cycle: a sample that is in
        the queue already, in whatever state, is left alone. Returns those that are new.

        Parameters
        ----------
        asked
            Uid to origin.
        pace
            The state that the stream continues from.
        before
            The state that this batch continued from.
        decided
            All samples of the batch, asked or not; see ``decided``.

        Raises
        ------
        StoreError
            If the pace that is kept is not ``before``: another process took a batch in
            the meantime. Nothing is changed then.
        """

    def pace(self) -> bytes:
        """Return the pace that was kept last, or b"" before the first."""

    def decided(self, uids: Sequence[Uid]) -> frozenset[Uid]:
        """Return which of these samples were decided about on arrival."""


def check_pace(kept: bytes, before: bytes) -> None:
    """Refuse a batch that was decided on another pace than the one kept.

    Raises
    ------
    StoreError
        Saying what to do.
    """
    if kept != before:
        raise StoreError(
            "another process took in samples at the same time: give this batch again"
        )


class ClassStore(Protocol):
    """Keeps the names of the classes that labels are indices of.

    A label is the index of its class, so the names must stay in their places for as
    long as there are labels: an app that lists them in another order would change what
    people said.
    """

    def keep(self, names: Sequence[str]) -> None:
        """Keep the names of a task's classes, or check them against those kept.

        New ones may follow at the end, and without labels there may be any.

        Raises
        ------
        ConfigError
            If there are labels of other classes.
        """


def check_classes(kept: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse names of classes that do not continue those of the labels in the store.

    Raises
    ------
    ConfigError
        Saying what to do.
    """
    if list(wanted[: len(kept)]) != list(kept):
        raise ConfigError(
            f"the labels in the store are of the classes {', '.join(kept)}; the app "
            f"has {', '.join(wanted)}: leave the names of a fleet's classes as they "
            "are and in their places, with new ones at the end; another task needs "
            "another store"
        )


class DeviceStore(Protocol):
    """Everything that a device keeps between messages.

    Every call of a method of a part is one transaction. The parts share one file, and
    an erasure reaches all of them.
    """

    queue: LabelQueue
    annotations: AnnotationStore
    scores: ScoreStore
    models: ModelStore
    cuts: CutStore
    arrivals: ArrivalStore
    query_outcomes: QueryOutcomeStore
    pseudo_labels: PseudoLabelStore
    local_model: LocalModelStore
    milestones: MilestoneStore
    payloads: PayloadStore
    classes: ClassStore
    parts: PartStore  # in files of their own, not of a transaction
    rights: RightsStore
    erasure: ErasureStore

    def record(
        self,
        event: Event,
        uids: Sequence[Uid] = (),
        *,
        at: datetime | None,
        **facts: Fact,
    ) -> None:
        """Record in the audit log an event that changes nothing in the store."""

    def close(self) -> None:
        """Release the file, if there is one."""
