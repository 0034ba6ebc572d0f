"""The seam of what keeps the parts of models on a device.

Used by the round; kept by ``part_folder`` and ``memory.parts``. Parts are the fleet's
and say nothing of a sample: they are checked, not sealed.
"""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from fedask.common.ids import DeviceId, PartDigest
from fedask.common.part import ModelPart


class PartStore(Protocol):
    """Keeps parts by digest, as many as there is room for. Devices may share one."""

    def get(self, digest: PartDigest) -> NDArray[Any] | None:
        """Return a part, read-only; None if it is not there, or not what it was."""

    def put(self, parts: Sequence[ModelPart], used: Collection[PartDigest]) -> None:
        """Keep parts; those that were used least recently make room for them.

        Parameters
        ----------
        used
            Digests of the model in use, whose parts stay.

        Raises
        ------
        StoreError
            If the disk refuses, or the model alone takes more room than there is. Some
            of the parts may be kept even so.
        """

    def ask(self, device: DeviceId, lacking: Collection[PartDigest]) -> bool:
        """Note what a device asks the server for; returns whether it asks again.

        Parameters
        ----------
        lacking
            What it lacks now; nothing ends the note.

        Returns
        -------
        bool
            Whether it has asked for one of them the last time, too.
        """


def too_large(size: int, room: int) -> str:
    """Say that a model's parts do not fit."""
    return (
        f"the parts of the model take {size} bytes, more than the {room} of "
        "[seal] parts_bytes in device.toml"
    )
