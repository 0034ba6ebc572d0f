"""A sample as it stands in the data, for people: before it is fitted for the model.

Given by data sources, turned into parts by ``showcase``. A model may get a thumbnail,
the first second, one channel; whoever answers sees and hears what was recorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

ONLY = ""  # name of the field where a sample has no other


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """One field of a sample.

    Parameters
    ----------
    content
        A text, or an array: with ``width``, an image (h, w) or (h, w, 3) uint8; with
        ``rate_hz``, a sound (frames, channels) in [-1, 1]; else what the model gets.
    width, height
        Of an image as it stands in the file, upright, in pixels; the content may be
        smaller where no more was asked for.
    is_lossy
        Whether the file itself keeps pixels only roughly.
    has_more_frames
        Whether the content is the first of several frames or pages.
    rate_hz
        Frames per second of a sound.
    model_reads
        How much of it the model gets, from its beginning: seconds of a sound,
        characters of a text; 0 = all.
    """

    content: NDArray[Any] | str = field(repr=False)
    width: int = 0
    height: int = 0
    is_lossy: bool = False
    has_more_frames: bool = False
    rate_hz: int = 0
    model_reads: float = 0.0


Originals = Mapping[str, Original]  # by the name of the field


def originals_of(raw: NDArray[Any] | str) -> Originals:
    """Return the fields of a sample of which people see what the model gets."""
    names = getattr(getattr(raw, "dtype", None), "names", None)
    if names is None:
        return {ONLY: Original(content=raw)}
    fields: np.void = raw  # type: ignore[assignment]  # a structured scalar
    return {name: Original(content=fields[name]) for name in names}
