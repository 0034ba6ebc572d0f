"""Typed fields of a record that came over the wire. Called by ``records``.

Nothing is guessed: a field that is missing, unknown, empty, of another type or out of
range is refused by name.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fedask.common.errors import ProtocolError

if TYPE_CHECKING:
    from flwr.app import RecordDict

SCHEMA = 1
MAX_COUNT = 10_000_000  # labels, samples: far above any device, far below overflow

_T = TypeVar("_T", int, float, str, bool, bytes)


class Fields:
    """Takes typed fields out of a record and refuses what is left over.

    Parameters
    ----------
    name
        Of the record in it.

    Raises
    ------
    ProtocolError
        If there is none, it is of another schema version, or has an empty field; and
        from every method, if a field does not fit.
    """

    def __init__(self, content: "RecordDict", name: str) -> None:
        # A cut is checked without a message, where nobody has loaded Flower.
        from flwr.app import ConfigRecord  # noqa: PLC0415  (0.4 s)

        # Not content.config_records: Flower builds that table anew on every access.
        record = content.get(name)
        if not isinstance(record, ConfigRecord):
            raise ProtocolError(f"the message has no {name} record")
        self._left: dict[str, Any] = dict(record.items())
        self._name = name
        version = self._left.pop("v", None)
        if type(version) is not int or version != SCHEMA:
            raise ProtocolError(
                f"{name} has schema version {version!r:.20}, this side knows {SCHEMA}"
            )
        # What is empty is left out; and Flower cannot count the bytes of "".
        empty = [k for k, v in self._left.items() if v in ("", b"")]
        if empty:
            raise ProtocolError(f"{name}: {empty[0]!r:.40} is empty")

    def has(self, key: str) -> bool:
        """Tell whether a field is there."""
        return key in self._left

    def take(self, key: str, kind: type[_T], default: _T | None = None) -> _T:
        """Take a field of exactly this type; without a default it must be there."""
        value = self._left.pop(key, default)
        if type(value) is not kind:
            raise ProtocolError(
                f"{self._name}: {key} must be {kind.__name__}, not {value!r:.40}"
            )
        return value

    def take_array(self, key: str, dtype: str, most: int) -> tuple[int, ...]:
        """Take a field of at most so many whole numbers; none if it is missing."""
        value = self._left.pop(key, b"")
        size = np.dtype(dtype).itemsize
        if not isinstance(value, bytes) or len(value) > most * size:
            raise ProtocolError(
                f"{self._name}: {key} must be at most {most * size} bytes"
            )
        if len(value) % size:
            raise ProtocolError(
                f"{self._name}: {key} has {len(value)} bytes, no multiple of {size}"
            )
        return tuple(np.frombuffer(value, dtype=dtype).tolist())

    def done(self) -> None:
        """Refuse what nobody took."""
        if self._left:
            unknown = sorted(self._left)[:5]
            raise ProtocolError(f"{self._name}: unknown fields {unknown!r:.200}")


def check_range(what: str, value: float, low: float, high: float) -> None:
    """Refuse a number that is out of range.

    Raises
    ------
    ProtocolError
        Naming it.
    """
    if not low <= value <= high:  # NaN and infinity fail it too
        raise ProtocolError(f"{what} is {value!r:.40}, must be {low} to {high}")
