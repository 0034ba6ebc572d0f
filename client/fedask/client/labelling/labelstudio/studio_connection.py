"""HTTP to a labelling server on the site: one address, one token, bounded in every way.

Called by ``studio``. Knows nothing of samples. The token goes to that address alone,
encrypted unless it is this machine: redirects are not followed, proxies and ``.netrc``
of the environment not used, cookies not kept, and the token is in no message, log or
repr. What the server answers is capped in size and time before it is parsed; error
texts of the server are not repeated, because they quote what was sent.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
from typing_extensions import override

from fedask.client.labelling.labelstudio.studio_address import (
    StudioAddress,
    is_plain,
    trusted_by,
)
from fedask.client.labelling.labelstudio.studio_file import parse
from fedask.common.clock import Clock
from fedask.common.errors import (
    ConfigError,
    FedaskError,
    ProtocolError,
    UnavailableError,
)

MOST_BYTES = 64 * 2**20  # of an answer

_TRIES = 5  # with the pauses below, about a minute on a server that restarts
_PAUSE_S, _MOST_PAUSE_S = 2.0, 60.0
_CONNECT_S, _READ_S = 10.0, 60.0  # an import of many tasks is slow to be answered
_ANSWER_S = 600.0  # from the first to the last byte of an answer
_BUSY = frozenset({429, 502, 503, 504})
_REFUSED = frozenset({401, 403})


class UnsureError(UnavailableError):
    """A request was sent and no answer came: it may or may not have been done."""


class ReplyTooLargeError(ProtocolError):
    """The server's answer is larger than is read."""


class StudioConnection(AbstractContextManager["StudioConnection"]):
    """Requests to one server. Use as a context manager, or close it.

    Parameters
    ----------
    clock
        Bounds how long an answer may take.
    wait
        Waits for seconds, between tries.
    most
        Bytes of an answer.
    read_s
        Seconds without a byte after which an answer is given up.

    Raises
    ------
    ConfigError
        If the certificates cannot be read.
    """

    def __init__(
        self,
        address: StudioAddress,
        clock: Clock,
        wait: Callable[[float], None] = time.sleep,
        *,
        most: int = MOST_BYTES,
        read_s: float = _READ_S,
    ) -> None:
        self._address = address
        self._clock = clock
        self._wait = wait
        self._most = most
        self._access: str | None = None  # the short-lived token of a personal one
        self._client = httpx.Client(
            base_url=address.url,
            verify=trusted_by(address),
            timeout=httpx.Timeout(read_s, connect=_CONNECT_S),
            follow_redirects=False,
            trust_env=False,
            # A session is begun with every answer; the token alone says who asks.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    @override
    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, **query: str | int) -> object:
        """Send a question, again if the server is busy or gone; return the answer.

        Raises
        ------
        UnavailableError
            If it does not answer.
        ConfigError
            If it refuses the token, does not know the path, or redirects.
        ProtocolError
            If what it answers cannot be used.
        """
        return self._try("GET", path, query, None, sure=True)

    def send(
        self, path: str, body: object, *, method: str = "POST", sure: bool = False
    ) -> object:
        """Send a change, again only if it surely was not done before.

        Parameters
        ----------
        sure
            It may be done twice: send it again like a question.

        Raises
        ------
        UnsureError
            If it may have been done.
        FedaskError
            As ``get``.
        """
        return self._try(method, path, {}, body, sure=sure)

    def _try(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: object,
        *,
        sure: bool,
    ) -> object:
        pause = _PAUSE_S
        for left in reversed(range(_TRIES)):
            try:
                return self._once(method, path, query, body)
            except _BusyError as err:
                if not left or not (sure or err.undone):
                    msg = f"{self._address.url} {err}"
                    if err.undone or sure:
                        msg += f" (tried {_TRIES - left} times)"
                        raise UnavailableError(msg) from err
                    raise UnsureError(msg) from err
                self._wait(min(max(pause, err.after_s), _MOST_PAUSE_S))
                pause *= 2
        raise AssertionError  # unreachable: the last try returns or raises

    def _once(
        self, method: str, path: str, query: Mapping[str, str | int], body: object
    ) -> object:
        """Send one request; a token that has run out is renewed once."""
        status, content = self._request(method, path, query, body, self._headers())
        if status in _REFUSED and self._access is not None:
            self._access = None
            status, content = self._request(method, path, query, body, self._headers())
        self._refuse(status, method, path)
        return parse(content, f"the answer of {self._address.url}") if content else None

    def _headers(self) -> dict[str, str]:
        token = self._address.token
        if not self._address.personal:
            return {"Authorization": f"Token {token}"}
        if self._access is None:
            body = {"refresh": token}
            status, content = self._request("POST", "/api/token/refresh/", {}, body, {})
            self._refuse(status, "POST", "/api/token/refresh/")
            answer = parse(content, f"the answer of {self._address.url}")
            access = answer.get("access") if isinstance(answer, dict) else None
            if not isinstance(access, str) or not is_plain(access):
                raise ProtocolError(f"{self._address.url} gave no access token")
            self._access = access
        return {"Authorization": f"Bearer {self._access}"}

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: object,
        headers: Mapping[str, str],
    ) -> tuple[int, bytes]:
        """Send one request; returns the status and what came with it."""
        options: dict[str, Any] = {"params": dict(query), "headers": dict(headers)}
        if body is not None:
            options["json"] = body
        try:
            with self._client.stream(method, path, **options) as answer:
                content = self._content(answer)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as err:
            # Not its text: it may hold the address of a proxy or a user.
            raise _BusyError(
                f"cannot be reached ({type(err).__name__})", undone=True
            ) from err
        except httpx.HTTPError as err:
            raise _BusyError(
                f"did not answer ({type(err).__name__})", undone=False
            ) from err
        if answer.status_code in _BUSY:
            after = answer.headers.get("Retry-After", "")
            after_s = float(after[:9]) if after.isdecimal() else 0.0
            too_many = answer.status_code == httpx.codes.TOO_MANY_REQUESTS
            raise _BusyError(
                f"is busy ({answer.status_code})", undone=too_many, after_s=after_s
            )
        return answer.status_code, content

    def _content(self, answer: httpx.Response) -> bytes:
        begun = self._clock.now()
        pieces, size = [], 0
        for piece in answer.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > self._most:
                raise ReplyTooLargeError(
                    f"{self._address.url} answers with more than {self._most} bytes"
                )
            if (self._clock.now() - begun).total_seconds() > _ANSWER_S:
                raise _BusyError("takes too long to answer", undone=False)
        return b"".join(pieces)

    def _refuse(self, status: int, method: str, path: str) -> None:
        """Refuse an answer that is no success."""
        if 200 <= status < 300:  # noqa: PLR2004  (classes of HTTP)
            return
        kind: type[FedaskError] = ProtocolError
        reason = "it does not take this; its log says why"
        if status in _REFUSED:
            kind, reason = ConfigError, "the token is wrong, or may not do this"
            if not self._address.personal:
                reason += "; it is taken for a legacy token, which an organisation "
                reason += "must allow: take a personal access token, whole"
        elif status == httpx.codes.NOT_FOUND:
            kind, reason = ConfigError, "is it the right server and project?"
        elif 300 <= status < 400:  # noqa: PLR2004  (classes of HTTP)
            kind, reason = ConfigError, "it redirects, and the token does not follow: "
            reason += "write the address that it redirects to"
        elif status >= 500:  # noqa: PLR2004  (classes of HTTP)
            kind, reason = UnsureError, "see its log"
        raise kind(f"{self._address.url} answers {status} to {method} {path}: {reason}")


class _BusyError(Exception):
    """A try failed. ``undone``: what was asked was surely not done."""

    def __init__(self, message: str, *, undone: bool, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.undone = undone
        self.after_s = after_s
