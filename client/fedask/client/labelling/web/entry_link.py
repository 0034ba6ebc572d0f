"""The link that lets in whoever has it, once: for a page without logins.

Called by the page. Other users of the same machine can connect to loopback, but do not
know the link. Once used it is void, and a new one is announced, so that what stands in
a browser's history or a list of processes is worth nothing.
"""

import hmac
import secrets
import threading
from collections.abc import Callable

_BYTES = 24


class EntryLink:
    """The one-time token of the page's address.

    Parameters
    ----------
    announce
        Called with each new token: shows the owner of the process where to go. Never a
        log.
    tokens
        Makes one.
    """

    def __init__(
        self,
        announce: Callable[[str], None],
        tokens: Callable[[], str] = lambda: secrets.token_urlsafe(_BYTES),
    ) -> None:
        self._announce = announce
        self._tokens = tokens
        self._lock = threading.Lock()
        self._token = tokens()

    def show(self) -> None:
        """Announce the token that is valid now."""
        self._announce(self._token)

    def use(self, token: str) -> bool:
        """Return whether this is the token; if so, it is void from now on."""
        with self._lock:
            expected, given = self._token.encode(), token.encode("utf-8", "replace")
            if not hmac.compare_digest(expected, given):
                return False
            self._token = self._tokens()
        self.show()
        return True
