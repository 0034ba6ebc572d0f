"""The settings of a device's site: ``device.toml`` in its folder.

Read by every command of ``fedask device``, and by a SuperNode that was given the folder
(``--node-config 'site="/srv/ward-3"'``), so that all processes of a device agree. The
server has no say in any of it. Never opens data, store or network.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fedask.client.data.rights.holdings import OPEN
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.learning.training.local_model_settings import LocalModelSettings
from fedask.client.store.store_settings import StoreSettings
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.ids import DeviceId, parse_device_id
from fedask.common.registry import nearest

FILE = "device.toml"
STORE = "device.db"
MAX_BYTES = 1 << 16
_TABLES = ("data", "desk", "seal", "page", "eligible", "own", "service")
_PATHS = {  # settings of a table that are paths, relative to the folder
    "seal": ("key", "passphrase", "audit_key"),
    "page": ("certificate", "private_key", "logins", "sessions", "guidelines"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """What the owner of a device decided.

    Parameters
    ----------
    folder
        Where ``device.toml`` stands; other paths are relative to it.
    device
        Pseudonym that the server sees.
    app
        Folder of the Flower App that the fleet runs (``fedask new``): for the task and
        its classes.
    rights
        The policy file, or ``open``: everything may be done with every sample.
    data
        ``data``, a file or folder of samples, and the options of its kind (see
        ``sources.source.open_source``).
    desk
        Settings of ``DeskSettings``, without ``desk-``.
    store
        SQLite file.
    seal
        Settings of ``StoreSettings``: where its key is, how much it may hold.
    page
        Settings of ``PageSettings``.
    eligible
        Settings of ``EligibilitySettings``: when the device may train.
    own
        Settings of ``LocalModelSettings``: when the device trains its own model.
    service
        Settings of the labelling service: see ``site.service_table``.
    """

    folder: Path
    device: DeviceId
    app: Path
    rights: str
    data: Mapping[str, Any]
    desk: Mapping[str, Any] = field(default_factory=dict)
    store: Path = Path(STORE)
    seal: Mapping[str, Any] = field(default_factory=dict)
    page: Mapping[str, Any] = field(default_factory=dict)
    eligible: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    service: Mapping[str, Any] = field(default_factory=dict)

    @property
    def store_path(self) -> Path:
        """The store's file."""
        return self.folder / self.store

    @property
    def app_path(self) -> Path:
        """The app's folder."""
        return self.folder / self.app

    def desk_settings(self, classes: int) -> DeskSettings:
        """Return how people work together here.

        Raises
        ------
        ConfigError
            If a setting of the desk is wrong.
        """
        with self.told("desk"):
            return DeskSettings.from_node(self._node("desk", "desk-"), classes)

    def store_settings(self) -> StoreSettings:
        """Return how the store is opened.

        Raises
        ------
        ConfigError
            If a setting is wrong.
        """
        with self.told("seal"):
            return StoreSettings.from_node(self._node("seal", "store-"))

    def own_settings(self) -> LocalModelSettings:
        """Return when the device trains its own model.

        Raises
        ------
        ConfigError
            If a setting is wrong.
        """
        with self.told("own"):
            return LocalModelSettings.from_node(self._node("own", "own-"))

    def to_node(self) -> dict[str, Any]:
        """Return the settings as a SuperNode's node configuration says them."""
        rights = OPEN if self.rights == OPEN else str(self.folder / self.rights)
        own = {"device": self.device, "store": str(self.store_path), "rights": rights}
        return {
            **self.data,
            **own,
            **self._node("desk", "desk-"),
            **self._node("seal", "store-"),
            **self._node("page", "page-"),
            **self._node("eligible", "eligible-"),
            **self._node("own", "own-"),
        }

    def _node(self, table: str, prefix: str) -> dict[str, Any]:
        """Return a table as keys of a node configuration."""
        paths = _PATHS.get(table, ())
        return {
            prefix + key.replace("_", "-"): str(self.folder / value)
            if key in paths and isinstance(value, str)
            else value
            for key, value in getattr(self, table).items()
        }

    @contextmanager
    def told(self, table: str) -> Iterator[None]:
        """Tell of a wrong setting where it stands, not how a node would say it."""
        prefix = {"seal": "store"}.get(table, table)
        try:
            yield
        except ConfigError as err:
            told = re.sub(rf"(--node-config )?\b{prefix}(-|: )", "", str(err))
            msg = f"{self.where} [{table}]: {told}"
            raise ConfigError(msg) from err

    @property
    def where(self) -> Path:
        """The settings file."""
        return self.folder / FILE


def read_device_settings(folder: Path) -> DeviceSettings:
    """Read the settings of a site.

    Parameters
    ----------
    folder
        That ``fedask device init`` made.

    Raises
    ------
    ConfigError
        If there are none, they are not TOML, or a key is unknown, missing or wrong.
    """
    where = folder / FILE
    try:
        with where.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except FileNotFoundError as err:
        msg = f"no device in {folder}: there is no {FILE}. Make one with "
        msg += "`fedask device init`, or name its folder with --site"
        raise ConfigError(msg) from err
    except OSError as err:
        msg = f"cannot read {where}: {err.strerror}"
        raise ConfigError(msg) from err
    if len(text) > MAX_BYTES:
        msg = f"{where} is larger than {MAX_BYTES} bytes: not a settings file"
        raise ConfigError(msg)
    try:
        tree = tomllib.loads(text.decode())
    except ValueError as err:  # not UTF-8, not TOML
        msg = f"cannot read {where}: {err}"
        raise ConfigError(msg) from err
    return _checked(folder, tree)


def _checked(folder: Path, tree: Mapping[str, Any]) -> DeviceSettings:
    where = folder / FILE
    known = {each.name for each in fields(DeviceSettings)} - {"folder"}
    for key, value in tree.items():
        if key not in known:
            msg = f"{where}: unknown key {key!r}" + nearest(key, known)
            raise ConfigError(msg)
        kind: type = dict if key in _TABLES else str
        if not isinstance(value, kind):
            told = "a table" if kind is dict else "a text"
            msg = f"{where}: {key} = {value!r:.80} must be {told}"
            raise ConfigError(msg)
    if "rights" not in tree:
        msg = f'{where} has no rights: name the policy file, rights = "rights.toml", '
        msg += 'or say rights = "open" if every sample may be scored, shown to people '
        msg += "and trained on without end"
        raise ConfigError(msg)
    for key in ("device", "app", "data"):
        if key not in tree:
            msg = f"{where} has no {key}"
            raise ConfigError(msg)
    if not isinstance(tree["data"].get("data"), str):
        msg = f"{where}: [data] has no data = PATH"
        raise ConfigError(msg)
    try:
        device = parse_device_id(tree["device"])
    except ProtocolError as err:
        msg = f"{where}: {err}"
        raise ConfigError(msg) from err
    data = {**tree["data"], "data": str(folder / tree["data"]["data"])}
    return DeviceSettings(
        folder=folder,
        device=device,
        app=Path(tree["app"]),
        rights=tree["rights"],
        data=data,
        desk=tree.get("desk", {}),
        store=Path(tree.get("store", STORE)),
        **{name: tree.get(name, {}) for name in _TABLES[2:]},
    )
