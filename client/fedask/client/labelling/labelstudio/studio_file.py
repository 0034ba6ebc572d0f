"""Writes samples as JSON files for Label Studio, and reads annotations from them.

Called by whoever serves the people of one device, where no server can be reached. An
export holds the samples themselves: it is as confidential as the data, written for its
owner alone, and where it goes is for the owner to answer for.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedask.client.base.private_file import write_private
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.labelstudio.capped_file import open_capped
from fedask.client.labelling.labelstudio.import_summary import (
    Aside,
    Asides,
    ImportSummary,
    bring_in,
    is_sound,
)
from fedask.client.labelling.labelstudio.studio_annotation import (
    Reading,
    annotation_prefix,
    from_annotation,
)
from fedask.client.labelling.labelstudio.task_content import Field
from fedask.client.labelling.labelstudio.task_export import TaskExport, Which
from fedask.client.records.annotation import Annotation
from fedask.common.errors import DataError
from fedask.common.ids import Uid, is_uid

_log = logging.getLogger(__name__)

MOST_BYTES = 256 * 2**20  # of a file: Label Studio imports no more either
MOST_VALUES = 10_000_000  # in it: parsed, each takes some hundred bytes of memory
MOST_ANNOTATIONS = 1_000_000  # of a file
_EVERY = 2**62  # answers: more than a device holds

NO_UID = "has no meta.uid of a sample: it was not exported by fedask"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedTasks:
    """How many tasks an export wrote, and for which configuration.

    Parameters
    ----------
    config
        The labelling configuration of the project that they are for.
    aside
        Samples that could not be shown.
    asides
        The first of these, with the reason.
    """

    tasks: int
    config: str
    aside: int
    asides: tuple[Aside, ...]


def export_tasks(export: TaskExport, which: Which, path: Path) -> ExportedTasks:
    """Write samples as tasks, and beside them (``.xml``) their labelling configuration.

    A task at a time, so that an export needs no more memory than its largest sample;
    the file appears when it is whole. What waits goes out without the answers it has:
    Label Studio would refuse those of people it does not know, and take the moment of
    its own import for theirs, so that an opinion which was changed here meanwhile would
    come back as the newest.

    Raises
    ------
    DataError
        If no sample can be shown, or the classes or parts have names that do not fit.
    StoreError
        If the disk refuses.
    """
    asides = Asides()
    annotated = which is not Which.WAITING
    seen: list[tuple[Field, ...]] = []
    config = ""

    def lines() -> Iterator[bytes]:
        nonlocal config
        for task in export.tasks(export.uids(which), asides, annotated=annotated):
            if not seen:
                config = export.config(task.fields)
            yield b",\n" if seen else b"[\n"
            yield json.dumps(task.json, ensure_ascii=False).encode()
            seen.append(task.fields)
        yield b"\n]\n" if seen else b"[]\n"

    write_private(path, lines())
    if config:
        write_private(path.with_suffix(".xml"), [config.encode()])
    _log.info("tasks_exported", extra={"tasks": len(seen), "aside": asides.count})
    return ExportedTasks(
        tasks=len(seen),
        config=config,
        aside=asides.count,
        asides=tuple(asides.named),
    )


def import_annotations(
    desk: Desk, path: Path, reading: Reading, *, most: int = MOST_BYTES
) -> ImportSummary:
    """Keep the annotations of a JSON export of Label Studio.

    An annotation that is wrong (its class, its type, its time), a task that is none of
    fedask's and one of an unknown sample are set aside, with the reason, and the rest
    is kept; see ``import_summary`` for what a crash leaves.

    Parameters
    ----------
    most
        Bytes of the file.

    Raises
    ------
    DataError
        If the file is too large, no JSON, or no list of tasks.
    StoreError
        If the disk refuses.
    """
    asides = Asides()
    with open_capped(path, most) as file:
        parsed = parse(file.read(most), str(path))
    samples = read_tasks(parsed, reading, asides, str(path))
    return bring_in(desk, sound_samples(desk, samples, asides), asides)


def sound_samples(
    desk: Desk, samples: Iterable[Sequence[Annotation]], asides: Asides
) -> list[list[Annotation]]:
    """Leave out answers that the desk would refuse."""
    return [
        [each for each in answers if is_sound(desk, each, asides, each.uid)]
        for answers in samples
    ]


def parse(content: bytes, where: str) -> object:
    """Read JSON that came from elsewhere.

    NaN and infinity, which some programs write for "no number", are no value (null).

    Raises
    ------
    DataError
        If it is none, or holds more than ``MOST_VALUES`` values.
    """
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise DataError(f"{where} holds more than {MOST_VALUES} values: part it")
    try:
        parsed: object = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as err:
        # Not the text of the error: it may quote what stands there.
        at = f"line {err.lineno}, " if isinstance(err, json.JSONDecodeError) else ""
        raise DataError(f"{where} is no JSON ({at}{type(err).__name__})") from err
    return parsed


def _no_number(_: str) -> None:
    """Return what stands for NaN, Infinity and -Infinity."""


def read_tasks(
    tasks: object,
    reading: Reading,
    asides: Asides,
    where: str,
) -> list[list[Annotation]]:
    """Read the annotations of tasks: those of one sample together, oldest first.

    Parameters
    ----------
    tasks
        Parsed JSON.
    asides
        Takes the tasks that are of no sample of fedask, and wrong annotations.
    where
        For messages.

    Raises
    ------
    DataError
        If it is no list of tasks, or has too many annotations.
    """
    if not isinstance(tasks, list) or any(map(_is_min, tasks)):
        raise DataError(
            f"{where} must be a list of tasks: export it as JSON, not JSON-MIN"
        )
    samples: dict[Uid, list[Annotation]] = {}
    count = 0
    for number, task in enumerate(tasks):
        uid = uid_of(task)
        if uid is None:
            asides.add(f"task {number}", NO_UID)
            continue
        annotations = _annotations(task, where, number)
        count += len(annotations)
        if count > MOST_ANNOTATIONS:
            raise DataError(
                f"{where} has more than {MOST_ANNOTATIONS} annotations: part it"
            )
        answers, reasons = _answers(annotations, uid, reading)
        samples.setdefault(uid, []).extend(answers)
        for reason in reasons:
            asides.add(f"task {number}, {uid}", reason)
    for answers in samples.values():
        answers.sort(key=lambda v: (v.at is not None, v.at or 0, v.key))
    return list(samples.values())


def _answers(
    annotations: list[Any], uid: Uid, reading: Reading
) -> tuple[list[Annotation], list[str]]:
    """Read the annotations of a task; returns what is wrong with the others."""
    answers, reasons = [], []
    for place, annotation in enumerate(annotations):
        try:
            answers.append(from_annotation(annotation, uid, reading))
        except DataError as err:
            reasons.append(f"annotation {place}: {err}")
    return answers, reasons


def uid_of(task: object) -> Uid | None:
    """Return the sample that a task is of, None if it is of none."""
    meta = task.get("meta") if isinstance(task, Mapping) else None
    uid = meta.get("uid") if isinstance(meta, Mapping) else None
    return uid if is_uid(uid) else None


def _is_min(task: object) -> bool:
    """Tell whether a task is flat, as in JSON-MIN, which does not say its sample."""
    return isinstance(task, Mapping) and task.keys().isdisjoint(
        {"data", "meta", "annotations"}
    )


def _annotations(task: Any, where: str, number: int) -> list[Any]:  # noqa: ANN401  (JSON)
    """Return what a task holds; none at all is no annotation."""
    found = task.get("annotations") or []
    if not isinstance(found, list):
        raise DataError(f"{where}: the annotations of task {number} are no list")
    return found


def deleted(
    desk: Desk, tasks: Sequence[Mapping[str, Any]], source: str
) -> list[Annotation]:
    """Return the answers that stand at the desk but were deleted at their source.

    An answer that came from there has a key that names its source and its annotation.
    It is *deleted* there if a task of its sample is there and the annotation is not; if
    the task is gone as well, somebody has tidied up, and the answer stands.

    Parameters
    ----------
    tasks
        All of the source, those without an annotation too.
    source
        As in the ``Reading`` of what came from there.
    """
    there: dict[Uid, set[str]] = {}  # beginnings of the keys of what is there
    for task in tasks:
        uid = uid_of(task)
        if uid is not None:
            there.setdefault(uid, set()).update(
                annotation_prefix(source, annotation["id"])
                for annotation in task["annotations"]
                if isinstance(annotation, Mapping) and "id" in annotation
            )
    ours = annotation_prefix(source)
    return [
        answer
        for answer in desk.history(_EVERY)
        if answer.undone is None
        and answer.key.startswith(ours)
        and answer.uid in there
        and not answer.key.startswith(tuple(there[answer.uid]))
    ]
