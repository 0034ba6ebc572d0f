"""Sends samples to a project of a Label Studio server, and gets annotations from it.

Called by whoever serves the people of one device, as often as they like: a push sends
what is not there, found by ``meta.uid``, and a pull keeps what is not known. Both may
be cut short anywhere and be called again. Tried with Label Studio 1.23.2
(docs/adr/0012-exchange.md).

Never sends an annotation, and never changes or deletes what is on the server, but for
a project that has no labelling configuration: that one is set up.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.labelstudio.import_summary import (
    Aside,
    Asides,
    ImportSummary,
    bring_in,
)
from fedask.client.labelling.labelstudio.studio_annotation import Reading, derived_key
from fedask.client.labelling.labelstudio.studio_connection import (
    ReplyTooLargeError,
    StudioConnection,
    UnsureError,
)
from fedask.client.labelling.labelstudio.studio_file import deleted, read_tasks, uid_of
from fedask.client.labelling.labelstudio.task_content import CONTROL, TAGS, Field
from fedask.client.labelling.labelstudio.task_export import (
    StudioTask,
    TaskExport,
    Which,
)
from fedask.client.records.annotation import Annotation
from fedask.common.errors import ConfigError, ProtocolError, UnavailableError
from fedask.common.ids import Uid

_log = logging.getLogger(__name__)

_PAGE = 64  # tasks; a power of two, so that half of it divides what was read
_TOGETHER, _BYTES = 50, 16 * 2**20  # tasks and bytes of one import; it takes 200 MB
_TRIES = 3
_MOST_TASKS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSummary:
    """How many samples a push sent.

    Parameters
    ----------
    present
        Samples that were there.
    aside
        Samples that could not be shown.
    asides
        The first of these, with the reason.
    """

    pushed: int
    present: int
    aside: int
    asides: tuple[Aside, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PullSummary(ImportSummary):
    """What a pull brought, and what was deleted at the server.

    Parameters
    ----------
    deleted
        Answers that stand here though their annotation was deleted there.
    taken_back
        Those that were taken back for that reason.
    """

    deleted: int
    taken_back: int


class Studio:
    """One project on a server.

    Parameters
    ----------
    project
        Its number there.
    name
        Of the server, the same at every call: part of the keys of annotations.
    """

    def __init__(self, connection: StudioConnection, project: int, name: str) -> None:
        self._connection = connection
        self._project = project
        self._source = derived_key(name.rstrip("/"), project)

    def push(
        self, export: TaskExport, which: Which = Which.WAITING, *, quorum: int = 1
    ) -> PushSummary:
        """Send samples that the project does not have yet, in the order of asking.

        Two pushes to one project at the same time may both send a sample; its
        annotations then count as usual.

        Parameters
        ----------
        quorum
            How many people a new project asks about each sample: once a task has so
            many annotations, Label Studio hands it to nobody else.

        Raises
        ------
        ConfigError
            If the project asks something else than the task, or its server refuses.
        UnavailableError
            If the server cannot be reached: what was sent is sent.
        ProtocolError
            If the server's answers cannot be used.
        """
        there = self._uids()
        wanted = export.uids(which)
        missing = [uid for uid in wanted if uid not in there]
        asides, pushed, agreed = Asides(), 0, False
        for batch in _batches(export.tasks(missing, asides, annotated=False)):
            if not agreed:
                self._agree(export, batch[0].fields, quorum)
                agreed = True
            self._send(batch)
            pushed += len(batch)
        _log.info("tasks_pushed", extra={"tasks": pushed, "aside": asides.count})
        return PushSummary(
            pushed=pushed,
            present=len(wanted) - len(missing),
            aside=asides.count,
            asides=tuple(asides.named),
        )

    def pull(
        self,
        desk: Desk,
        classes: Sequence[str],
        people: Mapping[str, str],
        *,
        ground_truth: bool = False,
        take_back: bool = False,
    ) -> PullSummary:
        """Keep the annotations of the project.

        One that is wrong is set aside with the reason, and the rest is kept: nobody
        can mend it but its annotator.

        Parameters
        ----------
        people, ground_truth
            See ``Reading``; others go by their e-mail address on the server.
        take_back
            Whether to take back what was deleted there (``studio_file.deleted``). Not
            unasked: an emptied project, or one of a server that was set up anew, would
            take every label of it along.

        Raises
        ------
        ConfigError, UnavailableError, ProtocolError
            As ``push``.
        StoreError
            If the disk refuses.
        """
        addresses = self._addresses()
        names = {number: people.get(mail, mail) for number, mail in addresses.items()}
        names |= people
        reading = Reading(
            classes=classes,
            source=self._source,
            people=names,
            ground_truth=ground_truth,
        )
        tasks = self._tasks(full=True)
        annotated = [task for task in tasks if task["annotations"]]
        asides = Asides()
        samples = read_tasks(annotated, reading, asides, "the project", strict=False)
        samples = [_sound(desk, answers, asides) for answers in samples]
        # First what is gone: an older answer of the same person may count again.
        gone = deleted(desk, tasks, self._source)
        back = desk.retract(gone) if take_back else []
        summary = bring_in(desk, samples, asides)
        return PullSummary(
            kept=summary.kept,
            known=summary.known,
            late=summary.late,
            aside=summary.aside,
            asides=summary.asides,
            deleted=len(gone) - len(back),
            taken_back=len(back),
        )

    def _agree(self, export: TaskExport, fields: Sequence[Field], quorum: int) -> None:
        """Make sure that the project asks for the classes of the task.

        Raises
        ------
        ConfigError
            If it asks something else.
        """
        path = f"/api/projects/{self._project}/"
        reply = self._connection.get(path)
        asked = reply.get("parsed_label_config") if isinstance(reply, dict) else None
        ours = export.config(fields)
        if not asked:
            new = {"label_config": ours, "maximum_annotations": quorum}
            self._connection.send(path, new, method="PATCH", sure=True)
            return
        control = asked.get(CONTROL) if isinstance(asked, dict) else None
        labels = control.get("labels") if isinstance(control, dict) else None
        shown = _shown(control.get("inputs")) if isinstance(control, dict) else set()
        same = isinstance(labels, list) and sorted(map(str, labels)) == sorted(
            export.classes
        )
        if not same or not shown <= {(TAGS[f.medium], f.key) for f in fields}:
            raise ConfigError(
                f"project {self._project} asks something else than this task: give it "
                f"this labelling configuration, or take an empty project:\n{ours}"
            )

    def _send(self, batch: Sequence[StudioTask]) -> None:
        """Send tasks; if no answer comes, look what arrived before sending again."""
        left = list(batch)
        for tries in reversed(range(_TRIES)):
            tasks = [task.json for task in left]
            try:
                answer = self._connection.send(
                    f"/api/projects/{self._project}/import", tasks
                )
            except UnsureError:
                if not tries:
                    raise
                there = self._uids()
                left = [task for task in left if task.uid not in there]
                if not left:
                    return
            else:
                _check_import(answer, len(left))
                return

    def _uids(self) -> set[Uid]:
        """Return the samples that the project has."""
        found = (uid_of(task) for task in self._tasks(full=False))
        return {uid for uid in found if uid is not None}

    def _tasks(self, *, full: bool) -> list[dict[str, Any]]:
        """Return all tasks of the project: what names the sample, and annotations.

        Raises
        ------
        UnavailableError
            If the project changes all the time.
        """
        for _ in range(_TRIES):
            found, total = self._paged(full=full)
            if len(found) == total:
                return list(found.values())
        raise UnavailableError(
            f"project {self._project} changed while it was read: try again later"
        )

    def _paged(self, *, full: bool) -> tuple[dict[int, dict[str, Any]], int]:
        """Return tasks by number, and how many there should be."""
        found: dict[int, dict[str, Any]] = {}
        size, read, total = _PAGE, 0, 1
        while read < total:
            query: dict[str, str | int] = {"fields": "all" if full else "task_only"}
            query |= {"page": read // size + 1, "page_size": size}
            try:
                reply = self._connection.get(
                    "/api/tasks/", project=self._project, **query
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

    def _addresses(self) -> dict[str, str]:
        """Return the number of every account, as text, with its e-mail address."""
        reply = self._connection.get("/api/users/")
        if not isinstance(reply, list):
            raise ProtocolError("the server's list of users is no list")
        return {
            str(user["id"]): str(user["email"])
            for user in reply
            if isinstance(user, dict) and {"id", "email"} <= user.keys()
        }


def _batches(tasks: Iterator[StudioTask]) -> Iterator[list[StudioTask]]:
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


def _shown(inputs: object) -> set[tuple[str, str]]:
    """Return the tag and the key of the data that a control is asked about."""
    found = inputs if isinstance(inputs, list) else []
    return {
        (str(each.get("type")), str(each.get("value")))
        for each in found
        if isinstance(each, dict)
    }


def _sound(desk: Desk, answers: list[Annotation], asides: Asides) -> list[Annotation]:
    """Leave out answers that the desk would refuse."""
    kept = []
    for answer in answers:
        try:
            desk.check([answer])
        except ProtocolError as err:
            asides.add(answer.uid, str(err))
        else:
            kept.append(answer)
    return kept
