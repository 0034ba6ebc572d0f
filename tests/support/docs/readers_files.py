"""The files that a reader of the documentation has, by a name."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np


def _readings(folder: Path, seed: int) -> None:
    """Write csv files with eight columns of numbers."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    head = ",".join("abcdefgh")
    for number in range(3):
        rows = rng.normal(size=(20, 8))
        lines = [",".join(f"{value:.4f}" for value in row) for row in rows]
        (folder / f"{number}.csv").write_text("\n".join([head, *lines]) + "\n")


def _spectra(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(3)
    for number in range(12):
        content = rng.normal(size=8).astype("<f4").tobytes()
        (folder / f"{number}.f32").write_bytes(content)


SETUPS: Mapping[str, Callable[[Path], None]] = {
    "readings": lambda folder: _readings(folder / "readings", 1),
    "more_readings": lambda folder: _readings(folder / "more-readings", 2),
    "spectra": lambda folder: _spectra(folder / "spectra"),
}
