"""The record of a device's local model, and the seam that keeps both.

Made by ``round.offline_training``; read to decide whether the model is to be trained
again, or may be asked. It is never sent, and needs neither torch nor Flower.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from fedask.common.arrays import Arrays, model_version
from fedask.common.ids import ModelVersion, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModelRecord:
    """How the local model was trained.

    Parameters
    ----------
    base
        Version of the global model that its training began from.
    answers
        Uid to class index of all that people said and it was trained on.
    at
        When, aware.
    usable
        False: the training diverged, and no model of it is kept.
    """

    base: ModelVersion
    answers: Mapping[Uid, int] = field(repr=False)
    at: datetime
    usable: bool = True


class LocalModelStore(Protocol):
    """Keeps the local model, one at a time."""

    def put(self, record: LocalModelRecord, arrays: "Arrays | None") -> bool:
        """Replace record and model, in one transaction.

        Parameters
        ----------
        arrays
            None with a record that is not usable: no local model is kept then.

        Returns
        -------
        bool
            False, and nothing is changed, if a sample that it was trained on was erased
            in the meantime.
        """

    def record(self) -> LocalModelRecord | None:
        """Return the record; None before the first training.

        It is gone with its model when a sample that it was trained on is erased. The
        model is among ``models.all(LOCAL_MODEL)``.
        """


def fresh_answers(
    answers: Mapping[Uid, int], record: LocalModelRecord | None
) -> dict[Uid, int]:
    """Return the answers that came, or changed, since the local model was trained."""
    known = {} if record is None else record.answers
    return {uid: label for uid, label in answers.items() if known.get(uid) != label}


def is_newest(record: LocalModelRecord | None, shared: Arrays) -> bool:
    """Tell whether the local model exists, and was trained from this global model.

    One that began from an older global model knows less of what the fleet has learnt
    since, these answers included.
    """
    if record is None or not record.usable:
        return False
    return record.base == model_version(shared)
