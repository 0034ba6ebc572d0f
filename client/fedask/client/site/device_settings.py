"""The settings of a device: ``device.toml`` in its folder, written by the owner.

Read once by every process of a device, whole, so that a misspelt key of any table is
found by every command. The server has no say in any of it. Never opens data, store or
network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fedask.client.data.sources.source import check_options
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.grpc.service_settings import ServiceSettings
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.client.learning.training.local_model_settings import LocalModelSettings
from fedask.client.site.eligibility.eligibility_settings import EligibilitySettings
from fedask.client.store.store_settings import StoreSettings
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.ids import DeviceId, parse_device_id
from fedask.common.settings import ADVICE, Scalar, SettingError, Where, build, read_toml

FILE = "device.toml"
STORE = "device.db"
MAX_BYTES = 1 << 16
_UNIX = "unix:"
_NO_RIGHTS = (
    ': name the policy file, rights = "rights.toml", or say rights = "open" if every '
    "sample may be scored, shown to people and trained on without end"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """The tables of ``device.toml``; relative paths count from its folder.

    Parameters
    ----------
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
    store
        SQLite file, made if missing.
    labels
        File of answers (see ``oracles.file_oracle``), where no person gives them.
    seal
        Where the keys of the store are, and how much it may hold.
    page
        None: the labelling page is for this machine alone.
    service
        None: there is no labelling service.

    Raises
    ------
    SettingError
        If the pseudonym is none, or there is no path of the data.
    """

    device: DeviceId
    app: Path
    rights: Path | Literal["open"] = field(metadata={ADVICE: _NO_RIGHTS})
    data: Mapping[str, Scalar]
    store: Path = Path(STORE)
    labels: Path | None = None
    desk: DeskSettings = field(default_factory=DeskSettings)
    seal: StoreSettings = field(default_factory=StoreSettings)
    page: PageSettings | None = None
    eligible: EligibilitySettings = field(default_factory=EligibilitySettings)
    local_model: LocalModelSettings = field(default_factory=LocalModelSettings)
    service: ServiceSettings | None = None

    def __post_init__(self) -> None:
        try:
            parse_device_id(self.device)
        except ProtocolError as err:
            raise SettingError("device", f": {err}") from err
        if not isinstance(self.data.get("data"), str):
            raise SettingError("data.data", " must be the path of the samples")


def read_device_settings(folder: Path) -> DeviceSettings:
    """Read the settings of a device.

    Parameters
    ----------
    folder
        That ``fedask device init`` made.

    Raises
    ------
    ConfigError
        If there are none, they are not TOML, or a key is unknown, missing or wrong:
        with file, table and key.
    """
    file = folder / FILE
    where = Where(file)
    try:
        tree = read_toml(file, MAX_BYTES)
    except FileNotFoundError as err:
        raise ConfigError(
            f"no device in {folder}: there is no {FILE}. Make one with "
            "`fedask device init`, or name its folder with --site"
        ) from err
    settings = build(DeviceSettings, _with_full_address(tree, where), where)
    data = {**settings.data, "data": str(where.path(str(settings.data["data"])))}
    check_options(data, Where(file, "data"))
    return replace(settings, data=data)


def _with_full_address(tree: Mapping[str, Any], where: Where) -> Mapping[str, Any]:
    """Make the path of the service's socket count from the folder, as others do."""
    service = tree.get("service")
    if not isinstance(service, dict):
        return tree
    address = service.get("address")
    if not isinstance(address, str) or not address.startswith(_UNIX):
        return tree
    socket = where.path(address.removeprefix(_UNIX)).absolute()
    return {**tree, "service": {**service, "address": f"{_UNIX}{socket}"}}
