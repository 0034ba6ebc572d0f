"""What the options of a device's data say about how it is shown.

Called by whoever opens a ``Showcase`` for a device. Looks at names of columns, never at
a sample.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedask.client.base.regular_file import (
    BrokenSampleError,
    File,
    walk,
)
from fedask.client.data.rendering.showcase import Show
from fedask.client.data.sources.joined_source import joined_parts
from fedask.client.data.sources.source import JOINED, kind_of, make_reader
from fedask.client.data.sources.windows import WindowReader
from fedask.client.records.exhibit import Medium
from fedask.client.records.original import ONLY
from fedask.common.errors import ConfigError

_KINDS = {
    "images": Medium.IMAGE,
    "sounds": Medium.AUDIO,
    "texts": Medium.TEXT,
    "documents": Medium.TEXT,
}


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
