"""What the options of a device's data say about how it is shown.

Called by whoever opens a ``Showcase`` for a device. Looks at names of columns and at
heads of wav files, never at a sample.
"""

import wave
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from fedask.client.base.regular_file import (
    BrokenSampleError,
    File,
    open_regular,
    walk,
)
from fedask.client.data.rendering.showcase import ONLY, Show
from fedask.client.data.sources.joined_source import joined_parts
from fedask.client.data.sources.source import JOINED, kind_of, make_reader
from fedask.client.data.sources.windows import WindowReader
from fedask.client.records.exhibit import Medium
from fedask.common.errors import ConfigError

_KINDS = {
    "images": Medium.IMAGE,
    "sounds": Medium.AUDIO,
    "texts": Medium.TEXT,
    "documents": Medium.TEXT,
}
_LOOKED_AT = 32  # wav files; those of another rate than most are no samples


def shows_of(options: Mapping[str, Any]) -> dict[str, Show]:
    """Return how each field of the data is shown, by name; ``ONLY`` if it has no other.

    Parameters
    ----------
    options
        Of the data, as for ``open_source``; ``show`` overrules what its kind says.

    Raises
    ------
    ConfigError
        If ``show`` is none that there is, or stands where it has no meaning.
    DataError
        If the data cannot be read, or its kind cannot be told.
    """
    root = Path(str(options["data"]))
    kind = str(options["kind"]) if "kind" in options else kind_of(root, options)
    if kind != JOINED:
        return {ONLY: _show(root, kind, options)}
    if "show" in options:
        raise ConfigError(
            f"show = {options['show']!r:.40}: say it for each part, in {root}"
        )
    # A part has no parts of its own.
    return {name: shows_of(part)[ONLY] for name, part in joined_parts(root).items()}


def _show(root: Path, kind: str, options: Mapping[str, Any]) -> Show:
    show = Show(medium=_KINDS.get(kind))
    if kind == "windows":
        show = Show(names=_columns(root, options))
        if options.get("window"):
            show = Show(medium=Medium.SERIES, names=show.names)
    if "show" in options:
        show = show.overridden(str(options["show"]))
    if show.medium is Medium.AUDIO and not show.rate_hz:
        rate_hz = int(options.get("rate", 0)) or _rate_hz(root)
        show = Show(medium=Medium.AUDIO, rate_hz=rate_hz)
    return show


def _columns(root: Path, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the numeric columns, as the reader of windows takes them."""
    reader = make_reader("windows", options)
    if not isinstance(reader, WindowReader):
        return ()
    for file in walk(root, reader.suffixes):
        if isinstance(file, File):
            try:
                return reader.names(file)
            except (BrokenSampleError, OSError):
                continue
    return ()


def _rate_hz(root: Path) -> int:
    """Return the frames per second of most of the first files; 0 if none says."""
    files = (f for f in walk(root, frozenset({".wav"})) if isinstance(f, File))
    rates = Counter[int]()
    for file in islice(files, _LOOKED_AT):
        try:
            with open_regular(file.path) as opened, wave.open(opened, "rb") as head:
                rates[head.getframerate()] += 1
        except (BrokenSampleError, OSError, EOFError, wave.Error):
            continue
    return rates.most_common(1)[0][0] if rates else 0
