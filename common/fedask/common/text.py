"""Texts as numbers: hashed words and pieces of words. A transform for tasks of texts.

Needs no vocabulary, so every device and the server compute the same without having seen
one text of another. Called by tasks, and by the plain baseline of a simulation.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

__all__ = ["hashed_text"]

TEXT_SIZE = 2048  # of a text; fewer collide, more cost a device time and bytes
_MOST = 8192  # characters that are read of one text
_PIECES = (3, 4)  # letters in a piece of a word: what endings and misspellings share
_WORD = re.compile(r"\w+")


def hashed_text(raw: NDArray[np.str_]) -> "torch.Tensor":
    """Turn texts into what a model takes: ``Task(transform=hashed_text, ...)``.

    Parameters
    ----------
    raw
        (n,) str.

    Returns
    -------
    torch.Tensor
        (n, 2048) float32, each row of length 1 (0 for a text without a word):
        ``input_shape=(2048,)``.

    References
    ----------
    Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009:
    the sign of each gram keeps inner products unbiased where grams collide.

    Examples
    --------
    >>> hashed_text(np.array(["Where is my card?", "where is my card"])).shape
    torch.Size([2, 2048])
    """
    import torch  # noqa: PLC0415  (imports torch)

    return torch.from_numpy(hashed(raw))


def hashed(raw: NDArray[np.str_]) -> NDArray[np.float32]:
    """Return the same as an array: (n, 2048) float32."""
    rows = np.zeros((len(raw), TEXT_SIZE), dtype=np.float32)
    for row, text in zip(rows, raw.tolist(), strict=True):
        codes = [crc32(gram.encode()) for gram in _grams(text[:_MOST].lower())]
        drawn = np.array(codes, dtype=np.int64)
        np.add.at(row, drawn % TEXT_SIZE, np.where(drawn >> 31, 1.0, -1.0))
    # A word said ten times says little more than one said twice.
    rows = np.sign(rows) * np.log1p(np.abs(rows))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    shares: NDArray[np.float32] = rows / np.maximum(lengths, np.float32(1e-6))
    return shares


def _grams(text: str) -> Iterator[str]:
    """Yield words, pairs of words, and pieces of the text."""
    words = _WORD.findall(text)
    yield from words
    yield from (f"{one} {two}" for one, two in pairwise(words))
    line = f" {' '.join(words)} "
    for size in _PIECES:
        yield from (line[at : at + size] for at in range(len(line) - size + 1))
