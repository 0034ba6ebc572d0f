"""The labelling page as an app: what each address answers.

Made by ``serve``, or by whoever has a server of their own. Handlers say who asks, what
is wanted, and which reply that gives; the work is done in ``room``, access in ``door``,
and what holds for every request in ``guard``.
"""

import logging
import math
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, FastAPI, Request, Response
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from fedask.client.labelling.web import page_json
from fedask.client.labelling.web.auth import ForgedError, PageAuth, SignedOutError
from fedask.client.labelling.web.guidelines import read_guidelines
from fedask.client.labelling.web.handlers import DeskFactory, PageHandlers
from fedask.client.labelling.web.hints import Hints
from fedask.client.labelling.web.middleware import SecurityMiddleware
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.client.records.exhibit import Exhibit
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


def labelling_page(
    desk_factory: DeskFactory,
    exhibit: Exhibit,
    settings: PageSettings,
    clock: Clock,
    announce: Callable[[str], None],
    helps: Hints | None = None,
) -> FastAPI:
    """Make the page of a device.

    Parameters
    ----------
    desk_factory
        Opens a desk; called once, in the thread in which the desk is used.
    exhibit
        Shows samples; called from one thread.
    settings
        Of the owner.
    clock
        Ends sessions.
    announce
        Shown each one-time token, where there are no logins; the address is
        ``/?token=`` and it. Never a log.
    helps
        What else may be shown.

    Raises
    ------
    ConfigError
        If a file that the settings name cannot be used.
    """
    helps = helps or Hints()
    room = PageHandlers(desk_factory, exhibit, helps)
    door = PageAuth(settings, clock, announce)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await room.open()
        if door.link is not None:
            door.link.show()
        try:
            yield
        finally:
            await room.close()

    # No documents of the interface: nobody should find their way by reading them.
    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    templates = _Templates(settings)
    app.include_router(_pages(door, templates))
    app.include_router(_sign_in(door, room, templates))
    app.include_router(_desk(settings, door, room, helps))
    app.include_router(_samples(door, room))
    app.mount("/static", StaticFiles(directory=_HERE / "static"))
    app.add_exception_handler(FedaskError, _failed)
    app.add_exception_handler(SignedOutError, _signed_out)
    app.add_exception_handler(ForgedError, _forged)
    app.add_middleware(SecurityMiddleware, settings=settings)
    return app


class _Templates:
    """The pages, filled in. Every value is escaped."""

    def __init__(self, settings: PageSettings) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=select_autoescape(default=True),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._shared = {
            "title": settings.title,
            "logins": settings.logins is not None,
            "guidelines": read_guidelines(settings.guidelines),
        }

    def page(self, template: str, status: int = 200, **values: object) -> HTMLResponse:
        html = self._templates.get_template(template).render({**self._shared, **values})
        return HTMLResponse(html, status)


def _pages(door: PageAuth, templates: _Templates) -> APIRouter:
    """Answer what a browser shows in its address bar."""
    router = APIRouter()

    @router.get("/")
    async def start(request: Request) -> Response:
        cookie = door.follow(request.query_params.get("token", ""))
        if cookie is not None:
            # A page, not a redirect: a browser that came from elsewhere would follow
            # that one without its new cookie.
            reply = templates.page("enter.html")
            door.let_in(reply, cookie)
            return reply
        session = door.find(request)
        if session is not None:
            if "token" in request.query_params:
                return RedirectResponse("/", 303)
            return templates.page("page.html", who=session.annotator)
        if door.link is None:
            return RedirectResponse("/login", 303)
        return templates.page("closed.html", 403)

    return router


def _sign_in(door: PageAuth, room: PageHandlers, templates: _Templates) -> APIRouter:
    """Let people in by name and password, and out again."""
    router = APIRouter()

    def form(request: Request, status: int = 200, **values: object) -> Response:
        return door.form(
            request,
            lambda secret: templates.page(
                "login.html", status, secret=secret, **values
            ),
        )

    @router.get("/login")
    async def ask_login(request: Request) -> Response:
        if door.link is not None or door.find(request) is not None:
            return RedirectResponse("/", 303)
        return form(request)

    @router.post("/login")
    async def login(request: Request) -> Response:
        fields = _form(await request.body())
        if not door.is_own_form(request, fields.get("secret", "")):
            return RedirectResponse("/login", 303)
        address = request.client.host if request.client else ""
        name, password = fields.get("name", "").strip()[:64], fields.get("password", "")
        entry = await door.enter(name, password, address)
        if entry.cookie:
            reply: Response = RedirectResponse("/", 303)
            door.let_in(reply, entry.cookie)
            return reply
        wait_s = math.ceil(entry.wait.total_seconds())
        status = 429 if wait_s else 403
        return form(request, status, name=name, failed=True, wait_s=wait_s)

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        who = door.trusted(request)
        await room.release(who)
        door.leave(request)
        reply = JSONResponse({})
        door.let_out(reply)
        return reply

    return router


def _desk(
    settings: PageSettings, door: PageAuth, room: PageHandlers, helps: Hints
) -> APIRouter:
    """Answer what the page asks the desk."""
    router = APIRouter(prefix="/api")

    @router.get("/start")
    async def start(request: Request) -> Response:
        who = door.known(request)
        return JSONResponse(
            {
                "annotator": who,
                "csrf": door.csrf(request),
                "classes": list(settings.classes),
                "ahead": settings.ahead,
                "idle_s": settings.idle_s,
                "guess": helps.guesses is not None,
            }
        )

    @router.post("/lease")
    async def lease(request: Request) -> Response:
        who = door.trusted(request)
        fields = page_json.parse(await request.body())
        limit = page_json.number_of(fields.get("limit"), settings.ahead)
        given = await room.lease(who, limit)
        leases = [page_json.lease_to_json(lease, near) for lease, near in given]
        return JSONResponse({"leases": leases})

    @router.post("/answer")
    async def answer(request: Request) -> Response:
        who = door.trusted(request)
        given = page_json.parse_answer(await request.body())
        return JSONResponse(page_json.receipt_to_json(await room.submit(who, given)))

    @router.post("/undo")
    async def undo(request: Request) -> Response:
        who = door.trusted(request)
        key = page_json.parse(await request.body()).get("key")
        meant = None if key is None else page_json.text_of(key, 128)
        return JSONResponse({"uid": await room.undo(who, meant)})

    @router.get("/progress")
    async def progress(request: Request) -> Response:
        who = door.known(request)
        told = page_json.progress_to_json(await room.progress(who), await room.gain())
        return JSONResponse(told)

    return router


def _samples(door: PageAuth, room: PageHandlers) -> APIRouter:
    """Answer what is shown of samples."""
    router = APIRouter(prefix="/api")

    @router.get("/sample/{uid}")
    async def parts(request: Request, uid: str) -> Response:
        found = await room.parts(door.known(request), Uid(uid))
        return JSONResponse({"parts": page_json.parts_to_json(found)})

    @router.get("/sample/{uid}/{number}")
    async def content(request: Request, uid: str, number: str) -> Response:
        found = await room.parts(door.known(request), Uid(uid))
        at = int(number) if number.isdecimal() and len(number) < 4 else _MAX_PARTS  # noqa: PLR2004  (digits of a number)
        if at >= len(found):
            msg = "a sample has no such part"
            raise ProtocolError(msg)
        kind = found[at].medium.value
        kind += "; charset=utf-8" if kind.startswith("text/") else ""
        return Response(found[at].content, headers={"content-type": kind})

    @router.get("/guess/{uid}")
    async def guess(request: Request, uid: str) -> Response:
        found = await room.guess(door.known(request), Uid(uid))
        told = {"label": None} if found is None else asdict(found)
        return JSONResponse(told)

    return router


def _form(body: bytes) -> dict[str, str]:
    """Read a form; of a field that comes twice, the first."""
    try:
        fields = parse_qs(body.decode(), max_num_fields=8, keep_blank_values=True)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


async def _failed(_: Request, err: Exception) -> Response:
    """Turn our errors into replies: what a browser is told says nothing of the inside.

    5xx is tried again by the page, 4xx is not.
    """
    status, told = 503, "the device cannot do this now"
    if isinstance(err, PrivacyError):
        status, told = 410, "this sample may not be used any more"
    elif isinstance(err, ProtocolError):
        status, told = 409, "the device does not take this"
    elif isinstance(err, DataError):
        status, told = 410, "this sample cannot be shown"
    elif isinstance(err, StoreError) and not isinstance(err.__cause__, sqlite3.Error):
        status, told = 409, "this sample is not in the queue any more"
    _log.warning("page", extra={"status": status, "error": type(err).__name__})
    return _told(status, told)


async def _signed_out(_: Request, __: Exception) -> Response:
    return _told(401, "signed out")


async def _forged(_: Request, __: Exception) -> Response:
    return _told(403, "sent by another page")


def _told(status: int, told: str) -> JSONResponse:
    content: dict[str, Any] = {"error": told}
    return JSONResponse(content, status)
