"""Answers from a CSV file with the columns ``uid`` and ``label`` (a class name).

The file is read anew each time, so that people or tools may append to it. An empty
label means "skip".
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from typing_extensions import override

from fedask.client.oracles.oracle import SKIP, Oracle
from fedask.client.queue import Item
from fedask.common.errors import DataError
from fedask.common.ids import Uid
from fedask.common.registry import nearest


class FileOracle(Oracle):
    """Whoever writes the file.

    Parameters
    ----------
    path
        The CSV file; a missing file answers nothing.
    classes
        Class names of the task.

    Raises
    ------
    DataError
        From ``answer``, if the file lacks a column or names an unknown class: with the
        file, the line and the nearest class.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self._path = path
        self._index = {name: index for index, name in enumerate(classes)}

    @override
    def answer(self, items: Sequence[Item], tick: int) -> Mapping[Uid, int]:
        waiting = {item.uid for item in items}
        if not waiting or not self._path.exists():
            return {}
        with self._path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if not {"uid", "label"} <= set(rows.fieldnames or ()):
                msg = f"{self._path} must have the columns uid,label"
                raise DataError(msg)
            return {
                Uid(row["uid"]): self._label(row["label"], rows.line_num)
                for row in rows
                if row["uid"] in waiting
            }

    def _label(self, name: str, line: int) -> int:
        if not name:
            return SKIP
        if name not in self._index:
            msg = f"{self._path} line {line}: {name!r} is not a class of the task"
            raise DataError(msg + nearest(name, self._index))
        return self._index[name]
