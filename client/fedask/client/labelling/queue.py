"""The label queue: its states, its legal moves, and the seam that keeps it.

Called by the device; kept by ``store.SqliteStore``, or by ``testing.MemoryStore``.
The transition table here says what the device may do; stores ask it before they write.
What people do goes through the desk, where the state follows from their verdicts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from fedask.client.asking.precedents import PrecedentStore
from fedask.client.storage.erasure import ErasureStore, Training
from fedask.client.training.own import OwnStore
from fedask.client.training.sure import SureStore
from fedask.common.errors import StoreError
from fedask.common.grid import Scored
from fedask.common.ids import Annotator, Uid

if TYPE_CHECKING:  # they import Flower, which an app that only labels does not need
    from fedask.common.records import Cut
    from fedask.common.weights import Arrays


class State(StrEnum):
    """Where a sample stands in the queue."""

    QUEUED = "queued"  # waits for a person
    LEASED = "leased"  # at least one person has it on the screen
    LABELLED = "labelled"  # answered, no model has seen it yet
    TRAINED = "trained"  # answered, and part of at least one update
    SKIPPED = "skipped"  # a person declined; never asked again
    EXPIRED = "expired"  # nobody answered in time; may be asked again


class Origin(StrEnum):
    """Who found that a sample is worth asking."""

    CUT = "cut"  # the server's cut
    SCORE = "score"  # the device, for its score, when the sample arrived
    CHANCE = "chance"  # a draw on arrival: an unbiased sample of all that arrives
    CONTROL = (
        "control"  # the device, to see whether its model is right where it is sure
    )


ORACLE = Annotator("oracle")  # who answered, where an oracle has no name of its own

MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset(
        {State.LEASED, State.LABELLED, State.SKIPPED, State.EXPIRED}
    ),
    State.LEASED: frozenset(
        {State.QUEUED, State.LABELLED, State.SKIPPED, State.EXPIRED}
    ),
    State.LABELLED: frozenset({State.TRAINED}),
    State.TRAINED: frozenset(),
    State.SKIPPED: frozenset(),
    State.EXPIRED: frozenset({State.QUEUED}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One sample in the queue.

    Parameters
    ----------
    cycle
        In which it was last asked.
    label
        Class index, or None until answered.
    asked, expired
        How often it was queued, and how often it ran out of time.
    leased_until
        End of the last lease; None unless leased.
    origin
        Why it was last asked.
    outcome
        LABELLED or SKIPPED: what became of it first; None until then. That is what was
        paid for, whatever is taken back or corrected later: the totals of a device's
        report never shrink.
    """

    uid: Uid
    state: State
    cycle: int
    label: int | None = None
    asked: int = 1
    expired: int = 0
    leased_until: datetime | None = None
    origin: Origin = Origin.CUT
    outcome: State | None = None


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


def check_move(item: Item, to: State) -> None:
    """Refuse a move that the table does not list.

    Raises
    ------
    StoreError
        Naming the sample and both states.
    """
    if to not in MOVES[item.state]:
        msg = f"sample {item.uid} is {item.state}, it cannot become {to}"
        raise StoreError(msg)


def check_plain_move(item: Item, to: State) -> None:
    """Refuse what ``check_move`` refuses, and a move that takes more than a state.

    A lease has an end, a label a class, and a question asked again its cycle.

    Raises
    ------
    StoreError
        Naming the sample, the state, and the method that makes it.
    """
    check_move(item, to)
    method = {State.LEASED: "lease", State.LABELLED: "answer"}.get(to)
    if item.state is State.EXPIRED:
        method = "add"
    if method is not None:
        msg = f"sample {item.uid} becomes {to} by {method}, not by a plain move"
        raise StoreError(msg)


def totals(items: Iterable[Item]) -> tuple[int, int, int, int]:
    """Count what the queue has cost: (asked, answered, skipped, expired).

    None of the four ever shrinks, whatever people take back, and the last three never
    add up to more than the first: the ledger of the server relies on both.
    """
    rows = [(i.asked, i.outcome, i.expired) for i in items]
    return (
        sum(asked for asked, _, _ in rows),
        sum(outcome is State.LABELLED for _, outcome, _ in rows),
        sum(outcome is State.SKIPPED for _, outcome, _ in rows),
        sum(expired for _, _, expired in rows),
    )


class LabelStore(Protocol):
    """Keeps the queue. Every call is one transaction: all of it happens, or nothing."""

    def add(self, cycle: int, uids: Sequence[Uid]) -> bool:
        """Queue the samples of one cycle's cut, once.

        A second call for the same cycle, or for an earlier one, changes nothing and
        returns False: a message may be delivered twice. Samples that are in the queue
        already are left alone, expired ones are queued again.
        """
        ...

    def answer(
        self, answers: Mapping[Uid, int], annotator: Annotator = ORACLE
    ) -> frozenset[Uid]:
        """Keep an oracle's answers: uid to class index; all of them, or none.

        Each is kept as a verdict of ``annotator`` and settles its sample, whatever
        rule of agreement people have: the owner of the device chose the oracle.
        Returns the samples that were not answered before. Of the others the first
        answer is kept, so the same answer again changes nothing.

        Raises
        ------
        StoreError
            If a sample is not in the queue, or was skipped or expired.
        """
        ...

    def move(self, uids: Iterable[Uid], to: State, *, meanwhile: bool = False) -> None:
        """Move samples to another state; to the same state is no move.

        SKIPPED is kept as a verdict of ``ORACLE``; leases of what moves end.

        Parameters
        ----------
        meanwhile
            Leave alone, instead of refusing, what may not move: people have answered
            since the caller looked.

        Raises
        ------
        StoreError
            If a sample is unknown, the move is not legal, or it is one that ``add``,
            ``lease`` or ``answer`` makes; nothing is moved then.
        """
        ...

    def trained(
        self, labels: Mapping[Uid, int], training: Training | None = None
    ) -> None:
        """Move samples to TRAINED that are LABELLED and still have this label.

        Others are left alone: people have corrected them since, so that what a model
        was trained on is not what they say now.

        Parameters
        ----------
        training
            All that the lesson used, to be recorded: when a sample is erased, that
            says which models learnt from it.
        """
        ...

    def items(self) -> list[Item]:
        """Return every sample ever queued, by uid."""
        ...


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

    def put_model(self, kind: str, arrays: "Arrays", keep: int) -> None:
        """Keep a model as the newest of its kind; of older ones ``keep - 1`` stay.

        The arrays must not change afterwards.
        """
        ...

    def models(self, kind: str) -> list["Arrays"]:
        """Return the models kept of a kind, oldest first."""
        ...


class ArrivalStore(Protocol):
    """Keeps what a stream of new samples needs between batches."""

    def put_cut(self, cut: "Cut") -> None:
        """Keep the last cut, in place of the one before."""
        ...

    def cut(self) -> "Cut | None":
        """Return the last cut, or None before the first."""
        ...

    def add_arrivals(
        self,
        cycle: int,
        asked: Mapping[Uid, Origin],
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
    LabelStore,
    ScoreStore,
    ArrivalStore,
    PrecedentStore,
    SureStore,
    OwnStore,
    ErasureStore,
    Protocol,
):
    """All that a device keeps between messages."""

    def close(self) -> None:
        """Release the file, if there is one."""
        ...
