"""Reads answers from a CSV file with the columns ``uid`` and ``label`` (a class name).

The file is read anew each time, so that people or tools may append to it. An empty
label means "skip".
"""

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from typing_extensions import override

from fedask.client.labelling.oracles.oracle import SKIP, Oracle
from fedask.client.records.label_queue import Item
from fedask.common.errors import DataError
from fedask.common.ids import Annotator, Uid
from fedask.common.registry import nearest


class FileOracle(Oracle):
    """An oracle whose answers stand in a file.

    Parameters
    ----------
    path
        The CSV file; a missing file answers nothing.
    classes
        Class names of the task.

    Raises
    ------
    DataError
        From ``answer``, if the file cannot be read, lacks a column or names an unknown
        class: with the file, the line and the nearest class.
    """

    name = Annotator("file")

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self._path = path
        self._index = {name: index for index, name in enumerate(classes)}

    @override
    def answer(self, items: Sequence[Item], tick: int) -> Mapping[Uid, int]:
        waiting = {item.uid for item in items}
        if not waiting or not self._path.exists():
            return {}
        try:
            # -sig: spreadsheets put a byte order mark before the first column.
            with self._path.open(newline="", encoding="utf-8-sig") as file:
                return self._read(csv.DictReader(file), waiting)
        except (OSError, UnicodeDecodeError, csv.Error) as err:
            raise DataError(f"cannot read answers from {self._path}: {err}") from err

    def _read(
        self, rows: "csv.DictReader[str]", waiting: Collection[Uid]
    ) -> dict[Uid, int]:
        if not {"uid", "label"} <= set(rows.fieldnames or ()):
            raise DataError(f"{self._path} must have the columns uid,label")
        return {
            Uid(row["uid"]): self._label(row["label"], rows.line_num)
            for row in rows
            # No label at all, not even an empty one: the line is still being written.
            if row["uid"] in waiting and row["label"] is not None
        }

    def _label(self, name: str, line: int) -> int:
        if not name:
            return SKIP
        if name not in self._index:
            raise DataError(
                f"{self._path} line {line}: {name!r:.80} is not a class of the task"
                + nearest(name[:80], self._index)
            )
        return self._index[name]
