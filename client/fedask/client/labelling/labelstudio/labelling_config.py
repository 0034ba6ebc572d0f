"""The labelling configuration of Label Studio for a task: what is shown, what is asked.

Called by the export and by the connection to a server. Pure. Written, never parsed: XML
from elsewhere is not read at all.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from fedask.client.records.exhibit import Medium
from fedask.common.errors import DataError

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a sample, as Label Studio shows it.

    Parameters
    ----------
    key
        In a task's ``data``.
    medium
        How it is shown.
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
        msg = f"the parts of a sample need different names, not {', '.join(keys)!r}"
        raise DataError(msg)
    view = ET.Element("View")
    for field in fields:
        _show(view, field)
    asked = {"name": CONTROL, "toName": fields[0].shown, "choice": "single"}
    choices = ET.SubElement(view, "Choices", asked)
    for name in classes:
        if "$" in name:
            msg = f"the class {name!r:.60} holds a $, which Label Studio takes for the "
            raise DataError(msg + "beginning of a name of data: rename it")
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
        msg = f"the name {name!r:.60} holds a character that XML cannot say: rename it"
        raise DataError(msg)
    return name
