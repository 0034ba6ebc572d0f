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
    JPEG = "image/jpeg"  # an image that is kept roughly in the data, too, or is large
    AUDIO = "audio/wav"  # 16-bit PCM
    TEXT = "text/plain"  # UTF-8
    SERIES = "application/json"  # {"names": [...], "rows": [[...], ...]}, time first

    @property
    def is_image(self) -> bool:
        """Whether it is one of the encodings of an image."""
        return self in {Medium.IMAGE, Medium.JPEG}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What a person should know of a part that its content does not show.

    Parameters
    ----------
    width, height
        Of an image in full, in pixels, if the content is a smaller copy; else 0.
    seconds
        Length of a sound in full, if the content is its beginning; else 0.
    has_more_frames
        Whether an image is the first of several frames or pages.
    model_reads
        How much of it the model gets, from its beginning: seconds of a sound,
        characters of a text; 0 = all.
    """

    width: int = 0
    height: int = 0
    seconds: float = 0.0
    has_more_frames: bool = False
    model_reads: float = 0.0

    @property
    def is_reduced(self) -> bool:
        """Whether there is more of it than the content."""
        return bool(self.width or self.seconds)


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
    remark
        What the content does not show.
    """

    name: str
    medium: Medium
    content: bytes = field(repr=False)
    remark: Remark = Remark()


class Exhibit(Protocol):
    """Shows samples of the device to a person at the device."""

    def parts(self, uid: Uid) -> tuple[Part, ...]:
        """Return what a person is shown of a sample: at least one part.

        The original, whatever the model gets; as large as a screen needs.

        Raises
        ------
        DataError
            If the sample is not in the data any more, or cannot be read.
        """

    def full_parts(self, uid: Uid) -> tuple[Part, ...]:
        """Return the same parts in full, to look closer: by default, no others.

        Raises
        ------
        DataError
            As ``parts``.
        """
        return self.parts(uid)
