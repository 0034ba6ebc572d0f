"""The run context: task, scenario, learner, and what follows from them.

Made by the app for every message, read by everything on the device.
"""

from dataclasses import dataclass
from functools import cached_property

from fedask.client.learning.batchers.batcher import Batcher, make_batcher
from fedask.client.learning.scorers.scorer import Scorer
from fedask.client.learning.scorers.scorer_table import make_scorer, with_experts
from fedask.client.learning.selection.grouping import Grouper
from fedask.client.learning.selection.predictor import Predictor, model_kinds
from fedask.client.learning.training.learner import Learner
from fedask.client.records.device_store import DeviceStore
from fedask.common.config import Scenario
from fedask.common.groups import make_grouping
from fedask.common.policies.policy import Policy, make_policy
from fedask.common.records import Ask
from fedask.common.task import Task


def seen_by_batcher(needs: frozenset[str]) -> frozenset[str]:
    """Translate fields of a shortlist into fields of a view."""
    fields = needs & {"features", "anchors", "draws", "local_features"}
    return fields | {"local_logits"} if "local_probs" in needs else fields


@dataclass(frozen=True)  # no slots: what follows from it is kept
class RunContext:
    """Task, scenario and learner of a run, with policy, scorer and batcher.

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

    def grouper(self, ask: Ask) -> Grouper | None:
        """Return what groups the samples of a scoring; None: the predicted classes."""
        classes, seed = self.task.num_classes, self.scenario.seed
        grouping = make_grouping(self.scenario.ask, classes, seed)
        return None if grouping is None else Grouper(grouping, ask.centres)

    @cached_property
    def kinds(self) -> frozenset[str]:
        """Which models the store must keep for scorer and batcher."""
        needs = self.scorer.needs | seen_by_batcher(self.batcher.needs)
        return model_kinds(with_experts(needs, self.scenario.ask.experts))

    def predictor(
        self, store: DeviceStore, needs: frozenset[str], cycle: int
    ) -> Predictor:
        """Make the predictor of a device.

        Parameters
        ----------
        store
            The device's, for the models it keeps.
        needs
            What to fill.
        cycle
            Seeds what must look random.
        """
        return Predictor(self.task, self.scenario, self.learner, store, needs, cycle)
