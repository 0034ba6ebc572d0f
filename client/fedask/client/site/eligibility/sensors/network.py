"""Whether there is a network, and whether it costs by the byte. Called by ``machine``.

The interface is the one of the default route (``/proc/net/route``, ``ipv6_route``).
Whether it is metered, only NetworkManager knows; without its ``nmcli`` it cannot be
told. NetworkManager's own guess, by the kind of the connection, counts.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from typing_extensions import override

from fedask.client.site.eligibility.guard import (
    EligibilitySensor,
    MissingError,
    Obstacle,
    Reason,
)
from fedask.client.site.eligibility.sensors.system_file import read_text

NET = Path("/sys/class/net")
ROUTES = Path("/proc/net")

_NMCLI_S = 1.0
_LONGEST = 15  # characters of an interface's name on Linux


def ask_nmcli(interface: str) -> str:
    """Return what NetworkManager says of an interface: yes, no, a guess, unknown.

    Raises
    ------
    MissingError
        If it cannot be asked.
    """
    nmcli = shutil.which("nmcli")
    if nmcli is None:
        raise MissingError("there is no nmcli to tell whether the network is metered")
    command = [nmcli, "-g", "GENERAL.METERED", "device", "show", interface]
    try:
        done = subprocess.run(  # noqa: S603  (no shell; the name is of an interface)
            command, capture_output=True, timeout=_NMCLI_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as err:
        raise MissingError(
            f"nmcli does not tell whether the network is metered ({type(err).__name__})"
        ) from err
    return done.stdout[:100].decode(errors="replace").strip()


class NetworkSensor(EligibilitySensor):
    """Whether there is a network of the wanted kind.

    Parameters
    ----------
    unmetered
        Whether it must not cost by the byte.
    net, routes
        Where Linux tells about interfaces and routes.
    ask
        Asks NetworkManager about an interface.
    """

    name = "network"

    def __init__(
        self,
        *,
        unmetered: bool,
        net: Path = NET,
        routes: Path = ROUTES,
        ask: Callable[[str], str] = ask_nmcli,
    ) -> None:
        self._unmetered = unmetered
        self._net = net
        self._routes = routes
        self._ask = ask

    @override
    def look(self) -> Obstacle | None:
        interface = self._interface()
        if interface is None:
            sentence = "no interface has a default route and is up"
            return Obstacle(reason=Reason.NETWORK_ABSENT, sentence=sentence)
        if not self._unmetered:
            return None
        told = self._ask(interface)
        if told.startswith("no"):
            return None
        if told.startswith("yes"):
            sentence = f"the network at {interface} is metered"
            return Obstacle(reason=Reason.NETWORK_METERED, sentence=sentence)
        raise MissingError(
            "NetworkManager does not know whether the network is metered"
        )

    def _interface(self) -> str | None:
        """Return an interface with a default route that is up, None if none is."""
        tables = [read_text(self._routes / name) for name in ("route", "ipv6_route")]
        if tables == [None, None] or not self._net.is_dir():
            raise MissingError("this machine does not tell its routes")
        found = [*_of_ipv4(tables[0] or ""), *_of_ipv6(tables[1] or "")]
        return next((name for name in found if self._is_up(name)), None)

    def _is_up(self, name: str) -> bool:
        if not 1 <= len(name) <= _LONGEST or "/" in name or name in {".", "..", "lo"}:
            return False
        # Tunnels and some drivers never say more than "unknown".
        return read_text(self._net / name / "operstate") in {"up", "unknown"}


def _of_ipv4(table: str) -> list[str]:
    """Return the interfaces of default routes: destination and mask are zero."""
    rows = [line.split() for line in table.splitlines()[1:]]
    zero = "00000000"
    return [row[0] for row in rows if len(row) > 7 and row[1] == row[7] == zero]  # noqa: PLR2004  (columns of the file)


def _of_ipv6(table: str) -> list[str]:
    rows = [line.split() for line in table.splitlines()]
    zero = "0" * 32
    return [row[9] for row in rows if len(row) > 9 and row[:2] == [zero, "00"]]  # noqa: PLR2004  (columns of the file)
