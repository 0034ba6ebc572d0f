"""Runs the labelling page of a device until it is told to stop.

Called by the command line, or by a service manager. SIGTERM and Ctrl-C end it once the
answers that are on their way are kept.
"""

import logging
import ssl
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from fedask.client.base.private_file import read_private
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.common.errors import ConfigError

GRACE_S = 10  # for requests that are being answered
_MAX_CONNECTIONS = 200
_KEEP_ALIVE_S = 30
_MAX_KEY_BYTES = 1 << 20
_MAX_HEAD_BYTES = 16 << 10  # of a request, before anybody knows who sends it


def address_of(settings: PageSettings, token: str = "") -> str:
    """Return where the page is; with a one-time token, the link that lets one in."""
    host = settings.names[0] if settings.names else settings.host
    host = f"[{host}]" if ":" in host else host
    scheme = "https" if settings.tls else "http"
    query = f"/?token={token}" if token else "/"
    return f"{scheme}://{host}:{settings.port}{query}"


def server_of(app: Starlette, settings: PageSettings) -> uvicorn.Server:
    """Return the server of a page, not yet running.

    Raises
    ------
    ConfigError
        If certificate or key cannot be used, or others may read the key.
    """
    key, certificate = settings.private_key, settings.certificate
    if certificate is not None and key is not None:
        read_private(key, "the private key", _MAX_KEY_BYTES)
        try:
            # Uvicorn would end the process with a traceback of its own.
            ssl.create_default_context().load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as err:
            raise ConfigError(
                f"page: cannot use {certificate} with {key}: {err}"
            ) from err
    # Its lines would hold one-time tokens and names of samples: not even for whoever
    # puts a handler of their own on it.
    logging.getLogger("uvicorn.access").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ssl_certfile=None if certificate is None else str(certificate),
        ssl_keyfile=None if key is None else str(key),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whoever sends them could be anybody
        http="h11",  # the faster httptools keeps headers of any length
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        ws="none",
        lifespan="on",
        loop="asyncio",
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    return uvicorn.Server(config)


def serve(
    app: Starlette,
    settings: PageSettings,
    server: Callable[[Starlette, PageSettings], uvicorn.Server] = server_of,
) -> None:
    """Run a page until SIGTERM or Ctrl-C.

    Parameters
    ----------
    app
        Of ``labelling_page``, made with the same settings.

    Raises
    ------
    ConfigError
        If certificate or key cannot be used, or the page could not be started: another
        program has the port.
    """
    running = server(app, settings)
    try:
        running.run()
    except SystemExit as err:  # uvicorn's word for a port that is taken
        raise ConfigError(
            f"page: cannot start at {address_of(settings)}: is the port taken?"
        ) from err
    if not running.started:
        raise ConfigError(f"page: cannot start at {address_of(settings)}: see the log")
