"""The scenario: one TOML file, read once into frozen dataclasses.

The same keys serve three places: ``fedask simulate SCENARIO.toml``, the
``[tool.flwr.app.config]`` table of a Flower App (Flower flattens it to dotted keys and
hands it to both apps), and ``--set section.key=value``. Values are therefore scalars.
Unknown keys are refused with the nearest valid one; nothing here touches data or torch.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedask.common.errors import ConfigError
from fedask.common.sections import (
    AskConfig,
    AutoConfig,
    DataConfig,
    FleetConfig,
    RunConfig,
    StopConfig,
    StrategyConfig,
    StreamConfig,
    TaskConfig,
    TrainConfig,
    WeakConfig,
)
from fedask.common.settings import Scalar, Where, build, read_toml, require

_MAX_BYTES = 1 << 20  # of a file with a scenario in it

__all__ = ["Scenario", "read_scenario"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that decides a run, except the data themselves.

    Raises
    ------
    ConfigError
        From any constructor here: the key, the value and the rule it breaks.
    """

    name: str = "scenario"
    seed: int = 0
    task: TaskConfig = field(default_factory=TaskConfig)
    data: DataConfig = field(default_factory=DataConfig)
    fleet: FleetConfig = field(default_factory=FleetConfig)
    ask: AskConfig = field(default_factory=AskConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)
    stop: StopConfig = field(default_factory=StopConfig)
    weak: WeakConfig = field(default_factory=WeakConfig)
    auto: AutoConfig = field(default_factory=AutoConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**31, "seed", self.seed, "must be 0 to 2147483647")
        require(
            not self.stream.on or self.ask.groups == "predicted",
            "ask.groups",
            self.ask.groups,
            "must be 'predicted' with a stream, which has no centres on arrival",
        )

    @property
    def rounds(self) -> int:
        """Train messages that a device gets in a run that nothing ends early."""
        return self.train.warmup + self.ask.cycles * self.train.rounds

    @property
    def first_labels(self) -> int:
        """Labels each device asks in the first cycle, before any model knows anything.

        What comes after is chosen by a model that has seen these alone: where few
        devices share the quota, one each would leave it blind to most of the data.
        """
        if self.ask.initial:
            return self.ask.initial
        share = max(1, self.ask.quota // self.fleet.devices)
        return min(share, self.ask.capacity, self.ask.device_labels or share)

    @classmethod
    def from_dict(
        cls, tree: Mapping[str, Any], where: Where | None = None
    ) -> "Scenario":
        """Build from nested tables, as TOML gives them.

        Parameters
        ----------
        where
            The file that they stand in, for errors.

        Raises
        ------
        ConfigError
            On an unknown key (the nearest valid one is named), a value of the wrong
            type, or one that breaks a rule.

        Examples
        --------
        >>> Scenario.from_dict({"ask": {"quota": 50}}).ask.quota
        50
        >>> Scenario.from_dict({"ask": {"qouta": 50}})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        fedask.common.errors.ConfigError: unknown key 'ask.qouta' (did you mean ...?)
        """
        return build(cls, tree, where or Where())

    @classmethod
    def from_flat(cls, flat: Mapping[str, Any]) -> "Scenario":
        """Build from dotted keys, as Flower's run configuration gives them."""
        return cls.from_dict(unflatten(flat))

    @classmethod
    def of_run(cls, flat: Mapping[str, Any], run_id: int) -> "Scenario":
        """Build from Flower's run configuration; ``{run}`` in ``run.out`` = run id.

        An app that is run again and again keeps each run in a folder of its own.
        """
        out = str(flat.get("run.out", "")).replace("{run}", str(run_id))
        return cls.from_flat({**flat, "run.out": out})

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain tables; ``from_dict`` of them gives an equal scenario."""
        return dataclasses.asdict(self)

    def to_flat(self) -> dict[str, Scalar]:
        """Return dotted keys and scalars, as Flower's run configuration wants them."""
        return flatten(self.to_dict())

    def with_values(self, values: Mapping[str, Any]) -> "Scenario":
        """Return a copy with dotted keys replaced, checked like a file."""
        return Scenario.from_flat({**self.to_flat(), **values})


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file, or a Flower App's folder (its ``[tool.flwr.app.config]``).

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, or holds an unknown or wrong value.
    """
    file = path / "pyproject.toml" if path.is_dir() else path
    where = Where(file)
    try:
        tree = read_toml(file, _MAX_BYTES)
    except FileNotFoundError as err:
        raise ConfigError(f"no scenario at {file}") from err
    if path.is_dir():
        for table in ("tool", "flwr", "app", "config"):
            tree = tree.get(table, {})
            if not isinstance(tree, dict):
                raise where.told("tool.flwr.app.config must be a table")
    return Scenario.from_dict(tree, where)


def parse_setting(text: str) -> tuple[str, Scalar]:
    """Parse ``section.key=value`` as given to ``--set``; bare words are strings.

    Raises
    ------
    ConfigError
        If there is no ``=``.
    """
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r} must be written section.key=value")
    try:
        value = tomllib.loads(f"v = {raw}")["v"]
    except ValueError:  # not TOML, or a number too long
        value = raw.strip()
    return key.strip(), value


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """Turn nested tables into dotted keys."""
    flat: dict[str, Scalar] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted keys into nested tables."""
    tree: dict[str, Any] = {}
    for dotted, value in flat.items():
        *tables, key = dotted.split(".")
        node = tree
        for table in tables:
            node = node.setdefault(table, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{dotted}: {table!r} is a value, not a table")
        if isinstance(node.get(key), dict) and not isinstance(value, Mapping):
            raise ConfigError(f"{dotted} = {value!r} must be a table")
        node[key] = value
    return tree
