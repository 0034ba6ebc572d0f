"""Whether page, service and rounds could begin: checks of the ``doctor``.

Called by ``checkup``. Nothing is started, and nobody is let in.
"""

from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.eligibility.guard import Reason
from fedask.client.site.eligibility.sensors.machine import make_guard
from fedask.client.site.finding import Finding, Grade, good


def page(site: DeviceFolder) -> Finding:
    """Whether the labelling page would start with the settings of ``[page]``."""
    if not site.settings.page:
        return good("page", "for this machine alone (no [page] in device.toml)")
    # Starlette is needed by those alone who set the page up.
    from fedask.client.labelling.web.page_server import address_of, server_of  # noqa: PLC0415  (imports Starlette)
    from fedask.client.labelling.web.page_settings import PageSettings  # noqa: PLC0415  (imports Starlette)
    from fedask.client.site.device_page import page_of_device  # noqa: PLC0415  (imports Starlette)

    node, classes = site.settings.to_node(), site.task.classes
    with site.settings.told("page"):
        settings = PageSettings.from_node(node, classes)
        app = page_of_device(node, settings, site.clock, lambda _: None)
        server_of(app, settings)
    return good("page", f"at {address_of(settings)}")


def service(site: DeviceFolder) -> Finding:
    """Whether the labelling service would start with the settings of ``[service]``."""
    if not site.settings.service:
        return good("service", "none for apps (no [service] in device.toml)")
    from fedask.client.site.service_table import service_of  # noqa: PLC0415  (imports gRPC)

    service_of(site)
    return good("service", f"at {site.settings.service['address']}")


def eligible(site: DeviceFolder) -> Finding:
    """Whether ``[eligible]`` lets the device train now."""
    if not site.settings.eligible:
        return good("eligible", "may train at any time (no [eligible] in device.toml)")
    with site.settings.told("eligible"):
        guard = make_guard(site.settings.to_node())
    obstacles = guard.look()
    if not obstacles:
        return good("eligible", "may train now")
    told = "may not train now: " + "; ".join(each.sentence for each in obstacles)
    if any(each.reason is Reason.SENSOR_MISSING for each in obstacles):
        mend = "a machine without that sensor never trains: leave the setting out, or "
        mend += "name it in prefer of [eligible]"
        return Finding(check="eligible", grade=Grade.WRONG, told=told, mend=mend)
    mend = "rounds are refused until this changes; or change [eligible]"
    return Finding(check="eligible", grade=Grade.DOUBTFUL, told=told, mend=mend)
