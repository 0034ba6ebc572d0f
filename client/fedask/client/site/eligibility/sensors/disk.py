"""Free space where the store is. Called by ``machine``."""

import shutil
from pathlib import Path

from typing_extensions import override

from fedask.client.site.eligibility.guard import (
    EligibilitySensor,
    MissingError,
    Obstacle,
    Reason,
)

_MIB = 2**20


class DiskSensor(EligibilitySensor):
    """Whether the disk of the store has enough free space.

    Parameters
    ----------
    least_mb
        MiB.
    folder
        On the disk that is meant.
    """

    name = "disk"

    def __init__(self, least_mb: int, folder: Path) -> None:
        self._least_mb = least_mb
        self._folder = folder

    @override
    def look(self) -> Obstacle | None:
        try:
            free = shutil.disk_usage(self._folder).free // _MIB
        except OSError as err:
            raise MissingError(
                f"the disk of the store does not tell ({type(err).__name__})"
            ) from err
        if free >= self._least_mb:
            return None
        sentence = f"{free} MiB of the disk are free, not {self._least_mb}"
        return Obstacle(reason=Reason.DISK_LOW, sentence=sentence)
