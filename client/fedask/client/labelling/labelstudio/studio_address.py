"""The address of a labelling server and the token for it. Read once, to connect.

The token is in no repr and in no message; nor is an address that may hold a password.
"""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from fedask.client.base.loopback import is_loopback
from fedask.client.base.private_file import read_private
from fedask.common.errors import ConfigError

TOKEN_VARIABLE = "FEDASK_LABEL_STUDIO_TOKEN"  # noqa: S105  (its name)
MOST_TOKEN = 4096  # characters
_JWT_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioAddress:
    """The address of a labelling server and the token for it.

    Parameters
    ----------
    url
        ``https://...``, or ``http://`` of this machine itself.
    token
        A personal access token or a legacy token.
    plain
        Allow ``http://`` to another machine: whoever is in between sees samples and
        token.
    authority
        Certificates (PEM) to trust instead of the machine's own.

    Raises
    ------
    ConfigError
        If the address is not allowed, or the token is no token.
    """

    url: str
    token: str = field(repr=False)
    plain: bool = False
    authority: Path | None = None

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.url)
        except (httpx.InvalidURL, TypeError) as err:
            raise ConfigError(f"{self.url!r:.80} is no address of a server") from err
        if url.scheme not in {"http", "https"} or not url.host:
            raise ConfigError(f"{self.url!r:.80} must begin with https://")
        if url.userinfo or url.query or url.fragment:
            # Not the address: a password may stand in it.
            raise ConfigError(
                "the address of a labelling server has no user, query or fragment"
            )
        if url.scheme == "http" and not self.plain and not is_loopback(url.host):
            raise ConfigError(
                f"{self.url!r:.80}: http to another machine shows samples and token "
                "to whoever is in between: use https, or allow it explicitly"
            )
        if not 1 <= len(self.token) <= MOST_TOKEN or not is_plain(self.token):
            raise ConfigError(f"a token is 1 to {MOST_TOKEN} characters without spaces")

    @property
    def personal(self) -> bool:
        """Whether the token is a personal access token, changed for short-lived ones.

        A legacy token is sent as it is.
        """
        return self.token.count(".") == _JWT_PARTS - 1


def is_plain(text: str) -> bool:
    """Tell whether a text may stand in a header as it is."""
    return text.isascii() and text.isprintable() and " " not in text


def read_token(path: Path | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the token of a file, or without one of ``FEDASK_LABEL_STUDIO_TOKEN``.

    Raises
    ------
    ConfigError
        If there is none, or others on the machine may read the file.
    """
    if path is None:
        token = environment.get(TOKEN_VARIABLE, "").strip()
        if not token:
            raise ConfigError(f"no token: name a file, or set {TOKEN_VARIABLE}")
        return token
    content = read_private(path, "the token", MOST_TOKEN + 1)  # and a new line
    return content.decode("ascii", errors="replace").strip()


def trusted_by(address: StudioAddress) -> ssl.SSLContext:
    """Return the settings with which certificates are checked.

    Raises
    ------
    ConfigError
        If the address names some that cannot be read.
    """
    authority = address.authority
    if authority is None and httpx.URL(address.url).scheme == "http":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, takes no time
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as err:
        raise ConfigError(
            f"cannot read the certificates in {authority}: {err}"
        ) from err
