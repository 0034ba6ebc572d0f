"""The owner's file for a labelling service: what to serve, where, and for whom.

Read once at the start, by ``python -m fedask.client.service``. Unknown keys are
refused; paths count from the folder of the file.

.. code:: toml

    store = "/srv/fedask/device.db"   # the SuperNode's
    app = "/srv/fedask/my-app"        # folder that holds the package of the task
    task = "my_app.task:task"
    guidelines = "guidelines.txt"
    address = "unix:/run/fedask/desk"
    [desk]
    rule = "two"
"""

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from fedask.client.desk_settings import DeskSettings
from fedask.client.exhibit import Exhibit
from fedask.client.service.front import Guide
from fedask.client.service.server import LabellingService
from fedask.client.service.settings import Limits, ServerTls, ServiceSettings
from fedask.common.clock import Clock
from fedask.common.errors import ConfigError
from fedask.common.ids import parse_annotator
from fedask.common.registry import load_attr, nearest
from fedask.common.task import Task

_MAX_BYTES = 1 << 20  # of the file, and of the guidelines
_KEYS: dict[str, type] = {
    "store": str,
    "app": str,
    "task": str,
    "guidelines": str,
    "exhibit": str,
    "address": str,
    "token": str,
    "annotators": list,
    "tls": dict,
    "people": dict,
    "limits": dict,
    "desk": dict,
}
_NEEDED = ("store", "task", "address")
_T = TypeVar("_T", Limits, DeskSettings, ServerTls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a file says.

    Parameters
    ----------
    app
        Folder from which ``task`` and ``exhibit`` are imported; None: from anywhere.
    task
        ``package.module:attr`` of a Task: its classes are those of the labels.
    guidelines
        Text.
    exhibit
        ``package.module:attr`` of what makes an Exhibit; "": nothing to show.
    desk
        Options of the desk, beside the number of classes.
    """

    store: Path
    app: Path | None
    task: str
    guidelines: str
    exhibit: str
    service: ServiceSettings
    desk: Mapping[str, Any]

    def open(self, clock: Clock) -> LabellingService:
        """Import what is named, and make the service; it does not listen yet.

        Raises
        ------
        ConfigError
            If something named is not there, or is not what it should be.
        """
        if self.app is not None and str(self.app) not in sys.path:
            sys.path.insert(0, str(self.app))
        task = load_attr(self.task)
        if not isinstance(task, Task):
            msg = f"task = {self.task!r} is a {type(task).__name__}, not a Task"
            raise ConfigError(msg)
        shown: Exhibit | None = load_attr(self.exhibit)() if self.exhibit else None
        desk = _settings(
            DeskSettings, {**self.desk, "classes": task.num_classes}, "desk"
        )
        guide = Guide(
            classes=tuple(task.classes),
            guidelines=self.guidelines,
            version=version("fedask"),
        )
        return LabellingService(
            store=self.store,
            settings=self.service,
            desk=desk,
            guide=guide,
            exhibit=shown,
            clock=clock,
        )


def read_plan(path: Path) -> Plan:
    """Read a file.

    Raises
    ------
    ConfigError
        If it cannot be read, or a key or a value is wrong.
    ProtocolError
        If an annotator's name is none.
    """
    try:
        tree = tomllib.loads(_text(path))
    except ValueError as err:  # not TOML, or a number too long
        msg = f"cannot read {path}: {err}"
        raise ConfigError(msg) from err
    _check(tree, _KEYS, f"{path}: ")
    for key in _NEEDED:
        if key not in tree:
            msg = f"{path} has no {key}"
            raise ConfigError(msg)
    folder = path.absolute().parent
    app, guidelines = tree.get("app"), tree.get("guidelines")
    if "classes" in tree.get("desk", {}):
        msg = f"{path}: desk.classes is the task's to say: leave it out"
        raise ConfigError(msg)
    return Plan(
        store=folder / tree["store"],
        app=None if app is None else folder / app,
        task=tree["task"],
        guidelines="" if guidelines is None else _text(folder / guidelines),
        exhibit=tree.get("exhibit", ""),
        service=_service(tree, folder),
        desk=tree.get("desk", {}),
    )


def _service(tree: Mapping[str, Any], folder: Path) -> ServiceSettings:
    people, annotators = tree.get("people", {}), tree.get("annotators", [])
    token, tls = tree.get("token"), tree.get("tls")
    _check(people, dict.fromkeys(people, str), "people.")
    return ServiceSettings(
        address=tree["address"],
        token=None if token is None else folder / token,
        tls=None if tls is None else _settings(ServerTls, tls, "tls", folder),
        people=people,
        annotators=frozenset(parse_annotator(name) for name in annotators),
        limits=_settings(Limits, tree.get("limits", {}), "limits"),
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
