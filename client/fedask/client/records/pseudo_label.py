"""Pseudo-labels, and the seam that keeps them. Used by ``learning.supervision``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fedask.common.ids import Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabel:
    """The label that a model gave a sample with high confidence.

    Parameters
    ----------
    confidence
        Calibrated probability, in [0, 1].
    control
        Whether people were asked too: then it measures the model, and is not used.
    """

    uid: Uid
    label: int
    confidence: float
    control: bool
    cycle: int


class PseudoLabelStore(Protocol):
    """Keeps pseudo-labels."""

    def put(self, labels: Sequence[PseudoLabel]) -> None:
        """Add controls, and replace everything else. One transaction.

        A control that is kept already stays as it is.
        """

    def all(self) -> list[PseudoLabel]:
        """Return the pseudo-labels, by uid."""
