"""``fedask device serve`` and ``login``: the labelling page."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fedask.client.base.private_file import read_private
from fedask.client.cli.console import log_to_stderr, stderr, stdout
from fedask.client.cli.options import DeviceDir, typed_as
from fedask.client.labelling.web.logins import add_login, remove_login
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.device_settings import FILE, read_device_settings
from fedask.common.errors import ConfigError
from fedask.common.ids import parse_annotator
from fedask.common.settings import Where

_LONGEST_PASSWORD = 4096  # bytes


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
    password_file: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Take the password from a file that is yours alone, or from standard "
            "input (-), instead of asking for it.",
        ),
    ] = "",
) -> None:
    """Let somebody sign in to the page, or give them a new password.

    Either ends the sessions that they have. What they answered stays.

    Example: fedask device login ann --site ward-3

    Example: fedask device login ann --site ward-3 --password-file ann.txt

    Example: fedask device login ann --site ward-3 --remove
    """
    with typed_as("NAME"):
        parse_annotator(name)
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
    add_login(logins, name, _password(password_file))
    stderr().print(f"{name} may sign in", markup=False)


def _password(file: str) -> str:
    """Return a new password: asked for twice, or what stands in a file, or stdin."""
    if not file and not sys.stdin.isatty():
        raise ConfigError(
            "there is no terminal to ask a password at: give one by --password-file "
            "FILE, or by --password-file - and standard input"
        )
    if not file:
        return str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
    if file == "-":
        content = sys.stdin.buffer.read(_LONGEST_PASSWORD + 1)
    else:
        content = read_private(Path(file), "the password", _LONGEST_PASSWORD)
    where = "standard input" if file == "-" else file
    try:
        password = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as err:
        raise ConfigError(f"{where}: the password is no UTF-8 text") from err
    if len(content) > _LONGEST_PASSWORD or not password.isprintable():
        raise ConfigError(f"{where}: the password must be one line of text")
    return password
