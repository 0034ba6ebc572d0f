"""What scoring a pool costs beside the model itself. Called by the benchmark.

The pool is scored by the device's own code; beside it, the same model runs over the
same batches of ready float32 tensors and nothing else is done.
"""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tests.benchmarks.contenders import mib, reset_peak

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.learning.scorers.scorer import (
    PredictionView,
    ScoringContext,
)
from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.client.learning.selection.best_scores import BATCH_SAMPLES, score_pool
from fedask.client.learning.training.learner import Learner
from fedask.client.records.pool import Pool
from fedask.common.config import Scenario
from fedask.common.task import Task

_SHAPE, _CLASSES, _KEEP = (8, 8), 10, 1000
_REPEATS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """Cost of scoring one pool, in a process of its own.

    Parameters
    ----------
    model
        Registry name.
    samples
        Size of the pool.
    bare_ns
        Per sample: forward passes alone.
    softmax_ns
        With the softmax.
    scored_ns
        ``score_pool``: load, predict, score by margin, keep the best 1000.
    over_bare, over_softmax
        Median ratios of ``scored_ns`` to the others, pass by pass.
    extra_mib
        Peak memory while scoring, beyond the data, uids and model; None where it cannot
        be read.
    """

    model: str
    samples: int
    bare_ns: float
    softmax_ns: float
    scored_ns: float
    over_bare: float
    over_softmax: float
    extra_mib: float | None


def measure(model: str, samples: int) -> Passes:
    """Measure in a fresh process.

    Parameters
    ----------
    model
        Registry name.
    samples
        8 x 8 of them, as the digits.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure, model, samples).result()


def _measure(model: str, samples: int) -> Passes:
    rng = np.random.default_rng(0)
    data = rng.standard_normal((samples, *_SHAPE), dtype=np.float32)
    uids = np.array([f"{row:032x}" for row in rng.permutation(samples).tolist()])
    task = Task(
        classes=[str(label) for label in range(_CLASSES)],
        model=model,
        input_shape=_SHAPE,
    )
    learner = Learner(task, Scenario().train)
    module = task.build(seed=0).eval()
    pool, scorer = Pool(ArraySource(data, None, uids)), make_scorer("margin")
    nothing = np.zeros(0, dtype=np.int64)
    known = ScoringContext(counts=nothing, targets=nothing)

    def look(uids: NDArray[np.str_], raw: NDArray[Any]) -> PredictionView:
        return PredictionView(uids=uids, salt=0, probs=learner.predict(raw))

    batches = [
        torch.from_numpy(data[start : start + BATCH_SAMPLES])
        for start in range(0, samples, BATCH_SAMPLES)
    ]

    def bare() -> None:
        with torch.inference_mode():
            for batch in batches:
                module(batch)

    def softmax() -> None:
        with torch.inference_mode():
            for batch in batches:
                torch.softmax(module(batch), dim=1)

    def scored() -> None:
        score_pool(pool, (), look, scorer, known, keep=_KEEP)

    before = mib("VmRSS")
    reset_peak()
    scored()
    peak = mib("VmHWM")
    # Turn by turn: the machine may be busier now than a second ago.
    turns = [(_timed(bare), _timed(softmax), _timed(scored)) for _ in range(_REPEATS)]
    bare_s, softmax_s, scored_s = np.median(turns, axis=0)
    return Passes(
        model=model,
        samples=samples,
        bare_ns=round(1e9 * bare_s / samples, 1),
        softmax_ns=round(1e9 * softmax_s / samples, 1),
        scored_ns=round(1e9 * scored_s / samples, 1),
        over_bare=round(median(turn[2] / turn[0] for turn in turns), 2),
        over_softmax=round(median(turn[2] / turn[1] for turn in turns), 2),
        extra_mib=None if before is None or peak is None else round(peak - before, 1),
    )


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
