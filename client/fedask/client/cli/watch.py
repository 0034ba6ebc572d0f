"""``fedask device run-once`` and ``watch``: queue new samples, train between rounds."""

import signal
import threading
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from fedask.client.cli.console import print_json, stderr
from fedask.client.cli.options import DeviceDir, Json
from fedask.client.site.data_watcher import DataWatcher, Looked
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.local_training import LocalTraining, TrainingDecision
from fedask.common.errors import DataError, UnavailableError

# Not shown at every look to somebody who watches.
_USUAL = frozenset({TrainingDecision.OFF, TrainingDecision.WAITS})


def run_once_command(folder: DeviceDir = Path(), *, json: Json = False) -> None:
    """Look at the data once; ask what has arrived, if the app has a stream.

    Then train the device's local model, if there are enough new answers ([local_model]
    in device.toml) and the device is eligible. Works with the server gone, from the
    last model and cut. For cron.

    Example: fedask device run-once --site ward-3
    """
    with DeviceFolder.open(folder, "watch") as opened:
        watcher = DataWatcher(opened)
        looked = watcher.look()
        attempt = LocalTraining(opened).attempt(watcher.held)
    if json:
        print_json({**asdict(looked), "local_model": asdict(attempt)})
    else:
        stderr().print(_summary(looked), markup=False)
        stderr().print(attempt.summary, markup=False)


def watch_command(
    folder: DeviceDir = Path(),
    *,
    every: Annotated[
        float, typer.Option(help="Seconds between two looks.", min=0.1)
    ] = 60.0,
) -> None:
    """Do what run-once does again and again, until SIGTERM or Ctrl-C.

    Data that cannot be read now is said, and looked at again.

    Example: fedask device watch --site ward-3 --every 30
    """
    console, stop = stderr(), _stopped_by_signals()
    with DeviceFolder.open(folder, "watch") as opened:

        def proceed() -> None:
            if stop.is_set():
                raise UnavailableError("told to stop")

        watcher, training = DataWatcher(opened), LocalTraining(opened, proceed)
        last = TrainingDecision.OFF
        while not stop.is_set():
            try:
                looked = watcher.look()
                if looked.new:
                    console.print(_summary(looked), markup=False)
                attempt = training.attempt(watcher.held)
            except DataError as err:
                console.print(f"fedask: {err}", markup=False)
            else:
                if _is_news(attempt.outcome, last):
                    console.print(attempt.summary, markup=False)
                last = attempt.outcome
            stop.wait(every)


def _stopped_by_signals() -> threading.Event:
    """Return the event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()

    def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  (a handler's signature)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    return stop


def _summary(looked: Looked) -> str:
    return f"{looked.samples} samples, {looked.new} new, {looked.asked} of them asked"


def _is_news(outcome: TrainingDecision, last: TrainingDecision) -> bool:
    if outcome is TrainingDecision.TRAINED:
        return True
    return outcome is not last and outcome not in _USUAL
