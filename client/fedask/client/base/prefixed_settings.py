"""Settings of a node configuration that begin with one prefix, such as ``desk-``.

Called by whatever has such settings; each knows its own names, types and rules.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fedask.common.errors import ConfigError
from fedask.common.registry import nearest


def settings_under(
    node: Mapping[str, object], prefix: str, names: Collection[str]
) -> Iterator[tuple[str, str, Any]]:
    """Yield (name, key, value) of the settings that begin with a prefix.

    Parameters
    ----------
    node
        The owner's node configuration; other keys are not looked at.
    names
        Those that there are, with ``_`` where keys have ``-``.

    Raises
    ------
    ConfigError
        If a key is none of them; the nearest is named.
    """
    for key, value in node.items():
        if not key.startswith(prefix):
            continue
        name = key.removeprefix(prefix).replace("-", "_")
        if name not in names:
            known = [prefix + each.replace("_", "-") for each in names]
            msg = f"--node-config {key}: no such setting" + nearest(key, known)
            raise ConfigError(msg)
        yield name, key, value


def check_kind(key: str, value: object, kind: type) -> None:
    """Refuse a value of another type; a whole number is a float too, a bool is neither.

    Raises
    ------
    ConfigError
        Saying which type it must be.
    """
    if type(value) is not kind and not (kind is float and type(value) is int):
        msg = f"--node-config {key} = {value!r:.80}: must be {kind.__name__}"
        raise ConfigError(msg)
