"""A fleet of one real device in one folder, driven from outside. For the trips.

Nothing of fedask is imported by name but what a user's own program imports: the command
line comes from the installed entry point, both apps from the files that ``fedask new``
writes, the task from ``fedask.common``. What moves inside the packages moves no trip.
"""

import io
import itertools
import json
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from flwr.app import DEFAULT_TTL, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from typing_extensions import override

# Makes the reply to a message; the argument is the number of the train message, from 1.
Deliver = Callable[[int, Callable[[], Message]], Message]

CLASSES = ("healthy", "ill")
PHOTOS = 40
ASKED = 4  # in each cycle
_SERVER, _NODE = 1, 2
_TASK = f"""\
from fedask.common import Task

task = Task(classes={list(CLASSES)}, model="cnn", input_shape=(3, 32, 32))
"""
# One round a cycle: every train message but the last one scores, and carries a cut.
_SETTINGS = {
    "fleet.devices": 1,
    "ask.initial": ASKED,
    "ask.quota": ASKED,
    "train.rounds": 1,
    "run.evaluate": "",
    "run.out": "",
}
_numbers = itertools.count(1)


class Ward:
    """An app, some photos and a device that holds them.

    Parameters
    ----------
    folder
        Empty; everything is made in it, with the commands of the tutorial.
    """

    def __init__(self, folder: Path) -> None:
        name = f"leaves-{next(_numbers)}"  # a new one each: modules stay imported
        self._package = name.replace("-", "_")
        self._app = folder / name
        self.site = folder / "ward"
        fedask("new", self._app)
        (self._app / self._package / "task.py").write_text(_TASK)
        _take_photos(folder / "photos")
        init = ("device", "init", self.site, "--app", self._app)
        data = ("--data", folder / "photos", "--rights", "open")
        fedask(*init, *data, "--device", "ward")

    def run(
        self, deliver: Deliver = lambda _, answer: answer(), cycles: int = 3
    ) -> None:
        """Run the server's app over the device, in this process."""
        with mock.patch.object(sys, "path", [str(self._app), *sys.path]):
            server = import_module(f"{self._package}.server_app").app
            client = import_module(f"{self._package}.client_app").app
        config = {**self._config(), "ask.cycles": cycles}
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, _SERVER
        node = Context(1, _NODE, {"site": str(self.site)}, RecordDict(), config)
        grid = _OneNode(lambda message: client(message, node), deliver)
        server(grid, Context(1, _SERVER, {}, RecordDict(), config))

    def label(self, *names: str) -> None:
        """Let a person give these answers in the terminal, one after the other."""
        command = ("device", "label", "--site", self.site, "--as", "ann")
        said = "".join(f"{name}\n" for name in names)
        fedask(*command, "--limit", str(len(names)), said=said)

    def status(self) -> dict[str, Any]:
        """Return how the device stands."""
        told = io.StringIO()
        fedask("device", "status", "--site", self.site, "--json", told=told)
        found: dict[str, Any] = json.loads(told.getvalue())
        return found

    def _config(self) -> dict[str, Any]:
        """Return the app's settings as Flower hands them over, with ours."""
        project = tomllib.loads((self._app / "pyproject.toml").read_text())
        return {**_flat(project["tool"]["flwr"]["app"]["config"]), **_SETTINGS}


class _OneNode(Grid):
    """Flower's way to a fleet, of one node in this process."""

    def __init__(self, client: Callable[[Message], Message], deliver: Deliver) -> None:
        self._client = client
        self._deliver = deliver
        self._ids = itertools.count(1)
        self._trained = itertools.count(1)
        self._run = Run.create_empty(1)

    @override
    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterator[Message]:
        for message in messages:
            # As the SuperLink would; Metadata has no public setter for it.
            message.metadata.__dict__["_message_id"] = str(next(self._ids))
            yield self._reply(message)

    def _reply(self, message: Message) -> Message:
        if message.metadata.message_type != MessageType.TRAIN:
            return self._client(message)
        reply = self._deliver(next(self._trained), lambda: self._client(message))
        if reply.has_error():
            raise AssertionError(reply.error.reason)
        return reply

    @override
    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = DEFAULT_TTL,
    ) -> Message:
        return Message(content, dst_node_id, message_type, group_id=group_id, ttl=ttl)

    @override
    def get_node_ids(self) -> Iterable[int]:
        return [_NODE]

    @property
    @override
    def run(self) -> Run:
        return self._run

    @override
    def set_run(self, run: Run) -> None:
        self._run = run

    @override
    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    @override
    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError


def fedask(
    *arguments: str | Path,
    said: str = "",
    told: io.StringIO | None = None,
    ends: int = 0,
) -> None:
    """Run the ``fedask`` program in this process, as its console script does.

    Parameters
    ----------
    said
        What a person types.
    told
        Takes what it prints.
    ends
        The exit code that it must end with.
    """
    (script,) = entry_points(group="console_scripts", name="fedask")
    main, told = script.load(), told or io.StringIO()
    code: object = 0
    with (
        mock.patch.object(sys, "argv", ["fedask", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.StringIO(said)),
        redirect_stdout(told),
        redirect_stderr(told),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    if code != ends:
        raise AssertionError(f"{arguments} ended with {code}: {told.getvalue()}")


def _flat(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Write nested tables as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{before}{key}.") if inner else {before + key: value}
    return flat


def _take_photos(folder: Path) -> None:
    """Write small colour images, of either class."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    for number in range(PHOTOS):
        pixels = rng.integers(0, 60, (32, 32, 3), dtype=np.uint8)
        pixels[..., number % 2] += 150
        data = b"P6 32 32 255\n" + pixels.tobytes()
        (folder / f"{number}.ppm").write_bytes(data)
