"""Plans the training of a round: on which samples, and how much they count.

Called by the device. People's labels come first; beside them, at a lower weight, what
the auto-label tier and labelling functions say. Nothing of that is stored or sent here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedask.client.learning.scorers.scorer import Floats
from fedask.client.learning.selection.pool_rating import present
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.supervision.auto_label import auto_labels, propose
from fedask.client.learning.supervision.weak_label import WeakLabels
from fedask.client.learning.training import warmup
from fedask.client.learning.training.learner import Learner
from fedask.client.learning.training.training_step import (
    LabelledBatch,
    TrainingJob,
    WarmupJob,
    decayed,
)
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.label_queue import Item
from fedask.client.records.pool import Pool
from fedask.common.errors import DataError
from fedask.common.ids import DeviceId, Uid

Soft = Mapping[Uid, tuple[int, float]]  # label, and what it weighs


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTraining:
    """What a device trains on in a round.

    Parameters
    ----------
    job
        None with nothing to train on.
    weight
        What the update counts as: people's labels, and others at their weight, each
        sum rounded up; in a warm-up its samples.
    uids
        What the job holds, for the record.
    """

    job: TrainingJob | WarmupJob | None
    weight: int
    uids: frozenset[Uid]


class TrainingPlanner:
    """Chooses what one device trains on.

    Parameters
    ----------
    training_pool
        The samples it may train on, where not all may be: what people, the tier or
        functions say of others is of no use. None: ``pool``.
    """

    def __init__(
        self,
        device_id: DeviceId,
        pool: Pool,
        store: DeviceStore,
        training_pool: Pool | None = None,
    ) -> None:
        self._device_id = device_id
        self._limited = training_pool is not None
        self._training_pool = pool if training_pool is None else training_pool
        self._store = store
        self._pool = pool
        self._weak: WeakLabels | None = None
        self._prepared_for: tuple[object, LabelledBatch] | None = None

    def propose_auto_labels(
        self, run: RunContext, items: list[Item], cycle: int
    ) -> list[Item]:
        """Let the auto-label tier label the pool, if it is on.

        Returns the whole queue, with the controls that people are to be asked.
        """
        if not run.scenario.auto.on:
            return items
        propose(self._pool, self._store, run, items, cycle)
        return self._store.queue.items()

    def plan(
        self,
        run: RunContext,
        items: Sequence[Item],
        labelled: Sequence[Item],
        tick: int,
        prox: float,
    ) -> PlannedTraining:
        """Return the training job of a round.

        Parameters
        ----------
        items
            Everything ever asked.
        labelled
            Those of it that were answered.

        Raises
        ------
        DataError
            If a label is not of the task's classes.
        """
        scenario = run.scenario
        trainable = self.not_dropped(labelled)
        auto, weak = self._auto(run, items), self._weak_labels(run, items)
        soft = {uid: (label, scenario.weak.weight) for uid, label in weak.items()}
        soft |= {uid: (label, scenario.auto.weight) for uid, label in auto.items()}
        weight = len(trainable) + scenario.auto.counts_as(len(auto))
        weight += scenario.weak.counts_as(len(soft) - len(auto))
        uids = frozenset(item.uid for item in trainable) | soft.keys()
        if not uids:
            return PlannedTraining(job=None, weight=0, uids=uids)
        config = scenario.train
        job = TrainingJob(
            labelled=self._prepared(run, trainable, soft),
            lr=decayed(config.lr, tick % config.rounds, config.rounds),
            prox=max(prox, config.prox),
            stream=("train", scenario.seed, self._device_id, tick),
        )
        return PlannedTraining(job=job, weight=weight, uids=uids)

    def plan_warmup(self, run: RunContext, step: int, prox: float) -> PlannedTraining:
        """Return the job of a warm-up round; none with too few samples."""
        config, seed = run.scenario.train, run.scenario.seed
        drawn = warmup.draw(self._training_pool, seed, step)
        job = None
        if len(drawn) >= warmup.FEWEST:
            job = WarmupJob(
                inputs=run.learner.to_inputs(self._training_pool.load(drawn)),
                lr=decayed(config.lr, step, config.warmup),
                prox=max(prox, config.prox),
                stream=("warm-up", seed, self._device_id, step),
            )
        return PlannedTraining(job=job, weight=len(drawn), uids=frozenset(drawn))

    def probs(self, learner: Learner, items: Sequence[Item]) -> Floats:
        """Return the class probabilities of labelled samples: (n, c)."""
        return learner.predict(self._training_pool.load([item.uid for item in items]))

    def permitted(self, items: Sequence[Item]) -> list[Item]:
        """Return the items that may be trained on."""
        return present(self._training_pool, items) if self._limited else list(items)

    def not_dropped(self, labelled: Sequence[Item]) -> Sequence[Item]:
        """Return the items whose samples were not dropped from the pool."""
        dropped = self._training_pool.dropped
        if not dropped:
            return labelled
        return [item for item in labelled if item.uid not in dropped]

    def _auto(self, run: RunContext, items: Sequence[Item]) -> Mapping[Uid, int]:
        """Return the automatic labels of samples that may be trained on."""
        config = run.scenario.auto
        if not config.on:
            return {}
        labels = auto_labels(self._store, config, self.permitted(items))
        may = self._training_pool.has(list(labels))
        return {
            uid: label
            for (uid, label), ok in zip(labels.items(), may.tolist(), strict=True)
            if ok
        }

    def _weak_labels(self, run: RunContext, items: Sequence[Item]) -> Mapping[Uid, int]:
        """Return the weak labels, while people have given few labels."""
        config = run.scenario.weak
        if not config.names:
            return {}
        if self._weak is None:
            classes, seed = run.task.num_classes, run.scenario.seed
            self._weak = WeakLabels(config, classes, self._device_id, seed)
        return self._weak.labels(self._training_pool, self.permitted(items))

    def _prepared(
        self, run: RunContext, labelled: Sequence[Item], soft: Soft
    ) -> LabelledBatch:
        """Return the labelled samples as the learner takes them; cached."""
        uids = tuple(item.uid for item in labelled)
        labels = [int(item.label) for item in labelled if item.label is not None]
        if self._prepared_for is None or self._prepared_for[0] != (uids, labels, soft):
            for uid, label in zip(uids, labels, strict=True):
                # Another process may have stored it, for a task of other classes.
                check_label(uid, label, run.task.num_classes)
            weights = None
            if soft:
                weights = [1.0] * len(uids) + [weight for _, weight in soft.values()]
            raw = self._training_pool.load([*uids, *soft])
            labels_too = [*labels, *(label for label, _ in soft.values())]
            inputs = run.learner.prepare(raw, labels_too, weights)
            self._prepared_for = ((uids, labels, soft), inputs)
        return self._prepared_for[1]


def check_label(uid: Uid, label: int, num_classes: int) -> None:
    """Refuse a label that is no class of the task.

    Raises
    ------
    DataError
        With the sample and the label.
    """
    if not 0 <= label < num_classes:
        raise DataError(
            f"sample {uid}: label {label} is not one of {num_classes} classes"
        )
