"""One project of a Label Studio server: its tasks, its configuration, its people.

Called by ``studio``. Knows how the server pages, imports and stubs, and nothing of a
device's desk: what it reads is checked for its form, and says no more than that.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedask.client.labelling.labelstudio.studio_connection import (
    ReplyTooLargeError,
    StudioConnection,
    UnsureError,
)
from fedask.client.labelling.labelstudio.studio_file import uid_of
from fedask.client.labelling.labelstudio.task_export import StudioTask
from fedask.common.errors import ProtocolError, UnavailableError
from fedask.common.ids import Uid

_PAGE = 64  # tasks; a power of two, so that half of it divides what was read
_TOGETHER, _BYTES = 50, 16 * 2**20  # tasks and bytes of one import; it takes 200 MB
_TRIES = 3
_MOST_TASKS = 1_000_000


class StudioProject:
    """One project, by its number.

    Raises
    ------
    ConfigError
        From every method, if the server refuses.
    UnavailableError
        From every method, if the server cannot be reached, or changes all the time.
    ProtocolError
        From every method, if the server's answers cannot be used.
    """

    def __init__(self, connection: StudioConnection, number: int) -> None:
        self._connection = connection
        self._number = number
        self._path = f"/api/projects/{number}/"

    def configuration(self) -> Mapping[str, Any]:
        """Return what the project asks, as the server parsed it; empty if nothing."""
        reply = self._connection.get(self._path)
        asked = reply.get("parsed_label_config") if isinstance(reply, dict) else None
        if asked and not isinstance(asked, dict):
            raise ProtocolError("the server's labelling configuration is none")
        return asked or {}

    def configure(self, config: str, quorum: int) -> None:
        """Set what a new project asks, and how many people about each task."""
        new = {"label_config": config, "maximum_annotations": quorum}
        self._connection.send(self._path, new, method="PATCH", sure=True)

    def uids(self) -> set[Uid]:
        """Return the samples that the project has."""
        found = (uid_of(task) for task in self.tasks(full=False))
        return {uid for uid in found if uid is not None}

    def tasks(self, *, full: bool) -> list[dict[str, Any]]:
        """Return all tasks of the project: what names the sample, and annotations."""
        for _ in range(_TRIES):
            found, total = self._paged(full=full)
            if len(found) == total:
                return list(found.values())
        raise UnavailableError(
            f"project {self._number} changed while it was read: try again later"
        )

    def send(self, batch: Sequence[StudioTask]) -> None:
        """Send tasks; if no answer comes, look what arrived before sending again."""
        left = list(batch)
        for tries in reversed(range(_TRIES)):
            tasks = [task.json for task in left]
            try:
                answer = self._connection.send(f"{self._path}import", tasks)
            except UnsureError:
                if not tries:
                    raise
                there = self.uids()
                left = [task for task in left if task.uid not in there]
                if not left:
                    return
            else:
                _check_import(answer, len(left))
                return

    def addresses(self) -> dict[str, str]:
        """Return the number of every account, as text, with its e-mail address."""
        reply = self._connection.get("/api/users/")
        if not isinstance(reply, list):
            raise ProtocolError("the server's list of users is no list")
        return {
            str(user["id"]): str(user["email"])
            for user in reply
            if isinstance(user, dict) and {"id", "email"} <= user.keys()
        }

    def _paged(self, *, full: bool) -> tuple[dict[int, dict[str, Any]], int]:
        """Return tasks by number, and how many there should be."""
        found: dict[int, dict[str, Any]] = {}
        size, read, total = _PAGE, 0, 1
        while read < total:
            query: dict[str, str | int] = {"fields": "all" if full else "task_only"}
            query |= {"page": read // size + 1, "page_size": size}
            try:
                reply = self._connection.get(
                    "/api/tasks/", project=self._number, **query
                )
            except ReplyTooLargeError:
                if size == 1:
                    raise
                size //= 2
                continue
            tasks, total = _page(reply)
            if not tasks:
                break
            for task in tasks:
                found[task["id"]] = self._slim(task, full=full)
            read += size
        return found, total

    def _slim(self, task: Mapping[str, Any], *, full: bool) -> dict[str, Any]:
        """Drop the content of a sample, which is here already."""
        annotations = task.get("annotations") or [] if full else []
        if isinstance(annotations, list) and any(map(_is_stub, annotations)):
            # Not its list of annotations, which leaves out the skips.
            reply = self._connection.get(f"/api/tasks/{int(task['id'])}/")
            annotations = reply.get("annotations") if isinstance(reply, dict) else None
        return {"meta": task.get("meta"), "annotations": annotations or []}


def batches(tasks: Iterator[StudioTask]) -> Iterator[list[StudioTask]]:
    """Put tasks together, up to a number and a size."""
    held: list[StudioTask] = []
    size = 0
    for task in tasks:
        more = len(json.dumps(task.json))
        if held and (len(held) >= _TOGETHER or size + more > _BYTES):
            yield held
            held, size = [], 0
        held.append(task)
        size += more
    if held:
        yield held


def _check_import(answer: object, count: int) -> None:
    """Check that an import took all tasks.

    Label Studio Enterprise imports later, and says so: then the next push finds what
    came of it.
    """
    reply = answer if isinstance(answer, dict) else {}
    if "import" not in reply and reply.get("task_count") != count:
        raise ProtocolError(
            f"the server took {reply.get('task_count')!r:.20} of {count} tasks"
        )


def _page(reply: object) -> tuple[list[dict[str, Any]], int]:
    """Read a page of tasks."""
    tasks = reply.get("tasks") if isinstance(reply, dict) else None
    total = reply.get("total") if isinstance(reply, dict) else None
    right = isinstance(tasks, list) and all(
        isinstance(task, dict) and isinstance(task.get("id"), int) for task in tasks
    )
    if not right or not isinstance(total, int) or not 0 <= total <= _MOST_TASKS:
        raise ProtocolError("the server's page of tasks is none")
    return list(tasks or []), total


def _is_stub(annotation: object) -> bool:
    return isinstance(annotation, dict) and bool(annotation.get("is_stub"))
