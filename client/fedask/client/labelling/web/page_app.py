"""The labelling page as a Starlette app: what each address answers.

Made by ``page_server``'s callers, or by whoever has a server of their own. Each method
says who asks, what is wanted, and which reply that gives; the work is done in
``handlers``, access in ``auth``, and what holds for every request in ``middleware``.
"""

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from fedask.client.base.full_disk import is_disk_full
from fedask.client.labelling.web import page_json
from fedask.client.labelling.web.auth import ForgedError, PageAuth, SignedOutError
from fedask.client.labelling.web.handlers import DeskFactory, PageHandlers
from fedask.client.labelling.web.hints import Hints
from fedask.client.labelling.web.html_pages import HtmlPages, route_of
from fedask.client.labelling.web.middleware import SecurityMiddleware
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.client.records.exhibit import Exhibit, Part
from fedask.client.records.refusal import UnknownSampleError
from fedask.common.clock import Clock
from fedask.common.errors import (
    DataError,
    FedaskError,
    PrivacyError,
    ProtocolError,
    StoreError,
)
from fedask.common.ids import Uid

_HERE = Path(__file__).parent
_MAX_PARTS = 1000
_log = logging.getLogger(__name__)
_FULL = (507, "the disk of the device is full: nothing was kept")
_FAILED = (500, "the disk of the device fails: nothing was kept")
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
# Error, status and reason; the first that fits counts.
_REPLIES: tuple[tuple[type[Exception], int, str], ...] = (
    (SignedOutError, 401, "signed out"),
    (ForgedError, 403, "sent by another page"),
    (PrivacyError, 410, "this sample may not be used any more"),
    (ProtocolError, 409, "the device does not take this"),
    (DataError, 410, "this sample cannot be shown"),
    (UnknownSampleError, 409, "this sample is not in the queue any more"),
    (Exception, 503, "the device cannot do this now"),
)


def labelling_page(
    desk_factory: DeskFactory,
    exhibit: Exhibit,
    settings: PageSettings,
    clock: Clock,
    announce: Callable[[str], None],
    hints: Hints | None = None,
) -> Starlette:
    """Make the page of a device.

    Parameters
    ----------
    desk_factory
        Opens a desk; called once, in the thread in which the desk is used.
    exhibit
        Shows samples; called from one thread.
    announce
        Shown each one-time token, where there are no logins; the address is
        ``/?token=`` and it. Never a log.
    hints
        What is shown beside the samples.

    Raises
    ------
    ConfigError
        If a file that the settings name cannot be used.
    """
    hints = hints or Hints()
    handlers = PageHandlers(desk_factory, exhibit, hints)
    auth = PageAuth(settings, clock, announce)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await handlers.open()
        if auth.link is not None:
            auth.link.show()
        try:
            yield
        finally:
            await handlers.close()

    return Starlette(
        routes=[
            *HtmlPages(settings, auth, handlers).routes(),
            *_Interface(settings, auth, handlers, hints).routes(),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        middleware=[Middleware(SecurityMiddleware, settings=settings)],
        exception_handlers={FedaskError: _failed},
        lifespan=lifespan,
    )


@dataclass(frozen=True, slots=True)
class _Interface:
    """Answers what the page's JavaScript asks of the desk and of the exhibit."""

    settings: PageSettings
    auth: PageAuth
    handlers: PageHandlers
    hints: Hints

    def routes(self) -> list[BaseRoute]:
        return [
            route_of("GET", "/api/start", self._start),
            route_of("POST", "/api/lease", self._lease),
            route_of("POST", "/api/answer", self._answer),
            route_of("POST", "/api/undo", self._undo),
            route_of("GET", "/api/progress", self._progress),
            route_of("GET", "/api/sample/{uid}", self._parts),
            route_of("GET", "/api/sample/{uid}/{number}", self._content),
            route_of("GET", "/api/sample/{uid}/{number}/full", self._full_content),
            route_of("GET", "/api/guess/{uid}", self._guess),
        ]

    async def _start(self, request: Request) -> Response:
        return JSONResponse(
            {
                "annotator": self.auth.annotator(request),
                "csrf": self.auth.csrf_token(request),
                "classes": list(self.settings.classes),
                "ahead": self.settings.ahead,
                "idle_s": self.settings.idle_s,
                "guess": self.hints.guesses is not None,
            }
        )

    async def _lease(self, request: Request) -> Response:
        who = self.auth.trusted_annotator(request)
        fields = page_json.parse(await request.body())
        limit = page_json.number_of(fields.get("limit"), self.settings.ahead)
        leases = await self.handlers.lease(who, limit)
        written = [page_json.lease_to_json(lease, near) for lease, near in leases]
        return JSONResponse({"leases": written})

    async def _answer(self, request: Request) -> Response:
        who = self.auth.trusted_annotator(request)
        answer = page_json.parse_answer(await request.body())
        receipt = await self.handlers.submit(who, answer)
        return JSONResponse(
            {
                "uid": receipt.uid,
                "kind": receipt.kind.value,
                "label": receipt.label,
                "shared": list(receipt.shared),
            }
        )

    async def _undo(self, request: Request) -> Response:
        who = self.auth.trusted_annotator(request)
        key = page_json.parse(await request.body()).get("key")
        meant = None if key is None else page_json.text_of(key, 128)
        uid = await self.handlers.at_desk(lambda desk: desk.undo(who, meant))
        return JSONResponse({"uid": uid})

    async def _progress(self, request: Request) -> Response:
        who = self.auth.annotator(request)
        progress = await self.handlers.at_desk(lambda desk: desk.progress(who))
        gain = await self.handlers.gain()
        return JSONResponse(page_json.progress_to_json(progress, gain))

    async def _parts(self, request: Request) -> Response:
        parts = await self._shown(request)
        return JSONResponse({"parts": [page_json.part_to_json(p) for p in parts]})

    async def _content(self, request: Request) -> Response:
        return self._part(request, await self._shown(request))

    async def _full_content(self, request: Request) -> Response:
        return self._part(request, await self._shown(request, full=True))

    def _part(self, request: Request, parts: tuple[Part, ...]) -> Response:
        number = request.path_params["number"]
        at = int(number) if number.isdecimal() and len(number) < 4 else _MAX_PARTS  # noqa: PLR2004  (digits of a number)
        if at >= len(parts):
            raise ProtocolError("a sample has no such part")
        kind = parts[at].medium.value
        kind += "; charset=utf-8" if kind.startswith("text/") else ""
        return Response(
            parts[at].content,
            headers={"content-type": kind},
            background=BackgroundTask(self._prepare),
        )

    async def _prepare(self) -> None:
        self.handlers.prepare_guesses()

    async def _shown(self, request: Request, *, full: bool = False) -> tuple[Part, ...]:
        uid, who = Uid(request.path_params["uid"]), self.auth.annotator(request)
        return await self.handlers.parts(who, uid, full=full)

    async def _guess(self, request: Request) -> Response:
        uid = Uid(request.path_params["uid"])
        guess = await self.handlers.guess(self.auth.annotator(request), uid)
        return JSONResponse({"label": None} if guess is None else asdict(guess))


async def _failed(_: Request, err: Exception) -> Response:
    """Turn our errors into replies, which say nothing of the inside of the device.

    5xx is tried again by the page, 4xx is not.
    """
    status, reason = _reply_to(err)
    if not isinstance(err, SignedOutError | ForgedError):
        _log.warning("page", extra={"status": status, "error": type(err).__name__})
    return JSONResponse({"error": reason}, status)


def _reply_to(err: Exception) -> tuple[int, str]:
    """Return status and reason; those of a disk are told apart from all others."""
    cause = err.__cause__
    if is_disk_full(err):
        return _FULL
    if isinstance(err, StoreError) and isinstance(cause, sqlite3.Error | OSError):
        is_busy = getattr(cause, "sqlite_errorcode", 0) & 0xFF in _BUSY
        return _REPLIES[-1][1:] if is_busy else _FAILED
    kind = UnknownSampleError if isinstance(err, StoreError) else type(err)
    return next(row[1:] for row in _REPLIES if issubclass(kind, row[0]))
