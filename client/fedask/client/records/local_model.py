"""What a device remembers of its own model, and who keeps that.

Made by ``offline``, kept by the store, read by whoever asks whether the own model is to
be trained anew or is worth asking. Never sent, and needs neither torch nor Flower.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from fedask.common.arrays import Arrays, model_version
from fedask.common.ids import ModelVersion, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModelRecord:
    """How the own model came about.

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
    """Keeps the own model, one at a time."""

    def put(self, record: LocalModelRecord, arrays: "Arrays | None") -> bool:
        """Replace record and model, in one transaction.

        Parameters
        ----------
        arrays
            None with a record that is not usable: no own model is kept then.

        Returns
        -------
        bool
            False, and nothing is changed, if a sample that it was trained on was erased
            in the meantime.
        """

    def record(self) -> LocalModelRecord | None:
        """Return the record; None before the first training.

        It is gone with its model when a sample that it was trained on is erased. The
        model is among ``models(OWN)``.
        """


def fresh_answers(
    answers: Mapping[Uid, int], record: LocalModelRecord | None
) -> dict[Uid, int]:
    """Return what people have said, or corrected, since the own model was trained."""
    known = {} if record is None else record.answers
    return {uid: label for uid, label in answers.items() if known.get(uid) != label}


def is_newest(record: LocalModelRecord | None, shared: Arrays) -> bool:
    """Tell whether the own model is there, and began from this global model.

    One that began from an older global model knows less of what the fleet has learnt
    since, these answers included.
    """
    if record is None or not record.usable:
        return False
    return record.base == model_version(shared)
