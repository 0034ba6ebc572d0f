"""The owner's node configuration: whose each of its keys is.

Read by every process of a device. Needs neither Flower nor torch, as most do not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedask.client.learning.training import local_model_settings
from fedask.client.site.device_settings import read_device_settings
from fedask.client.site.eligibility import eligibility_settings as eligibility
from fedask.client.site.eligibility.sensors.machine import make_guard
from fedask.common.errors import ConfigError

SITE = "site"
_OTHERS = ("store", "device", "labels", "rights")  # keys that are not of the data
_PREFIXES = (
    "desk-",
    "store-",
    "page-",
    eligibility.PREFIX,
    local_model_settings.PREFIX,
)


def _is_other(key: str) -> bool:
    return key in _OTHERS or key.startswith(_PREFIXES)


def node_of(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the node configuration, with what stands in a site's folder.

    Raises
    ------
    ConfigError
        If the folder's settings are wrong, or something is said twice.
    """
    if SITE not in node:
        return node
    for key in node:
        if key not in {SITE, "labels"}:
            msg = f"--node-config {key}: stands in the site's device.toml; leave it out"
            raise ConfigError(msg)
    rest = {key: value for key, value in node.items() if key != SITE}
    return {**read_device_settings(Path(str(node[SITE]))).to_node(), **rest}


def data_options(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the data in a node configuration: see ``open_source``."""
    return {key: value for key, value in node.items() if not _is_other(key)}


def refuse_unless_eligible(node: Mapping[str, object]) -> None:
    """Do nothing if this device may work on a message now.

    Raises
    ------
    ConfigError
        If a setting is wrong.
    UnavailableError
        If it may not: with the codes of the reasons.
    """
    settings = node_of(node)
    if any(key.startswith(eligibility.PREFIX) for key in settings):
        with make_guard(settings):
            pass
