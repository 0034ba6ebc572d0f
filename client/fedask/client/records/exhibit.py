"""The parts of a sample that a person is shown. Used by the desk's page and service.

A sample is one or more parts, in a fixed order; each part is content of one medium, in
a form that every reader of that medium knows. How a raw sample becomes parts is the
business of ``showcase``.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from fedask.common.ids import Uid


class Medium(StrEnum):
    """The kind of a part, and the encoding of its content."""

    IMAGE = "image/png"
    AUDIO = "audio/wav"  # 16-bit PCM
    TEXT = "text/plain"  # UTF-8
    SERIES = "application/json"  # {"names": [...], "rows": [[...], ...]}, time first


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One field of a sample.

    Parameters
    ----------
    name
        Of the field; "" where the sample has only one.
    medium
        How to show it.
    content
        As the medium is written. Never in a log.
    """

    name: str
    medium: Medium
    content: bytes = field(repr=False)


class Exhibit(Protocol):
    """Shows samples of the device to a person at the device."""

    def parts(self, uid: Uid) -> tuple[Part, ...]:
        """Return what a person is shown of a sample: at least one part.

        Raises
        ------
        DataError
            If the sample is not in the data any more, or cannot be read.
        """
