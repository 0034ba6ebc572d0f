"""Decides what one device asks: scores its pool, applies the cut, picks the batch.

Called by the device, between the message and the training. Writes scores and questions
to the store; never trains and never sees a label but to count it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedask.client.batchers.batcher import Shortlist, make_batcher
from fedask.client.learner import Learner
from fedask.client.pool import Pool
from fedask.client.queue import DeviceStore, Item, State
from fedask.client.scorers.scorer import Scorer, make_scorer
from fedask.client.scoring import score_pool
from fedask.client.sgd import Trained
from fedask.client.viewer import GLOBAL, LOCAL, Viewer, model_kinds
from fedask.common.config import MAX_CAPACITY, AskConfig, Scenario
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import DeviceId, Uid, hash_uids, stable_seed
from fedask.common.policies.policy import Policy, make_policy
from fedask.common.records import OTHER_GROUPS, OTHER_MODEL, Cut
from fedask.common.task import Task

_AGAIN = frozenset({State.EXPIRED})  # may be scored and asked once more


@dataclass(frozen=True, slots=True)
class Setting:
    """What a round happens in.

    Parameters
    ----------
    task, scenario
        What is learned, and how.
    learner
        With the message's model loaded.
    """

    task: Task
    scenario: Scenario
    learner: Learner

    @property
    def policy(self) -> Policy:
        """The policy of the scenario."""
        return make_policy(self.scenario.ask, self.task.num_classes)

    @property
    def scorer(self) -> Scorer:
        """The scorer: the one that the policy insists on, or the configured one."""
        return make_scorer(self.policy.scorer or self.scenario.ask.scorer)


class Asker:
    """The asking half of a device.

    Parameters
    ----------
    device_id, pool, store
        The device's own.
    """

    def __init__(self, device_id: DeviceId, pool: Pool, store: DeviceStore) -> None:
        self._device_id = device_id
        self._pool = pool
        self._store = store

    def apply(self, cut: Cut, setting: Setting) -> str:
        """Queue what the cut buys; returns why not (a key of ``REASONS``), or ""."""
        items = self._store.items()
        left = labels_left(setting.scenario.ask, items)
        if not cut.model_version:
            most = min(cut.take, setting.scenario.ask.capacity, left)
            self._store.add(cut.cycle, self._first(cut, most))
            return ""
        kept = self._store.scores()
        if kept is None or kept[0] != cut.model_version:
            # Missed the scoring round: its share of the quota returns to the fleet.
            return OTHER_MODEL
        policy = setting.policy
        if len(cut.theta) not in {0, policy.grid_shape[0]}:
            return OTHER_GROUPS
        known = [i.uid for i in items if i.state not in _AGAIN]
        scored = kept[1].keep(~np.isin(kept[1].uids, known))
        accepted = np.zeros(len(scored), dtype=np.bool_)
        able = scored.head(left)
        accepted[: len(able)] = policy.accept(cut, able, self._device_id)
        self._store.add(cut.cycle, self._pick(scored, accepted, setting, cut))
        return ""

    def _first(self, cut: Cut, most: int) -> list[Uid]:
        """Choose the first questions by hash: nothing is known yet."""
        uids = self._pool.uids
        order = np.lexsort((uids, hash_uids(uids, cut.nonce)))
        return [Uid(uid) for uid in uids[order[:most]].tolist()]

    def _pick(
        self,
        scored: Scored,
        accepted: NDArray[np.bool_],
        setting: Setting,
        cut: Cut,
    ) -> list[Uid]:
        """Let the batcher choose as many as were accepted, out of the shortlist."""
        k = int(accepted.sum())
        if k == 0:
            return []
        ask = setting.scenario.ask
        batcher = make_batcher("top" if setting.policy.scorer else ask.batcher)
        size = max(k, int(k * ask.shortlist))
        if batcher.needs_model and k < size:
            rows = np.arange(min(size, len(scored)))
            viewer = self._viewer(setting, frozenset({"features"}), cut.cycle)
            raw = self._pool.load([Uid(uid) for uid in scored.uids[rows].tolist()])
            view = viewer.view(scored.uids[rows], raw)
            probs, features = view.probs, view.features
        else:
            rows = np.flatnonzero(accepted)
            empty = np.zeros((len(rows), 0), dtype=np.float32)
            probs, features = empty, empty
        shortlist = Shortlist(scored.scores[rows], accepted[rows], features, probs)
        rng = np.random.default_rng(stable_seed("batch", cut.nonce, self._device_id))
        chosen = rows[batcher.pick(shortlist, k, rng)]
        return [Uid(uid) for uid in scored.uids[chosen].tolist()]

    def _viewer(self, setting: Setting, needs: frozenset[str], cycle: int) -> Viewer:
        return Viewer(
            setting.task,
            setting.scenario,
            setting.learner,
            self._store,
            needs,
            cycle,
        )

    def score(
        self, version: str, cycle: int, setting: Setting, items: Sequence[Item]
    ) -> IntArray:
        """Score the pool with the loaded model; returns what to add to the fleet's sum.

        Parameters
        ----------
        version
            Names the model; a cut must name the same.
        cycle
            The current one.
        items
            Everything ever asked.
        """
        config, scorer = setting.scenario.ask, setting.scorer
        viewer = self._viewer(setting, scorer.needs, cycle)
        labels = Counter(item.label for item in items)
        counts = np.array([labels[c] for c in range(setting.task.num_classes)])
        scored = score_pool(
            self._pool,
            {item.uid for item in items if item.state not in _AGAIN},
            viewer.view,
            scorer,
            viewer.known(self._pool, items, counts),
            keep=max(config.capacity, int(config.capacity * config.shortlist)),
        )
        self._store.put_scores(version, scored)
        model = setting.learner.loaded
        if model is not None and GLOBAL in model_kinds(scorer.needs):
            self._store.put_model(GLOBAL, model, keep=config.committee)
        return setting.policy.contribute(scored.head(labels_left(config, items)))

    def learned(self, trained: Trained, setting: Setting) -> None:
        """Take note of an update, if the scorer will look through it."""
        if LOCAL in model_kinds(setting.scorer.needs):
            self._store.put_model(LOCAL, trained.arrays, keep=1)


def labels_left(config: AskConfig, items: Sequence[Item]) -> int:
    """Return how many labels this device may still be asked in a cycle.

    Parameters
    ----------
    items
        Everything ever asked; what expired did not cost anyone a label.
    """
    if not config.device_labels:
        return MAX_CAPACITY
    spent = sum(item.asked - item.expired for item in items)
    return max(0, config.device_labels - spent)
