"""Checks every request, and adds the security headers to every reply.

Around the app, as ASGI: also its errors and unknown paths go through here. Refuses
requests for another host (DNS rebinding), from another origin, and too large ones.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedask.client.labelling.web.page_settings import PageSettings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not "no-referrer": browsers would then name no origin when a form is sent.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=()",
    "x-robots-tag": "noindex, nofollow",
}
_METHODS = frozenset({"GET", "HEAD", "POST"})
_SAME = frozenset({"same-origin", "none"})  # none: typed by the person

_log = logging.getLogger(__name__)


class SecurityMiddleware:
    """The app behind checks of host, origin and size.

    Parameters
    ----------
    settings
        With the hosts, and the cap on a request.
    """

    def __init__(self, app: ASGIApp, settings: PageSettings) -> None:
        self._app = app
        self._hosts = settings.hosts
        self._scheme = "https" if settings.tls else "http"
        self._max_bytes = settings.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        is_static = scope["path"].startswith("/static/")
        reply = _Reply(send, "no-cache" if is_static else "no-store")

        async def refuse(status: int, reason: str) -> None:
            if not reply.begun:
                # Closed, whatever else the client was about to send.
                refusal = PlainTextResponse(reason, status, {"connection": "close"})
                await refusal(scope, receive, reply.send)

        refused = self._refusal(scope["method"], Headers(scope=scope))
        if refused is not None:
            _log.warning("page refused a request", extra={"status": refused[0]})
            await refuse(*refused)
            return
        body = _Body(receive, self._max_bytes)
        try:
            await self._app(scope, body.receive, reply.send)
        except RequestTooLargeError:
            await refuse(413, "too large")
        except Exception as err:  # noqa: BLE001  (whatever it is, nothing of it leaves)
            # Neither its message nor its traceback: both may quote what a person sent.
            _log.error("page failed", extra={"error": type(err).__name__})
            await refuse(500, "something went wrong at the device")

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        """Return status and reason, or None for a request that may pass."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _name_of(hosts[0]) not in self._hosts:
            return 421, "this host name is not one of the page's"
        if method not in _METHODS:
            return 405, "no such method"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal() and len(length) < 16):  # noqa: PLR2004  (digits of a length)
            return 400, "no such length"
        if int(length) > self._max_bytes:
            return 413, "too large"
        if method == "POST" and not self._is_own(headers, hosts[0]):
            return 403, "sent by another page"
        return None

    def _is_own(self, headers: Headers, host: str) -> bool:
        """Return whether the page itself sent it; other ports are others as well."""
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "same-origin")
        same = origin is None or origin.lower() == f"{self._scheme}://{host.lower()}"
        return same and site in _SAME


class RequestTooLargeError(Exception):
    """A request is larger than allowed."""


@dataclass(slots=True)
class _Body:
    """Counts what a request brings, whatever its length header says."""

    receive_next: Receive
    left_bytes: int

    async def receive(self) -> Message:
        message = await self.receive_next()
        self.left_bytes -= len(message.get("body", b""))
        if self.left_bytes < 0:
            raise RequestTooLargeError
        return message


@dataclass(slots=True)
class _Reply:
    """Adds the headers that no reply goes without."""

    send_on: Send
    cache: str
    begun: bool = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in {**HEADERS, "cache-control": self.cache}.items():
                headers.setdefault(name, value)
        await self.send_on(message)


def _name_of(host: str) -> str:
    """Return the name in a Host header, lower case, without its port."""
    if "@" in host:
        return ""
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return ""
    return (parts.hostname or "") if parts.netloc == host else ""
