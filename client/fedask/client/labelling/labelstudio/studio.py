"""Sends samples to a project of a Label Studio server, and gets annotations from it.

Called by whoever serves the people of one device, as often as they like: a push sends
what is not there, found by ``meta.uid``, and a pull keeps what is not known. Both may
be cut short anywhere and be called again. Tried with Label Studio 1.23.2
(docs/adr/0012-exchange.md).

Never sends an annotation, and never changes or deletes what is on the server, but for
a project that has no labelling configuration: that one is set up.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.labelstudio.import_summary import (
    Aside,
    Asides,
    ImportSummary,
    bring_in,
)
from fedask.client.labelling.labelstudio.studio_annotation import Reading, derived_key
from fedask.client.labelling.labelstudio.studio_connection import StudioConnection
from fedask.client.labelling.labelstudio.studio_file import (
    deleted,
    read_tasks,
    sound_samples,
)
from fedask.client.labelling.labelstudio.studio_project import StudioProject, batches
from fedask.client.labelling.labelstudio.task_content import CONTROL, TAGS, Field
from fedask.client.labelling.labelstudio.task_export import TaskExport, Which
from fedask.common.errors import ConfigError

_log = logging.getLogger(__name__)


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
        self._project = StudioProject(connection, project)
        self._number = project
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
        there = self._project.uids()
        wanted = export.uids(which)
        missing = [uid for uid in wanted if uid not in there]
        asides, pushed = Asides(), 0
        for batch in batches(export.tasks(missing, asides, annotated=False)):
            if not pushed:
                self._agree(export, batch[0].fields, quorum)
            self._project.send(batch)
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
        addresses = self._project.addresses()
        names = {number: people.get(mail, mail) for number, mail in addresses.items()}
        names |= people
        reading = Reading(
            classes=classes,
            source=self._source,
            people=names,
            ground_truth=ground_truth,
        )
        tasks = self._project.tasks(full=True)
        annotated = [task for task in tasks if task["annotations"]]
        asides = Asides()
        samples = read_tasks(annotated, reading, asides, "the project")
        samples = sound_samples(desk, samples, asides)
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
        ours = export.config(fields)
        asked = self._project.configuration()
        if not asked:
            self._project.configure(ours, quorum)
            return
        control = asked.get(CONTROL)
        labels = control.get("labels") if isinstance(control, dict) else None
        shown = _shown(control.get("inputs")) if isinstance(control, dict) else set()
        same = isinstance(labels, list) and sorted(map(str, labels)) == sorted(
            export.classes
        )
        if not same or not shown <= {(TAGS[f.medium], f.key) for f in fields}:
            raise ConfigError(
                f"project {self._number} asks something else than this task: give it "
                f"this labelling configuration, or take an empty project:\n{ours}"
            )


def _shown(inputs: object) -> set[tuple[str, str]]:
    """Return the tag and the key of the data that a control is asked about."""
    found = inputs if isinstance(inputs, list) else []
    return {
        (str(each.get("type")), str(each.get("value")))
        for each in found
        if isinstance(each, dict)
    }
