"""The labelling service of a site: the ``[service]`` table of its ``device.toml``.

Read once at the start, by ``fedask device serve --grpc``. Unknown keys are refused;
paths count from the folder of the file. ::

    [service]
    address = "unix:desk/socket"
    annotators = ["ann", "bob"]
"""

from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from fedask.client.labelling.grpc.service_server import LabellingService
from fedask.client.labelling.grpc.service_settings import (
    ServerTls,
    ServiceLimits,
    ServiceSettings,
)
from fedask.client.labelling.grpc.servicer import Guide
from fedask.client.site.device_exhibit import SharedExhibit
from fedask.client.site.device_folder import DeviceFolder
from fedask.common.errors import ConfigError
from fedask.common.ids import parse_annotator
from fedask.common.registry import nearest

_MAX_BYTES = 1 << 20  # of the guidelines
_UNIX = "unix:"
_KEYS: dict[str, type] = {
    "address": str,
    "token": str,
    "annotators": list,
    "guidelines": str,
    "tls": dict,
    "people": dict,
    "limits": dict,
}
_T = TypeVar("_T", ServiceLimits, ServerTls)


def service_of(site: DeviceFolder) -> LabellingService:
    """Make the service of a site; it does not listen yet.

    Raises
    ------
    ConfigError
        If there is no address, or a key or a value is wrong.
    ProtocolError
        If an annotator's name is none.
    DataError
        If the data cannot be read.
    """
    table, folder = site.settings.service, site.settings.folder.absolute()
    with site.settings.told("service"):
        settings = service_settings(table, folder)
        guidelines = table.get("guidelines")
        text = "" if guidelines is None else _text(folder / guidelines)
    guide = Guide(
        classes=tuple(site.task.classes), guidelines=text, version=version("fedask")
    )
    return LabellingService(
        store=site.settings.store_path,
        sealing=site.settings.store_settings(),
        settings=settings,
        desk=site.settings.desk_settings(site.task.num_classes),
        guide=guide,
        exhibit=SharedExhibit(site.new_exhibit),
        clock=site.clock,
    )


def service_settings(table: Mapping[str, Any], folder: Path) -> ServiceSettings:
    """Read the table.

    Raises
    ------
    ConfigError
        If a key or a value is missing or wrong.
    ProtocolError
        If an annotator's name is none.
    """
    _check(table, _KEYS, "")
    if "address" not in table:
        msg = 'no address: say where it listens, as in address = "unix:desk/socket"'
        raise ConfigError(msg)
    people, annotators = table.get("people", {}), table.get("annotators", [])
    token, tls = table.get("token"), table.get("tls")
    _check(people, dict.fromkeys(people, str), "people.")
    address = table["address"]
    if address.startswith(_UNIX):
        address = f"{_UNIX}{folder / address.removeprefix(_UNIX)}"
    return ServiceSettings(
        address=address,
        token=None if token is None else folder / token,
        tls=None if tls is None else _settings(ServerTls, tls, "tls", folder),
        people=people,
        annotators=frozenset(parse_annotator(name) for name in annotators),
        limits=_settings(ServiceLimits, table.get("limits", {}), "limits"),
    )


def _settings(
    kind: type[_T], table: Mapping[str, Any], name: str, folder: Path | None = None
) -> _T:
    """Build a frozen dataclass from a table, every value of its field's type."""
    hints = {k: str if h is Path else h for k, h in get_type_hints(kind).items()}
    _check(table, hints, f"{name}.")
    needed = [f.name for f in fields(kind) if folder is not None]
    missing = [key for key in needed if key not in table]
    if missing:
        msg = f"{name} lacks {', '.join(missing)}"
        raise ConfigError(msg)
    if folder is not None:
        table = {key: folder / value for key, value in table.items()}
    return kind(**table)


def _check(table: Mapping[str, Any], types: Mapping[str, type], prefix: str) -> None:
    for key, value in table.items():
        if key not in types:
            msg = f"{prefix}{key}: no such setting" + nearest(key, types)
            raise ConfigError(msg)
        whole = type(value) is int and types[key] is float
        if type(value) is not types[key] and not whole:
            msg = f"{prefix}{key} = {value!r:.80} must be {types[key].__name__}"
            raise ConfigError(msg)


def _text(path: Path) -> str:
    """Return a short text file."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as err:
        msg = f"cannot read {path}: {err}"
        raise ConfigError(msg) from err
    if len(content) > _MAX_BYTES:
        msg = f"{path} has more than {_MAX_BYTES} bytes"
        raise ConfigError(msg)
    return text
