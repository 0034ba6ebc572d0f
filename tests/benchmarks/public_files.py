"""Files of other projects' test suites through the readers of a device's data.

Called by ``python -m tests.benchmarks public-files``. Each file is read as a device
reads it, in a process of its own, so that a decoder that dies is counted too. What is
read is compared with a reference that shares no code with the readers, where there is
one for the kind: read, but wrong, is the worst that can happen to a sample.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from tests.benchmarks.public_file import file_of
from tests.benchmarks.public_references import (
    Options,
    check_parquet,
    check_readings,
    check_sound,
    check_texts,
)

from fedask.client.base.regular_file import Broken, BrokenSampleError, File, suffix_of
from fedask.client.data.sources.proposal import proposed
from fedask.client.data.sources.reader import FormatReader
from fedask.client.data.sources.source import kind_of, make_reader
from fedask.common.errors import ConfigError, DataError

_PROPOSED = frozenset({"texts", "windows", "table", "parquet"})  # need options
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_MOST_LEVELS = 2.0  # of 255, between a picture and its reference, in the mean
# Orientation in the EXIF to what turns the stored pixels upright.
_UPRIGHT: Mapping[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


class Outcome(StrEnum):
    """What became of a file."""

    READ = "read"
    ASIDE = "set aside"
    PASSED = "passed over"  # no reader for its suffix
    WRONG = "wrong in silence"
    CRASH = "crash"


@dataclass(slots=True)
class Tally:
    """What became of the files of a folder.

    Parameters
    ----------
    counts
        Suffix to outcomes.
    reasons
        (suffix, outcome, reason) to the names of its files.
    """

    counts: dict[str, Counter[Outcome]] = field(default_factory=dict)
    reasons: dict[tuple[str, Outcome, str], list[str]] = field(default_factory=dict)

    def add(self, name: str, outcome: Outcome, reason: str) -> None:
        """Count one file."""
        suffix = suffix_of(name) or "(none)"
        self.counts.setdefault(suffix, Counter())[outcome] += 1
        if outcome not in {Outcome.READ, Outcome.PASSED}:
            key = suffix, outcome, reason.partition(":")[0][:100]
            self.reasons.setdefault(key, []).append(name)

    @property
    def bad(self) -> int:
        """How many files are wrong in silence, or crashed a reader."""
        kinds = (Outcome.WRONG, Outcome.CRASH)
        return sum(count[kind] for count in self.counts.values() for kind in kinds)

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row per suffix that a reader takes, and what all files come to."""
        rows = [
            _row(suffix, count)
            for suffix, count in sorted(self.counts.items())
            if set(count) != {Outcome.PASSED}
        ]
        return [*rows, _row("all", sum(self.counts.values(), Counter()))]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        reasons = [
            {"suffix": suffix, "outcome": outcome, "reason": reason, "files": names}
            for (suffix, outcome, reason), names in sorted(self.reasons.items())
        ]
        counts = {name: dict(each) for name, each in sorted(self.counts.items())}
        return {"suffixes": counts, "reasons": reasons}


def _row(name: str, count: Counter[Outcome]) -> tuple[str, ...]:
    return (name, *(str(count[outcome]) for outcome in Outcome))


def options_of(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read ``KIND.KEY=VALUE``; a value of digits is a number.

    Raises
    ------
    ConfigError
        If one is not written so.
    """
    options: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        kind, dot, key = name.partition(".")
        if not (equals and dot and key):
            raise ConfigError(f"{text!r:.60} must be as images.white=4095")
        number = int(value) if value.isdecimal() else value
        options.setdefault(kind, {})[key] = number
    return options


def measure(folder: Path, options: Mapping[str, Mapping[str, Any]]) -> Tally:
    """Read every file below a folder.

    Parameters
    ----------
    options
        Of the readers, by kind of data.
    """
    tally = Tally()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    pool = _pool()
    for path in files:
        name = str(path.relative_to(folder))
        try:
            outcome, reason = pool.submit(look, path, options).result()
        except BrokenProcessPool:
            outcome, reason = Outcome.CRASH, "the process died"
            pool = _pool()
        tally.add(name, outcome, reason)
    pool.shutdown()
    return tally


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"))


def look(path: Path, options: Mapping[str, Mapping[str, Any]]) -> tuple[Outcome, str]:
    """Read one file, and compare it with its reference; returns why, if it is bad.

    With the options that ``init`` would propose, but for those given.
    """
    try:
        kind = kind_of(path, {})
    except DataError:
        return Outcome.PASSED, ""
    try:
        told = {"kind": kind}
        if kind in _PROPOSED:
            told = proposed(path)
        kind = told.pop("kind")
        chosen = {**told, **options.get(kind, {})}
        reader = make_reader(kind, chosen)
        samples = _samples(reader, file_of(path))
    except (BrokenSampleError, DataError) as err:
        return Outcome.ASIDE, str(err)
    except Exception as err:  # noqa: BLE001  (that is what is looked for)
        return Outcome.CRASH, repr(err)
    check = REFERENCES.get(kind)
    wrong = check(path, samples, chosen, reader) if check else ""
    return (Outcome.WRONG, wrong) if wrong else (Outcome.READ, "")


def _samples(reader: FormatReader, file: File) -> list[Any]:
    """Return the samples of a file.

    Raises
    ------
    BrokenSampleError
        If it has none, with the reason of the first that is set aside.
    """
    found = list(reader.scan(file))
    places = [each.place for each in found if not isinstance(each, Broken)]
    if not places:
        broken = [each.reason for each in found if isinstance(each, Broken)]
        raise BrokenSampleError(broken[0] if broken else "holds no sample")
    read = reader.read(file, np.array(places, dtype=np.int64))
    return [raw for _, raw in read]


def check_image(
    path: Path, samples: Sequence[Any], _: Options, __: FormatReader
) -> str:
    """Compare an image with what numpy makes of its pixels; "" if they are alike."""
    wanted = _picture(path)
    got = np.asarray(samples[0], dtype=np.float64)
    got = np.stack([got] * 3) if got.ndim == 2 else got
    got = np.moveaxis(got, 0, -1)
    if got.shape != wanted.shape:
        return f"has shape {got.shape}, not {wanted.shape}"
    apart = float(np.abs(got - wanted).mean())
    return f"is {apart:.0f} levels off" if apart > _MOST_LEVELS else ""


def _picture(path: Path) -> NDArray[np.float64]:
    """Return (h, w, 3) of the first frame, upright on white."""
    with Image.open(path) as image:
        image.load()  # Pillow turns a TIFF by itself, and then says that it is upright
        turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
        pixels = _deep(image) if image.mode[0] in "IF" else _on_white(image)
    return pixels if turn is None else turn(pixels)


def _deep(image: Image.Image) -> NDArray[np.float64]:
    bits, *_ = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))
    grey = np.asarray(image, dtype=np.float64) * (255.0 / (2**bits - 1))
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey = np.where(np.asarray(image) == key, 255.0, grey)
    return np.stack([grey] * 3, axis=-1)


def _on_white(image: Image.Image) -> NDArray[np.float64]:
    profile = image.info.get("icc_profile")
    plain = image.convert({"RGBa": "RGBA", "La": "LA"}.get(image.mode, image.mode))
    colours = np.asarray(plain.convert("RGBA"), dtype=np.float64)
    alpha = colours[..., 3:] / 255.0
    if profile and image.mode in {"RGB", "RGBA", "CMYK"}:
        base = image if image.mode == "CMYK" else image.convert("RGB")
        colours = np.asarray(_in_srgb(base, profile), dtype=np.float64)
    pixels: NDArray[np.float64] = colours[..., :3] * alpha + 255.0 * (1.0 - alpha)
    return pixels


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:

    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        turned = ImageCms.profileToProfile(image, own, srgb, outputMode="RGB")
    except ImageCms.PyCMSError:
        turned = None
    return image.convert("RGB") if turned is None else turned


# Kind of data to what says in which way its samples are wrong; "" if they are right.
REFERENCES: Mapping[
    str, Callable[[Path, Sequence[Any], Options, FormatReader], str]
] = {
    "images": check_image,
    "sounds": check_sound,
    "texts": check_texts,
    "windows": check_readings,
    "parquet": check_parquet,
}
