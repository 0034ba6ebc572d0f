import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.client.clock import FakeClock

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.desk.imported_annotation import Acceptance
from fedask.client.labelling.labelstudio.csv_export import export_table
from fedask.client.labelling.labelstudio.csv_table import import_table
from fedask.client.labelling.labelstudio.studio_annotation import (
    Reading,
    from_annotation,
    to_annotation,
)
from fedask.client.labelling.labelstudio.studio_file import parse
from fedask.client.records.annotation import Annotation, Kind
from fedask.client.store.memory import MemoryStore
from fedask.common.errors import DataError
from fedask.common.ids import Annotator, Uid

NOW = datetime(2026, 3, 1, tzinfo=UTC)
UIDS = [Uid(f"{number:032x}") for number in range(3)]
CLASSES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1),
    min_size=3,
    max_size=3,
    unique=True,
)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
BEGIN, END = (datetime.fromisoformat(day) for day in ("2000-01-01", "2026-02-01"))
TIMES = st.none() | st.datetimes(BEGIN, END, timezones=ZONES)


@st.composite
def answers(draw: st.DrawFn) -> Annotation:
    kind = draw(st.sampled_from(Kind))
    classed = kind not in {Kind.SKIP, Kind.UNSURE}
    at = draw(TIMES)
    return Annotation(
        uid=draw(st.sampled_from(UIDS)),
        annotator=Annotator(
            draw(st.from_regex("[a-z0-9][a-zA-Z0-9._@-]{0,9}", fullmatch=True))
        ),
        kind=kind,
        label=draw(st.integers(0, 2)) if classed else None,
        at=None if at is None else at.astimezone(UTC),
        key=draw(st.text(min_size=1, max_size=20)),
    )


@given(answers(), CLASSES, st.booleans())
def test_a_annotation_is_what_its_annotation_says(
    answer: Annotation, classes: list[str], believed: bool
) -> None:
    reading = Reading(classes=classes, source="x", ground_truth=believed)
    written = json.dumps(to_annotation(answer, classes, "show"))

    assert from_annotation(json.loads(written), answer.uid, reading) == answer


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "result",
                    "type",
                    "value",
                    "choices",
                    "completed_by",
                    "email",
                    "fedask",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)


@given(JSON)
def test_anything_else_is_refused_and_never_breaks(told: object) -> None:
    reading = Reading(classes=["a"], source="x")
    try:
        answer = from_annotation(told, UIDS[0], reading)
    except DataError:
        return
    assert answer.uid == UIDS[0]


@given(st.binary(max_size=50))
def test_any_bytes_are_json_or_refused(content: bytes) -> None:
    try:
        parse(content, "x")
    except DataError:
        return


def desk(store: MemoryStore) -> Desk:
    return Desk(
        store.annotations, FakeClock(NOW), DeskSettings(classes=3, rule="majority:5")
    )


def said_of_one_sample(*sayings: tuple[str, Kind, int | None]) -> list[Annotation]:
    """Return what annotators say of a sample, one after the other."""
    return [
        Annotation(
            uid=UIDS[1],
            annotator=Annotator(who),
            kind=kind,
            label=label,
            at=None,
            key=str(number),
        )
        for number, (who, kind, label) in enumerate(sayings)
    ]


# The last one corrects the first, and counts in its place.
CORRECTED = said_of_one_sample(
    ("ann", Kind.LABEL, 0), ("bob", Kind.GIVEN, 0), ("ann", Kind.SKIP, None)
)


@settings(max_examples=40)
@example(CORRECTED, ["a", "b", "c"])
@given(st.lists(answers(), max_size=6), CLASSES)
def test_a_table_brings_the_same_elsewhere(
    said: list[Annotation], classes: list[str]
) -> None:
    here, there = MemoryStore(), MemoryStore()
    for store in (here, there):
        store.queue.add(1, UIDS)
    desk(here).accept(said)
    with TemporaryDirectory() as folder:
        one, two = Path(folder, "one.csv"), Path(folder, "two.csv")
        export_table(here.annotations, classes, one, NOW)
        account = import_table(desk(there), one, Reading(classes=classes, source="x"))
        export_table(there.annotations, classes, two, NOW)

        assert two.read_bytes() == one.read_bytes()
    assert account.late == account.aside == 0
    assert [(i.uid, i.state, i.label) for i in there.queue.items()] == [
        (i.uid, i.state, i.label) for i in here.queue.items()
    ]


@settings(max_examples=60)
@given(st.lists(answers(), max_size=6, unique_by=lambda v: (v.annotator, v.key)))
def test_taking_twice_and_backwards_leaves_the_newest(said: list[Annotation]) -> None:
    one, two = MemoryStore(), MemoryStore()
    for store in (one, two):
        store.queue.add(1, UIDS)
    desk(one).accept(said)
    again = desk(one).accept(said)
    desk(two).accept(said[::-1])

    assert set(again) <= {Acceptance.KNOWN, Acceptance.LATE}
    assert newest(one) == newest(two)


def newest(store: MemoryStore) -> set[tuple[Uid, Annotator, datetime | None]]:
    """Return what stands, one of every annotator and sample."""
    standing = [v for v in store.annotations.newest(99, None) if v.undone is None]
    found = {(v.uid, v.annotator, v.at) for v in standing}
    assert len(found) == len(standing)
    return found
