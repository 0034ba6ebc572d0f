"""``fedask device run-once`` and ``watch``: see what has arrived."""

import signal
import threading
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from fedask.client.commands.console import print_json, stderr
from fedask.client.commands.options import Json, SiteFolder
from fedask.client.site.lookout import Looked, Lookout
from fedask.client.site.site import Site
from fedask.common.clock import SystemClock
from fedask.common.errors import DataError


def run_once_command(site: SiteFolder = Path(), *, json: Json = False) -> None:
    """Look at the data once; ask what has arrived, if the app has a stream.

    Works with the server gone, from the last model and cut. For cron.

    Example: fedask device run-once --site ward-3
    """
    with Site.at(site, SystemClock(), "watch") as opened:
        looked = Lookout(opened).look()
    if json:
        print_json(asdict(looked))
    else:
        stderr().print(_told(looked), markup=False)


def watch_command(
    site: SiteFolder = Path(),
    *,
    every: Annotated[
        float, typer.Option(help="Seconds between two looks.", min=0.1)
    ] = 60.0,
) -> None:
    """Look at the data again and again, until SIGTERM or Ctrl-C.

    Data that cannot be read now is said, and looked at again.

    Example: fedask device watch --site ward-3 --every 30
    """
    stop = threading.Event()

    def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    console = stderr()
    with Site.at(site, SystemClock(), "watch") as opened:
        lookout = Lookout(opened)
        while True:
            try:
                looked = lookout.look()
            except DataError as err:
                console.print(f"fedask: {err}", markup=False)
            else:
                if looked.new:
                    console.print(_told(looked), markup=False)
            if stop.wait(every):
                return


def _told(looked: Looked) -> str:
    return f"{looked.samples} samples, {looked.new} new, {looked.asked} of them asked"
