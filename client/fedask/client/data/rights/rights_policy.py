"""The rights policy of a site, read from its owner's file.

Called by ``sample_rights``, which applies it to the samples of a device. The server has
no say in it. A policy is a TOML file, usually ``rights.toml``: ::

    [defaults]                       # of samples that nothing else is said of
    source = "ward 3"
    [[rule]]                         # the first rule that matches decides
    when = {consent = ["no", "withdrawn"]}
    may = []
    [[rule]]
    when = {licence = "cc-by-*", consent = "yes"}
    may = ["score", "show", "train"]
    [retention]
    days = 90                        # since this device first saw the sample

What no rule matches may not be used at all, and a field that is unknown matches no
pattern, not even ``*``. Time runs out by itself: a sample past its ``until``, or older
than the retention, has no rights whatever the rules say.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any

from fedask.client.base.regular_file import BrokenSampleError, read_whole
from fedask.client.records.provenance import (
    FIELDS,
    TEXTS,
    Provenance,
    clean,
    parse_fields,
)
from fedask.common.errors import ConfigError, DataError
from fedask.common.registry import nearest

MAX_TOML_BYTES = 1 << 18
MAX_RULES = 1000
MAX_DAYS = 36_500
DAY_S = 86_400


class Right(IntFlag):
    """What may be done with a sample; values are kept nowhere."""

    NONE = 0
    SCORE = 1  # a model looks at it, to decide whether to ask
    SHOW = 2  # a person sees it
    TRAIN = 4  # it shapes an update that leaves the device, with or without a label


# A question costs a person's time, and its answer is to be trained on: whoever may not
# do all three with a sample does not ask it.
ASK = Right.SCORE | Right.SHOW | Right.TRAIN
_NAMES = {right.name.lower(): right for right in Right if right.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsRule:
    """What may be done with the samples that all patterns of a rule match.

    Parameters
    ----------
    when
        Field to patterns (``*``, ``?``, ``[...]``), one of which must match; lower
        case. Without any, the rule matches every sample.
    """

    when: Mapping[str, tuple[str, ...]]
    may: Right

    def matches(self, known: Provenance) -> bool:
        """Return whether the rule matches samples of this provenance."""
        return all(
            (text := getattr(known, name))
            and any(fnmatchcase(text, pattern) for pattern in patterns)
            for name, patterns in self.when.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsPolicy:
    """A site's policy.

    Parameters
    ----------
    defaults
        What holds of a sample where nothing else is said.
    days
        How long a sample may be used after the device first saw it; None: no end.
    digest
        SHA-256 of the file, 64 hex digits: names the policy in the audit log.
    """

    rules: tuple[RightsRule, ...]
    defaults: Provenance = field(default_factory=Provenance)
    days: int | None = None
    digest: str = ""

    def rights(self, known: Provenance) -> Right:
        """Return what the first rule that matches allows; without one, nothing.

        Time is not looked at.
        """
        for rule in self.rules:
            if rule.matches(known):
                return rule.may
        return Right.NONE

    @classmethod
    def load(cls, path: Path) -> "RightsPolicy":
        """Read a policy file.

        Raises
        ------
        ConfigError
            If it cannot be read, is no TOML, or holds something unknown: then with the
            nearest thing that is known.
        """
        try:
            data = read_whole(path.resolve(), MAX_TOML_BYTES)
        except (OSError, BrokenSampleError) as err:
            raise ConfigError(
                f"cannot read the policy of rights {path}: {err}"
            ) from err
        try:
            return cls.parse(data)
        except ConfigError as err:
            raise ConfigError(f"{path}: {err}") from err

    @classmethod
    def parse(cls, data: bytes) -> "RightsPolicy":
        """Read a policy from the bytes of its file.

        Raises
        ------
        ConfigError
            As ``load``, without the path.

        Examples
        --------
        >>> policy = RightsPolicy.parse(b'''
        ... [defaults]
        ... consent = "yes"
        ... [[rule]]
        ... when = {licence = "cc-by-*", consent = "yes"}
        ... may = ["score", "show", "train"]
        ... ''')
        >>> policy.rights(Provenance(licence="cc-by-4.0", consent="yes")) == ASK
        True
        >>> policy.rights(Provenance(licence="cc-by-4.0", consent="withdrawn"))
        <Right.NONE: 0>
        """
        try:
            tables = tomllib.loads(data.decode())
        except (ValueError, RecursionError) as err:
            raise ConfigError(f"is no TOML: {err}") from err
        _check_keys("", tables, ("defaults", "retention", "rule"))
        rules = tables.get("rule", [])
        if not isinstance(rules, list) or len(rules) > MAX_RULES:
            raise ConfigError(
                f"rule must be written [[rule]], at most {MAX_RULES} times"
            )
        return cls(
            rules=tuple(_rule(n, table) for n, table in enumerate(rules, start=1)),
            defaults=_defaults(_table("[defaults]", tables.get("defaults", {}))),
            days=_days(_table("[retention]", tables.get("retention", {}))),
            digest=sha256(data).hexdigest(),
        )


def _table(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a table")
    return value


def _check_keys(where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"{where} has no {key!r}".strip() + nearest(key, known))


def _rule(number: int, value: object) -> RightsRule:
    where = f"[[rule]] {number}"
    table = _table(where, value)
    _check_keys(where, table, ("when", "may"))
    if len(table) < 2:  # noqa: PLR2004  (both)
        raise ConfigError(f"{where} needs when and may; when = {{}} is every sample")
    when = _table(f"{where}: when", table["when"])
    _check_keys(f"{where}: when", when, TEXTS)
    patterns = {name: _patterns(f"{where}: {name}", v) for name, v in when.items()}
    may = Right.NONE
    for name in _texts(f"{where}: may", table["may"]):
        if name not in _NAMES:
            raise ConfigError(f"{where}: may has no {name!r}" + nearest(name, _NAMES))
        may |= _NAMES[name]
    return RightsRule(when=patterns, may=may)


def _texts(where: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ConfigError(f"{where} must be a list of texts")
    return value


def _patterns(where: str, value: object) -> tuple[str, ...]:
    texts = _texts(where, [value] if isinstance(value, str) else value)
    try:
        patterns = tuple(clean(text) for text in texts)
    except DataError as err:
        raise ConfigError(f"{where}: {err}") from err
    if not all(patterns) or not patterns:
        raise ConfigError(
            f"{where}: an empty pattern matches nothing; leave the field out"
        )
    return patterns


def _defaults(table: Mapping[str, Any]) -> Provenance:
    _check_keys("[defaults]", table, FIELDS)
    for name, value in table.items():
        if not isinstance(value, str):
            raise ConfigError(f"[defaults] {name} = {value!r:.40} must be a text")
    try:
        fields: dict[str, Any] = parse_fields(table)
    except DataError as err:
        raise ConfigError(f"[defaults] {err}") from err
    return Provenance(**fields)


def _days(table: Mapping[str, Any]) -> int | None:
    _check_keys("[retention]", table, ("days",))
    if not table:
        return None
    days = table["days"]
    if type(days) is not int or not 1 <= days <= MAX_DAYS:
        raise ConfigError(
            f"[retention] days = {days!r:.40} must be a whole number, 1 to {MAX_DAYS}"
        )
    return days
