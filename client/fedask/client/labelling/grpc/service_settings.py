"""Settings of a device's labelling service: its address, its users and its limits.

Set by the device's owner; read by the server. The server of the fleet has no say here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedask.client.labelling.grpc.service_address import ServiceAddress
from fedask.common.errors import ConfigError
from fedask.common.ids import Annotator, parse_annotator
from fedask.common.settings import SettingError

_KIB = 1024
MAX_CONTENT_BYTES = 255 * _KIB**2  # one MiB less than our client receives


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """The limits of the service.

    Parameters
    ----------
    calls
        Served at the same time, streams apart.
    backlog
        Calls that may wait for their turn; more are refused at once.
    streams
        Open at the same time, one per annotator.
    window
        Samples that one annotator may hold.
    request_bytes, content_bytes
        Of one message from a client, and of the parts in one message to it.
    call_s, stream_s
        Longer deadlines count as these.
    heartbeat_s
        Seconds between signs of life in a stream that has nothing to tell.
    look_s
        Seconds between looks at the store for what other processes changed.

    Raises
    ------
    ConfigError
        If one is out of range.
    """

    calls: int = 4  # the disk takes one answer at a time: more threads only wait
    backlog: int = 64
    streams: int = 16
    window: int = 64
    request_bytes: int = 64 * _KIB  # an answer has a few hundred
    content_bytes: int = 16 * _KIB**2
    call_s: float = 30.0  # three times what the store waits for its lock
    stream_s: float = 3600.0
    heartbeat_s: float = 15.0
    look_s: float = 0.25

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not value > 0:
                raise SettingError(name, f" = {value!r} must be more than 0")
        if self.content_bytes > MAX_CONTENT_BYTES:
            most = f"is more than a client takes, {MAX_CONTENT_BYTES}"
            raise SettingError("content_bytes", f" = {self.content_bytes} {most}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """Certificates of a service that other machines may reach.

    Parameters
    ----------
    certificate, key
        Of the service, PEM. Others must not be able to read the key.
    clients
        Certificates, PEM, one of which must have signed a client's.
    """

    certificate: Path
    key: Path
    clients: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Where the service listens, and who may work there.

    Parameters
    ----------
    address
        ``unix:/path/of/socket`` or ``host:port``.
    token
        File with the secret of a loopback port; made if missing. Default: none, which
        only a unix socket or certificates allow.
    tls
        Needed beyond loopback.
    people
        Name in a client's certificate (a subject alternative name, or without any the
        common name) to annotator: the site's list. Needed with ``tls``.
    annotators
        Who may work through a socket or a port without certificates; empty: anybody
        who can open it, under any name.
    guidelines
        Text file with the site's rules for labelling.

    Raises
    ------
    ConfigError
        If the service would be open to whom it must not be.
    ProtocolError
        If an annotator's name is none.
    """

    address: str
    token: Path | None = None
    tls: ServerTls | None = None
    people: Mapping[str, str] = field(default_factory=dict)
    annotators: frozenset[Annotator] = frozenset()
    limits: ServiceLimits = field(default_factory=ServiceLimits)
    guidelines: Path | None = None

    def __post_init__(self) -> None:
        place = ServiceAddress.parse(self.address)
        for name in (*self.people.values(), *self.annotators):
            parse_annotator(name)
        if self.tls is not None:
            self._check_tls(place)
        elif not place.is_local:
            raise ConfigError(
                f"address {self.address} is beyond this machine: it needs "
                "tls (a certificate, a key and the clients' authority) and people"
            )
        elif self.people:
            raise ConfigError("people names certificates, but there is no tls")
        elif place.path is None and self.token is None:
            raise ConfigError(
                f"address {self.address} is open to every program on this "
                "machine: name a token file, or use unix:/path"
            )

    def _check_tls(self, place: ServiceAddress) -> None:
        if place.path is not None:
            raise ConfigError("a unix socket has no certificates: leave tls out")
        if not self.people:
            raise ConfigError(
                "tls needs people, who may work: certificate to annotator"
            )
        if self.annotators or self.token is not None:
            raise ConfigError(
                "with tls people alone say who may work: leave annotators and token out"
            )
