"""Options that several commands of a device share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from fedask.common.errors import ConfigError, ProtocolError

DeviceDir = Annotated[
    Path,
    typer.Option(
        "--site",
        metavar="DIR",
        envvar="FEDASK_SITE",
        help="The device's folder, that `fedask device init` made.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON and nothing else.")
]


@contextmanager
def typed_as(option: str) -> Iterator[None]:
    """Take what is refused inside for wrong usage: a person typed it, and no peer.

    Raises
    ------
    ConfigError
        In place of a ProtocolError; it names the option.
    """
    try:
        yield
    except ProtocolError as err:
        raise ConfigError(f"{option}: {err}") from err
