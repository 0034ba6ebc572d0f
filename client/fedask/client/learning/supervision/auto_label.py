"""The auto-label tier: a device labels what its model is sure of. Off by default.

Called by the device after it has scored. What the tier says is never counted as a
label, never sent, and replaced by whatever a person says. A share of the sure samples,
drawn by hash, is asked of people as any other question; only while enough of these
controls were answered, and the model was right often enough, does what it says of the
others count. So the tier is off until it has proved itself, and again when it fails.

The labels are those of the newest model; what it said of a control is kept as it was
when the control was asked, or nothing would be measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.scorer import Floats
from fedask.client.learning.selection.best_scores import (
    BATCH_NUMBERS,
    BATCH_SAMPLES,
    BestScores,
)
from fedask.client.learning.selection.pool_rating import present
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.label_queue import Item, QueryOrigin
from fedask.client.records.pool import Pool
from fedask.client.records.pseudo_label import PseudoLabel
from fedask.common.grid import IntArray
from fedask.common.ids import Uid, unit_hash
from fedask.common.sections import AutoConfig

LARGEST_SHARE = 4  # controls take at most one in so many questions of a cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class TierQuality:
    """The quality of the tier, measured on its controls.

    Parameters
    ----------
    on
        Whether its labels count now.
    controls
        Answered ones that were looked at, the latest.
    wrong
        Of those.
    """

    on: bool
    controls: int
    wrong: int


def tier_quality(
    config: AutoConfig, pseudo_labels: Sequence[PseudoLabel], items: Sequence[Item]
) -> TierQuality:
    """Measure the tier on its answered controls.

    Parameters
    ----------
    items
        Everything ever asked.
    """
    truth = {item.uid: item.label for item in items if item.label is not None}
    answered = [each for each in pseudo_labels if each.control and each.uid in truth]
    answered.sort(key=lambda each: (each.cycle, each.uid))
    looked_at = answered[-config.window :]
    wrong = sum(each.label != truth[each.uid] for each in looked_at)
    enough = len(looked_at) >= config.fewest
    return TierQuality(
        on=config.on and enough and wrong <= config.error * len(looked_at),
        controls=len(looked_at),
        wrong=wrong,
    )


def propose(
    pool: Pool, store: DeviceStore, run: RunContext, items: Sequence[Item], cycle: int
) -> None:
    """Label what the loaded model is sure of, and ask people about a share of it.

    Parameters
    ----------
    items
        Everything ever asked: none of it is labelled here.
    """
    config, seed = run.scenario.auto, run.scenario.seed
    found = _confident(pool, store, run, items, cycle)
    room = max(1, run.scenario.ask.capacity // LARGEST_SHARE)
    kept = [
        PseudoLabel(
            uid=Uid(uid),
            label=label,
            confidence=confidence,
            control=unit_hash("auto", seed, uid) < config.controls,
            cycle=cycle,
        )
        for uid, label, confidence in found
    ]
    # By hash, not the surest first: the controls stand for all of them.
    controls = sorted(
        (s for s in kept if s.control), key=lambda s: unit_hash("auto", seed, s.uid)
    )[:room]
    # Kept before they are asked: asked first, a kill would lose what was said.
    store.pseudo_labels.put([*(s for s in kept if not s.control), *controls])
    pace = store.arrivals.pace()
    asked = {s.uid: QueryOrigin.CONTROL for s in controls}
    store.arrivals.add(store.cuts.last_cycle(), asked, pace, pace)


def auto_labels(
    store: DeviceStore, config: AutoConfig, items: Sequence[Item]
) -> Mapping[Uid, int]:
    """Return the labels that count now, by uid: none while the tier is off."""
    kept = store.pseudo_labels.all()
    if not tier_quality(config, kept, items).on:
        return {}
    asked = {item.uid for item in items}
    return {s.uid: s.label for s in kept if not s.control and s.uid not in asked}


def _confident(
    pool: Pool, store: DeviceStore, run: RunContext, items: Sequence[Item], cycle: int
) -> list[tuple[str, int, float]]:
    """Find what the model is surest of and nobody was asked about.

    Returns uid, class and confidence of each, in bounded memory.
    """
    config = run.scenario.auto
    predictor = run.predictor(store, frozenset(), cycle)
    predictor.calibrate(pool, present(pool, items))
    best = BestScores(config.most)
    gone = {item.uid for item in items}
    for uids, raw in pool.batches(gone, BATCH_SAMPLES, BATCH_NUMBERS):
        probs = predictor.view(uids, raw).probs
        best.add(uids, probs.max(axis=1), partial(_classes, probs))
    found = best.result()
    rows = zip(
        found.uids.tolist(),
        found.scores.tolist(),
        found.groups.tolist(),
        strict=True,
    )
    least = np.float32(config.sure)
    return [(uid, g, score) for uid, score, g in rows if score >= least]


def _classes(probs: Floats, rows: NDArray[np.int64]) -> IntArray:
    classes: IntArray = probs[rows].argmax(axis=1)
    return classes
