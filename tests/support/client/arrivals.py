"""Samples that arrive at a device whose scores a test sets: the uid says them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.support.client.world import SAMPLES, SCENARIO, TASK, model
from typing_extensions import override

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.learning.scorers.scorer import (
    Floats,
    PredictionView,
    Scorer,
    ScoringContext,
)
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.stream.sample_stream import SampleStream
from fedask.client.learning.training.learner import Learner
from fedask.client.records.arrival_pace import Pace
from fedask.client.records.device_store import GLOBAL, DeviceStore
from fedask.client.records.label_queue import QueryOrigin
from fedask.client.records.pool import Pool
from fedask.common.cut import Cut
from fedask.common.grid import Scored
from fedask.common.ids import Uid, hash_uids, stable_seed

VERSION = "0123456789abcdef"
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BINS = 16
_STEPS = 2**32 - 1


class Told(Scorer):
    """Reads the score off the uid."""

    needs = frozenset[str]()

    @override
    def __call__(self, view: PredictionView, known: ScoringContext) -> Floats:
        return _told(view.uids)


def _told(uids: NDArray[np.str_]) -> Floats:
    words = [int(uid[24:], 16) for uid in uids.tolist()]
    return (np.array(words) / _STEPS).astype(np.float32)


@dataclass(frozen=True)
class Arrivals:
    """Uids (n,), raw samples (n, 4), scores (n,) and predicted classes (n,)."""

    uids: NDArray[np.str_]
    raw: NDArray[Any]
    scores: NDArray[np.float64]
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.uids)

    def __getitem__(self, rows: slice | list[int]) -> "Arrivals":
        return Arrivals(
            self.uids[rows], self.raw[rows], self.scores[rows], self.groups[rows]
        )

    @property
    def told(self) -> Floats:
        """Scores as a scorer gives them."""
        return _told(self.uids)

    def ranked(self) -> Scored:
        """Return them as a scoring of the pool would."""
        return Scored.ranked(self.uids, self.told, self.groups)

    def rows(self, uids: Sequence[Uid]) -> list[int]:
        known = self.uids.tolist()
        return [known.index(uid) for uid in uids]


def arrivals(
    scores: Sequence[float] | NDArray[np.float64],
    groups: Sequence[int] | NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Arrivals:
    """Make samples of given scores and classes; the rest of their uids is random."""
    rng = np.random.default_rng([seed, 77])
    told = np.asarray(scores, dtype=np.float64)
    classes = np.zeros(len(told), dtype=np.int64) if groups is None else groups
    heads = [rng.bytes(12).hex() for _ in told]
    ends = [f"{round(score * _STEPS):08x}" for score in told.tolist()]
    uids = [head + end for head, end in zip(heads, ends, strict=True)]
    raw = np.eye(4, dtype=np.float32)[np.asarray(classes)] * 5
    return Arrivals(np.array(uids, dtype=np.str_), raw, told, np.asarray(classes))


def some(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Make scores."""
    return np.random.default_rng([5, seed]).random(count)


def honest_model() -> dict[str, NDArray[Any]]:
    """Make a model that predicts the class of the largest input."""
    arrays = {name: np.zeros_like(array) for name, array in model().items()}
    (weight,) = [name for name, array in arrays.items() if array.ndim == 2]
    arrays[weight][:, :3] = np.eye(3)
    return arrays


def cut_at(*theta: int, cycle: int = 2, version: str = VERSION) -> Cut:
    return Cut(cycle=cycle, model_version=version, nonce=5, theta=theta)


def scored(store: DeviceStore, cut: Cut | None = None, version: str = VERSION) -> None:
    """Leave behind what a scoring round and a cut leave."""
    nothing = np.zeros(0)
    store.models.put(GLOBAL, honest_model(), keep=1)
    store.scores.put(
        version,
        Scored(
            nothing.astype(np.str_), nothing.astype(np.float32), nothing.astype(int)
        ),
    )
    if cut is not None:
        store.cuts.put(cut)
        store.queue.add(cut.cycle, [])


def make_stream(
    store: DeviceStore, values: Mapping[str, Any] | None = None
) -> SampleStream:
    scenario = SCENARIO.with_values(
        {
            "ask.scorer": f"{__name__}:Told",
            "ask.bins": BINS,
            "ask.capacity": 1000,
            "stream.controller": "biqf",
            "stream.explore": 0.0,
            **(values or {}),
        }
    )
    run = RunContext(TASK, scenario, Learner(TASK, scenario.train))
    return SampleStream(Pool(ArraySource(SAMPLES)), store, run)


def take(stream: SampleStream, batch: Arrivals, now: datetime = MONDAY) -> list[int]:
    """Give a batch; returns the rows that were queued."""
    return batch.rows(stream.take(batch.uids, batch.raw, now))


def draws_of(uids: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return what decides whatever a stream leaves to chance."""
    return hash_uids(uids, stable_seed("stream", SCENARIO.seed))


def pace_of(store: DeviceStore) -> Pace:
    return Pace.from_bytes(store.arrivals.pace())


def origins(store: DeviceStore) -> dict[Uid, QueryOrigin]:
    return {item.uid: item.origin for item in store.queue.items()}
