"""Scores samples that arrive between rounds and queues those to be asked.

Called by whoever brings new samples to the device, with or without a connection to the
server; one batch at a time. The last model that the device scored with says how
uncertain a sample is, the last cut says what the fleet found worth asking, and a
controller moves that threshold so that the people beside this device are neither idle
nor swamped. A small share is left to chance, so that drift is seen where the model is
sure, and what chance chose is an unbiased sample.

Never trains, never waits, never looks for samples by itself, and never asks when people
have been asked ``ask.capacity`` in this period, or ``ask.device_labels`` in all, by the
server's cuts or on arrival. A cut is not held back by what arrived before it.

The server learns of these questions from the device's next report, which counts all
that was asked: its ledger takes them off what the next cuts may buy.

It belongs to whoever adds samples to the pool to do so first: an answer to a sample
that is not in the pool cannot be trained on.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.learning.selection.pool_rating import PoolRater, labels_left
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.stream.controller import (
    Arrival,
    Controller,
    FixedCut,
    make_controller,
)
from fedask.client.records.arrival_pace import Pace
from fedask.client.records.device_store import GLOBAL, DeviceStore
from fedask.client.records.label_queue import Item, QueryOrigin
from fedask.client.records.pool import Pool
from fedask.client.records.rights import Permits
from fedask.common.cut import Cut
from fedask.common.errors import ConfigError, DataError
from fedask.common.grid import IntArray
from fedask.common.ids import Uid, hash_uids, stable_seed
from fedask.common.user_code import user_code


class SampleStream:
    """Decides which of the arriving samples of one device are asked.

    Parameters
    ----------
    run
        Task, scenario and a learner, whose loaded model changes.
    permits
        Of what arrives, the same as the store's: other samples are passed over, and no
        model looks at them. None: everything is permitted.

    Raises
    ------
    ConfigError
        If ``stream.controller`` is off or unknown.
    """

    def __init__(
        self,
        pool: Pool,
        store: DeviceStore,
        run: RunContext,
        permits: Permits | None = None,
    ) -> None:
        scenario = run.scenario
        if not scenario.stream.on:
            raise ConfigError(
                "stream.controller = 'off': nothing is to be asked on arrival"
            )
        self._rater = PoolRater(pool, store)
        self._store = store
        self._permits = permits
        self._run = run
        self._config = scenario.stream
        self._capacity = scenario.ask.capacity
        self._controller = make_controller(scenario.stream)
        self._salt = stable_seed("stream", scenario.seed)

    def take(
        self, uids: NDArray[np.str_], raw: NDArray[Any], now: datetime
    ) -> list[Uid]:
        """Decide about samples that have just arrived, and queue those to be asked.

        All or nothing: a device that dies in between has taken nothing of the batch,
        and decides the same when it is given again. A sample that was decided about
        once, or is in the queue already, is passed over.

        Parameters
        ----------
        uids
            (n,) str, in the order of arrival.
        raw
            (n, ...) the samples.
        now
            When they arrived, aware.

        Returns
        -------
        list
            Uids that were queued, in the order of arrival.

        Raises
        ------
        DataError
            If the lengths differ.
        StoreError
            If the disk refuses, the kept model is of another task, or another process
            took in samples at the same time.
        ConfigError, ProtocolError
            From the scorer and the model.
        """
        if len(uids) != len(raw):
            raise DataError(f"{len(uids)} uids were given for {len(raw)} samples")
        if self._permits is not None:
            ends = self._permits.until([Uid(uid) for uid in uids.tolist()])
            here = np.array([end is not None for end in ends], dtype=np.bool_)
            uids, raw = uids[here], raw[here]
        before, items = self._store.arrivals.pace(), self._store.queue.items()
        pace = Pace.from_bytes(before)
        gone = self._store.erasure.forgotten(uids.tolist())
        stays = ~np.isin(uids, sorted(gone))
        uids, raw = uids[stays], raw[stays]
        known = {*pace.last, *(item.uid for item in items)}
        known |= self._store.arrivals.decided([Uid(uid) for uid in uids.tolist()])
        rows = _new_rows(uids, known)
        if not rows:
            return []
        batch = ArraySource(raw[rows], uids=uids[rows])
        cycle = self._store.cuts.last_cycle()
        pace = self._up_to_date(pace, cycle, items, now)
        pace, controller, arrivals = self._meet(pace, batch, cycle, items)
        left = labels_left(self._run.scenario.ask, items)
        most = min(self._capacity, pace.asked + left)
        asked: dict[Uid, QueryOrigin] = {}
        for uid, arrival in zip(batch.uids().tolist(), arrivals, strict=True):
            pace, origin = self._decide(pace, controller, arrival, most)
            if origin is not None:
                asked[Uid(uid)] = origin
        pace = replace(pace, last=tuple(Uid(uid) for uid in uids.tolist()))
        kept, taken = pace.to_bytes(), [Uid(uid) for uid in batch.uids().tolist()]
        queued = self._store.arrivals.add(cycle, asked, kept, before, taken)
        return [uid for uid in asked if uid in queued]

    def _up_to_date(
        self, pace: Pace, cycle: int, items: Iterable[Item], now: datetime
    ) -> Pace:
        """Bring the pace to the present period; count the questions of a new cut."""
        pace = pace.at(int(now.timestamp() // self._config.period_s))
        if cycle == pace.cycle:
            return pace
        cut = sum(item.cycle == cycle for item in items)  # nothing of it is ours yet
        return replace(pace, cycle=cycle, asked=pace.asked + cut)

    def _meet(
        self, pace: Pace, batch: ArraySource, cycle: int, items: Sequence[Item]
    ) -> tuple[Pace, Controller, list[Arrival]]:
        """Return the controller that decides, and the arrivals as it sees them."""
        draws = hash_uids(batch.uids(), self._salt)
        utilities, over = np.zeros(len(draws)), np.zeros(len(draws), dtype=np.bool_)
        controller: Controller = FixedCut(self._config)
        kept, models = self._store.scores.last(), self._store.models.all(GLOBAL)
        if kept is not None and models:  # otherwise nothing is known: chance alone asks
            controller = self._controller
            self._run.learner.load_stored(models[-1])
            utilities, groups = self._scores(batch, cycle, items)
            cut = self._store.cuts.last()
            bars = self._bars(cut)
            if bars is not None:
                utilities = utilities - bars[groups]
                over = utilities >= 0.0
            begun = f"{self._config.controller} {cut.cycle if cut else 0} {kept[0]}"
            if begun != pace.begun:
                with user_code("the controller", controller):
                    state = controller.start(pace.state, cut=bars is not None)
                pace = replace(pace, begun=begun, state=state)
        budget = pace.budget(self._capacity, self._config.budget)
        rows = zip(utilities.tolist(), over.tolist(), draws.tolist(), strict=True)
        arrivals = [
            Arrival(utility=utility, over=buys, draw=draw, budget=budget)
            for utility, buys, draw in rows
        ]
        return pace, controller, arrivals

    def _scores(
        self, batch: ArraySource, cycle: int, items: Sequence[Item]
    ) -> tuple[NDArray[np.float64], IntArray]:
        """Return scores and groups, in the order of arrival."""
        scored = self._rater.scored(
            Pool(batch), cycle, self._run, items, len(batch.uids())
        )
        row = {uid: row for row, uid in enumerate(scored.uids.tolist())}
        rows = [row[uid] for uid in batch.uids().tolist()]
        return scored.scores[rows].astype(np.float64), scored.groups[rows]

    def _bars(self, cut: Cut | None) -> NDArray[np.float64] | None:
        """Return the lowest score that a cut buys whole, per predicted class.

        None if it has none: it buys a number per device, or knows other groups. The bin
        that a cut buys in part counts as not bought, and a group of which nothing is
        bought begins a bin above the highest score. (``tail`` buys a part of all that
        lies over its one threshold.)
        """
        classes = self._run.task.num_classes
        if cut is None or len(cut.theta) not in {1, classes}:
            return None
        bins = self._run.policy.traits.bins
        theta = np.broadcast_to(np.array(cut.theta, dtype=np.int64), classes)
        return (theta + (theta >= bins)) / bins

    def _decide(
        self, pace: Pace, controller: Controller, arrival: Arrival, most: int
    ) -> tuple[Pace, QueryOrigin | None]:
        """Decide about one sample; returns the new pace, and why it is asked, if it is.

        Of what people can still do in this period, the share of chance is kept free. A
        sample for which nobody has time is not shown to the controller, or it would
        run up a debt that makes it ask anything at the start of the next period.
        """
        explore = self._config.explore
        pace = replace(pace, arrived=pace.arrived + 1)
        chance = arrival.draw < explore * arrival.budget
        reserved = max(0, int(explore * self._capacity) - pace.by_chance)
        if pace.asked + (0 if chance else reserved) >= most:
            return pace, None
        with user_code("the controller", controller):
            queried = chance or controller.query(pace.state, arrival)
            state = controller.update(pace.state, arrival, queried=queried)
        pace = replace(
            pace,
            asked=pace.asked + queried,
            by_chance=pace.by_chance + chance,
            state=state,
        )
        if not queried:
            return pace, None
        return pace, QueryOrigin.CHANCE if chance else QueryOrigin.SCORE


def _new_rows(uids: NDArray[np.str_], known: Collection[Uid]) -> list[int]:
    """Return the first row of each sample whose uid is not in ``known``, ascending."""
    first = {uid: row for row, uid in reversed(list(enumerate(uids.tolist())))}
    return sorted(row for uid, row in first.items() if uid not in known)
