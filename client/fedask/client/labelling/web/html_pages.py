"""Answers the addresses that a browser opens: the page, and the form to sign in.

Made by ``page_app``, which the routes of this module are part of. Who may come in is
for ``auth`` to say.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from fedask.client.base.full_disk import is_disk_full
from fedask.client.labelling.web.auth import PageAuth
from fedask.client.labelling.web.guidelines import read_guidelines
from fedask.client.labelling.web.handlers import PageHandlers
from fedask.client.labelling.web.languages import Languages
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.common.errors import StoreError

Answer = Callable[[Request], Awaitable[Response]]
_log = logging.getLogger(__name__)
_TEMPLATES = Path(__file__).parent / "templates"


def route_of(method: str, path: str, answer: Answer) -> Route:
    """Return a route of one method."""
    route = Route(path, answer, methods=[method])
    route.methods = {method}  # no HEAD: it would use up the one-time link
    return route


class HtmlPages:
    """The pages, from templates.

    Every value in them is escaped, but the guidelines, which are HTML already.
    """

    def __init__(
        self, settings: PageSettings, auth: PageAuth, handlers: PageHandlers
    ) -> None:
        self._auth = auth
        self._handlers = handlers
        self._languages = Languages(settings.language, settings.words)
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=select_autoescape(default=True),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._shared = {
            "title": settings.title,
            "logins": settings.logins is not None,
            "guidelines": read_guidelines(settings.guidelines),
        }

    def routes(self) -> list[BaseRoute]:
        """Return the addresses of the pages."""
        return [
            route_of("GET", "/", self._told(self._start)),
            route_of("GET", "/login", self._told(self._login_form)),
            route_of("POST", "/login", self._told(self._login)),
            route_of("POST", "/logout", self._logout),
        ]

    def _told(self, answer: Answer) -> Answer:
        """Return what answers with a page also where the device's disk refuses."""

        async def answered(request: Request) -> Response:
            try:
                return await answer(request)
            except StoreError as err:
                _log.warning("page", extra={"error": type(err).__name__})
                is_full = is_disk_full(err)
                status = 507 if is_full else 500
                return self._page(request, "problem.html", status, is_full=is_full)

        return answered

    async def _start(self, request: Request) -> Response:
        cookie = self._auth.use_link(request.query_params.get("token", ""))
        if cookie is not None:
            # A page, not a redirect: a browser that came from elsewhere would follow
            # that one without its new cookie.
            reply = self._page(request, "enter.html")
            self._auth.set_session(reply, cookie)
            return reply
        session = self._auth.session(request)
        if session is not None:
            if "token" in request.query_params:
                return RedirectResponse("/", 303)
            return self._page(request, "page.html", who=session.annotator)
        if self._auth.link is None:
            return RedirectResponse("/login", 303)
        return self._page(request, "closed.html", 403)

    async def _login_form(self, request: Request) -> Response:
        if self._auth.link is not None or self._auth.session(request) is not None:
            return RedirectResponse("/", 303)
        return self._form(request)

    async def _login(self, request: Request) -> Response:
        fields = _fields(await request.body())
        if not self._auth.is_own_form(request, fields.get("secret", "")):
            return RedirectResponse("/login", 303)
        address = request.client.host if request.client else ""
        name, password = fields.get("name", "").strip()[:64], fields.get("password", "")
        entry = await self._auth.sign_in(name, password, address)
        if entry.cookie:
            reply: Response = RedirectResponse("/", 303)
            self._auth.set_session(reply, entry.cookie)
            return reply
        wait_s = math.ceil(entry.wait.total_seconds())
        status = 429 if wait_s else 403
        return self._form(request, status, name=name, failed=True, wait_s=wait_s)

    async def _logout(self, request: Request) -> Response:
        who = self._auth.trusted_annotator(request)
        await self._handlers.release(who)
        self._auth.sign_out(request)
        reply = JSONResponse({})
        self._auth.clear_session(reply)
        return reply

    def _page(
        self, request: Request, template: str, status: int = 200, **values: object
    ) -> HTMLResponse:
        wishes = request.headers.get("accept-language", "")
        language = self._languages.choose(wishes)
        words = {
            "language": language,
            "_": language.catalogue.gettext,
            "ngettext": language.catalogue.ngettext,
        }
        found = self._templates.get_template(template)
        html = found.render({**self._shared, **words, **values})
        return HTMLResponse(html, status)

    def _form(self, request: Request, status: int = 200, **values: object) -> Response:
        return self._auth.form(
            request,
            lambda secret: self._page(
                request, "login.html", status, secret=secret, **values
            ),
        )


def _fields(body: bytes) -> dict[str, str]:
    """Read a form; of a field that comes twice, the first."""
    try:
        fields = parse_qs(body.decode(), max_num_fields=8, keep_blank_values=True)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
