"""What other readers make of sounds and tables. Called by the bench of public files.

scipy for wavs, ``csv`` and ``json`` for texts and readings, pyarrow for Parquet: none
shares code with what reads a device's data. Each check returns what is wrong, or "".
"""

import csv
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from scipy.io import wavfile
from tests.benchmarks.public_file import file_of

from fedask.client.data.sources.parquet import ParquetReader
from fedask.client.data.sources.reader import FormatReader
from fedask.client.data.sources.windows import WindowReader

_LOOKED_AT_ROWS = 1000
_APART = 1e-6  # of full scale
Options = Mapping[str, Any]


def check_sound(
    path: Path, samples: Sequence[Any], _: Options, __: FormatReader
) -> str:
    """Compare a wav with what scipy reads, where it reads it."""
    if path.suffix.lower() != ".wav":
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _rate, values = wavfile.read(path)
    except (ValueError, EOFError):
        return ""  # it has no opinion
    wanted = values.astype(np.float64).reshape(len(values), -1)
    if values.dtype.kind == "u":
        wanted = (wanted - 128.0) / 128.0
    elif values.dtype.kind == "i":
        wanted /= 2.0 ** (8 * values.itemsize - 1)
    mono = np.clip(wanted, -1.0, 1.0).mean(axis=1)
    got = np.asarray(samples[0], dtype=np.float64)
    length = min(len(got), len(mono))
    apart = float(np.abs(got[:length] - mono[:length]).max(initial=0.0))
    if np.any(got[length:]):
        return f"has sound after {length} frames"
    return f"is {apart:.2g} of full scale off" if apart > _APART else ""


def check_texts(
    path: Path, samples: Sequence[Any], options: Options, _: FormatReader
) -> str:
    """Look for each text among the cells of its column."""
    cells = (row.get(str(options.get("column"))) for row in _rows(path))
    return _beyond(samples, (cell for cell in cells if isinstance(cell, str)))


def check_readings(
    path: Path, samples: Sequence[Any], _: Options, reader: FormatReader
) -> str:
    """Look for each row of numbers among those that Python's ``float`` makes."""
    if not isinstance(reader, WindowReader):
        return "was read by another reader"
    names = reader.names(file_of(path))
    return _beyond(map(_packed, samples), _numbers(_rows(path), names))


def check_parquet(
    path: Path, samples: Sequence[Any], options: Options, reader: FormatReader
) -> str:
    """Look for each row among those that pyarrow reads by itself."""
    if not isinstance(reader, ParquetReader):
        return "was read by another reader"
    column = str(options.get("column", ""))
    names = (
        [column] if column else reader.first_columns(file_of(path), _LOOKED_AT_ROWS)[0]
    )
    with pyarrow.parquet.ParquetFile(path) as table:
        rows = table.read(columns=list(names)).to_pylist()
    if column:
        return _beyond(samples, (row[column] for row in rows))
    return _beyond(map(_packed, samples), _numbers(rows, names))


def _rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a csv or JSON file, by the names of its columns."""
    text = path.read_text("utf-8-sig")
    if path.suffix.lower() == ".json":
        whole = json.loads(text)
        whole = whole if isinstance(whole, list) else [whole]
        return [row for row in whole if isinstance(row, dict)]
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    tab = path.suffix.lower() == ".tsv"
    table = csv.reader(text.splitlines(keepends=True), delimiter="\t" if tab else ",")
    heads, *lines = [line for line in table if line]
    names = [" ".join(head.split()) for head in heads]
    return [dict(zip(names, line, strict=False)) for line in lines]


def _numbers(
    rows: Iterable[Mapping[str, Any]], names: Sequence[str]
) -> Iterable[bytes]:
    for row in rows:
        try:
            yield _packed([float(row[name]) for name in names])
        except (KeyError, TypeError, ValueError):
            continue  # a row to be set aside


def _packed(numbers: Any) -> bytes:  # noqa: ANN401  (list or array)
    return (np.asarray(numbers, dtype=np.float32) + np.float32(0)).tobytes()


def _beyond(samples: Iterable[Any], wanted: Iterable[Any]) -> str:
    """Say how many samples there are that are not among the wanted."""
    extra = Counter(samples) - Counter(wanted)
    first = next(iter(extra), "")
    return f"holds {extra.total()} other samples: {first!r:.60}" if extra else ""
