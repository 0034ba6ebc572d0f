"""What a device's model was sure of, and who keeps that. Used by ``auto``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fedask.common.ids import Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabel:
    """What a model said of a sample that it was sure of.

    Parameters
    ----------
    label
        Class index.
    confidence
        Calibrated probability, in [0, 1].
    control
        Whether people were asked too: then it is there to be measured, not to be used.
    cycle
        In which it was said.
    """

    uid: Uid
    label: int
    confidence: float
    control: bool
    cycle: int


class PseudoLabelStore(Protocol):
    """Keeps what the model was sure of."""

    def put(self, labels: Sequence[PseudoLabel]) -> None:
        """Add controls, and replace everything else. One transaction.

        A control that is kept already stays as it is.
        """

    def all(self) -> list[PseudoLabel]:
        """Return what is kept, by uid."""
