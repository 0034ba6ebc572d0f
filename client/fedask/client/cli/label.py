"""``fedask device label``: answer in the terminal, over ssh too."""

import getpass
import secrets
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedask.client.cli.console import stdout
from fedask.client.cli.options import DeviceDir, typed_as
from fedask.client.cli.picture import picture
from fedask.client.labelling.desk.desk import Desk
from fedask.client.records.annotation import SKIP, UNSURE, Choice, Label, Lease
from fedask.client.records.exhibit import Exhibit
from fedask.client.site.device_folder import DeviceFolder
from fedask.common.errors import DataError
from fedask.common.ids import parse_annotator

_WIDTH = 72


class Order(Enum):
    """What a person may type that is no answer."""

    UNDO = "z"
    QUIT = "q"


_ANSWERS: dict[str, Choice | Order] = {
    "s": SKIP,
    "u": UNSURE,
    **{order.value: order for order in Order},
}
_KEYS = "s skip, u unsure, z undo, q quit"
_HELP = f"a class by number or name; {_KEYS}"


def label_command(
    folder: DeviceDir = Path(),
    *,
    annotator: Annotated[
        str, typer.Option("--as", metavar="NAME", help="Who answers. [default: you]")
    ] = "",
    limit: Annotated[
        int, typer.Option(help="Stop after so many answers. [default: 0, never]", min=0)
    ] = 0,
) -> None:
    """Answer what waits, here in the terminal. Every answer is kept at once.

    Example: fedask device label --site ward-3 --as nurse
    """
    with typed_as("--as"):
        who = parse_annotator(annotator or getpass.getuser())
    with DeviceFolder.open(folder, "label") as opened:
        clerk = Clerk(opened.desk, opened.exhibit, opened.task.classes, stdout())
        given = clerk.work(who, limit)
    stdout().print(f"{given} answers kept")


class Clerk:
    """Asks one person at a terminal.

    Parameters
    ----------
    classes
        Names, by index.
    console
        Where to draw and ask.
    """

    def __init__(
        self, desk: Desk, exhibit: Exhibit, classes: Sequence[str], console: Console
    ) -> None:
        self._desk = desk
        self._exhibit = exhibit
        self._classes = classes
        self._console = console

    def work(self, annotator: str, limit: int) -> int:
        """Ask until nothing waits or the person stops; returns the answers given."""
        given = 0
        try:
            while not limit or given < limit:
                leases = self._desk.lease(annotator, 1)
                if not leases:
                    self._console.print("nothing waits")
                    break
                self._show(leases[0])
                answer = self._ask()
                if answer is Order.QUIT:
                    break
                if answer is Order.UNDO:
                    given -= self._undo(annotator)
                    continue
                key = secrets.token_urlsafe(16)
                token, uid = leases[0].token, leases[0].uid
                self._desk.submit(annotator, uid, token, answer, key)
                given += 1
        finally:
            self._desk.release(annotator)
        return given

    def _undo(self, annotator: str) -> int:
        """Take back the last answer; returns 1, or 0 if there is none."""
        undone = self._desk.undo(annotator)
        self._console.print("nothing to take back" if undone is None else "taken back")
        return int(undone is not None)

    def _show(self, lease: Lease) -> None:
        try:
            parts = self._exhibit.parts(lease.uid)
        except DataError as err:
            self._console.print(f"this one cannot be shown: {err}", markup=False)
            return
        for part in parts:
            if part.name:
                self._console.print(f"{part.name}:", markup=False)
            self._console.print(picture(part, _WIDTH))

    def _ask(self) -> Choice | Order:
        """Ask until a person says what can be understood; the end is QUIT."""
        for number, name in enumerate(self._classes, start=1):
            self._console.print(f"  {number} {name}", markup=False, highlight=False)
        self._console.print(f"  {_KEYS}", markup=False, highlight=False)
        while True:
            try:
                said = read_answer(self._console.input("> ").strip(), self._classes)
            except EOFError:
                return Order.QUIT
            if said is not None:
                return said
            self._console.print(_HELP)


def read_answer(text: str, classes: Sequence[str]) -> Choice | Order | None:
    """Return the answer that a person typed; None if it cannot be understood.

    A class's name counts before a letter that is a command, and a beginning that only
    one class has counts as its name.
    """
    if text in classes:
        return Label(classes.index(text))
    if text.isdecimal() and 1 <= int(text) <= len(classes):
        return Label(int(text) - 1)
    if text in _ANSWERS:
        return _ANSWERS[text]
    begin = [i for i, name in enumerate(classes) if text and name.startswith(text)]
    return Label(begin[0]) if len(begin) == 1 else None
