"""``fedask device init``: make the folder of a device."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from fedask.client.base.private_file import write_private
from fedask.client.cli.console import stderr
from fedask.client.cli.options import typed_as
from fedask.client.data.sources.passed_over import passed_over, shown
from fedask.client.data.sources.proposal import proposed
from fedask.client.data.sources.source import SEALED, check_kind
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.device_settings import FILE
from fedask.common.errors import ConfigError, DataError, StoreError
from fedask.common.ids import parse_device_id

_TEMPLATE = """\
# A device of fedask. Read by every `fedask device` command, and by a SuperNode with
# --node-config 'site="{folder}"'. Paths are relative to this file.

device = {device}  # all that the server knows it by
app = {app}  # the Flower App of the fleet: task and settings
store = "device.db"  # queue, labels, scores; made if missing
rights = {rights}  # policy of what may be done with samples; "open": everything

[data]
data = {data}
{options}

[desk]
rule = "one"  # one, two (that agree), majority:N
lease_s = 600.0  # until a sample that nobody answered goes to somebody else
unsure = 2  # "unsure" answers after which a sample is given up
controls = 0.0  # share of samples whose answer is known, to see how people do

[local_model]
answers = 10  # new ones after which run-once and watch train a local model; 0: never
"""


def init_command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to make, or an empty one.")
    ],
    app: Annotated[
        Path, typer.Option(help="Folder of the fleet's Flower App (`fedask new`).")
    ],
    data: Annotated[
        Path, typer.Option(help="File or folder of this device's samples.")
    ],
    rights: Annotated[
        str,
        typer.Option(
            metavar="open|FILE",
            help="Policy of what may be scored, shown to people and trained on "
            "(rights.toml); or the word open: all of it, with every sample, without "
            "end. Needed.",
        ),
    ] = "",
    kind: Annotated[
        str | None,
        typer.Option(help="Kind of data. [default: found from the files]"),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="What the server knows the device by. [default: a random name]"
        ),
    ] = None,
) -> None:
    """Make the folder of a device: its settings and its store.

    Checks that the task imports, and that data and policy can be read, before anything
    is written.

    Example: fedask device init ward-3 --app my-app --data /srv/scans --rights open
    """
    if (folder / FILE).exists():
        raise _there_already(folder)
    if not rights:
        raise ConfigError(
            "what may be done with this device's samples? Name the policy file of "
            "the site, --rights rights.toml, or say --rights open if every sample "
            "may be scored, shown to people and trained on without end"
        )
    with typed_as("--device"):
        name = parse_device_id(device or f"device-{secrets.token_hex(3)}")
    if kind:
        check_kind(kind)
    options = proposed(data, kind or "")
    if options["kind"] != SEALED and not data.exists():
        raise DataError(
            f"cannot read samples from {data}: there is no such file or folder"
        )
    text = _TEMPLATE.format(
        folder=folder.resolve(),
        device=_quoted(name),
        app=_quoted(_from(folder, app)),
        rights=_quoted(
            rights if rights == "open" else _from(folder, Path(rights)),
        ),
        data=_quoted(_from(folder, data)),
        options="\n".join(f"{key} = {_quoted(v)}" for key, v in options.items()),
    )
    made = not folder.exists()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            write_private(folder / FILE, [text.encode()], new=True)
            _check(folder)
        except FileExistsError:
            raise _there_already(folder) from None
        except BaseException:
            (folder / FILE).unlink(missing_ok=True)
            if made:
                folder.rmdir()
            raise
    except OSError as err:
        raise StoreError(f"cannot make {folder}: {err.strerror}") from err
    with DeviceFolder.open(folder, "init") as made_now:
        _ = made_now.store
        passed = passed_over(made_now.settings.data)
    console = stderr()
    told = ", ".join(f"{key} {value}" for key, value in options.items())
    console.print(f"made {folder}: device {name}, data of {told}", markup=False)
    if passed:
        console.print(f"passed over: {shown(passed)}", markup=False)
    console.print(f"Look at {folder / FILE}, then:", markup=False)
    console.print(f"  fedask device doctor --site {folder}", markup=False)
    console.print(f"  fedask device serve --site {folder}", markup=False)


def _there_already(folder: Path) -> ConfigError:
    return ConfigError(f"{folder / FILE} exists: this is a device already")


def _check(folder: Path) -> None:
    """Refuse a task, an app or settings that would not work, before there is a store.

    Raises
    ------
    ConfigError
        Whatever is wrong.
    """
    with DeviceFolder.open(folder) as opened:
        _ = opened.task, opened.rights


def _from(folder: Path, path: Path) -> str:
    """Return a path as ``device.toml`` needs it: relative to its folder."""
    if path.is_absolute():
        return str(path)
    return os.path.relpath(path.resolve(), folder.resolve())


def _quoted(text: str) -> str:
    """Return a text as a TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        raise ConfigError(
            f"{text!r} cannot be written into {FILE}: use printable characters"
        )
    return f'"{escaped}"'
