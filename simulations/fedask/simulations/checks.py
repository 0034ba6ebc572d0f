"""Looks for what would stop a run, before anything is written."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.client.asking.viewer import check_given
from fedask.client.batchers.batcher import make_batcher
from fedask.client.controllers.controller import make_controller
from fedask.client.scorers.scorer import make_scorer
from fedask.client.training.learner import Learner
from fedask.client.training.sgd import WarmLesson
from fedask.client.training.weak import vote
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.policies.policy import make_policy
from fedask.common.registry import load_attr, resolve
from fedask.common.task import Task
from fedask.server.inner import make_inner
from fedask.server.stopping import make_criteria
from fedask.simulations.devices import shares_of
from fedask.simulations.people import PEOPLE


def check_scenario(scenario: Scenario, task: Task) -> None:
    """Try every name, the data, the model and the budget.

    Raises
    ------
    ConfigError
        If a name is unknown, the model does not fit the classes, or the fleet cannot
        give the labels that are asked for.
    DataError
        If the data are missing, damaged or do not fit the task.
    """
    for name in (scenario.ask.scorer, scenario.ask.first):
        check_given(make_scorer(name).needs, task, scenario)
    make_batcher(scenario.ask.batcher)
    if scenario.stream.on:
        make_controller(scenario.stream)
    check_choice(scenario, task.num_classes)
    make_inner(scenario.strategy, scenario.fleet.devices)
    resolve("people", scenario.fleet.people, PEOPLE)
    shares = shares_of(scenario)
    if len(shares.data.classes) != task.num_classes:
        msg = f"the data have {len(shares.data.classes)} classes, the task has "
        raise ConfigError(msg + str(task.num_classes))
    some = shares.data.train_x[:2]
    _check_model(Learner(task, scenario.train), scenario, some)
    functions = {name: load_attr(name) for name in scenario.weak.names}
    vote(functions, some, task.num_classes, "the training data")
    check_budget(scenario, np.array([len(rows) for rows in shares.rows]))


def _check_model(learner: Learner, scenario: Scenario, some: NDArray[Any]) -> None:
    """Let the model predict, and warm up if it shall."""
    learner.predict(some)
    if scenario.train.warmup:
        inputs = learner.prepare_warmup(some)
        learner.train(WarmLesson(inputs=inputs, lr=0.1, prox=0.0, stream=("check",)))


def check_choice(scenario: Scenario, num_classes: int) -> None:
    """Try the policy, and the stopping criteria that depend on it.

    Raises
    ------
    ConfigError
        If a name is unknown, or a criterion misses what it needs.
    """
    evaluated = scenario.with_values({"run.evaluate": evaluation_of(scenario)})
    make_criteria(evaluated, make_policy(scenario.ask, num_classes))


def evaluation_of(scenario: Scenario) -> str:
    """Return how a simulation evaluates: on held-out data, if nothing else is named."""
    return scenario.run.evaluate or "held-out"


def check_budget(scenario: Scenario, sizes: np.ndarray) -> None:
    """Refuse a budget that the pool, or the people, could never give.

    Parameters
    ----------
    sizes
        (m,) samples of each device.

    Raises
    ------
    ConfigError
        With the figures.
    """
    ask = scenario.ask
    total = int(sizes.sum())
    if ask.quota > total:
        msg = f"ask.quota = {ask.quota}: the whole fleet has only {total} samples"
        raise ConfigError(msg)
    capacity = int(np.minimum(sizes, ask.capacity).sum())
    if ask.quota > capacity:
        msg = f"ask.quota = {ask.quota}: the fleet's people give at most {capacity} "
        msg += f"labels a cycle (ask.capacity = {ask.capacity} per device)"
        raise ConfigError(msg)
    first, budget = ask.initial * len(sizes), scenario.stop.budget
    wanted = first + ask.quota * (ask.cycles - 1)
    if budget is not None:
        if first > budget:
            msg = f"stop.when names 'budget' with {budget} labels: the first cycle "
            msg += f"alone asks {first} (ask.initial = {ask.initial} of each device)"
            raise ConfigError(msg)
        wanted = min(wanted, budget)
    if wanted > total:
        msg = f"{ask.cycles} cycles ask for {wanted} labels, the whole fleet has only "
        raise ConfigError(msg + f"{total} samples")
