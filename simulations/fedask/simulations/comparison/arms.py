"""The arms of a comparison: each a name, and the settings that set it apart.

Called by the ``compare`` command before anything runs. Reads options, policies, scorers
and batchers; never data.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from fedask.client.learning.batchers.batcher import make_batcher
from fedask.client.learning.scorers.combination import is_expression
from fedask.client.learning.scorers.scorer_table import make_scorer
from fedask.common.config import Scenario, parse_setting
from fedask.common.errors import ConfigError
from fedask.common.policies.policy import make_policy
from fedask.common.registry import nearest
from fedask.common.sections import AskConfig
from fedask.common.settings import Scalar

REFERENCE = "uniform-random"  # the arm that others are measured against, if it is there
_LONGEST = 80  # letters of a name that is given; longer ones fit no table
_MARKS = "`|"  # would end a cell of a Markdown table
_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]*( \+ [a-z0-9-]+)*")
_LONGEST_FOLDER = 80  # letters, digest included
_DIGEST = 12  # hexadecimal digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to run the scenario, with every seed.

    Parameters
    ----------
    name
        What people see; no other arm of the comparison has it.
    settings
        Dotted keys of the scenario that it replaces; none = the scenario as it is.

    Raises
    ------
    ConfigError
        If the name fits no table, or a setting belongs to the whole comparison.
    """

    name: str
    settings: Mapping[str, Scalar]

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable() or set(_MARKS) & {*self.name}:
            raise ConfigError(
                f"an arm's name must be printable, without any of {_MARKS}, not "
                + repr(self.name)
            )
        for key in self.settings:
            if key in {"seed", "name"} or key.startswith("run."):
                raise ConfigError(
                    f"arm {self.name!r} cannot set {key}: the comparison does, alike "
                    "for every arm"
                )

    @property
    def folder(self) -> str:
        """Return a folder name of its own: safe on any file system, case or no case.

        ``global-cut + top`` becomes ``global-cut+top``. Names of other letters, and
        long ones, end in a dot and their digest, which the plain ones never do.
        """
        if _PLAIN.fullmatch(self.name) and len(self.name) <= _LONGEST_FOLDER:
            return self.name.replace(" + ", "+")
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:_DIGEST]
        stem = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "arm"
        return f"{stem[: _LONGEST_FOLDER - _DIGEST - 1]}.{digest}"

    def applied(self, scenario: Scenario) -> Scenario:
        """Return the scenario under this arm's settings.

        Raises
        ------
        ConfigError
            If a key is unknown or a value breaks its rule, with the name of the arm.
        """
        try:
            return scenario.with_values(self.settings)
        except ConfigError as err:
            raise ConfigError(f"arm {self.name!r}: {err}") from err


def cross(
    policies: Sequence[str],
    scorers: Sequence[str],
    batchers: Sequence[str],
    base: AskConfig,
) -> list[Arm]:
    """Combine every policy with every scorer and batcher.

    A policy that insists on a scorer of its own has one arm: neither scorer nor batcher
    changes what it asks. A name says the policy, and of the rest what varies.

    Parameters
    ----------
    scorers, batchers
        Empty = what the scenario names, for all.

    Raises
    ------
    ConfigError
        If a name is unknown; the nearest is named.
    """
    for scorer in scorers:
        make_scorer(scorer)
    for batcher in batchers:
        make_batcher(batcher)
    arms = []
    for policy in policies:
        if _insists(replace(base, policy=policy)):
            arms.append(Arm(name=policy, settings={"ask.policy": policy}))
            continue
        for scorer, batcher in product(scorers or [""], batchers or [""]):
            words = [policy]
            if len(scorers) > 1:
                words.append(f"({scorer})" if is_expression(scorer) else scorer)
            if len(batchers) > 1:
                words.append(batcher)
            chosen = {"policy": policy, "scorer": scorer, "batcher": batcher}
            settings = {f"ask.{key}": value for key, value in chosen.items() if value}
            arms.append(Arm(name=" + ".join(words), settings=settings))
    return arms


def read_arm(text: str) -> Arm:
    """Read ``NAME:key=value,key=value`` as given to ``--arm``.

    Raises
    ------
    ConfigError
        If it is not written so, or says a setting twice.
    """
    name, colon, rest = (part.strip() for part in text.partition(":"))
    if not colon:
        raise ConfigError(f"--arm {text!r} must be written NAME:key=value,key=value")
    if len(name) > _LONGEST:
        raise ConfigError(f"--arm {text!r}: a name has at most {_LONGEST} letters")
    settings: dict[str, Scalar] = {}
    for part in filter(None, (part.strip() for part in rest.split(","))):
        if "=" not in part:
            raise ConfigError(f"--arm {text!r}: {part!r} must be written key=value")
        key, value = parse_setting(part)
        if key in settings:
            raise ConfigError(f"--arm {text!r} sets {key} twice")
        settings[key] = value
    return Arm(name=name, settings=settings)


def read_names(option: str, text: str) -> list[str]:
    """Split an option's list of names at its commas.

    Raises
    ------
    ConfigError
        If it is empty or says one twice.
    """
    names = [" ".join(name.split()) for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"{option} {text!r} names nothing")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{option} {text!r} names {name!r} twice")
    return names


def check_arms(arms: Sequence[Arm], scenario: Scenario) -> None:
    """Refuse arms that could not be told apart, in name or in what they do.

    Raises
    ------
    ConfigError
        Naming two that are the same; or from a setting.
    """
    scenes = [_decisive(arm.applied(scenario)) for arm in arms]
    for (one, scene), (other, same) in combinations(zip(arms, scenes, strict=True), 2):
        if one.name == other.name or one.folder == other.folder:
            raise ConfigError(
                f"two arms are named {one.name!r}: give one of them another name"
            )
        if scene == same:
            raise ConfigError(
                f"the arms {one.name!r} and {other.name!r} are the same: they would "
                "ask the same samples and train the same model"
            )


def pick_reference(name: str | None, arms: Sequence[Arm]) -> str:
    """Return the arm to measure against: the one named, else random, else the first.

    Raises
    ------
    ConfigError
        If no arm has the name; the nearest is named.
    """
    names = [arm.name for arm in arms]
    if name is None:
        return REFERENCE if REFERENCE in names else names[0]
    if name not in names:
        raise ConfigError(
            f"--reference {name!r} is none of the arms" + nearest(name, names)
        )
    return name


def _insists(ask: AskConfig) -> bool:
    """Tell whether the policy brings its own scorer, and thereby its batcher."""
    return (
        make_policy(ask, 2).traits.scorer is not None
    )  # as many classes as anything has


def _decisive(scenario: Scenario) -> dict[str, Scalar]:
    """Return what decides the outcome of a scenario, written one way."""
    flat = scenario.to_flat()
    flat["ask.scorer"] = "".join(scenario.ask.scorer.split())
    if _insists(scenario.ask):
        flat["ask.scorer"] = flat["ask.batcher"] = flat["ask.first"] = ""
    return flat
