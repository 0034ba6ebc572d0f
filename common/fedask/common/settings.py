"""Settings: a frozen dataclass from a table of TOML, with every error where it stands.

Read by whoever is configured by a file: scenarios, a device's ``device.toml``, the
options of its data. Types come from the annotations, rules from ``__post_init__``,
which knows neither file nor table: ``build`` adds them. Never touches what is
configured.
"""

import dataclasses
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from fedask.common.errors import ConfigError, FedaskError
from fedask.common.registry import nearest

Scalar = bool | int | float | str
# Metadata of fields: set by code; and, by this key, what to do where it is missing.
NOT_IN_FILE = MappingProxyType({"in_file": False})
ADVICE = "advice"

_T = TypeVar("_T")


class SettingError(ConfigError):
    """A setting breaks a rule. Raised where its file and table are not known.

    Parameters
    ----------
    problem
        What follows the key in a message: ``" = 3: must be even"``.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(key + problem)
        self.key = key
        self.problem = problem


def require(ok: bool, key: str, value: object, rule: str) -> None:
    """Check a rule of a setting.

    Raises
    ------
    SettingError
        If it is broken: the key, the value and the rule.
    """
    if not ok:
        raise SettingError(key, f" = {value!r}: {rule}")


@dataclass(frozen=True, slots=True)
class Where:
    """Where a table of settings stands.

    Parameters
    ----------
    file
        Paths count from its folder. None: settings that are in no file.
    table
        Dotted name in the file; "": the file itself.
    """

    file: Path | None = None
    table: str = ""

    def key(self, name: str) -> str:
        """Return the dotted name of a key of this table."""
        return f"{self.table}.{name}" if self.table else name

    def error(self, name: str, problem: str) -> ConfigError:
        """Return an error that names file, table and key."""
        return self.told(self.key(name) + problem)

    def told(self, problem: str) -> ConfigError:
        """Return an error that names the file."""
        return ConfigError(problem if self.file is None else f"{self.file}: {problem}")

    def path(self, text: str) -> Path:
        """Return a path of the file, which counts from its folder."""
        return Path(text) if self.file is None else self.file.parent / text


def read_toml(file: Path, max_bytes: int) -> dict[str, Any]:
    """Read a file of settings.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    ConfigError
        If it cannot be read, is longer or is not TOML.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(max_bytes + 1)
        if len(text) <= max_bytes:
            return tomllib.loads(text.decode())
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as err:  # not UTF-8, not TOML, a number too long
        raise ConfigError(f"cannot read {file}: {err}") from err
    raise ConfigError(f"{file} is larger than {max_bytes} bytes: not a settings file")


def build(
    kind: type[_T],
    table: Any,  # noqa: ANN401  (TOML)
    where: Where | None = None,
    beside: Collection[str] = (),
) -> _T:
    """Build a frozen dataclass from a table.

    Parameters
    ----------
    kind
        Its fields are the keys; those whose metadata is ``NOT_IN_FILE`` are not. Types:
        bool, int, float, str, a word of a ``Literal``, ``Path``, tuple or frozenset of
        str, a mapping of names to scalars, another dataclass, and any of them or None.
    beside
        Keys of the table that somebody else reads.

    Raises
    ------
    ConfigError
        If a key is unknown (the nearest is named), missing, of another type, or breaks
        a rule: with file, table and key.
    """
    where = where or Where()
    if not isinstance(table, Mapping):
        raise where.told(f"{where.table} must be a table, not {table!r:.80}")
    known = _types(kind)  # type: ignore[arg-type]  # a class is hashable
    given = {key: value for key, value in table.items() if key not in beside}
    for key in given:
        if key not in known:
            problem = f"unknown key {where.key(key)!r}"
            close = nearest(key, {*known, *beside}, where.key(""))
            raise where.told(problem + close)
    values = {k: _convert(known[k], value, where, k) for k, value in given.items()}
    for each in dataclasses.fields(kind):  # type: ignore[arg-type]  # it is one
        if each.name in values or each.name not in known:
            continue
        if isinstance(each.default, Path):
            values[each.name] = where.path(str(each.default))
        elif each.default is MISSING and each.default_factory is MISSING:
            told = each.metadata.get(ADVICE, "")
            raise where.error(each.name, f" is missing{told}")
    try:
        return kind(**values)
    except SettingError as err:
        raise where.error(err.key, err.problem) from err
    except FedaskError as err:
        raise where.told(f"{where.table}: {err}" if where.table else str(err)) from err


@cache
def _types(kind: Any) -> dict[str, Any]:  # noqa: ANN401  (a dataclass)
    """Return the fields of a dataclass that a file may set, with their types."""
    hints = get_type_hints(kind)
    return {
        each.name: hints[each.name]
        for each in dataclasses.fields(kind)
        if each.init and not each.name.startswith("_") and each.metadata != NOT_IN_FILE
    }


def _convert(hint: Any, value: object, where: Where, key: str) -> object:  # noqa: ANN401  (a type, of any form)
    """Check a value against its field's type."""
    hint = getattr(hint, "__supertype__", hint)  # of a NewType
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        return _convert_one_of(get_args(hint), value, where, key)
    if dataclasses.is_dataclass(hint):
        inner = Where(where.file, where.key(key))
        return build(hint, value, inner)  # type: ignore[arg-type]  # a type
    if origin in {tuple, frozenset}:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise where.error(key, f" = {value!r:.80} must be a list of texts")
        return origin(value)
    if origin is not None:
        return _mapping(get_args(hint)[1], value, where, key)
    return _scalar(hint, value, where, key)


def _convert_one_of(
    hints: tuple[Any, ...], value: object, where: Where, key: str
) -> object:
    """Return a value of one of several types: words, and one other type."""
    words = [word for hint in hints for word in get_args(hint) if isinstance(word, str)]
    if value in words:
        return value
    (other,) = (h for h in hints if h is not NoneType and get_origin(h) is not Literal)
    return _convert(other, value, where, key)


def _mapping(hint: Any, value: object, where: Where, key: str) -> dict[str, Any]:  # noqa: ANN401  (a type, of any form)
    """Check a free table, meant for someone else's constructor."""
    inner = Where(where.file, where.key(key))
    if not isinstance(value, Mapping):
        raise inner.told(f"{inner.table} must be a table, not {value!r:.80}")
    kinds = get_args(hint) or (hint,)
    for name, item in value.items():
        if type(item) not in kinds:
            told = "a text" if kinds == (str,) else "a number, a text or a boolean"
            raise inner.error(name, f" = {item!r:.80} must be {told}")
    return dict(value)


def _scalar(hint: type, value: object, where: Where, key: str) -> object:
    """Check one value; whole numbers may stand for floats."""
    if hint is Path:
        if not isinstance(value, str):  # not shown: it may be a secret
            raise where.error(key, " must be a path, of type str")
        return where.path(value)
    if hint is float and type(value) is int:
        try:
            return float(value)
        except OverflowError as err:
            raise where.error(key, " is too large") from err
    if type(value) is not hint:
        raise where.error(key, f" = {value!r:.80} must be of type {hint.__name__}")
    return value
