"""Turns samples of the queue into tasks of Label Studio.

Called by the export to a file and by the connection to a server. Reads the device's
store and shows its samples; changes neither. Controls are left out: an export never
says which answers were a test of their annotator.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fedask.client.labelling.labelstudio.import_summary import Asides
from fedask.client.labelling.labelstudio.studio_annotation import choice, to_annotation
from fedask.client.labelling.labelstudio.task_content import (
    Field,
    TaskContent,
    labelling_config,
)
from fedask.client.records.annotation import Annotation
from fedask.client.records.device_store import DeviceStore
from fedask.client.records.exhibit import Exhibit
from fedask.client.records.label_queue import ANSWERED, Item
from fedask.common.errors import DataError
from fedask.common.ids import Uid

_EVERY = 2**62  # answers: more than a device holds


class Which(StrEnum):
    """Which samples of the queue are exported."""

    WAITING = "waiting"  # those that wait for a person
    LABELLED = "labelled"  # those with a label
    ALL = "all"  # every sample ever asked


class StudioPrediction(StrEnum):
    """What people see of the model's prediction for a sample."""

    NOTHING = "nothing"
    SCORE = "score"  # how much it is worth asking: no hint at a class
    CLASS = "class"  # the score, and the predicted class, which then stands ticked


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioTask:
    """One sample, ready to be written.

    Parameters
    ----------
    uid
        Also in the written task, as ``meta.uid``.
    json
        As Label Studio imports it.
    """

    uid: Uid
    fields: tuple[Field, ...]
    json: Mapping[str, Any] = field(repr=False)


class TaskExport:
    """The samples of one device, task by task.

    Parameters
    ----------
    classes
        Names, in the order of their indices.
    contents
        Where pictures and sounds go.
    guess
        CLASS is right only where the groups of the scores are the predicted classes:
        not with ``ask.groups`` by features.
    """

    def __init__(
        self,
        store: DeviceStore,
        exhibit: Exhibit,
        classes: Sequence[str],
        *,
        contents: TaskContent | None = None,
        guess: StudioPrediction = StudioPrediction.SCORE,
    ) -> None:
        self._store = store
        self._exhibit = exhibit
        self.classes = classes
        self._contents = TaskContent() if contents is None else contents
        self._guess = guess

    def uids(self, which: Which) -> list[Uid]:
        """Return the samples of an export: what waits first, in the order of asking."""
        waiting = [uid for uid, _ in self._store.annotations.waiting()]
        if which is Which.WAITING:
            return waiting
        held = frozenset(waiting)
        rest = [item for item in self._store.queue.items() if item.uid not in held]
        if which is Which.LABELLED:
            return [item.uid for item in rest if item.state in ANSWERED]
        return waiting + [item.uid for item in rest]

    def tasks(
        self, uids: Sequence[Uid], asides: Asides, *, annotated: bool = True
    ) -> Iterator[StudioTask]:
        """Yield the tasks of samples, in their order.

        Parameters
        ----------
        asides
            Takes the samples that are gone from the data, or are not like the first.
        annotated
            Whether to tell the answers that stand.

        Raises
        ------
        DataError
            If a label is of no class.
        StoreError
            If a file of a sample cannot be written.
        """
        items = {item.uid: item for item in self._store.queue.items()}
        answers_of = self._standing() if annotated else {}
        guesses = self._guesses()
        first: tuple[Field, ...] = ()
        for uid in uids:
            try:
                parts = self._contents.parts(self._exhibit, uid)
                fields, data = self._contents.data(uid, parts)
            except DataError as err:
                asides.add(uid, str(err))
                continue
            first = first or fields
            if fields != first:
                asides.add(uid, "its parts are not those of the first sample")
                continue
            to_name = fields[0].shown
            task: dict[str, Any] = {"data": data, "meta": _meta(items[uid])}
            if uid in guesses:
                task["predictions"] = [_prediction(*guesses[uid], to_name)]
            if answers := answers_of.get(uid):
                task["annotations"] = [
                    to_annotation(answer, self.classes, to_name) for answer in answers
                ]
            yield StudioTask(uid=uid, fields=fields, json=task)

    def config(self, fields: Sequence[Field]) -> str:
        """Return the labelling configuration for these fields."""
        return labelling_config(self.classes, fields)

    def _standing(self) -> dict[Uid, list[Annotation]]:
        """Return the answers that stand, oldest first; controls left out."""
        standing: dict[Uid, list[Annotation]] = {}
        for answer in reversed(self._store.annotations.newest(_EVERY, None)):
            if answer.undone is None and not answer.control:
                standing.setdefault(answer.uid, []).append(answer)
        return standing

    def _guesses(self) -> dict[Uid, tuple[str, float, str | None]]:
        """Return (model version, score, class) of what was scored."""
        kept = self._store.scores.last()
        if kept is None or self._guess is StudioPrediction.NOTHING:
            return {}
        version, scored = kept
        found: dict[Uid, tuple[str, float, str | None]] = {
            uid: (version, score, None)
            for uid, score in self._store.annotations.waiting()
            if score < 1.0  # 1 stands for "not scored yet"
        }
        rows = zip(
            scored.uids.tolist(),
            scored.scores.tolist(),
            scored.groups.tolist(),
            strict=True,
        )
        for uid, score, group in rows:
            known = self._guess is StudioPrediction.CLASS and group < len(self.classes)
            found[Uid(uid)] = (version, score, self.classes[group] if known else None)
        return found


def _meta(item: Item) -> dict[str, Any]:
    return {"uid": item.uid, "cycle": item.cycle, "origin": item.origin.value}


def _prediction(
    version: str, score: float, name: str | None, to_name: str
) -> dict[str, Any]:
    result = [] if name is None else [choice(name, to_name)]
    return {"model_version": version, "score": round(score, 6), "result": result}
