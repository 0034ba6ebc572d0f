"""``fedask new``: the folder of a Flower App for the user's own task."""

from pathlib import Path
from typing import Annotated

import typer

from fedask.client.cli.console import stderr
from fedask.simulations.run.app_template import DEVICES, write_app


def new_command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to make; must not exist.")
    ],
) -> None:
    """Make a Flower App for your own data: edit its task file, then run it.

    The app depends on Flower alone; fedask comes installed on the machines that run
    it. `fedask simulate DIR` and `flwr run DIR` run the same files.

    Example: fedask new my-app
    """
    package = write_app(folder)
    console = stderr()
    console.print(f"made {folder}. Next:", markup=False)
    console.print(f"  1. put your classes and data into {folder}/{package}/task.py")
    console.print(f"  2. fedask simulate {folder}    (in this process)")
    console.print("     or in Flower's own runtime:", markup=False)
    nodes = f"--federation-config num-supernodes={DEVICES}"
    console.print(f"     flwr run {folder} --stream {nodes}", markup=False)
