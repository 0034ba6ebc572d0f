"""Signs people in and finds out who asks. Called by the page's handlers.

Every request is checked anew: its cookie, the login behind it, and, if it changes
anything, a second secret that only the page itself can send.
"""

import hmac
import logging
import secrets
import threading
from asyncio import to_thread
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from fedask.client.labelling.web.attempts import Attempts
from fedask.client.labelling.web.logins import Logins
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.client.labelling.web.sessions import Session, Sessions, csrf_of
from fedask.common.clock import Clock
from fedask.common.errors import PrivacyError
from fedask.common.ids import Annotator, parse_annotator

_TOKEN_BYTES = 24
CSRF_HEADER = "x-csrf-token"
_log = logging.getLogger(__name__)


class SignedOutError(PrivacyError):
    """Nobody is signed in, or no longer."""


class ForgedError(PrivacyError):
    """The request lacks the page's own secret."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """The result of an attempt to sign in.

    Parameters
    ----------
    cookie
        Of the new session; "" if refused.
    wait
        How long to wait before the next attempt.
    """

    cookie: str
    wait: timedelta = timedelta(0)


class EntryLink:
    """The one-time link to a page without logins.

    Other users of the same machine can connect to loopback, but do not know the link.
    Once used it is void, and a new one is announced, so that what stands in a browser's
    history or a list of processes is worth nothing.

    Parameters
    ----------
    announce
        Called with each new token: shows the owner of the process where to go. Never a
        log.
    """

    def __init__(
        self,
        announce: Callable[[str], None],
        tokens: Callable[[], str] = lambda: secrets.token_urlsafe(_TOKEN_BYTES),
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
            expected, sent = self._token.encode(), token.encode("utf-8", "replace")
            if not hmac.compare_digest(expected, sent):
                return False
            self._token = self._tokens()
        self.show()
        return True


class PageAuth:
    """Signs people in and out, and finds out who sends a request.

    Parameters
    ----------
    announce
        Shown each one-time token, where there are no logins.

    Raises
    ------
    ConfigError
        If the file of logins or of sessions cannot be used.
    """

    def __init__(
        self, settings: PageSettings, clock: Clock, announce: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._attempts = Attempts()
        self._logins = None if settings.logins is None else Logins(settings.logins)
        self.link = None if self._logins is not None else EntryLink(announce)
        self._sessions = Sessions(
            clock, settings.idle_s, settings.shift_s, settings.sessions
        )
        # Cookies know no ports: two pages on one machine must not share a name.
        port = f"-{settings.port}"
        self._name = "__Host-fedask" if settings.tls else f"fedask{port}"
        self._form_name = "__Host-fedask-form" if settings.tls else f"fedask-form{port}"

    def session(self, request: Request) -> Session | None:
        """Return the session of a request; None if nobody is signed in."""
        cookie = request.cookies.get(self._name, "")
        return self._sessions.find(cookie, self._stamp) if cookie else None

    def annotator(self, request: Request) -> Annotator:
        """Return the annotator who sends a request.

        Raises
        ------
        SignedOutError
            If nobody is signed in.
        """
        session = self.session(request)
        if session is None:
            raise SignedOutError
        return session.annotator

    def trusted_annotator(self, request: Request) -> Annotator:
        """Return the annotator who asks for a change.

        Raises
        ------
        SignedOutError
            If nobody is signed in.
        ForgedError
            If it was not the page that sent this.
        """
        who = self.annotator(request)
        sent = request.headers.get(CSRF_HEADER, "").encode("utf-8", "replace")
        if not hmac.compare_digest(sent, self.csrf_token(request).encode()):
            raise ForgedError
        return who

    def csrf_token(self, request: Request) -> str:
        """Return the secret that the page sends along with each change."""
        return csrf_of(request.cookies.get(self._name, ""))

    def use_link(self, token: str) -> str | None:
        """Return the cookie for the one-time token; None if it is another."""
        if self.link is None or not self.link.use(token):
            return None
        return self._sessions.begin(parse_annotator(self._settings.annotator), "")

    async def sign_in(self, name: str, password: str, address: str) -> SignIn:
        """Sign in with name and password."""
        if self._logins is None:
            return SignIn("")
        wait = self._attempts.wait(name, address, self._clock.now())
        if wait:
            return SignIn("", wait)
        # Counted before the check: attempts at the same moment must not all be free.
        self._attempts.failed(name, address, self._clock.now())
        who = await to_thread(self._logins.check, name, password)
        stamp = None if who is None else self._logins.stamp(who)
        if who is None or stamp is None:
            _log.warning("sign-in refused")
            return SignIn("", self._attempts.wait(name, address, self._clock.now()))
        self._attempts.succeeded(name, address)
        return SignIn(self._sessions.begin(who, stamp))

    def sign_out(self, request: Request) -> None:
        """Sign out."""
        self._sessions.end(request.cookies.get(self._name, ""))

    def set_session(self, reply: Response, cookie: str) -> None:
        """Set the cookie of a session."""
        self._set(reply, self._name, cookie)
        self._set(reply, self._form_name, "", max_age=0)

    def clear_session(self, reply: Response) -> None:
        """Delete the cookie of a session."""
        self._set(reply, self._name, "", max_age=0)

    def form(self, request: Request, reply: Callable[[str], Response]) -> Response:
        """Return a form that nobody else can have filled in: ``reply(its secret)``."""
        cookie = request.cookies.get(self._form_name, "")
        fresh = cookie or secrets.token_urlsafe(32)
        made = reply(csrf_of(fresh))
        if not cookie:
            self._set(made, self._form_name, fresh)
        return made

    def is_own_form(self, request: Request, secret: str) -> bool:
        """Return whether a form that came back is one of ``form``."""
        cookie = request.cookies.get(self._form_name, "")
        sent = secret.encode("utf-8", "replace")
        return bool(cookie) and hmac.compare_digest(sent, csrf_of(cookie).encode())

    def _stamp(self, annotator: str) -> str | None:
        """Return the stamp of a login; without logins there is one annotator."""
        if self._logins is not None:
            return self._logins.stamp(annotator)
        return "" if annotator == self._settings.annotator else None

    def _set(
        self, reply: Response, name: str, value: str, max_age: int | None = None
    ) -> None:
        reply.set_cookie(
            name,
            value,
            max_age=max_age,
            path="/",
            secure=self._settings.tls,
            httponly=True,
            samesite="strict",
        )
