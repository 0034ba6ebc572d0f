"""Options that several commands of a device share."""

from pathlib import Path
from typing import Annotated

import typer

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
