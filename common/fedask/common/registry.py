"""Finds a strategy by its name in a table, or as ``package.module:attr``.

Called wherever the configuration names a strategy. Targets are text and are imported on
first use, so a device pays only for what it uses.
"""

import difflib
import importlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from fedask.common.errors import ConfigError, FedaskError
from fedask.common.user_code import told


def nearest(name: str, valid: Iterable[str], prefix: str = "") -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest valid name, or all of them.

    Parameters
    ----------
    prefix
        Written before the closest name, and not compared.

    Examples
    --------
    >>> nearest("margn", ["margin", "entropy"])
    " (did you mean 'margin'?)"
    >>> nearest("spam", ["margin", "entropy"])
    ' (valid: entropy, margin)'
    """
    names = sorted(str(each) for each in valid)  # a StrEnum's repr is no word
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f" (did you mean {prefix + close[0]!r}?)"
    return f" (valid: {', '.join(names)})"


def load_attr(target: str) -> Any:  # noqa: ANN401  (whatever the user named)
    """Import ``package.module:attr``.

    Raises
    ------
    ConfigError
        If the text has no colon, the module does not import, or lacks the attribute.
    """
    module_name, _, attr = target.partition(":")
    if not module_name or not attr or module_name.startswith("."):
        raise ConfigError(f"{target!r} must be written package.module:attr")
    try:
        module = importlib.import_module(module_name)
    except Exception as err:  # whatever the user's code raises
        said = told(err).removeprefix("ModuleNotFoundError: ")
        raise ConfigError(
            f"cannot import {module_name!r} of {target!r}: {said}"
        ) from err
    try:
        return getattr(module, attr)
    except AttributeError as err:
        raise ConfigError(
            f"module {module_name!r} has no {attr!r}" + nearest(attr, vars(module))
        ) from err


@cache
def declared(group: str) -> Mapping[str, str]:
    """Return what installed packages declare in a group of entry points.

    Returns
    -------
    Mapping
        Name to ``package.module:attr``, in the order of the names.
    """
    return {entry.name: entry.value for entry in sorted(entry_points(group=group))}


def resolve(kind: str, name: str, table: Mapping[str, str]) -> Any:  # noqa: ANN401  (JSON)
    """Find what ``name`` stands for: an entry of ``table`` or ``package.module:attr``.

    Parameters
    ----------
    kind
        What is looked for, for the error message: ``"scorer"``, ``"policy"``.

    Raises
    ------
    ConfigError
        If the name is unknown (the nearest valid one is named) or does not import.
    """
    if name in table:
        return load_attr(table[name])
    if ":" in name:
        return load_attr(name)
    raise ConfigError(f"unknown {kind} {name!r}" + nearest(name, table))


def make(
    kind: str,
    name: str,
    table: Mapping[str, str],
    *arguments: Any,  # noqa: ANN401  (whatever that kind is made of)
    offers: Sequence[str] = (),
) -> Any:  # noqa: ANN401  (JSON)
    """Call what ``resolve`` finds.

    Parameters
    ----------
    offers
        What its users will look for in what the call returns.

    Raises
    ------
    ConfigError
        As ``resolve``, or if the call fails, or what it returns lacks something: a
        user's own may be made of anything.
    """
    factory = resolve(kind, name, table)
    try:
        made = factory(*arguments)
    except FedaskError:
        raise
    except Exception as err:  # whatever a user's own may raise
        given = ", ".join(type(argument).__name__ for argument in arguments)
        raise ConfigError(
            f"{kind} {name!r} cannot be made by a call with ({given}): "
            + told(err, factory)
        ) from err
    lacking = [attr for attr in offers if not hasattr(made, attr)]
    if lacking:
        raise ConfigError(f"{kind} {name!r} lacks {', '.join(lacking)}")
    return made
