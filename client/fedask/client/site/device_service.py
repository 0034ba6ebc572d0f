"""Makes the labelling service of a real device from its folder.

Called by ``fedask device serve --grpc``, and by ``doctor``. ``[service]`` of
``device.toml`` says where it listens, and for whom.
"""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from fedask.client.labelling.grpc.service_server import LabellingService
from fedask.client.labelling.grpc.servicer import Guide
from fedask.client.site.device_exhibit import SharedExhibit
from fedask.client.site.device_folder import DeviceFolder
from fedask.common.errors import ConfigError
from fedask.common.settings import Where

_MAX_BYTES = 1 << 20  # of the guidelines


def service_of_device(folder: DeviceFolder) -> LabellingService:
    """Make the service of a device; it does not listen yet.

    Raises
    ------
    ConfigError
        If there is no ``[service]``, or its guidelines cannot be read.
    DataError
        If the data cannot be read.
    """
    settings, classes = folder.settings, tuple(folder.task.classes)
    service = settings.service
    if service is None:
        problem = ' is missing: say where it listens, address = "unix:desk/socket"'
        raise Where(folder.file).error("service", problem)
    text = "" if service.guidelines is None else _text(service.guidelines)
    return LabellingService(
        store=settings.store,
        open_store=lambda: folder.again("service").store,
        settings=service,
        desk=replace(settings.desk, classes=len(classes)),
        guide=Guide(classes=classes, guidelines=text, version=version("fedask")),
        exhibit=SharedExhibit(folder.new_exhibit),
        clock=folder.clock,
    )


def _text(path: Path) -> str:
    """Return a short text file."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"cannot read {path}: {err}") from err
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path} has more than {_MAX_BYTES} bytes")
    return text
