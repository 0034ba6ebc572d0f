"""Which answers stand here though their annotation is gone from its project.

Called by the pull from a server. Changes nothing. An answer that came from there has a
key that names its source and its annotation. It is *deleted* there if a task of its
sample is there and the annotation is not; if the task is gone as well, somebody has
tidied up, and what was said of it stands.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.labelstudio.studio_annotation import annotation_prefix
from fedask.client.labelling.labelstudio.studio_file import uid_of
from fedask.client.records.annotation import Annotation
from fedask.common.ids import Uid

_EVERY = 2**62  # answers: more than a device holds


def deleted(
    desk: Desk, tasks: Sequence[Mapping[str, Any]], source: str
) -> list[Annotation]:
    """Return what stands at the desk and was deleted at its source.

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
