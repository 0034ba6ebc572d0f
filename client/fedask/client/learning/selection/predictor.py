"""Predicts samples with the device's models. Called by rater and selector.

Fills only what a scorer or batcher needs: a plain ``margin`` costs one forward pass,
``bald`` one per model of the committee. Never changes the loaded model.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.learning.scorers.calibration import calibrated, fit_temperature
from fedask.client.learning.scorers.density import scale_of
from fedask.client.learning.scorers.scorer import (
    Floats,
    PredictionView,
    Scorer,
    ScoringContext,
)
from fedask.client.learning.scorers.scorer_table import (
    make_experts,
    opinions_of,
    with_experts,
)
from fedask.client.learning.training.learner import Learner
from fedask.client.records.device_store import GLOBAL, LAST_UPDATE, DeviceStore
from fedask.client.records.label_queue import Item
from fedask.client.records.pool import Pool
from fedask.client.records.query_outcome import history_of
from fedask.common.arrays import Arrays
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid, stable_seed
from fedask.common.registry import load_attr
from fedask.common.task import Task
from fedask.common.user_code import user_code

SAMPLE = 512  # of the pool, for densities: enough for a mean, little beside the pool
_LOCAL = frozenset({"local_logits", "local_features", "anchor_local_logits", "draws"})
_ANCHORS = frozenset({"anchors", "anchor_logits", "anchor_local_logits"})


def model_kinds(needs: Collection[str]) -> frozenset[str]:
    """Tell which models a store must keep between messages for these needs."""
    kinds = {LAST_UPDATE} if _LOCAL & set(needs) else set()
    return frozenset(kinds | ({GLOBAL} if "draws" in needs else set()))


def check_given(needs: frozenset[str], task: Task, scenario: Scenario) -> None:
    """Refuse needs that the task or the scenario must fill and does not.

    Raises
    ------
    ConfigError
        Saying what to give; or from ``make_experts``.
    """
    needs = with_experts(needs, scenario.ask.experts)
    if "costs" in needs and not scenario.ask.cost:
        raise ConfigError(
            "the scorer weighs costs, but ask.cost names no function that tells "
            "them: ask.cost = 'package.module:attr'"
        )
    if "consequences" in needs and task.consequences is None:
        raise ConfigError(
            "the task has no consequences: give Task(consequences=...), a matrix "
            "of what it costs to predict the column when the row is true"
        )


class Predictor:
    """Makes the views of batches of samples for scorers and batchers.

    Parameters
    ----------
    task, scenario
        For costs, consequences and the seeds.
    learner
        With the current global model loaded.
    store
        For the models it keeps.
    needs
        What to fill.
    cycle
        Seeds what must look random.

    Raises
    ------
    ConfigError
        As ``check_given``.
    """

    def __init__(
        self,
        task: Task,
        scenario: Scenario,
        learner: Learner,
        store: DeviceStore,
        needs: frozenset[str],
        cycle: int,
    ) -> None:
        check_given(needs, task, scenario)
        self._task = task
        self._learner = learner
        self._scenario, self._store = scenario, store
        self._needs = with_experts(needs, scenario.ask.experts)
        self.salt = stable_seed("score", scenario.seed, cycle)
        self._temperature = 1.0
        self._local: Arrays | None = None
        self._past: Sequence[Arrays] = ()
        kinds = model_kinds(self._needs)
        if LAST_UPDATE in kinds:
            self._local = next(iter(store.models.all(LAST_UPDATE)), None)
        if GLOBAL in kinds:
            past = store.models.all(GLOBAL)
            # The newest is the loaded one itself if a round comes twice, or a sample
            # arrives after it.
            if past and _same(past[-1], learner.loaded):
                past = past[:-1]
            self._past = past[-scenario.ask.committee :]

    def view(
        self,
        uids: NDArray[np.str_],
        raw: NDArray[Any],
        context: ScoringContext | None = None,
    ) -> PredictionView:
        """Return the view of a batch.

        Parameters
        ----------
        uids
            (n,) str.
        raw
            (n, ...) the samples.
        context
            With it, the view has the scores of the experts, if they are needed.
        """
        if not self._needs and self._temperature == 1.0:  # common, and fast
            return PredictionView(
                uids=uids, salt=self.salt, probs=self._learner.predict(raw)
            )
        logits, features = self._learner.look(raw)
        filled: dict[str, Any] = {"logits": logits, "features": features}
        probs = self._probs(logits)
        if _LOCAL & self._needs:
            local, local_features = self._through(self._local, raw)
            filled |= {"local_logits": local, "local_features": local_features}
            if "draws" in self._needs:
                members = [self._through(arrays, raw)[0] for arrays in self._past]
                members += [logits, *([] if self._local is None else [local])]
                filled["draws"] = np.stack([self._probs(m) for m in members])
        if "costs" in self._needs:
            filled["costs"] = self._costs(raw)
        view = PredictionView(uids=uids, salt=self.salt, probs=probs, **filled)
        if context is None or "descriptors" not in self._needs:
            return view
        return replace(view, descriptors=opinions_of(self.experts, view, context))

    @property
    def experts(self) -> Mapping[str, Scorer]:
        """The experts of the scenario."""
        return make_experts(self._scenario.ask.experts)

    def levels(self, pool: Pool, context: ScoringContext) -> Floats:
        """Return the mean score that each expert gives the pool: (q,) float32.

        Of the same samples as ``ScoringContext.sample``.
        """
        chosen = self.drawn(pool)
        view = self.view(np.array(chosen, dtype=np.str_), pool.load(chosen))
        means: Floats = opinions_of(self.experts, view, context).mean(axis=0)
        return means

    def drawn(self, pool: Pool) -> list[Uid]:
        """Draw a bounded sample of the pool by hash, in the order of its rows."""
        places = np.sort(pool.drawn(SAMPLE, self.salt))
        return [Uid(uid) for uid in pool.uids[places].tolist()]

    def _through(
        self, arrays: Arrays | None, raw: NDArray[Any]
    ) -> tuple[Floats, Floats]:
        """Return logits and features under another model; None = the current one."""
        here = self._learner.loaded
        if arrays is not None:
            self._learner.load(arrays)
        try:
            return self._learner.look(raw)
        finally:
            if here is not None:
                self._learner.load(here)

    def _costs(self, raw: NDArray[Any]) -> Floats:
        own = load_attr(self._scenario.ask.cost)
        with user_code(f"ask.cost, {self._scenario.ask.cost!r},", own):
            costs = np.asarray(own(raw), dtype=np.float32)
        if costs.shape != (len(raw),) or not (costs > 0).all():
            raise ConfigError(
                f"ask.cost must give a positive number per sample, not {costs!r:.80}"
            )
        return costs / np.float32(self._scenario.ask.cost_unit)

    def calibrate(self, pool: Pool, items: Sequence[Item]) -> None:
        """Find the temperature under which this device's labels are likeliest.

        Models are of different confidence on different devices; under one temperature
        each, their scores may be compared. These labels were trained on: with few of
        them the temperature hardly leaves 1.
        """
        labels = {i.uid: i.label for i in items if i.label is not None}
        if labels:
            logits = self._learner.look(pool.load(list(labels)))[0]
            targets = np.array(list(labels.values()), dtype=np.int64)
            self._temperature = fit_temperature(logits, targets)

    def _probs(self, logits: Floats) -> Floats:
        if self._temperature == 1.0:
            return self._learner.softmax(logits)
        return calibrated(logits, self._temperature)

    def scoring_context(self, pool: Pool, items: Sequence[Item]) -> ScoringContext:
        """Return what scorers may know besides the batch.

        Parameters
        ----------
        items
            Everything ever asked of which the pool has the sample.
        """
        filled: dict[str, Any] = {}
        labels = Counter(item.label for item in items)
        targets = [-1 if i.label is None else i.label for i in items]
        if items and _ANCHORS & self._needs:
            raw = pool.load([item.uid for item in items])
            logits, features = self._learner.look(raw)
            filled |= {"anchors": features, "anchor_logits": logits}
            if "anchor_local_logits" in self._needs:
                filled["anchor_local_logits"] = self._through(self._local, raw)[0]
        if "sample" in self._needs:
            sample = self._learner.look(pool.load(self.drawn(pool)))[1]
            filled |= {"sample": sample, "scale": scale_of(sample)}
        if "consequences" in self._needs:
            matrix = np.array(self._task.consequences, dtype=np.float32)
            filled["consequences"] = matrix
        if "history" in self._needs:
            experts, cycles = self.experts, self._scenario.ask.cycles
            kept = self._store.query_outcomes.all()
            filled["history"] = history_of(
                kept, ", ".join(experts), len(experts), cycles
            )
        return ScoringContext(
            counts=np.array([labels[c] for c in range(self._task.num_classes)]),
            targets=np.array(targets, dtype=np.int64),
            **filled,
        )


def _same(one: Arrays, two: Arrays | None) -> bool:
    return (
        two is not None
        and one.keys() == two.keys()
        and all(np.array_equal(array, two[name]) for name, array in one.items())
    )
