"""The task of a scenario: the user's own, or made from the data."""

from functools import lru_cache

from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.registry import load_attr
from fedask.common.task import Task
from fedask.simulations.data.datasets import load_dataset

_PLAIN_IMAGE = 2  # axes


def task_of(scenario: Scenario) -> Task:
    """Return the task; the same object for the same scenario in one process.

    Raises
    ------
    ConfigError
        If ``task.name`` is neither ``auto`` nor the ``package.module:attr`` of a Task.
    DataError
        From the data, which tell the classes of an ``auto`` task.
    """
    # Only what decides the task: seeds and policies must share one learner.
    return _task(
        Scenario(task=scenario.task, data=scenario.data)
        if scenario.task.name == "auto"
        else Scenario(task=scenario.task)
    )


@lru_cache(maxsize=16)
def _task(scenario: Scenario) -> Task:
    config = scenario.task
    if config.name != "auto":
        if ":" not in config.name:
            raise ConfigError(
                f"task.name = {config.name!r} must be 'auto' or package.module:attr"
            )
        task = load_attr(config.name)
        if not isinstance(task, Task):
            raise ConfigError(
                f"{config.name!r} is a {type(task).__name__}, not a fedask Task"
            )
        return task
    data = load_dataset(scenario.data, scenario.seed)
    shape = data.train_x.shape[1:]
    # One grey channel where the data are plain images: convolutions want three axes.
    shape = (1, *shape) if len(shape) == _PLAIN_IMAGE else shape
    return Task(classes=data.classes, model=config.model, input_shape=shape)
