"""Cells of tables: what is a number, what is a text. The same in every format.

Called by the readers of csv, JSON, Parquet and SQLite, so that a table gives the same
samples however it is stored. A cell that would become another number, or no number,
breaks its row; nothing is rounded but a number with a fraction to float32.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from fedask.client.base.regular_file import BrokenSampleError

EXACT = 1 << 24  # every integer up to here is a float32
MAX_TEXT_BYTES = 1 << 20  # of one sample
_LARGEST = float(np.finfo(np.float32).max)
# A zero before other digits is a code (a post code, an article), unless somebody says
# that it is a number.
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_ONE = re.compile(_NUMBER, re.ASCII)
_PLAIN = rf"(?![+-]?0\d){_NUMBER}"
_ROW = re.compile(rf"(?:{_PLAIN}\n)*{_PLAIN}", re.ASCII)
_CODE = re.compile(r"[+-]?0\d+", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NO_NUMBER = frozenset({"nan", "inf", "infinity"})
_A_CODE = "a code that begins with zero"
_TOO_LARGE = "more than float32 can hold"
_ROUNDED = "an integer that float32 would round"
_NOT_FINITE = "NaN or infinity"
_TRUTH = {"true": 1.0, "false": 0.0}
# What shows nothing, but is no space and no control or format character to Unicode.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(
    map(chr, range(0xFE00, 0xFE10))
)
# What decoding makes of half a surrogate pair that somebody wrote as UTF-8.
_KEPT = re.compile("\udced[\udca0-\udcbf][\udc80-\udcbf]")
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})


class NoNumberError(BrokenSampleError):
    """A cell is no number that can be used. Raised where its column is not known."""

    def __init__(self, what: str, cell: object = None) -> None:
        super().__init__(what)
        self.what = what
        self.value = "" if cell is None else f": {cell!r:.40}"

    @property
    def is_code(self) -> bool:
        """Whether it is a text of digits that begins with zero."""
        return self.what == _A_CODE

    @property
    def is_number(self) -> bool:
        """Whether it is a number, but one that float32 cannot hold."""
        return self.what in {_TOO_LARGE, _ROUNDED, _NOT_FINITE}


def number_of(cell: object, decimal: str = ".", *, codes: bool = False) -> float:
    """Return the number that a cell holds.

    Parameters
    ----------
    cell
        Of Python's own types. Truth values are 1 and 0. A text is read as in csv.
    decimal
        What stands before the fraction, in a text.
    codes
        Whether a text such as ``03373`` is a number, too.

    Raises
    ------
    NoNumberError
        If it is none, is not finite, or is an integer that float32 would round.
    """
    if isinstance(cell, str):
        return _of_text(cell, decimal, codes=codes)
    if cell is None:
        raise NoNumberError("nothing")
    if isinstance(cell, int):  # a bool is one
        return _whole(cell)
    if isinstance(cell, Decimal) and cell.is_finite():
        whole = int(cell.as_tuple().exponent) >= 0
        return _whole(int(cell)) if whole else _bounded(float(cell), cell)
    if isinstance(cell, float | Decimal):
        if not math.isfinite(cell):
            raise NoNumberError(_NOT_FINITE)
        return _bounded(float(cell), cell)
    raise NoNumberError(f"{type(cell).__name__}, not a number,")


def _of_text(cell: str, decimal: str, *, codes: bool) -> float:
    text = cell.strip()
    known = text.lower()
    if not text:
        raise NoNumberError("nothing")
    if known in _TRUTH:
        return _TRUTH[known]
    if known.lstrip("+-") in _NO_NUMBER:
        raise NoNumberError(_NOT_FINITE)
    if decimal != ".":
        text = text.replace(".", " ").replace(decimal, ".")
    if not _ONE.fullmatch(text):
        raise NoNumberError("what is no number", cell)
    if _CODE.fullmatch(text) and not codes:
        raise NoNumberError(_A_CODE, cell)
    value = float(text)
    if _INTEGER.fullmatch(text) and EXACT < abs(value) <= _LARGEST:
        _whole(int(text.lstrip("+-0")))
    return _bounded(value, cell)


def _whole(value: int) -> float:
    """Return an integer, if float32 keeps it."""
    if abs(value) > EXACT:
        _bounded(value, value)
        if int(np.float32(value)) != value:
            raise NoNumberError(_ROUNDED, value)
    return float(value)


def _bounded(value: float, cell: object) -> float:
    """Return a number, if float32 reaches as far. Compares integers of any size."""
    if abs(value) > _LARGEST:
        raise NoNumberError(_TOO_LARGE, cell)
    return value


def row_of(
    cells: Sequence[object],
    names: Sequence[str],
    decimal: str = ".",
    *,
    codes: bool = False,
) -> NDArray[np.float32]:
    """Return the numbers of a row.

    Parameters
    ----------
    cells, names
        The d cells, and the names of their columns.
    decimal, codes
        As for ``number_of``.

    Returns
    -------
    NDArray
        (d,) float32, finite; a zero has no sign, as it has none in SQLite.

    Raises
    ------
    BrokenSampleError
        Naming the first column whose cell is no number.
    """
    quick = _quick(cells) if decimal == "." else None
    if quick is not None:
        return quick
    values = []
    for cell, name in zip(cells, names, strict=True):
        try:
            values.append(number_of(cell, decimal, codes=codes))
        except NoNumberError as err:
            raise BrokenSampleError(in_column(err, name)) from err
    return np.array(values, dtype=np.float32) + np.float32(0)


def in_column(err: NoNumberError, name: str) -> str:
    """Say what a cell of a column holds; the cell itself behind a colon."""
    advice = "; columns= may leave it out" if err.what == _ROUNDED else ""
    return f"holds {err.what} in column {name!r:.80}{advice}{err.value}"


def _quick(cells: Sequence[object]) -> NDArray[np.float32] | None:
    """Return a row of texts that are small numbers, all; None: look at each."""
    try:
        joined = "\n".join(cells)  # type: ignore[arg-type]  # TypeError if one is none
    except TypeError:
        return None
    if not _ROW.fullmatch(joined) or joined.count("\n") != len(cells) - 1:
        return None
    values = [float(cell) for cell in cells]  # type: ignore[arg-type]  # as above
    if max(values) > EXACT or min(values) < -EXACT:
        return None
    return np.array(values, dtype=np.float32) + np.float32(0)


def checked_text(cell: object, column: str = "", encoding: str = "") -> str:
    """Return a text that shows something, and that any array of texts can keep.

    Parameters
    ----------
    column
        That it stands in, for messages; "" where there is none.
    encoding
        That it was read with, if the owner may name another.

    Raises
    ------
    BrokenSampleError
        If it is no text, shows nothing (blanks, zero-width characters), is too long,
        was written in another encoding, or holds what numpy drops.
    """
    where = f" in column {column!r:.80}" if column else ""
    if not isinstance(cell, str) or not cell:
        raise BrokenSampleError(f"holds no text{where}")
    if "\0" in cell:
        raise BrokenSampleError(f"holds a NUL character{where}")
    try:
        length = len(cell.encode())
    except UnicodeEncodeError as err:
        raise BrokenSampleError(_not_decoded(cell, err.start, where, encoding)) from err
    if length > MAX_TEXT_BYTES:
        raise BrokenSampleError(f"has {length} bytes{where}, over {MAX_TEXT_BYTES}")
    if not any(map(is_visible, cell)):
        raise BrokenSampleError(f"holds nothing but blanks{where}")
    return cell


def is_visible(character: str) -> bool:
    """Tell whether a character shows anything by itself."""
    if character in _FILLERS:
        return False
    return unicodedata.category(character) not in _INVISIBLE


def _not_decoded(text: str, at: int, where: str, encoding: str) -> str:
    """Say which byte of a text is in another encoding, and what to do."""
    byte = ord(text[at]) - 0xDC00
    if kept := _KEPT.match(text, at):
        # It went through a transcoding, which kept the byte in this form.
        raw = kept[0].encode("utf-8", "surrogateescape")
        byte = ord(raw.decode("utf-8", "surrogatepass")) - 0xDC00
    if not 0x80 <= byte <= 0xFF:  # noqa: PLR2004  (what surrogateescape makes of a byte)
        return f"is not UTF-8{where}: character {at + 1} is half a surrogate pair"
    at_byte = f": character {at + 1} is byte 0x{byte:02X}"
    if not encoding:
        return f"is not UTF-8{where}{at_byte}"
    advice = 'set encoding in [data], such as encoding = "cp1252"'
    return f"is not {encoding.upper()}{where}; {advice}{at_byte}"
