"""The seam for whatever answers waiting samples. Called by the device once a round."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from typing_extensions import override

from fedask.client.records.label_queue import ORACLE, Item
from fedask.common.ids import Annotator, Uid

__all__ = ["Oracle"]

SKIP = -1  # "I cannot say"; the sample is never asked again


class Oracle(Protocol):
    """Answers waiting samples: a file, or a simulated person.

    Parameters
    ----------
    name
        Under which its answers are kept.
    """

    name: Annotator = ORACLE

    def answer(self, items: Sequence[Item], tick: int) -> Mapping[Uid, int]:
        """Answer what can be answered now.

        Parameters
        ----------
        tick
            Number of the round, from 0: the clock of a simulation.

        Returns
        -------
        Mapping
            Uid to class index or ``SKIP``. Uids left out stay in the queue.
        """
        ...


class Nobody(Oracle):
    """Answers nothing: people label in another process, over the same store."""

    @override
    def answer(self, items: Sequence[Item], tick: int) -> Mapping[Uid, int]:
        return {}
