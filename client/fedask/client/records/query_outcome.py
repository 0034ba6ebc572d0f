"""Query records: the scores that questions had, and the outcomes of their answers.

Kept by the device's store, written by ``OutcomeRecorder``, read by scorers that learn
(``Known.history``). A query record is written when its question is queued, and
completed once, when its answer is there and no model has been trained on it: nothing is
counted up, so that a message that comes twice, or a process that dies in between,
neither loses nor repeats what was learnt. An expert is a scorer that ``ask.experts``
names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedask.common.ids import Uid

Floats = NDArray[np.float32]
MAX_QUERY_RECORDS = 512  # kept by a device, newest first: about 100 bytes each


def _no_rows() -> Floats:
    return np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryOutcome:
    """How right the global model was about an answer it had not been trained on.

    Parameters
    ----------
    cycle
        In which it was found.
    truth
        What the model gave the class that was answered, in [0, 1].
    hit
        Whether that was its prediction.
    """

    cycle: int
    truth: float
    hit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRecord:
    """The scores of one question, and its outcome.

    Parameters
    ----------
    cycle
        In which it was asked.
    experts
        ``ask.experts`` then, in their order.
    descriptors
        The score that each expert gave the sample, float32 in [0, 1].
    levels
        The mean score that each expert gave the pool, float32 in [0, 1].
    outcome
        None until it is answered.
    """

    uid: Uid
    cycle: int
    experts: str
    descriptors: tuple[float, ...]
    levels: tuple[float, ...]
    outcome: QueryOutcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeHistory:
    """The outcomes of questions that the present experts had scored.

    Row i of every array is one answered question; rows in the order of cycle and uid.
    Letters: l questions, q experts.

    Parameters
    ----------
    cycles
        (l,) int64 cycle in which the answer was taken in.
    descriptors
        (l, q) as ``View.descriptors``, when the question was queued.
    levels
        (l, q) mean score that each expert gave the pool at the same moment.
    truths
        (l,) in [0, 1]: what the global model gave the class that was then answered,
        before any model was trained on the answer.
    hits
        (l,) bool: whether that class was the prediction.
    planned
        Cycles of the run, at least 1.
    """

    cycles: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    descriptors: Floats = field(default_factory=_no_rows)
    levels: Floats = field(default_factory=_no_rows)
    truths: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    hits: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    planned: int = 1

    def __len__(self) -> int:
        return len(self.cycles)


class QueryOutcomeStore(Protocol):
    """Keeps the newest ``MAX_QUERY_RECORDS`` query records."""

    def put_asked(self, query_records: Iterable[QueryRecord]) -> None:
        """Keep query records without an outcome.

        One that has an outcome is left alone; one that has none is replaced, for its
        question was asked again. Beyond the limit those of the oldest cycle go, of one
        cycle the last by uid.
        """

    def put_outcomes(self, outcomes: Mapping[Uid, QueryOutcome]) -> None:
        """Complete query records; the first outcome stays, unknown uids are ignored."""

    def all(self) -> list[QueryRecord]:
        """Return the query records, by uid."""


def kept(query_records: Iterable[QueryRecord]) -> list[QueryRecord]:
    """Return the newest query records, as many as are kept."""
    return sorted(query_records, key=lambda p: (-p.cycle, p.uid))[:MAX_QUERY_RECORDS]


def history_of(
    query_records: Sequence[QueryRecord], experts: str, width: int, planned: int
) -> OutcomeHistory:
    """Lay out the query records that have an outcome, and are of the same experts.

    Parameters
    ----------
    experts, width
        The present ones, and their number.
    """
    known = [
        (p.outcome.cycle, p.uid, p, p.outcome)
        for p in query_records
        if p.outcome is not None and p.experts == experts
    ]
    known.sort(key=lambda row: row[:2])
    shape = (len(known), width)
    return OutcomeHistory(
        cycles=np.array([cycle for cycle, *_ in known], dtype=np.int64),
        descriptors=np.array([p.descriptors for *_, p, _ in known], "f4").reshape(
            shape
        ),
        levels=np.array([p.levels for *_, p, _ in known], "f4").reshape(shape),
        truths=np.array([f.truth for *_, f in known], dtype=np.float32),
        hits=np.array([f.hit for *_, f in known], dtype=np.bool_),
        planned=planned,
    )
