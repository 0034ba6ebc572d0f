import csv
import json
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.client.permits import Nothing
from tests.support.client.samples import (
    CLASSES,
    NOON,
    UIDS,
    Shown,
    Store,
    busy,
    desk,
)
from typing_extensions import override

from fedask.client.labelling.labelstudio.csv_export import export_queue, export_table
from fedask.client.labelling.labelstudio.csv_table import import_table
from fedask.client.labelling.labelstudio.studio_annotation import Reading
from fedask.client.labelling.labelstudio.studio_file import (
    export_tasks,
    import_annotations,
)
from fedask.client.labelling.labelstudio.task_export import TaskExport, Which
from fedask.client.records.annotation import Annotation
from fedask.client.records.label_queue import ItemState
from fedask.client.records.provenance import SampleName
from fedask.client.store.memory import MemoryStore
from fedask.client.store.memory.annotations import MemoryAnnotations
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import ConfigError, DataError, StoreError
from fedask.common.ids import Uid

READING = Reading(classes=CLASSES, source="a project")


@pytest.fixture(params=["memory", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Store]]:
    """Two devices: one where people have worked, one that has asked the same."""
    made: list[Store] = [MemoryStore(), MemoryStore()]
    if request.param == "sqlite":
        made = [SqliteStore(tmp_path / f"{name}.db") for name in "ab"]
    busy(made[0])
    made[1].queue.add(1, UIDS)
    yield made
    for store in made:
        store.close()


def acts(store: Store, *, keys: bool = True) -> list[Annotation]:
    """Return what stands, as people said it, whatever its number in the store."""
    said = [
        replace(v, number=0, place=0, token="", key=v.key if keys else "")
        for v in store.annotations.newest(99, None)
        if v.undone is None
    ]
    return sorted(said, key=lambda v: (v.uid, v.annotator))


def annotations(path: Path) -> dict[str, Any]:
    return {
        task["meta"]["uid"]: sorted(
            task.get("annotations", []), key=lambda a: a["completed_by"]["email"]
        )
        for task in json.loads(path.read_text())
    }


def shelf(store: Store) -> TaskExport:
    return TaskExport(store, Shown(), CLASSES)


def test_annotations_survive_a_round_through_another_device(
    stores: list[Store], tmp_path: Path
) -> None:
    here, there = stores
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    export_tasks(shelf(here), Which.ALL, one)

    account = import_annotations(desk(there), one, READING)
    export_tasks(shelf(there), Which.ALL, two)

    assert account.kept == len(acts(here)) == 10
    assert annotations(two) == annotations(one)
    assert acts(there)[:-1] == acts(here)[:-1]
    assert replace(acts(there)[-1], key="") == acts(here)[-1]  # an oracle has no keys
    assert [(i.uid, i.state, i.label) for i in there.queue.items()] == [
        (i.uid, i.state, i.label) for i in here.queue.items()
    ]


def test_the_same_file_again_changes_nothing(
    stores: list[Store], tmp_path: Path
) -> None:
    here, there = stores
    path = tmp_path / "tasks.json"
    export_tasks(shelf(here), Which.ALL, path)
    import_annotations(desk(there), path, READING)
    before = there.queue.items(), there.annotations.newest(99, None)

    for store in stores:
        account = import_annotations(desk(store), path, READING)
        assert (account.kept, account.known, account.aside) == (0, 10, 0)
    assert (there.queue.items(), there.annotations.newest(99, None)) == before


def test_tables_survive_a_round_through_another_device(
    stores: list[Store], tmp_path: Path
) -> None:
    here, there = stores
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"

    assert export_table(here.annotations, CLASSES, one, NOON) == (10, 0)
    assert import_table(desk(there), one, READING).kept == 10
    export_table(there.annotations, CLASSES, two, NOON)

    assert two.read_bytes() == one.read_bytes()
    assert acts(there, keys=False) == acts(here, keys=False)
    for store in stores:
        assert import_table(desk(store), one, READING).known == 10


def test_a_table_and_a_json_file_of_the_same_annotations_count_once(
    stores: list[Store], tmp_path: Path
) -> None:
    here, there = stores
    export_table(here.annotations, CLASSES, tmp_path / "a.csv", NOON)
    export_tasks(shelf(here), Which.ALL, tmp_path / "a.json")

    import_table(desk(there), tmp_path / "a.csv", READING)

    account = import_annotations(desk(there), tmp_path / "a.json", READING)
    assert (account.kept, account.known) == (0, 10)


@pytest.fixture
def store() -> Store:
    made = MemoryStore()
    made.queue.add(1, UIDS)
    return made


def studio(path: Path, *told: dict[str, Any], uid: object = UIDS[0]) -> Path:
    """Write what Label Studio exports of one task."""
    usual = {
        "id": 7,
        "completed_by": {"id": 1, "email": "ann@site.org"},
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-03-01T11:00:00.5Z",
        "updated_at": "2026-03-01T11:00:01.5Z",
        "lead_time": 3.2,
        "result": [chosen("cat")],
    }
    task = {
        "id": 1,
        "data": {"sample": "data:"},
        "meta": {"uid": uid},
        "drafts": [],
        "annotations": [{**usual, **each} for each in told],
    }
    path.write_text(json.dumps([task]))
    return path


def chosen(*names: str, **other: object) -> dict[str, Any]:
    return {
        "id": "abc",
        "from_name": "label",
        "to_name": "show_sample",
        "type": "choices",
        "origin": "manual",
        "value": {"choices": list(names)},
        **other,
    }


def test_what_label_studio_exports_is_read(store: Store, tmp_path: Path) -> None:
    path = studio(
        tmp_path / "a.json",
        {},
        {"id": 8, "completed_by": {"email": "bob@site.org"}, "result": []},
        {"id": 9, "completed_by": 3, "was_cancelled": True},
        {"id": 10, "completed_by": {"email": "dan@site.org"}, "ground_truth": True},
    )
    reading = replace(READING, people={"3": "cyd"}, ground_truth=True)

    assert import_annotations(desk(store, "majority:9"), path, reading).kept == 4
    said = {v.annotator: (v.kind.value, v.label) for v in acts(store)}
    assert said == {
        "ann@site.org": ("label", 0),
        "bob@site.org": ("unsure", None),
        "cyd": ("skip", None),
        "dan@site.org": ("given", 0),
    }
    assert acts(store)[0].at == NOON.replace(hour=11, second=1, microsecond=500000)


def test_a_mark_of_ground_truth_is_an_opinion_unless_it_is_to_be_believed(
    store: Store, tmp_path: Path
) -> None:
    path = studio(tmp_path / "a.json", {"ground_truth": True})

    assert import_annotations(desk(store), path, READING).kept == 1

    assert acts(store)[0].kind.value == "label"
    assert store.queue.items()[0].state is ItemState.QUEUED  # two must agree


def test_an_annotation_that_was_changed_is_a_correction(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    import_annotations(desk(store, "one"), studio(path, {}), READING)

    later = {"updated_at": "2026-03-01T11:30:00Z", "result": [chosen("=dog")]}
    assert import_annotations(desk(store), studio(path, later), READING).kept == 1
    assert [v.label for v in acts(store)] == [1]

    # The old file again: it is known.
    assert import_annotations(desk(store), studio(path, {}), READING).known == 1
    assert [v.label for v in acts(store)] == [1]


def test_annotations_of_one_number_from_two_projects_are_two(
    store: Store, tmp_path: Path
) -> None:
    path = studio(tmp_path / "a.json", {})
    import_annotations(desk(store), path, READING)
    path = studio(path, {"result": [chosen("=dog")]})

    other = replace(READING, source="another")

    assert import_annotations(desk(store), path, other).kept == 1


def test_a_result_changed_by_hand_in_our_own_file_is_read_as_it_stands(
    stores: list[Store], tmp_path: Path
) -> None:
    here, there = stores
    path = tmp_path / "a.json"
    export_tasks(shelf(here), Which.ALL, path)
    import_annotations(desk(there), path, READING)
    tasks = json.loads(path.read_text())
    found = next(t for t in tasks if t["meta"]["uid"] == UIDS[0])
    for annotation in found["annotations"]:
        annotation["result"] = [chosen("=dog")]
    path.write_text(json.dumps(tasks))

    import_annotations(desk(there), path, READING)

    assert {v.label for v in acts(there) if v.uid == UIDS[0]} == {1}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"result": [chosen("dog")]}, "'dog' is not a class.*did you mean '=dog'"),
        ({"result": [chosen("cat", "=dog")]}, "2 classes are chosen"),
        ({"result": [chosen("cat"), chosen("cat")]}, "2 classes are chosen"),
        ({"result": [chosen(type="rectanglelabels")]}, "'rectanglelabels' cannot be"),
        ({"result": [chosen(from_name="other")]}, "the question of fedask is 'label'"),
        ({"result": [chosen(value=3)]}, "value.choices that is a list"),
        ({"result": None}, "a result that is a list"),
        ({"result": ["cat"]}, "a region of a result is no object"),
        ({"completed_by": 7}, "completed_by 7 is nobody by name"),
        ({"completed_by": None}, "completed_by None is nobody by name"),
        ({"completed_by": True}, "completed_by True is nobody by name"),
        ({"completed_by": {"email": "ann+x@site"}}, "say in people how they are"),
        ({"was_cancelled": "no"}, "was_cancelled must be true or false"),
        ({"updated_at": "yesterday"}, "is no time with a time zone"),
        ({"updated_at": "2026-03-01T12:00:00"}, "is no time with a time zone"),
        ({"updated_at": "2026-03-09T12:00:00Z"}, "lies in the future"),
        ({"updated_at": "0001-01-01T00:00:00+14:00"}, "no time of this world"),
        ({"fedask": {"kind": "label", "label": "cat", "key": 3}}, "fedask.key must"),
    ],
)
def test_a_wrong_annotation_is_set_aside_and_the_rest_kept(
    store: Store, tmp_path: Path, told: dict[str, Any], reason: str
) -> None:
    path = studio(tmp_path / "a.json", {"id": 6, "completed_by": "cyd"}, told)

    account = import_annotations(desk(store), path, READING)

    assert (account.kept, account.aside) == (1, 1)
    assert re.search(reason, account.asides[0].reason)
    assert UIDS[0] in account.asides[0].where
    assert [v.annotator for v in store.annotations.newest(9, None)] == ["cyd"]


def test_a_skip_without_a_result_and_numbers_that_are_none_are_read(
    store: Store, tmp_path: Path
) -> None:
    path = studio(
        tmp_path / "a.json",
        {"result": None, "was_cancelled": True, "lead_time": float("nan")},
        {"id": 8, "completed_by": "bob", "prediction": {"score": float("-inf")}},
    )
    assert b"NaN" in path.read_bytes()

    account = import_annotations(desk(store), path, READING)

    assert (account.kept, account.aside) == (2, 0)
    kinds = {v.annotator: v.kind.value for v in acts(store)}
    assert kinds == {"ann@site.org": "skip", "bob": "label"}


@pytest.mark.parametrize("uid", [None, 3, "x", "A" * 32, ["a"]])
def test_a_task_of_no_sample_is_set_aside(
    store: Store, tmp_path: Path, uid: object
) -> None:
    path = studio(tmp_path / "a.json", {}, uid=uid)

    account = import_annotations(desk(store), path, READING)

    assert (account.kept, account.aside) == (0, 1)
    assert "no meta.uid" in account.asides[0].reason


def test_an_unknown_sample_is_set_aside_and_the_rest_kept(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    tasks = [
        json.loads(studio(path, {}, uid=uid).read_text())[0]
        for uid in ("f" * 32, UIDS[1])
    ]
    path.write_text(json.dumps(tasks))

    account = import_annotations(desk(store, "one"), path, READING)

    assert (account.kept, account.aside) == (1, 1)
    assert account.asides[0].where == "f" * 32
    assert "never asked" in account.asides[0].reason
    assert (
        next(i for i in store.queue.items() if i.uid == UIDS[1]).state
        is ItemState.LABELLED
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is no JSON"),
        (b"\xff\xfe\xff", "is no JSON"),
        (b'[{"id": 1},\n{"id": }]', "is no JSON .line 2"),
        (b"[" * 200_000, "is no JSON"),
        (b'{"a": 1}', "must be a list of tasks: export it as JSON, not JSON-MIN"),
        (b'[{"id": 3, "label": "cat", "annotator": 4}]', "as JSON, not JSON-MIN"),
        (b"[" + b"0," * 10_000_001 + b"0]", "more than 10000000 values"),
        (b" " * 1001, "more than the 1000 that may be read"),
    ],
)
def test_a_file_that_is_no_export_is_refused(
    store: Store, tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)

    with pytest.raises(DataError, match=reason):
        import_annotations(
            desk(store), path, READING, most=1000 if b" " in content[:1] else 2**25
        )


def test_a_missing_file_and_a_folder_are_refused(store: Store, tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(DataError, match="is no file"):
            import_annotations(desk(store), path, READING)
        with pytest.raises(DataError, match="is no file"):
            import_table(desk(store), path, READING)


class Failing(MemoryAnnotations):
    """Annotations on a disk that is full after some transactions."""

    left = 1

    @override
    def transaction(self) -> Any:
        if not self.left:
            msg = "the disk is full"
            raise StoreError(msg)
        self.left -= 1
        return super().transaction()


def test_a_full_disk_in_between_says_what_is_kept_and_can_be_finished(
    tmp_path: Path,
) -> None:
    uids = [Uid(f"{number:032x}") for number in range(300)]
    store = MemoryStore()
    store.annotations = failing = Failing(store.tables)
    store.queue.add(1, uids)
    path = tmp_path / "a.csv"
    rows = "".join(f"{uid},cat,ann\n{uid},cat,bob\n" for uid in uids)
    path.write_text("uid,label,annotator\n" + rows)

    with pytest.raises(StoreError, match=r"200 answers were kept .* import the same"):
        import_table(desk(store), path, READING)
    failing.left = 99

    account = import_table(desk(store), path, READING)
    assert (account.kept, account.known) == (400, 200)


def table(path: Path, *lines: str, header: str = "uid,label,annotator,at,kind") -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{UIDS[0]},dog,ann,,", "line 3: 'dog' is not a class.*did you mean '=dog'"),
        ("1.2E+31,cat,ann,,", "line 3: .* did a spreadsheet"),
        (f"{UIDS[0]},cat,,,", "line 3: completed_by '' is nobody"),
        (f"{UIDS[0]},cat,an n,,", "line 3: annotator 'an n' must be"),
        (f"{UIDS[0]},cat,ann,1.3.2026,", "line 3: '1.3.2026' is no time"),
        (f"{UIDS[0]},cat,ann,,skp", "line 3: 'skp' is no kind.*'skip'"),
        (f"{UIDS[0]},cat,ann,,skip", "line 3: skip goes without a label"),
        (f"{UIDS[0]},,ann,,given", "line 3: given goes with a label"),
        (f"{UIDS[0]},cat", "line 3: has 2 cells, the header 5"),
        (f"{UIDS[0]},cat,ann,2030-01-01T00:00:00Z,", "lies in the future"),
    ],
)
def test_a_wrong_line_is_set_aside_and_the_rest_kept(
    store: Store, tmp_path: Path, line: str, reason: str
) -> None:
    good = f"{UIDS[1]},cat,ann,,"
    path = table(tmp_path / "a.csv", good, line, good.replace("ann", "bob"))

    account = import_table(desk(store), path, READING)

    assert (account.kept, account.aside) == (2, 1)
    said = f"{account.asides[0].where}: {account.asides[0].reason}"
    assert re.search(reason, said)
    assert {v.annotator for v in acts(store)} == {"ann", "bob"}


def test_lines_of_unknown_samples_are_named(store: Store, tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", f"{'f' * 32},cat,ann,,", f"{UIDS[1]},cat,ann,,")

    account = import_table(desk(store), path, READING)

    assert (account.kept, account.aside) == (1, 1)
    assert account.asides[0].where == f"line 2, {'f' * 32}"


def test_a_table_that_breaks_off_in_a_cell_is_refused_whole(
    store: Store, tmp_path: Path
) -> None:
    path = table(tmp_path / "a.csv", f"{UIDS[1]},cat,ann,,", f'{UIDS[0]},"cat,ann,,')

    with pytest.raises(DataError, match="line 3 cannot be read"):
        import_table(desk(store), path, READING)

    assert store.annotations.newest(9, None) == []


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        pytest.param(
            "uid;label;annotator\r\n{0};cat;ann\r\n", "utf-8", id="semicolons"
        ),
        pytest.param("uid\tlabel\tannotator\n{0}\tcat\tann\n", "utf-16", id="tabs"),
        pytest.param(
            "\n;;\nUID; Label ;annotator;;\n;;;;\n{0};cat;ann;;\n;;;;\n\n",
            "utf-8-sig",
            id="blank rows and columns",
        ),
        pytest.param(
            "sep=;\r\nuid;label;annotator\r\n{0};cat;ann\r\n", "utf-8", id="sep"
        ),
        pytest.param(
            '"uid";"label";"annotator"\n"{0}";"cat";"ann"\n', "utf-8", id="quotes"
        ),
        pytest.param(
            "uid,label,annotator\n{0},cat,ann", "utf-8", id="no last line end"
        ),
    ],
)
def test_what_spreadsheets_make_of_a_table_is_read(
    store: Store, tmp_path: Path, content: str, encoding: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content.format(UIDS[0]).encode(encoding))

    account = import_table(desk(store), path, READING)

    assert (account.kept, account.aside) == (1, 0)
    assert [(v.annotator, v.label) for v in acts(store)] == [("ann", 0)]


def test_another_encoding_is_told_and_read_where_it_is_said(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    lines = f"uid;label;annotator\n{UIDS[1]};cat;bob\n{UIDS[0]};größe;ann\n"
    path.write_bytes(lines.encode("cp1252"))

    with pytest.raises(
        DataError, match=r"line 3, byte 36 is no utf-8: save it as .CSV"
    ):
        import_table(desk(store), path, READING)
    assert store.annotations.newest(9, None) == []
    with pytest.raises(ConfigError, match="encoding 'cp99999' is unknown"):
        import_table(desk(store), path, READING, encoding="cp99999")

    reading = replace(READING, classes=["cat", "größe"])
    account = import_table(desk(store), path, reading, encoding="cp1252")
    assert (account.kept, account.aside) == (2, 0)


def test_what_waits_is_exported_and_comes_back_filled_in(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "queue.csv"
    names = {UIDS[0]: SampleName("scans/=1.png", "17")}

    done = export_queue(store.annotations, path, NOON, names)

    assert done == (len(UIDS), 0)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "uid,label,annotator,at,kind,file,id"
    assert f"{UIDS[0]},,,,waiting,scans/=1.png,17" in lines
    # Nobody has filled in anything: nothing is said, nothing is skipped.
    account = import_table(desk(store), path, READING)
    assert (account.kept, account.aside) == (0, 0)
    filled = path.read_text(encoding="utf-8-sig").replace(
        f"{UIDS[0]},,,,waiting", f"{UIDS[0]},cat,ann,,waiting"
    )
    path.write_text(filled.replace(",", ";"), encoding="utf-8-sig")
    account = import_table(desk(store), path, READING)
    assert (account.kept, account.aside) == (1, 0)
    assert [(v.uid, v.kind.value, v.label) for v in acts(store)] == [
        (UIDS[0], "label", 0)
    ]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("uid,annotator", "label is missing"),
        ("uid,label", "annotator is missing"),
        ("uid,label,annotator,when", "'when' is none of a table"),
        ("uid,label,annotator,uid", "a column is there twice"),
        ("", "is missing"),
    ],
)
def test_a_header_that_is_wrong_is_refused(
    store: Store, tmp_path: Path, header: str, reason: str
) -> None:
    path = table(tmp_path / "a.csv", header=header)

    with pytest.raises(DataError, match=reason):
        import_table(desk(store), path, READING)


def test_a_table_of_a_spreadsheet_with_two_columns_is_read(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    content = (
        f"uid,label\r\n{UIDS[0]},'=dog\r\n{UIDS[1]},it's <a> bird\r\n{UIDS[2]},\r\n"
    )
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())

    account = import_table(desk(store), path, replace(READING, people={"": "ann"}))

    assert account.kept == 3
    assert [(v.label, v.kind.value) for v in acts(store)] == [
        (1, "label"),
        (2, "label"),
        (None, "skip"),
    ]


def test_no_cell_of_a_table_begins_like_a_formula(
    stores: list[Store], tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    export_table(stores[0].annotations, CLASSES, path, NOON)

    with path.open(newline="", encoding="utf-8-sig") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert "'=dog" in cells
    assert not [cell for cell in cells if cell[:1] in set("=+-@\t\r\n")]


def test_what_is_said_of_what_may_not_be_used_is_not_written(
    stores: list[Store], tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    stores[0].rights.apply(Nothing(), NOON)

    assert export_table(stores[0].annotations, CLASSES, path, NOON) == (0, 10)

    assert path.read_text(encoding="utf-8-sig").splitlines() == [
        "uid,label,annotator,at,kind,file,id"
    ]


def test_an_export_is_for_its_owner_alone(stores: list[Store], tmp_path: Path) -> None:
    export_table(stores[0].annotations, CLASSES, tmp_path / "a.csv", NOON)
    export_tasks(shelf(stores[0]), Which.ALL, tmp_path / "a.json")

    for name in ("a.csv", "a.json", "a.xml"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    stores: list[Store], tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    class Broken(Shown):
        @override
        def parts(self, uid: Uid) -> Any:
            if uid == UIDS[3]:
                msg = "the disk broke"
                raise StoreError(msg)
            return super().parts(uid)

    with pytest.raises(StoreError, match="the disk broke"):
        export_tasks(TaskExport(stores[0], Broken(), CLASSES), Which.ALL, path)

    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.glob("*a.json*")] == ["a.json"]


def test_times_before_now_by_days_are_taken(store: Store, tmp_path: Path) -> None:
    at = (NOON - timedelta(days=400)).isoformat()
    path = table(tmp_path / "a.csv", f"{UIDS[0]},cat,ann,{at},label")

    assert import_table(desk(store), path, READING).kept == 1
