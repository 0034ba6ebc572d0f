"""Decides what one device asks: scores its pool, applies the cut, picks the batch.

Called by the device, between the message and the training. Writes scores and questions
to the store; never trains and never sees a label but to count it.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.batchers.batcher import Batcher, Shortlist, make_batcher
from fedask.client.learner import Learner
from fedask.client.near import NEAR_SAMPLES, near_pairs
from fedask.client.pool import Pool
from fedask.client.queue import DeviceStore, Item, State, Waiting
from fedask.client.recorder import Recorder
from fedask.client.scorers.experts import with_experts
from fedask.client.scorers.scorer import Scorer, make_scorer
from fedask.client.scoring import score_pool
from fedask.client.sgd import Trained
from fedask.client.viewer import GLOBAL, LOCAL, Viewer, model_kinds
from fedask.common.config import Scenario
from fedask.common.grid import IntArray, Scored
from fedask.common.ids import DeviceId, Uid, hash_uids, stable_seed
from fedask.common.policies.policy import Policy, make_policy
from fedask.common.records import OTHER_GROUPS, OTHER_MODEL, Ask, Cut
from fedask.common.sections import MAX_CAPACITY, AskConfig
from fedask.common.task import Task

FIRST_CANDIDATES = 2048  # of the pool, by hash: what the first questions come from
FEWEST_CELLS = 10  # that the first questions are drawn from
_WAITING = frozenset({State.QUEUED, State.LEASED})
_AGAIN = frozenset({State.EXPIRED})  # may be scored and asked once more


def seen_by_batcher(needs: frozenset[str]) -> frozenset[str]:
    """Translate fields of a shortlist into fields of a view."""
    fields = needs & {"features", "anchors", "draws", "local_features"}
    return fields | {"local_logits"} if "local_probs" in needs else fields


@dataclass(frozen=True)  # no slots: what follows from it is kept
class Setting:
    """What the rounds of a run happen in.

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

    @cached_property
    def policy(self) -> Policy:
        """The policy of the scenario."""
        return make_policy(self.scenario.ask, self.task.num_classes)

    @cached_property
    def scorer(self) -> Scorer:
        """The scorer: the one that the policy insists on, or the configured one."""
        return make_scorer(self.policy.traits.scorer or self.scenario.ask.scorer)

    @cached_property
    def batcher(self) -> Batcher:
        """The configured batcher, but ``top`` where the policy insists on a scorer."""
        insists = self.policy.traits.scorer is not None
        return make_batcher("top" if insists else self.scenario.ask.batcher)

    @cached_property
    def kinds(self) -> frozenset[str]:
        """Which models the store must keep for scorer and batcher."""
        needs = self.scorer.needs | seen_by_batcher(self.batcher.needs)
        return model_kinds(with_experts(needs, self.scenario.ask.experts))


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
        self._recorder = Recorder(pool, store)

    def apply(self, cut: Cut, setting: Setting) -> str:
        """Queue what the cut buys; returns why not (a key of ``REASONS``), or ""."""
        items = self._store.items()
        left = labels_left(setting.scenario.ask, items)
        if not cut.model_version:
            self._keep(cut, setting)
            most = min(cut.take, setting.scenario.ask.capacity, left)
            self._queue(self._first(cut, most, setting), cut, setting, items)
            return ""
        kept = self._store.scores()
        if kept is None or kept[0] != cut.model_version:
            # Missed the scoring round: its share of the quota returns to the fleet.
            return OTHER_MODEL
        policy = setting.policy
        if len(cut.theta) not in {0, policy.traits.groups}:
            return OTHER_GROUPS
        self._keep(cut, setting)
        known = [i.uid for i in items if i.state not in _AGAIN]
        scored = kept[1].keep(~np.isin(kept[1].uids, known))
        accepted = np.zeros(len(scored), dtype=np.bool_)
        able = scored.head(left)
        accepted[: len(able)] = policy.accept(cut, able, self._device_id)
        self._queue(self._pick(scored, accepted, setting, cut), cut, setting, items)
        return ""

    def _queue(
        self, uids: list[Uid], cut: Cut, setting: Setting, items: Sequence[Item]
    ) -> None:
        """Queue questions; before, record them if the scorer learns from answers."""
        if "history" in setting.scorer.needs:
            viewer = self._viewer(setting, frozenset({"descriptors"}), cut.cycle)
            if setting.scenario.ask.calibrate:
                viewer.calibrate(self._pool, items)
            known = viewer.known(self._pool, items, _counts(items, setting.task))
            self._recorder.asked(uids, cut.cycle, viewer, known)
        self._store.add(cut.cycle, uids)

    def answered(self, items: Sequence[Item], cycle: int, setting: Setting) -> None:
        """Learn from answers that have come, before they are trained on."""
        if "history" in setting.scorer.needs:
            self._recorder.answered(items, cycle, setting.learner)

    def _keep(self, cut: Cut, setting: Setting) -> None:
        """Keep the cut for samples that arrive under it; before it is applied.

        A device that dies in between applies it again, but keeps it only here.
        """
        if setting.scenario.stream.on:
            self._store.put_cut(cut)

    def _first(self, cut: Cut, most: int, setting: Setting) -> list[Uid]:
        """Choose the first questions: by hash, or spread over what the pool looks like.

        No label has been given yet, but an encoder sees structure, even an untrained
        one: one question per cluster of its features, the best score of each. With
        ``typicality`` that is TypiClust (Hacohen et al., ICML 2022). A device that
        asks one or two draws them from a few clusters, large ones sooner: if the best
        went first, all devices would ask the commonest kind.
        """
        uids = self._pool.uids
        order = np.lexsort((uids, hash_uids(uids, cut.nonce)))
        name = setting.policy.traits.first or setting.scenario.ask.first
        if name == "random" or most == 0:
            return [Uid(uid) for uid in uids[order[:most]].tolist()]
        scorer = make_scorer(name)
        needs = scorer.needs | {"features"}
        viewer = self._viewer(setting, needs, cut.cycle)
        drawn = uids[np.sort(order[:FIRST_CANDIDATES])]
        raw = self._pool.load([Uid(uid) for uid in drawn.tolist()])
        none = np.zeros(setting.task.num_classes, dtype=np.int64)
        known = viewer.known(self._pool, [], none)
        view = viewer.described(viewer.view(drawn, raw), known)
        scores = scorer(view, known)
        best = np.lexsort((drawn, -scores))
        shortlist = Shortlist(
            scores[best],
            np.ones(len(best), dtype=np.bool_),
            features=view.features[best],
            probs=view.probs[best],
        )
        rng = np.random.default_rng(stable_seed("batch", cut.nonce, self._device_id))
        cells = min(max(most, FEWEST_CELLS), len(best))
        rows = make_batcher("cluster").pick(shortlist, cells, rng)
        if most < cells:
            rows = _drawn(rows, shortlist.features, most, rng)
        return [Uid(uid) for uid in drawn[best[rows]].tolist()]

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
        batcher = setting.batcher
        size = min(int(k * setting.scenario.ask.shortlist), len(scored))
        if not batcher.needs or size <= k:
            return [Uid(uid) for uid in scored.uids[accepted].tolist()]
        candidates = scored.head(size)
        shortlist = Shortlist(
            candidates.scores,
            accepted[:size],
            **self._look(candidates.uids, batcher.needs, setting, cut.cycle),
        )
        rng = np.random.default_rng(stable_seed("batch", cut.nonce, self._device_id))
        chosen = batcher.pick(shortlist, k, rng)
        return [Uid(uid) for uid in candidates.uids[chosen].tolist()]

    def _look(
        self,
        uids: NDArray[np.str_],
        needs: frozenset[str],
        setting: Setting,
        cycle: int,
    ) -> dict[str, Any]:
        """Return the fields of a shortlist that the batcher needs."""
        nothing = np.zeros((len(uids), 0), dtype=np.float32)
        fields: dict[str, Any] = {"features": nothing, "probs": nothing}
        if needs <= {"scores"}:
            return fields
        viewer = self._viewer(setting, seen_by_batcher(needs), cycle)
        raw = self._pool.load([Uid(uid) for uid in uids.tolist()])
        view = viewer.view(uids, raw)
        fields |= {"probs": view.probs}
        for name in needs & {"features", "draws", "local_features"}:
            fields[name] = getattr(view, name)
        if "anchors" in needs:
            items = self._store.items()
            anchors = viewer.known(self._pool, items, _counts(items, setting.task))
            fields["anchors"] = anchors.anchors if items else None
        if "local_probs" in needs:
            fields["local_probs"] = setting.learner.softmax(view.local_logits)
        return fields

    def _viewer(self, setting: Setting, needs: frozenset[str], cycle: int) -> Viewer:
        return Viewer(
            setting.task,
            setting.scenario,
            setting.learner,
            self._store,
            needs,
            cycle,
        )

    def score(self, ask: Ask, setting: Setting, items: Sequence[Item]) -> IntArray:
        """Score the pool with the loaded model; returns what to add to the fleet's sum.

        Parameters
        ----------
        ask
            Its ``score`` names the model; the next cut must name the same.
        items
            Everything ever asked.
        """
        config = setting.scenario.ask
        keep = max(config.capacity, int(config.capacity * config.shortlist))
        scored = self.scored(self._pool, ask.cycle, setting, items, keep)
        waiting = self._waiting(scored, ask.cycle, setting, items)
        self._store.put_scores(ask.score, scored, waiting)
        # One for samples that arrive, and for the committee as many as there were now.
        models = config.committee * (GLOBAL in setting.kinds)
        models += setting.scenario.stream.on
        if setting.learner.loaded is not None and models:
            self._store.put_model(GLOBAL, setting.learner.loaded, keep=models)
        able = scored.head(labels_left(config, items))
        return setting.policy.contribute(able, ask.cut)

    def scored(
        self,
        samples: Pool,
        cycle: int,
        setting: Setting,
        items: Sequence[Item],
        keep: int,
    ) -> Scored:
        """Score samples with the loaded model, but those that wait or were answered.

        Parameters
        ----------
        samples
            The device's pool, or what has just arrived.
        cycle, items
            As for ``score``.
        keep
            How many of the best to return.
        """
        gone = {item.uid for item in items if item.state not in _AGAIN}
        return self._score(samples, gone, cycle, setting, items, keep)

    def _score(
        self,
        samples: Pool,
        gone: Collection[Uid],
        cycle: int,
        setting: Setting,
        items: Sequence[Item],
        keep: int,
    ) -> Scored:
        scorer = setting.scorer
        viewer = self._viewer(setting, scorer.needs, cycle)
        if setting.scenario.ask.calibrate:
            viewer.calibrate(self._pool, items)
        known = viewer.known(self._pool, items, _counts(items, setting.task))
        return score_pool(
            samples,
            gone,
            lambda uids, raw: viewer.described(viewer.view(uids, raw), known),
            scorer,
            known,
            keep=keep,
        )

    def _waiting(
        self, scored: Scored, cycle: int, setting: Setting, items: Sequence[Item]
    ) -> Waiting | None:
        """See what the loaded model makes of the queue; None if that changes nothing.

        A scorer that looks at what was asked before sees what waits among it, so that
        its scores of the queue are low; they still tell which of it goes first.
        """
        uids = [item.uid for item in items if item.state in _WAITING]
        similarity = setting.scenario.ask.near
        if not uids and not similarity:
            return None
        part = self._pool.part(uids)
        again = self._score(part, (), cycle, setting, items, len(part))
        pairs: list[tuple[Uid, Uid]] = []
        if similarity:
            both = [
                *again.head(NEAR_SAMPLES // 2).uids,
                *scored.head(NEAR_SAMPLES).uids,
            ]
            chosen = np.array(both[:NEAR_SAMPLES], dtype=np.str_)
            viewer = self._viewer(setting, frozenset({"features"}), cycle)
            raw = self._pool.load([Uid(uid) for uid in chosen.tolist()])
            features = viewer.view(chosen, raw).features
            pairs = near_pairs(chosen, features, similarity)
        scores = zip(again.uids.tolist(), again.scores.tolist(), strict=True)
        return Waiting(scores={Uid(u): score for u, score in scores}, near=pairs)

    def learned(self, trained: Trained, setting: Setting) -> None:
        """Take note of an update, if scorer or batcher will look through it."""
        if LOCAL in setting.kinds:
            self._store.put_model(LOCAL, trained.arrays, keep=1)


def _drawn(
    rows: NDArray[np.int64],
    features: NDArray[np.float32],
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw some of the clusters that ``rows`` stand for, by their sizes.

    Parameters
    ----------
    rows
        (k,) one of each cluster.
    features
        (n, d) of all; each belongs to the nearest of ``rows``.
    count
        At most k.
    """
    nearest = np.zeros(len(features), dtype=np.int64)
    closest = np.full(len(features), np.inf)
    for cluster, row in enumerate(rows):
        gaps = ((features - features[row]).astype(np.float64) ** 2).sum(axis=1)
        nearest[gaps < closest] = cluster
        closest = np.minimum(closest, gaps)
    sizes = np.bincount(nearest, minlength=len(rows))
    # A cluster whose row stands twice in the pool may have been left without a sample.
    return rng.choice(rows, count, replace=False, p=(sizes + 1) / (sizes + 1).sum())


def _counts(items: Sequence[Item], task: Task) -> IntArray:
    """Count labels per class: (c,)."""
    labels = Counter(item.label for item in items)
    return np.array([labels[c] for c in range(task.num_classes)])


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
