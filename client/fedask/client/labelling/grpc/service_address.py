"""Where a labelling service listens. Read by its settings, server and client."""

from dataclasses import dataclass
from pathlib import Path

from fedask.client.base.loopback import is_loopback
from fedask.common.errors import ConfigError

_SCHEME = "unix:"
_MAX_PATH = 100  # bytes: the system takes 107
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAddress:
    """A socket file, or a host and a port.

    Parameters
    ----------
    path
        Of the socket; None for a port.
    host
        As it was written, without brackets; "" for a socket.
    port
        0: any that is free.
    """

    path: Path | None = None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "ServiceAddress":
        """Read ``unix:/path``, ``host:port`` or ``[address]:port``.

        Raises
        ------
        ConfigError
            If it is none of these, or the path is too long for a socket.
        """
        if text.startswith(_SCHEME):
            path = text.removeprefix(_SCHEME)
            if not path.startswith("/") or len(path.encode()) > _MAX_PATH:
                raise ConfigError(
                    f"service address {text!r:.200}: a socket needs a full path of at"
                    f" most {_MAX_PATH} bytes"
                )
            return cls(path=Path(path))
        host, _, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        known = bare and not (":" in bare and bare == host) and "/" not in bare
        number = int(port) if port.isascii() and port.isdecimal() else -1
        if not known or not 0 <= number <= _MAX_PORT:
            raise ConfigError(
                f"service address {text!r:.200} must be unix:/path, host:port or "
                "[address]:port"
            )
        return cls(host=bare, port=number)

    @property
    def is_local(self) -> bool:
        """Whether nobody on another machine can reach it."""
        return self.path is not None or is_loopback(self.host)

    @property
    def target(self) -> str:
        """The address as gRPC writes it."""
        if self.path is not None:
            return f"{_SCHEME}{self.path}"
        # A name may mean several addresses; this machine is to be one of them only.
        host = "127.0.0.1" if self.host == "localhost" else self.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
