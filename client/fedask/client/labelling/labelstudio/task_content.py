"""What Label Studio shows of a sample: the fields of a task, and their configuration.

Called by the export and by the connection to a server. The labelling configuration is
written, never parsed: XML from elsewhere is not read at all.

Text and series always stand in the task itself. Pictures and sounds do too, as
``data:`` URIs, which needs nothing but the task. Or they lie in a folder, for large
samples: Label Studio then reads them from its own disk, by local-files URLs, if it runs
with ``LOCAL_FILES_SERVING_ENABLED``, may read them (they are written for their owner
alone), and its project has a local storage of that folder, which must lie below
``LOCAL_FILES_DOCUMENT_ROOT``.
"""

import base64
import html
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fedask.client.base.private_file import write_private
from fedask.client.records.exhibit import Exhibit, Medium, Part
from fedask.common.errors import DataError
from fedask.common.ids import Uid

CONTROL = "label"  # name of the question; from_name of every result
TYPE = "choices"  # of every result
TIME = "step"  # the column that counts the rows of a series
TAGS = {
    Medium.IMAGE: "Image",
    Medium.AUDIO: "Audio",
    Medium.TEXT: "HyperText",
    Medium.SERIES: "TimeSeries",
}

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ALONE = "sample"  # name of a field that is the whole sample
_SUFFIX = {Medium.IMAGE: "png", Medium.JPEG: "jpg", Medium.AUDIO: "wav"}
_LOCAL = "/data/local-files/?d="  # of Label Studio, when it may serve local files

# Label Studio's player appends "?lsref=1" to the address of a sound unless its query
# has a "sig", and base64 with that at its end is broken. So the type has a parameter
# that reads as such a query; to a browser it means nothing.
_OF_SOUND = ";x=?sig=&"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a sample, as Label Studio shows it.

    Parameters
    ----------
    key
        In a task's ``data``.
    medium
        IMAGE for every encoding of an image.
    columns
        Names of what a series holds, beside the time.
    """

    key: str
    medium: Medium
    columns: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Name of the tag that shows it; ``to_name`` of a result."""
        return f"show_{self.key}"


def key_of(name: str) -> str:
    """Return the key of a part: letters, digits and underscores alone."""
    return _NOT_IN_A_NAME.sub("_", name) or _ALONE


def labelling_config(classes: Sequence[str], fields: Sequence[Field]) -> str:
    """Write the configuration: every field of a sample, then one choice of a class.

    Parameters
    ----------
    classes
        Names, in the order of their indices.
    fields
        At least one, with different keys.

    Raises
    ------
    DataError
        If two fields have the same key, a name holds what XML cannot say, or a class
        a ``$``: what follows it would be looked up in the data, and "$5" be shown, and
        come back, as "undefined".
    """
    keys = [field.key for field in fields]
    if not keys or len(set(keys)) < len(keys):
        raise DataError(
            f"the parts of a sample need different names, not {', '.join(keys)!r}"
        )
    view = ET.Element("View")
    for field in fields:
        _show(view, field)
    asked = {"name": CONTROL, "toName": fields[0].shown, "choice": "single"}
    choices = ET.SubElement(view, "Choices", asked)
    for name in classes:
        if "$" in name:
            raise DataError(
                f"the class {name!r:.60} holds a $, which Label Studio takes for the "
                "beginning of a name of data: rename it"
            )
        ET.SubElement(choices, "Choice", {"value": _sayable(name)})
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def _show(view: ET.Element, field: Field) -> None:
    """Add the tag that shows a field."""
    shown = {"name": field.shown, "value": f"${field.key}"}
    tag = ET.SubElement(view, TAGS[field.medium], shown)
    if field.medium is Medium.TEXT:
        tag.set("valueType", "text")
    elif field.medium is Medium.SERIES:
        tag.set("valueType", "json")
        tag.set("timeColumn", TIME)
        tag.set("overviewWidth", "100%")  # or only its first quarter is in view
        for column, name in channels(field.columns).items():
            attributes = {"column": column, "legend": _sayable(name)}
            ET.SubElement(tag, "Channel", attributes)


def channels(names: Sequence[str]) -> dict[str, str]:
    """Return the columns of a series as Label Studio knows them, with their names.

    Its page takes names apart: with a capital letter it shows nothing at all, and one
    of digits stands for a column by its place.
    """
    return {f"c{number}": name for number, name in enumerate(names)}


def _sayable(name: str) -> str:
    if _NOT_XML.search(name):
        raise DataError(
            f"the name {name!r:.60} holds a character that XML cannot say: rename it"
        )
    return name


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

    def parts(self, exhibit: Exhibit, uid: Uid) -> tuple[Part, ...]:
        """Return the parts of a sample: in full where they become files.

        Raises
        ------
        DataError
            If it cannot be shown.
        """
        return exhibit.parts(uid) if self._folder is None else exhibit.full_parts(uid)

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
            medium = Medium.IMAGE if part.medium.is_image else part.medium
            fields.append(Field(key=key, medium=medium, columns=columns))
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
        raise DataError(
            f"the series {part.name!r} is not names and rows of numbers"
        ) from err
    return tuple(names), {TIME: list(range(len(rows))), **values}
