"""Looks for what would stop a run, before anything is written."""

from typing import Any

import numpy as np
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from fedask.client.learning.batchers.batcher import make_batcher
from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.client.learning.selection.predictor import check_given
from fedask.client.learning.stream.controller import make_controller
from fedask.client.learning.supervision.weak_label import vote
from fedask.client.learning.training.learner import Learner
from fedask.client.learning.training.training_step import TrainingJob, WarmupJob
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError, FedaskError
from fedask.common.policies.policy import make_policy
from fedask.common.registry import load_attr, resolve
from fedask.common.task import Task
from fedask.server.inner_strategy import make_inner
from fedask.server.stopping import make_criteria
from fedask.simulations.fleet.devices import shares_of
from fedask.simulations.fleet.people import PEOPLE

_TINY = 1e-6  # learning rate: what is tried is the loss, not whether it converges


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
    if scenario.ask.cost:  # whether or not this scorer reads it
        load_attr(scenario.ask.cost)
    if scenario.stream.on:
        make_controller(scenario.stream)
    check_choice(scenario, task.num_classes)
    _check_nodes(
        make_inner(scenario.strategy, scenario.fleet.devices), scenario.fleet.devices
    )
    resolve("people", scenario.fleet.people, PEOPLE)
    shares = shares_of(scenario)
    if len(shares.data.classes) != task.num_classes:
        raise ConfigError(
            f"the data have {len(shares.data.classes)} classes, the task has "
            + str(task.num_classes)
        )
    some = shares.data.train_x[:2]
    _check_model(task, scenario, some)
    functions = {name: load_attr(name) for name in scenario.weak.names}
    vote(functions, some, task.num_classes, "the training data")
    _check_budget(scenario, np.array([len(rows) for rows in shares.rows]))


def _check_model(task: Task, scenario: Scenario, some: NDArray[Any]) -> None:
    """Let the model predict, train, and warm up if it shall.

    Raises
    ------
    ConfigError
        If that fails: with what it was given, and what it said.
    """
    try:
        learner = Learner(task, scenario.train)
        learner.predict(some)
        labelled = learner.prepare(some, [0] * len(some))
        job = TrainingJob(labelled=labelled, lr=_TINY, prox=0.0, stream=("check",))
        usable = learner.train(job).usable
        if scenario.train.warmup:
            inputs = learner.to_inputs(some)
            warm = WarmupJob(inputs=inputs, lr=0.1, prox=0.0, stream=("check",))
            learner.train(warm)
    except FedaskError:
        raise
    except Exception as err:  # whatever a user's own may raise
        shape = " x ".join(str(side) for side in some.shape[1:]) or "one value"
        raise ConfigError(
            f"the task fails on {len(some)} samples ({shape}, {some.dtype}): "
            f"{type(err).__name__}: {err} (see its model, transform= and loss=)"
        ) from err
    if not usable:
        raise ConfigError(
            f"the loss of {len(some)} samples gives NaN or infinity in training"
        )


def _check_nodes(inner: Strategy, devices: int) -> None:
    """Refuse a strategy that would wait for ever for more devices than there are.

    Raises
    ------
    ConfigError
        Naming the option.
    """
    most = {"fraction_train": 1, "min_train_nodes": devices}
    for key, limit in {**most, "min_available_nodes": devices}.items():
        value = getattr(inner, key, 0)
        if not isinstance(value, (int, float)) or not value <= limit:
            raise ConfigError(
                f"strategy.options.{key} = {value!r}: must be at most {limit}"
                + (f", the fleet has {devices} devices" if limit == devices else "")
            )


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


def _check_budget(scenario: Scenario, sizes: np.ndarray) -> None:
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
        raise ConfigError(
            f"ask.quota = {ask.quota}: the whole fleet has only {total} samples"
        )
    capacity = int(np.minimum(sizes, ask.capacity).sum())
    if ask.quota > capacity:
        raise ConfigError(
            f"ask.quota = {ask.quota}: the fleet's people give at most {capacity} "
            f"labels a cycle (ask.capacity = {ask.capacity} per device)"
        )
    each, budget = scenario.first_labels, scenario.stop.budget
    first = each * len(sizes)
    wanted = first + ask.quota * (ask.cycles - 1)
    if budget is not None:
        if first > budget:
            raise ConfigError(
                f"stop.when names 'budget' with {budget} labels: the first cycle "
                f"alone asks {first} ({each} of each device: ask.initial)"
            )
        wanted = min(wanted, budget)
    if wanted > total:
        raise ConfigError(
            f"{ask.cycles} cycles ask for {wanted} labels, the whole fleet has only "
            f"{total} samples"
        )
