"""How a device's labelling page is set up. By its owner, never by the server.

Read by the app and by ``serve``. Refuses every set-up in which somebody could label,
or look at samples, who should not.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from fedask.client.base.loopback import is_address, is_loopback
from fedask.client.labelling.web.languages import WORDS, codes
from fedask.common.ids import parse_annotator
from fedask.common.settings import NOT_IN_FILE, SettingError, require

MAX_AHEAD = 20
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """How the page is set up.

    Parameters
    ----------
    classes
        Names of the classes, in the order of their indices. In no file: set by who
        opens the page.
    title
        What people read at the top; "": "Labelling", in their language.
    language
        Of the page: "de", "en" or "es"; "": the one that each browser asks for.
    host, port
        Where it listens.
    names
        Host names under which people reach it, besides ``host``: a request for any
        other is refused.
    certificate, private_key
        PEM files for TLS.
    logins
        File of ``add_login``. None: whoever has the link is ``annotator``.
    annotator
        Who answers where there are no logins.
    sessions
        File in which sign-ins outlive a restart; None: they do not.
    guidelines
        Text or Markdown file with the site's rules for labelling.
    ahead
        Samples that a browser holds, the one on the screen among them.
    idle_s, shift_s
        Seconds after which somebody signs in again: without any request, and at most.
    words
        Folder of the catalogues. In no file.
    max_body_bytes
        Of a request.

    Raises
    ------
    ConfigError
        If one is wrong, or the page would be open to others without TLS and logins.
    """

    classes: tuple[str, ...] = field(default=("",), metadata=NOT_IN_FILE)
    title: str = ""
    language: str = ""  # people of one site may read different ones
    host: str = "127.0.0.1"
    port: int = 8460
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    private_key: Path | None = None
    logins: Path | None = None
    annotator: str = "local"
    sessions: Path | None = None
    guidelines: Path | None = None
    ahead: int = 4  # one on the screen, three that load meanwhile
    idle_s: float = 3600.0  # a lunch
    shift_s: float = 12 * 3600.0
    words: Path = field(default=WORDS, metadata=NOT_IN_FILE)
    max_body_bytes: int = 1 << 16  # an answer has some 200 bytes, near-duplicates more

    def __post_init__(self) -> None:
        self._check_access()
        parse_annotator(self.annotator)
        for name in (self.host, *self.names):
            ok = is_address(name) or _HOST_NAME.fullmatch(name) is not None
            key = "host" if name == self.host else "names"
            require(ok, key, name, "is no host name or address")
        known = ("", *codes(self.words))
        rule = f"is none that the page speaks: {', '.join(known[1:])}"
        require(self.language in known, "language", self.language, rule)
        for name, ok, rule in (
            ("classes", len(self.classes) >= 1, "must name one class or more"),
            ("port", 0 <= self.port < 1 << 16, "must be 0 to 65535"),
            ("ahead", 1 <= self.ahead <= MAX_AHEAD, f"must be 1 to {MAX_AHEAD}"),
            ("idle_s", self.idle_s > 0, "must be more than 0"),
            ("shift_s", self.shift_s > 0, "must be more than 0"),
            ("max_body_bytes", self.max_body_bytes >= 1 << 10, "must be 1024 or more"),
        ):
            require(ok, name, getattr(self, name), rule)

    def _check_access(self) -> None:
        """Refuse to be open to others without TLS and logins."""
        if (self.certificate is None) != (self.private_key is None):
            raise SettingError("certificate", " and private_key are given together")
        needs = {"a TLS certificate": self.tls, "logins": self.logins is not None}
        lacks = [what for what, there in needs.items() if not there]
        if lacks and not is_loopback(self.host):
            rule = f"lets other machines in, which needs {' and '.join(lacks)}; or set "
            raise SettingError("host", f" = {self.host} {rule}host = 127.0.0.1")
        if not self.hosts:
            rule = "is every address, which needs names: those by which people reach it"
            raise SettingError("host", f" = {self.host} {rule}")

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.certificate is not None

    @property
    def hosts(self) -> frozenset[str]:
        """Names that a request may be for, lower case, without a port."""
        own = {"localhost", "127.0.0.1", "::1"} if is_loopback(self.host) else set()
        every = {*own, *self.names}
        if self.host not in {"0.0.0.0", "::"}:  # noqa: S104  (no name to be reached by)
            every.add(self.host)
        return frozenset(name.lower() for name in every)
