"""Looks for what would stop a run, before anything is written."""

import numpy as np
from flwr.serverapp.strategy import Strategy

from fedask.client.learning.batchers.batcher import make_batcher
from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.client.learning.selection.predictor import check_given
from fedask.client.learning.stream.controller import make_controller
from fedask.client.round.trial import SAMPLES, try_rounds
from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.module_arrays import read_arrays, read_manifest
from fedask.common.policies.policy import make_policy
from fedask.common.registry import load_attr, resolve
from fedask.common.task import Task
from fedask.common.user_code import user_code
from fedask.server.inner_strategy import make_inner
from fedask.server.stopping import make_criteria
from fedask.simulations.fleet.devices import shares_of
from fedask.simulations.fleet.people import PEOPLE


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
    try_rounds(task, scenario, shares.data.train_x[:SAMPLES])
    _try_evaluation(task, scenario)
    _check_budget(scenario, np.array([len(rows) for rows in shares.rows]))


def _try_evaluation(task: Task, scenario: Scenario) -> None:
    """Call an evaluation of the user's own once, with a model that learned nothing.

    Raises
    ------
    ConfigError
        If it does not import, or fails.
    """
    name = scenario.run.evaluate
    if ":" not in name:
        return
    evaluate = load_attr(name)
    model = task.build(scenario.seed)
    named = read_manifest(model).with_aliases(read_arrays(model))
    with user_code(f"run.evaluate, {name!r},", evaluate):
        evaluate(task, scenario, named)


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
