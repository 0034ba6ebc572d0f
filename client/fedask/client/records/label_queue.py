"""The label queue: the states of a sample, its legal moves, and the seam.

Called by the device; kept by ``sqlite.label_queue`` and ``memory.label_queue``. The
transition table here says what the device may do; stores ask it before they write. What
people do goes through the desk, where the state follows from their annotations.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from fedask.client.records.erasure import Training
from fedask.common.errors import StoreError
from fedask.common.ids import Annotator, Uid


class ItemState(StrEnum):
    """The state of a sample in the queue."""

    QUEUED = "queued"  # waits for a person
    LEASED = "leased"  # at least one person has it on the screen
    LABELLED = "labelled"  # answered, no model has seen it yet
    TRAINED = "trained"  # answered, and part of at least one update
    SKIPPED = "skipped"  # a person declined; never asked again
    EXPIRED = "expired"  # nobody answered in time; may be asked again


WAITING = frozenset({ItemState.QUEUED, ItemState.LEASED})  # for a person
ANSWERED = frozenset({ItemState.LABELLED, ItemState.TRAINED})  # with a class
CLOSED = ANSWERED | {ItemState.SKIPPED}  # by people


class QueryOrigin(StrEnum):
    """The reason why a sample was asked."""

    CUT = "cut"  # the server's cut
    SCORE = "score"  # the device, for its score, when the sample arrived
    CHANCE = "chance"  # a draw on arrival: an unbiased sample of all that arrives
    CONTROL = (
        "control"  # the device, to see whether its model is right where it is sure
    )


ORACLE = Annotator("oracle")  # who answered, where an oracle has no name of its own

MOVES: dict[ItemState, frozenset[ItemState]] = {
    ItemState.QUEUED: frozenset(
        {ItemState.LEASED, ItemState.LABELLED, ItemState.SKIPPED, ItemState.EXPIRED}
    ),
    ItemState.LEASED: frozenset(
        {ItemState.QUEUED, ItemState.LABELLED, ItemState.SKIPPED, ItemState.EXPIRED}
    ),
    ItemState.LABELLED: frozenset({ItemState.TRAINED}),
    ItemState.TRAINED: frozenset(),
    ItemState.SKIPPED: frozenset(),
    ItemState.EXPIRED: frozenset({ItemState.QUEUED}),
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
    state: ItemState
    cycle: int
    label: int | None = None
    asked: int = 1
    expired: int = 0
    leased_until: datetime | None = None
    origin: QueryOrigin = QueryOrigin.CUT
    outcome: ItemState | None = None


def check_move(item: Item, to: ItemState) -> None:
    """Refuse a move that the table does not list.

    Raises
    ------
    StoreError
        Naming the sample and both states.
    """
    if to not in MOVES[item.state]:
        raise StoreError(f"sample {item.uid} is {item.state}, it cannot become {to}")


def check_plain_move(item: Item, to: ItemState) -> None:
    """Refuse what ``check_move`` refuses, and a move that takes more than a state.

    A lease has an end, a label a class, and a question asked again its cycle.

    Raises
    ------
    StoreError
        Naming the sample, the state, and the method that makes it.
    """
    check_move(item, to)
    method = {ItemState.LEASED: "lease", ItemState.LABELLED: "answer"}.get(to)
    if item.state is ItemState.EXPIRED:
        method = "add"
    if method is not None:
        raise StoreError(
            f"sample {item.uid} becomes {to} by {method}, not by a plain move"
        )


def totals(items: Iterable[Item]) -> tuple[int, int, int, int]:
    """Count what the queue has cost: (asked, answered, skipped, expired).

    None of the four ever shrinks, whatever people take back, and the last three never
    add up to more than the first: the ledger of the server relies on both.
    """
    rows = [(i.asked, i.outcome, i.expired) for i in items]
    return (
        sum(asked for asked, _, _ in rows),
        sum(outcome is ItemState.LABELLED for _, outcome, _ in rows),
        sum(outcome is ItemState.SKIPPED for _, outcome, _ in rows),
        sum(expired for _, _, expired in rows),
    )


class LabelQueue(Protocol):
    """Keeps the queue. Every call is one transaction: all of it happens, or nothing."""

    def add(self, cycle: int, uids: Sequence[Uid]) -> bool:
        """Queue the samples of one cycle's cut, once.

        A second call for the same cycle, or for an earlier one, changes nothing and
        returns False: a message may be delivered twice. Samples that are in the queue
        already are left alone, expired ones are queued again.
        """

    def answer(
        self, answers: Mapping[Uid, int], annotator: Annotator = ORACLE
    ) -> frozenset[Uid]:
        """Keep an oracle's answers: uid to class index; all of them, or none.

        Each is kept as an annotation of ``annotator`` and settles its sample, whatever
        rule of agreement people have: the owner of the device chose the oracle.
        Returns the samples that were not answered before. Of the others the first
        answer is kept, so the same answer again changes nothing.

        Raises
        ------
        StoreError
            If a sample is not in the queue, or was skipped or expired.
        """

    def move(
        self, uids: Iterable[Uid], to: ItemState, *, meanwhile: bool = False
    ) -> None:
        """Move samples to another state; those that are in it already stay.

        SKIPPED is kept as an annotation of ``ORACLE``; leases of what moves end.

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

    def trained(
        self, labels: Mapping[Uid, int], training: Training | None = None
    ) -> None:
        """Move samples to TRAINED that are LABELLED and still have this label.

        Others are left alone: people have corrected them since, so that what a model
        was trained on is not what they say now.

        Parameters
        ----------
        training
            Everything that the training used, to be recorded: when a sample is erased,
            that says which models learnt from it.
        """

    def items(self) -> list[Item]:
        """Return every sample ever queued, by uid."""
