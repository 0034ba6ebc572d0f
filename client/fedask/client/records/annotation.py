"""What people say about a sample, and the rule that settles it.

Used by ``sample_record`` and the desk; needs neither a store nor a clock. An *opinion*
is an annotation that still stands and was asked for its own sake: not taken back, not a
control.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fedask.client.records.label_queue import ItemState, QueryOrigin
from fedask.common.errors import ConfigError
from fedask.common.ids import Annotator, Uid

MAX_OPINIONS = 99  # of a majority: nobody pays for more


class Kind(StrEnum):
    """How an annotation came to be."""

    LABEL = "label"  # a class, for a sample that was on the screen
    SKIP = "skip"  # not usable: ends the question
    UNSURE = "unsure"  # an opinion without a class
    SHARED = "shared"  # a class, given to a near-duplicate along with another sample
    GIVEN = "given"  # a class that came without a lease: a file, the site itself


@dataclass(frozen=True, slots=True)
class Label:
    """The answer of a person that a sample is of a class: its index, from 0."""

    index: int


SKIP, UNSURE = Kind.SKIP, Kind.UNSURE
Choice = Label | Kind  # a person says a label, SKIP or UNSURE; other kinds are refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One answer of one annotator about one sample. It is kept for ever.

    Parameters
    ----------
    number
        Its place in the store, from 1; 0 until it is stored.
    label
        Class index; None for SKIP and UNSURE.
    at
        When; None where an oracle answered, which has no clock.
    key
        The client's idempotency key; "" where an oracle answered.
    token
        Of the lease it was given under; "" without one.
    undone
        When it was taken back or replaced; None while it stands.
    control
        Whether the label was known already. It never changes the item.
    place
        Number of the annotation whose place it took, if it is a correction; else its
        own.
    """

    number: int = 0
    uid: Uid
    annotator: Annotator
    kind: Kind
    label: int | None
    at: datetime | None
    key: str = ""
    token: str = ""
    undone: datetime | None = None
    control: bool = False
    place: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A sample that is given to an annotator for some time.

    Parameters
    ----------
    token
        To be given back with the annotation; nobody else has it.
    until
        When others may get the sample.
    cycle, origin
        When and why it was asked.
    """

    uid: Uid
    token: str
    until: datetime
    cycle: int
    origin: QueryOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Confirms that an annotation is kept; a repeated request gets the same receipt.

    Parameters
    ----------
    shared
        Near-duplicates that got the same label.
    """

    number: int
    uid: Uid
    kind: Kind
    label: int | None
    at: datetime
    shared: tuple[Uid, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabellingProgress:
    """Counts of what was labelled, by whom, and how well.

    Parameters
    ----------
    annotators
        Annotations that stand, per annotator.
    today
        Of those of people, how many were given since midnight UTC.
    controls
        Annotator to (right, given a class) of the controls; for the site alone.
    """

    states: Mapping[ItemState, int]
    classes: Mapping[int, int]
    annotators: Mapping[Annotator, int]
    today: int
    controls: Mapping[Annotator, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class AgreementRule:
    """The rule that says how many annotators must agree on a label.

    Parameters
    ----------
    quorum
        Labels of one class that settle a sample.
    most
        Labels after which a sample without a quorum is given up.
    unsure
        Opinions without a class after which it is given up.
    """

    quorum: int
    most: int
    unsure: int

    @classmethod
    def parse(cls, text: str, unsure: int) -> "AgreementRule":
        """Read ``one``, ``two`` or ``majority:N`` with an odd N.

        ``two`` is two that agree, a third person where they do not: ``majority:3``.

        Raises
        ------
        ConfigError
            If it is none of these.
        """
        name, _, number = text.partition(":")
        sizes = {"one": 1, "two": 3}
        if name == "majority" and number.isdecimal():
            size = int(number)
        elif text in sizes:
            size = sizes[text]
        else:
            size = 0
        if not 1 <= size <= MAX_OPINIONS or size % 2 == 0:
            raise ConfigError(
                f"rule {text!r} must be one, two or majority:N, N odd, at most "
                + str(MAX_OPINIONS)
            )
        if unsure < 1:
            raise ConfigError(f"unsure = {unsure}: must be at least 1")
        return cls(size // 2 + 1, size, unsure)

    def settle(
        self, opinions: Sequence[Annotation]
    ) -> tuple[ItemState | None, int | None]:
        """Decide from the opinions whether a sample is labelled or skipped.

        >>> def said(number: int, annotator: str, label: int) -> Annotation:
        ...     return Annotation(
        ...         number=number,
        ...         uid=Uid("7f" * 16),
        ...         annotator=Annotator(annotator),
        ...         kind=Kind.LABEL,
        ...         label=label,
        ...         at=None,
        ...     )
        >>> rule = AgreementRule.parse("two", unsure=2)
        >>> rule.settle([said(1, "ann", 3)])
        (None, None)
        >>> rule.settle([said(1, "ann", 3), said(2, "bob", 1), said(3, "cyd", 3)])
        (<ItemState.LABELLED: 'labelled'>, 3)
        >>> rule.settle([said(1, "ann", 3), said(2, "bob", 1), said(3, "cyd", 0)])
        (<ItemState.SKIPPED: 'skipped'>, None)

        Parameters
        ----------
        opinions
            At most one per annotator. They count in the order of their places, and
            what they settle first stays: a late one changes nothing.

        Returns
        -------
        tuple
            LABELLED and the class; SKIPPED and None; or None twice: not settled.
        """
        votes: Counter[int] = Counter()
        unsure = 0
        for annotation in sorted(
            opinions, key=lambda v: v.place or v.number or math.inf
        ):
            unsure += annotation.kind is Kind.UNSURE
            if annotation.kind is Kind.SKIP or unsure == self.unsure:
                return ItemState.SKIPPED, None
            if annotation.label is None:
                continue
            votes[annotation.label] += 1
            best = max(votes.values())
            if annotation.kind is Kind.GIVEN or votes[annotation.label] == self.quorum:
                return ItemState.LABELLED, annotation.label
            if best + self.most - votes.total() < self.quorum:
                return ItemState.SKIPPED, None  # no class can get there any more
        return None, None
