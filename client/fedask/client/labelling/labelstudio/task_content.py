"""The content of a sample's parts as Label Studio reads it.

Called by the export. Text and series always stand in the task itself. Pictures and
sounds do too, as ``data:`` URIs, which needs nothing but the task. Or they lie in a
folder, for large samples: Label Studio then reads them from its own disk, by
local-files URLs, if it runs with ``LOCAL_FILES_SERVING_ENABLED``, may read them (they
are written for their owner alone), and its project has a local storage of that folder,
which must lie below ``LOCAL_FILES_DOCUMENT_ROOT``.
"""

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fedask.client.base.private_file import write_private
from fedask.client.labelling.labelstudio.labelling_config import (
    TIME,
    Field,
    channels,
    key_of,
)
from fedask.client.records.exhibit import Medium, Part
from fedask.common.errors import DataError
from fedask.common.ids import Uid

_SUFFIX = {Medium.IMAGE: "png", Medium.AUDIO: "wav"}
_LOCAL = "/data/local-files/?d="  # of Label Studio, when it may serve local files

# Label Studio's player appends "?lsref=1" to the address of a sound unless its query
# has a "sig", and base64 with that at its end is broken. So the type has a parameter
# that reads as such a query; to a browser it means nothing.
_OF_SOUND = ";x=?sig=&"


class TaskContent:
    """Turns parts into the ``data`` of tasks.

    Parameters
    ----------
    folder
        Where files go; None embeds them.
    served
        The folder's path below Label Studio's ``LOCAL_FILES_DOCUMENT_ROOT``.
    """

    def __init__(self, folder: Path | None = None, served: str = "") -> None:
        self._folder = folder
        self._served = served

    def data(
        self, uid: Uid, parts: Sequence[Part]
    ) -> tuple[tuple[Field, ...], dict[str, Any]]:
        """Return the fields of a sample and what to put into them.

        Raises
        ------
        DataError
            If a series cannot be read.
        StoreError
            If a file cannot be written.
        """
        fields: list[Field] = []
        data: dict[str, Any] = {}
        for number, part in enumerate(parts):
            columns: tuple[str, ...] = ()
            key = key_of(part.name)
            if part.medium is Medium.SERIES:
                columns, data[key] = _series(part)
            elif part.medium is Medium.TEXT:
                data[key] = _text(part)
            else:
                data[key] = self._file(uid, number, part)
            fields.append(Field(key=key, medium=part.medium, columns=columns))
        return tuple(fields), data

    def _file(self, uid: Uid, number: int, part: Part) -> str:
        if self._folder is None:
            encoded = base64.b64encode(part.content).decode()
            more = _OF_SOUND if part.medium is Medium.AUDIO else ""
            return f"data:{part.medium.value}{more};base64,{encoded}"
        name = f"{uid}-{number}.{_SUFFIX[part.medium]}"
        write_private(self._folder / name, [part.content])
        return _LOCAL + quote(f"{self._served.strip('/')}/{name}".lstrip("/"))


def _text(part: Part) -> str:
    """Return a text as HTML that shows it as it is: a sample must not run as a page."""
    shown = html.escape(part.content.decode("utf-8", errors="replace"))
    return f'<div style="white-space: pre-wrap">{shown}</div>'


def _series(part: Part) -> tuple[tuple[str, ...], dict[str, list[Any]]]:
    """Return the names of a series, and its columns with a count of steps."""
    try:
        series = json.loads(part.content)
        names = [str(name) for name in series["names"]]
        rows = [[float(value) for value in row] for row in series["rows"]]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        values = dict(zip(channels(names), map(list, columns), strict=True))
    except (ValueError, KeyError, TypeError) as err:
        msg = f"the series {part.name!r} is not names and rows of numbers"
        raise DataError(msg) from err
    return tuple(names), {TIME: list(range(len(rows))), **values}
