"""Converts answers to annotations of Label Studio, and back. Pure.

Called by the export, the import and the link to a server. What is read here came from
another tool: nothing of it is believed before it is checked.

| annotation | answer |
| --- | --- |
| ``was_cancelled`` | SKIP |
| no result | UNSURE: somebody looked and chose no class |
| one choice | LABEL: an opinion under the rule of agreement |
| one choice, ``ground_truth``, if that is to be believed | GIVEN: settles it at once |

``completed_by`` is the annotator, ``updated_at`` the time: an annotation that was
changed is a newer answer of the same annotator. The name of its source, its id and its
time make the key, each in its place (``annotation_key``), so that it is known later
whether the annotation is still there. A file that fedask wrote also says key, kind and
time as they were (``fedask``), which Label Studio itself drops; they count if the
result still says the same.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fedask.client.labelling.desk.answer import MAX_KEY
from fedask.client.labelling.desk.imported_annotation import CLASSED
from fedask.client.labelling.labelstudio.task_content import CONTROL, TYPE
from fedask.client.records.annotation import Annotation, Kind
from fedask.common.errors import DataError, ProtocolError
from fedask.common.ids import Annotator, Uid, parse_annotator
from fedask.common.registry import nearest

_OURS = "fedask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The names and rules by which annotations of another tool are read.

    Parameters
    ----------
    classes
        Names, in the order of their indices.
    source
        Names where they come from, the same at every import from there: two projects
        number their annotations alike.
    people
        The other tool's name of a person (an e-mail address, or the number of an
        account as text; "" for nobody named) to the annotator here. Others go by their
        e-mail address; a number alone says nothing and is refused, or one person would
        count as two.
    ground_truth
        Whether to believe this mark. Whoever may annotate in Label Studio may set it,
        and would settle a sample alone where the site asks for two to agree.
    """

    classes: Sequence[str]
    source: str
    people: Mapping[str, str] = field(default_factory=dict)
    ground_truth: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.source) <= MAX_KEY:
            raise DataError(f"a source needs a name of 1 to {MAX_KEY} characters")

    def index(self, name: object) -> int:
        """Return the index of a class.

        Raises
        ------
        DataError
            Naming the nearest class.
        """
        if not isinstance(name, str) or name not in self.classes:
            raise DataError(
                f"{name!r:.60} is not a class of the task"
                + nearest(str(name)[:60], self.classes)
            )
        return list(self.classes).index(name)

    def annotator(self, completed_by: object) -> Annotator:
        """Return who ``completed_by`` stands for.

        Raises
        ------
        DataError
            If nobody is named.
        """
        who = completed_by
        if isinstance(who, Mapping):
            who = who.get("email") or who.get("id")
        known = isinstance(who, (str, int)) and not isinstance(who, bool)
        name = str(who) if known else ""
        if name in self.people and (known or who is None):
            return _named(self.people[name])
        if not name or not isinstance(who, str):
            raise DataError(
                f"completed_by {who!r:.60} is nobody by name: say in people who it is"
            )
        return _named(name)


def _named(name: str) -> Annotator:
    try:
        return parse_annotator(name)
    except ProtocolError as err:
        raise DataError(f"{err}: say in people how they are called here") from err


def derived_key(*parts: object) -> str:
    """Return a key that is the same for the same parts."""
    text = "\x1f".join(map(str, parts))
    return "x-" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def annotation_key(source: str, number: object, at: datetime | None) -> str:
    """Return the key of an annotation as it was at a time."""
    return f"{annotation_prefix(source, number)}{_short(at)}"


def annotation_prefix(source: str, *number: object) -> str:
    """Return the beginning of all keys of a source, or of one of its annotations."""
    return "-".join(["a", *map(_short, (source, *number)), ""])


def _short(part: object) -> str:
    return hashlib.blake2b(str(part).encode(), digest_size=8).hexdigest()


def key_of(answer: Annotation) -> str:
    """Return the key that an answer is exported with; oracles give none."""
    return answer.key or derived_key(
        answer.uid, answer.annotator, answer.kind, answer.label, answer.at
    )


def choice(name: str, to_name: str) -> dict[str, Any]:
    """Return the one region of a result that chooses a class."""
    return {
        "id": derived_key(name)[-10:],
        "from_name": CONTROL,
        "to_name": to_name,
        "type": TYPE,
        "value": {"choices": [name]},
    }


def class_of(answer: Annotation, classes: Sequence[str]) -> str | None:
    """Return the name of the class of an answer; None if it has none.

    Raises
    ------
    DataError
        If there is no such class.
    """
    if answer.label is None:
        return None
    if answer.label not in range(len(classes)):
        raise DataError(
            f"sample {answer.uid}: label {answer.label} is not one of "
            f"{len(classes)} classes: is the store one of another task?"
        )
    return classes[answer.label]


def to_annotation(
    answer: Annotation, classes: Sequence[str], to_name: str
) -> dict[str, Any]:
    """Write an answer.

    Parameters
    ----------
    to_name
        Of the tag that shows the sample.

    Raises
    ------
    DataError
        As ``class_of``.
    """
    name = class_of(answer, classes)
    at = None if answer.at is None else answer.at.astimezone(UTC).isoformat()
    written: dict[str, Any] = {
        "completed_by": {"email": answer.annotator},
        "was_cancelled": answer.kind is Kind.SKIP,
        "ground_truth": answer.kind is Kind.GIVEN,
        "result": [] if name is None else [choice(name, to_name)],
    }
    if at is not None:
        written |= {"created_at": at, "updated_at": at}
    ours = {"key": key_of(answer), "kind": answer.kind.value, "label": name, "at": at}
    return {**written, _OURS: ours}


def from_annotation(annotation: object, uid: Uid, reading: Reading) -> Annotation:
    """Read an annotation of a sample.

    Raises
    ------
    DataError
        If it is not what the table above says.
    """
    if not isinstance(annotation, Mapping):
        raise DataError("an annotation is no object")
    label = _label(annotation, reading)
    at = read_time(annotation.get("updated_at") or annotation.get("created_at"))
    annotator = reading.annotator(annotation.get("completed_by"))
    kind = Kind.LABEL if label is not None else Kind.UNSURE
    if _flag(annotation, "was_cancelled"):
        kind, label = Kind.SKIP, None
    elif (
        _flag(annotation, "ground_truth") and label is not None and reading.ground_truth
    ):
        kind = Kind.GIVEN
    ours = annotation.get(_OURS)
    if isinstance(ours, Mapping) and _agrees(ours, kind, label, reading):
        kind, at, key = Kind(ours["kind"]), read_time(ours.get("at")), ours.get("key")
        if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY:
            raise DataError(f"{_OURS}.key must be a text of 1 to {MAX_KEY} characters")
    else:
        number = annotation.get("id") or annotation.get("unique_id")
        key = (
            annotation_key(reading.source, number, at)
            if number
            else derived_key(reading.source, uid, annotator, kind, label, at)
        )
    return Annotation(
        uid=uid, annotator=annotator, kind=kind, label=label, at=at, key=key
    )


def _agrees(
    ours: Mapping[str, Any], kind: Kind, label: int | None, reading: Reading
) -> bool:
    """Tell whether the result still says what fedask wrote."""
    if ours.get("kind") not in set(Kind):
        return False
    name = None if label is None else reading.classes[label]
    written = Kind(ours["kind"])
    alike = written is kind or {written, kind} <= CLASSED
    return alike and ours.get("label") == name


def _label(annotation: Mapping[str, Any], reading: Reading) -> int | None:
    """Return the class that a result chooses, None if it chooses none."""
    result = annotation.get("result")
    if result is None and annotation.get("was_cancelled") is True:
        return None  # so a skip may look
    if not isinstance(result, list):
        raise DataError("an annotation needs a result that is a list")
    names: list[object] = []
    for region in result:
        names += _choices(region)
    if len(names) > 1:
        raise DataError(f"{len(names)} classes are chosen: a sample has one")
    return reading.index(names[0]) if names else None


def _choices(region: object) -> list[object]:
    if not isinstance(region, Mapping):
        raise DataError("a region of a result is no object")
    kind, name = region.get("type"), region.get("from_name")
    if kind != TYPE:
        raise DataError(
            f"a result of type {kind!r:.40} cannot be taken: only {TYPE!r} says a class"
        )
    if name != CONTROL:
        raise DataError(
            f"a choice of {name!r:.40}: the question of fedask is {CONTROL!r}"
        )
    value = region.get("value")
    chosen = value.get("choices") if isinstance(value, Mapping) else None
    if not isinstance(chosen, list):
        raise DataError("a choice needs value.choices that is a list")
    return chosen


def _flag(annotation: Mapping[str, Any], name: str) -> bool:
    value = annotation.get(name, False)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise DataError(f"{name} must be true or false, not {value!r:.40}")


def read_time(text: object) -> datetime | None:
    """Read a time with its zone, as UTC; None stays None.

    Raises
    ------
    DataError
        If it is no time, or has no zone.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise DataError(
            f"{text!r:.40} is no time with a time zone (2026-03-01T12:00:00Z)"
        )
    try:
        return at.astimezone(UTC)
    except OverflowError as err:
        raise DataError(f"{text!r:.40} is no time of this world") from err
