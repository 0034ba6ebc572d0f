"""``fedask device serve`` and ``login``: the labelling page."""

from pathlib import Path
from typing import Annotated

import typer

from fedask.client.cli.console import log_to_stderr, stderr, stdout
from fedask.client.cli.options import DeviceDir
from fedask.client.labelling.web.logins import add_login, remove_login
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.device_settings import FILE, read_device_settings
from fedask.common.errors import ConfigError
from fedask.common.settings import Where


def serve_command(
    folder: DeviceDir = Path(),
    *,
    port: Annotated[
        int | None,
        typer.Option(help="Port of the page, instead of that in device.toml.", min=0),
    ] = None,
    grpc: Annotated[
        bool, typer.Option("--grpc", help="Serve the gRPC service for apps instead.")
    ] = False,
) -> None:
    """Serve the labelling page until SIGTERM or Ctrl-C, and print the link to it.

    By default for this machine alone. For others, set host, certificate, private_key
    and logins in the [page] table of device.toml, and let people in with `fedask
    device login NAME`.

    Example: fedask device serve --site ward-3
    """
    if grpc:
        _serve_grpc(folder)
        return
    # Only this command needs Starlette.
    from fedask.client.labelling.web.hints import Hints  # noqa: PLC0415  (imports Starlette)
    from fedask.client.labelling.web.page_server import address_of, serve  # noqa: PLC0415  (imports Starlette)
    from fedask.client.site.device_page import page_of_device, page_settings  # noqa: PLC0415  (imports Starlette)
    from fedask.client.site.model_guess import ModelGuesses  # noqa: PLC0415  (slow, and needed by this command alone)

    with DeviceFolder.open(folder) as opened:
        settings = page_settings(opened, port)

        def announce(token: str) -> None:
            link = address_of(settings, token)
            stderr().print(f"open {link}", markup=False, highlight=False)

        hints = Hints(guesses=ModelGuesses(opened))
        page = page_of_device(opened, settings, announce, hints)
        if settings.logins is not None:
            announce("")
        serve(page, settings)


def _serve_grpc(folder: Path) -> None:
    """Run the labelling service that [service] in device.toml describes."""
    from fedask.client.labelling.grpc.service_server import serve  # noqa: PLC0415  (imports gRPC)
    from fedask.client.site.device_service import service_of_device  # noqa: PLC0415  (imports gRPC)

    log_to_stderr()

    def tell(address: str) -> None:
        stdout().print(f"listening at {address}", markup=False, highlight=False)

    with DeviceFolder.open(folder) as opened:
        serve(service_of_device(opened), tell)


def login_command(
    name: Annotated[str, typer.Argument(help="As it will stand beside their answers.")],
    folder: DeviceDir = Path(),
    *,
    remove: Annotated[
        bool, typer.Option("--remove", help="Let them in no longer, from now on.")
    ] = False,
) -> None:
    """Let somebody sign in to the page, or give them a new password.

    Either ends the sessions that they have. What they answered stays.

    Example: fedask device login ann --site ward-3

    Example: fedask device login ann --site ward-3 --remove
    """
    page = read_device_settings(folder).page
    logins = None if page is None else page.logins
    if logins is None:
        where = Where(folder / FILE, "page")
        raise where.error("logins", ' is missing: add logins = "logins.json"')
    if remove:
        if not remove_login(logins, name):
            raise ConfigError(f"{logins}: there is no login of {name!r:.80}")
        stderr().print(f"{name} may sign in no longer", markup=False)
        return
    password = typer.prompt("password", hide_input=True, confirmation_prompt=True)
    add_login(logins, name, password)
    stderr().print(f"{name} may sign in", markup=False)
