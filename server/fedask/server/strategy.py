"""``AskStrategy``: active learning around any Flower strategy.

Called by Flower's own loop, ``Strategy.start``. It adds the ask record to the inner
strategy's train messages, lets ``replies`` take our records out of what comes back and
refuse what does not fit, and hands the rest to the inner strategy, which aggregates as
it always does. It never sends a message of its own and never waits for a label.
"""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from flwr.app import (
    ArrayRecord,
    ConfigRecord,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from typing_extensions import override

from fedask.common.arrays import Arrays, model_version
from fedask.common.config import Scenario
from fedask.common.cut import Cut
from fedask.common.errors import ProtocolError
from fedask.common.fields import MAX_COUNT
from fedask.common.grid import IntArray
from fedask.common.groups import from_wire, make_grouping, to_wire
from fedask.common.ids import stable_seed
from fedask.common.manifest import ArrayKind, Manifest
from fedask.common.policies.policy import FleetSum, make_policy
from fedask.common.records import Ask
from fedask.common.sections import WARMUP_SAMPLES
from fedask.common.user_code import user_code
from fedask.common.weights import to_record
from fedask.server.checkpoint import inner_state
from fedask.server.flower_log import own_counts
from fedask.server.inner_strategy import Weigh, gather_for, sees_statistics
from fedask.server.ordered_grid import OrderedGrid
from fedask.server.part_delivery import PartDelivery
from fedask.server.progress import RunProgress
from fedask.server.replies import Replies, ReplyReader


class AskStrategy(Strategy):
    """A Flower strategy around another one: it adds questions to the train messages.

    Parameters
    ----------
    inner
        Any ``flwr.serverapp.strategy`` strategy.
    scenario
        ``ask``, ``stop.budget``, ``weak``, ``seed`` and of ``train`` the rounds, the
        warm-up and ``restart`` are used.
    num_classes
        c of the task.

    Attributes
    ----------
    progress
        All state that a checkpoint must keep.
    grid
        (g, b) sum of the grids of the last round, None if nobody scored in it.
    """

    def __init__(self, inner: Strategy, scenario: Scenario, num_classes: int) -> None:
        self.inner = inner
        self._inner_name = f"the strategy {type(inner).__name__}"
        self._begun = dict(vars(inner))
        self.progress = RunProgress()
        self.grid: IntArray | None = None
        self._scenario = scenario
        self._classes = num_classes
        self._policy = make_policy(scenario.ask, num_classes)
        self._grouping = make_grouping(scenario.ask, num_classes, scenario.seed)
        self._initial: ArrayRecord | None = None
        self._manifest: Manifest | None = None
        self._sent: Arrays = {}
        self._delivery = PartDelivery(Manifest(()), {})
        self._scoring = ""
        self._reader = ReplyReader(
            num_classes=num_classes,
            grid_shape=self._policy.traits.grid_shape,
            sums_shape=self._grouping.sums_shape if self._grouping else None,
            most=self._policy.traits.most,
        )

    @property
    def num_rounds(self) -> int:
        """Rounds still to do: all of them, or those after a checkpoint."""
        return self._scenario.rounds - self.progress.rounds

    def begin(self, initial: ArrayRecord, manifest: Manifest | None = None) -> None:
        """Fix the model that a restarting cycle begins from, and what its arrays are.

        Parameters
        ----------
        manifest
            Of the model; by default every array of floats is a parameter.
        """
        self._initial = initial
        arrays = {name: array.numpy() for name, array in initial.items()}
        self._manifest = manifest or Manifest.plain(arrays)
        self._delivery = PartDelivery(self._manifest, arrays)

    @override
    def summary(self) -> None:
        self.inner.summary()

    @override
    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        if self._initial is None or self._manifest is None:
            self.begin(arrays)
        number = self.progress.rounds + 1
        cycle, step = self._position(number)
        if self._restarts(step) and self._initial is not None:
            arrays = self._initial
            self._forget()
        if step == 0 and cycle == 1:
            self.progress.cut = self._first_cut()
            if self._scenario.train.warmup:
                self._forget()  # the momenta are of another loss
        self._scoring = (
            self._version(arrays, cycle) if self._scores(cycle, step) else ""
        )
        self._sent = {name: array.numpy() for name, array in arrays.items()}
        self._delivery.follow(self._sent)
        seed = stable_seed("sample", self._scenario.seed, number)
        with _seeded(seed), user_code(self._inner_name, self.inner):
            inner = self.inner.configure_train(
                number, self._seen(arrays), config, OrderedGrid(grid)
            )
            messages = list(inner)
        messages.sort(key=lambda message: message.metadata.dst_node_id)
        self.progress.wire.inner_messages += len(messages)
        return self._with_ask(messages, cycle, step)

    def _seen(self, arrays: ArrayRecord) -> ArrayRecord:
        """Return the part of the model that the inner strategy sees."""
        kinds = [ArrayKind.PARAMETER]
        if sees_statistics(self.inner):
            kinds.append(ArrayKind.STATISTIC)
        names = () if self._manifest is None else self._manifest.names(*kinds)
        if len(names) == len(arrays):
            return arrays
        return to_record({name: self._sent[name] for name in names})

    def _with_ask(
        self, messages: list[Message], cycle: int, step: int
    ) -> list[Message]:
        """Add the ask; the cut goes to nodes that have not applied it or follow it.

        The accuracy goes with the first message of a cycle that reaches a node: in
        later ones it would be the same number again.
        """
        cut, accuracy = self.progress.cut, self.progress.accuracy
        followed = bool(self._scoring) and self._policy.traits.follows
        plain = Ask(
            cycle=cycle,
            step=step,
            score=self._scoring,
            centres=self.progress.centres if self._scoring else b"",
        )
        asks: dict[tuple[bool, bool], dict[str, ConfigRecord]] = {}
        contents: dict[tuple[int, bool, bool], RecordDict] = {}
        for message in messages:
            node = message.metadata.dst_node_id
            applied = self.progress.applied.get(node, 0) >= cycle
            needs_cut = cut is not None and (not applied or followed)
            is_told = accuracy is not None and not applied
            if (needs_cut, is_told) not in asks:
                asks[needs_cut, is_told] = replace(
                    plain,
                    cut=cut if needs_cut else None,
                    accuracy=accuracy if is_told else None,
                    run=self.progress.run if is_told else "",
                ).records
            content = self._delivery.send(node, message.content)
            key = (id(content), needs_cut, is_told)
            if key not in contents:
                contents[key] = RecordDict({**content, **asks[needs_cut, is_told]})
            message.content = contents[key]
            self.progress.wire.count_ask(message.content)
        return messages

    @override
    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        if self._manifest is None:
            raise ProtocolError("aggregate_train before configure_train")
        number = self.progress.rounds + 1
        cycle, step = self._position(number)
        gathered = gather_for(
            self.inner, self._manifest, self._sent, self._weights(cycle)
        )
        current = Replies(
            self._reader,
            self.progress,
            gathered,
            self._manifest,
            self._delivery,
            scoring=bool(self._scoring),
        )
        everyone = list(replies)
        for reply in everyone:
            current.take(reply)
        current.tell(number)
        if cycle == 1:  # a device that comes late asks its first questions then
            known = len(self.progress.ledger.totals)
            self.progress.ledger.grant_first(self._scenario.first_labels * known)
        self.grid = current.grid if current.scored else None
        if self._scores(cycle, step):
            self.progress.cut = self._plan(cycle + 1, current)
            self._move_centres(current)
        self.progress.rounds = number
        self.progress.refused += [(number, *entry) for entry in current.refused]
        failures = len(everyone) - current.taken
        counts = own_counts("aggregate_train", current.taken, failures)
        with user_code(self._inner_name, self.inner), counts:
            arrays, metrics = gathered.aggregate(self.inner, number)
        if arrays is None and self._restarts(step):
            arrays = self._initial  # Flower would go on with the model of last cycle
        return arrays, metrics

    def _weights(self, cycle: int) -> Weigh:
        """Return what updates may count as, by the labels of their devices.

        Weak labels come on top, rounded up; in a warm-up samples count, not labels.
        """
        if cycle == 0:
            return lambda _: range(1, WARMUP_SAMPLES + 1)
        weak = self._scenario.weak
        most = weak.counts_as(weak.samples) if weak.names else 0
        return lambda labelled: range(labelled, labelled + most + 1)

    def _plan(self, cycle: int, current: Replies) -> Cut | None:
        """Turn the summed grid into the next cut; None if nobody scored."""
        ask, stop = self._scenario.ask, self._scenario.stop
        quota = self.progress.ledger.grant(ask.quota, stop.budget)
        if not current.scored:
            return None
        labelled = np.zeros(self._classes, dtype=np.int64)
        for counts in self.progress.classes.values():
            labelled += np.array(counts, dtype=np.int64)
        fleet = FleetSum(
            cycle=cycle,
            nonce=self._nonce(cycle),
            model_version=self._scoring,
            grid=current.grid,
            labelled=labelled,
            devices=tuple(sorted(current.scored)),
            quota=min(quota, MAX_COUNT),
            cut=self.progress.cut,
        )
        with user_code("the policy", self._policy):
            return self._policy.plan(fleet)

    def forgo(self) -> None:
        """Take back the cut and the quota of a cycle that will not come.

        Called in the round that planned it, before anything of it was sent.
        """
        self.progress.cut = None
        self.progress.ledger.take_back()

    def _move_centres(self, current: Replies) -> None:
        """Turn the sums of the groups into the centres of the next scoring."""
        if self._grouping is not None and current.sums is not None:
            before = from_wire(self.progress.centres, self._grouping.count)
            moved = self._grouping.move(before, current.sums)
            self.progress.centres = to_wire(moved)

    def _first_cut(self) -> Cut:
        """Ask for a few random samples per device: no model knows anything yet."""
        return Cut(
            cycle=1,
            model_version="",
            nonce=self._nonce(1),
            take=self._scenario.first_labels,
        )

    def _nonce(self, cycle: int) -> int:
        return stable_seed("nonce", self._scenario.seed, cycle) >> 1

    def _position(self, number: int) -> tuple[int, int]:
        """Return (cycle, step from 0) of a round number from 1; cycle 0 warms up."""
        return self._scenario.train.position(number)

    def _scores(self, cycle: int, step: int) -> bool:
        """Tell whether devices score in this round: the last one of a cycle."""
        last = step == self._scenario.train.rounds - 1
        return last and 0 < cycle < self._scenario.ask.cycles

    def _restarts(self, step: int) -> bool:
        """Tell whether this round begins from the initial model."""
        return step == 0 and self._scenario.train.restart

    def _forget(self) -> None:
        """Take back the momenta that the inner strategy has from the last cycle."""
        for name in {dotted.partition("/")[0] for dotted in inner_state(self.inner)}:
            setattr(self.inner, name, self._begun.get(name))

    @staticmethod
    def _version(arrays: ArrayRecord, cycle: int) -> str:
        """Name a scoring: by the cycle too, since a model may not change in one.

        A device that scored the same model a cycle ago, and was away since, must not
        take a cut through grids that it is no part of.
        """
        named = {name: array.numpy() for name, array in arrays.items()}
        return model_version({**named, "": np.array(cycle)})

    @override
    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        number = self.progress.rounds
        with _seeded(stable_seed("evaluate", self._scenario.seed, number)):
            messages = self.inner.configure_evaluate(
                number, arrays, config, OrderedGrid(grid)
            )
            ordered = sorted(messages, key=lambda each: each.metadata.dst_node_id)
        self._delivery.follow({name: array.numpy() for name, array in arrays.items()})
        for message in ordered:
            node = message.metadata.dst_node_id
            message.content = self._delivery.send(node, message.content)
        return ordered

    @override
    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        everyone = list(replies)
        for reply in everyone:
            self._delivery.take_evaluation(reply)
        answers = [reply for reply in everyone if not reply.has_error()]
        labelled = [reply for reply in answers if _weight(reply) > 0]
        failures = len(everyone) - len(answers)
        with own_counts("aggregate_evaluate", len(answers), failures):
            if not labelled:
                return None
            return self.inner.aggregate_evaluate(self.progress.rounds, labelled)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Make the inner strategy's sampling repeatable: it uses the global ``random``."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _weight(reply: Message) -> float:
    """Return how many labels an evaluation is over."""
    for record in reply.content.metric_records.values():
        weight = record.get("num-examples", 0)
        if isinstance(weight, (int, float)):
            return weight
    return 0
