"""Checks whether page, service and rounds could start. Part of the ``doctor``.

Called by ``checkup``. Nothing is started, and nobody is let in.
"""

from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.eligibility.guard import Reason
from fedask.client.site.finding import Finding, doubtful, good, wrong


def page(folder: DeviceFolder) -> Finding:
    """Whether the labelling page would start with the settings of ``[page]``."""
    if folder.settings.page is None:
        return good("for this machine alone (no [page] in device.toml)")
    # Starlette is needed by those alone who set the page up.
    from fedask.client.labelling.web.page_server import address_of, server_of  # noqa: PLC0415  (imports Starlette)
    from fedask.client.site.device_page import page_of_device, page_settings  # noqa: PLC0415  (imports Starlette)

    settings = page_settings(folder)
    server_of(page_of_device(folder, settings, lambda _: None), settings)
    return good(f"at {address_of(settings)}")


def service(folder: DeviceFolder) -> Finding:
    """Whether the labelling service would start with the settings of ``[service]``."""
    if folder.settings.service is None:
        return good("none for apps (no [service] in device.toml)")
    from fedask.client.site.device_service import service_of_device  # noqa: PLC0415  (imports gRPC)

    service_of_device(folder)
    return good(f"at {folder.settings.service.address}")


def eligible(folder: DeviceFolder) -> Finding:
    """Whether ``[eligible]`` lets the device train now."""
    if not folder.settings.eligible.wanted:
        return good("may train at any time (no [eligible] in device.toml)")
    guard = folder.guard()
    obstacles = guard.look()
    if not obstacles:
        return good("may train now")
    text = "may not train now: " + "; ".join(each.sentence for each in obstacles)
    if any(each.reason is Reason.SENSOR_MISSING for each in obstacles):
        advice = "a machine without that sensor never trains: leave the setting out, "
        return wrong(text, advice + "or name it in prefer of [eligible]")
    return doubtful(text, "rounds are refused until this changes; or change [eligible]")
