import base64
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from tests.support.client.samples import (
    CLASSES,
    NOON,
    PNG,
    UIDS,
    Shown,
    busy,
    desk,
    part,
)

from fedask.client.labelling.labelstudio.csv_export import export_table
from fedask.client.labelling.labelstudio.import_summary import Asides
from fedask.client.labelling.labelstudio.studio_file import export_tasks
from fedask.client.labelling.labelstudio.task_content import TaskContent
from fedask.client.labelling.labelstudio.task_export import (
    StudioPrediction,
    StudioTask,
    TaskExport,
    Which,
)
from fedask.client.records.device_store import Waiting
from fedask.client.records.exhibit import Medium, Part
from fedask.client.records.label_queue import ItemState
from fedask.client.store.memory import MemoryStore
from fedask.common.errors import DataError
from fedask.common.grid import Scored
from fedask.common.ids import Uid

SOUND = part(Medium.AUDIO).content
EVERY = [part(medium, medium.name.lower()) for medium in Medium]


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    busy(made)
    return made


def tasks(shelf: TaskExport, which: Which = Which.ALL) -> dict[Uid, Any]:
    found = shelf.tasks(shelf.uids(which), Asides())
    return {task.uid: task.json for task in found}


def first(shelf: TaskExport) -> StudioTask:
    return next(iter(shelf.tasks(shelf.uids(Which.ALL), Asides())))


def read(config: str) -> ET.Element:
    return ET.fromstring(config)  # noqa: S314  (our own)


def test_every_medium_has_its_tag_and_its_data(store: MemoryStore) -> None:
    shelf = TaskExport(store, Shown(EVERY), CLASSES)

    task = first(shelf)
    view = read(shelf.config(task.fields))

    tags = {tag.get("value", "")[1:]: tag for tag in view if tag.tag != "Choices"}
    assert {key: tag.tag for key, tag in tags.items()} == {
        "image": "Image",
        "jpeg": "Image",
        "audio": "Audio",
        "text": "HyperText",
        "series": "TimeSeries",
    }
    assert tags.keys() == task.json["data"].keys()
    encoded = base64.b64encode(PNG).decode()
    assert task.json["data"]["image"] == f"data:image/png;base64,{encoded}"
    encoded = base64.b64encode(SOUND).decode()
    assert task.json["data"]["audio"].startswith("data:audio/wav;")
    assert task.json["data"]["audio"].endswith(f";base64,{encoded}")
    series = tags["series"]
    assert series.get("timeColumn") == "step"  # also a name of the sample's own
    assert [(c.get("column"), c.get("legend")) for c in series] == [
        ("c0", "X"),
        ("c1", "step"),
    ]
    assert task.json["data"]["series"] == {
        "step": [0, 1],
        "c0": [1.0, 3.0],
        "c1": [2.0, 4.5],
    }


def test_the_classes_are_asked_as_they_are_named(store: MemoryStore) -> None:
    shelf = TaskExport(store, Shown(), CLASSES)
    view = read(shelf.config(first(shelf).fields))

    choices = view.find("Choices")

    assert choices is not None
    assert choices.attrib == {
        "name": "label",
        "toName": "show_sample",
        "choice": "single",
    }
    assert tuple(choice.get("value") for choice in choices) == CLASSES
    assert {tag.get("name") for tag in view} == {"show_sample", "label"}


def test_a_text_is_shown_and_never_run(store: MemoryStore) -> None:
    shelf = TaskExport(store, Shown([part(Medium.TEXT)]), CLASSES)

    shown = first(shelf).json["data"]["sample"]

    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\nGrüße" in shown


def test_what_waits_comes_in_the_order_of_asking() -> None:
    fresh = MemoryStore()
    fresh.queue.add(1, UIDS[:3])
    scores = dict(zip(UIDS[:3], [0.1, 0.9, 0.5], strict=True))
    nothing = Scored(np.zeros(0, np.str_), np.zeros(0, np.float32), np.zeros(0, int))
    fresh.scores.put("model-1", nothing, Waiting(scores=scores))
    shelf = TaskExport(fresh, Shown(), CLASSES)

    assert shelf.uids(Which.WAITING) == [UIDS[1], UIDS[2], UIDS[0]]
    predictions = [task["predictions"] for task in tasks(shelf).values()]
    assert predictions == [
        [{"model_version": "model-1", "score": score, "result": []}]
        for score in (0.9, 0.5, 0.1)
    ]


def test_each_choice_of_samples_exports_those(store: MemoryStore) -> None:
    shelf = TaskExport(store, Shown(), CLASSES)
    states = {item.uid: item.state for item in store.queue.items()}
    waiting = {
        uid for uid in UIDS if states[uid] in {ItemState.QUEUED, ItemState.LEASED}
    }
    labelled = {uid for uid in UIDS if states[uid] is ItemState.LABELLED}
    assert waiting
    assert labelled

    assert set(tasks(shelf, Which.WAITING)) == waiting
    assert set(tasks(shelf, Which.LABELLED)) == labelled
    assert set(tasks(shelf, Which.ALL)) == set(UIDS)


@pytest.mark.parametrize("guess", StudioPrediction)
def test_people_are_told_of_the_models_view_what_the_owner_allows(
    store: MemoryStore, guess: StudioPrediction
) -> None:
    uids = np.array(UIDS[6:], dtype=np.str_)
    scores = np.array([0.75, 0.5], dtype=np.float32)
    store.scores.put("model-1", Scored(uids, scores, np.array([1, 9])))
    found = tasks(TaskExport(store, Shown(), CLASSES, guess=guess))

    told = [found[uid].get("predictions") for uid in UIDS[6:]]

    if guess is StudioPrediction.NOTHING:
        assert told == [None, None]
        return
    assert [t[0]["score"] for t in told] == [0.75, 0.5]
    results = [t[0]["result"] for t in told]
    assert results[1] == []  # of no class: a group of another kind
    if guess is StudioPrediction.SCORE:
        assert results[0] == []
    else:
        assert results[0][0]["value"] == {"choices": ["=dog"]}


def test_the_player_leaves_the_address_of_a_sound_as_it_is(store: MemoryStore) -> None:
    address = first(TaskExport(store, Shown(EVERY), CLASSES)).json["data"]["audio"]

    # It appends a query of its own unless the address is signed: see ``content``.
    assert "sig" in parse_qs(urlsplit(address).query, keep_blank_values=True)
    # What is left to a browser: a type up to the first comma, and the content.
    told, _, content = address.removeprefix("data:").partition(",")
    assert (told.split(";")[0], told.split(";")[-1]) == ("audio/wav", "base64")
    assert base64.b64decode(content, validate=True) == SOUND


def test_what_waits_is_exported_without_annotations(
    store: MemoryStore, tmp_path: Path
) -> None:
    shelf = TaskExport(store, Shown(), CLASSES)
    paths = {which: tmp_path / f"{which}.json" for which in Which}
    for which, path in paths.items():
        export_tasks(shelf, which, path)

    told = {which: json.loads(path.read_text()) for which, path in paths.items()}
    waiting = {task["meta"]["uid"] for task in told[Which.WAITING]}
    some = [t for t in told[Which.ALL] if t["meta"]["uid"] in waiting]
    assert any("annotations" in task for task in some)
    assert not any("annotations" in task for task in told[Which.WAITING])
    assert all("annotations" in task for task in told[Which.LABELLED])


def test_controls_are_never_exported() -> None:
    store = MemoryStore()
    store.queue.add(1, UIDS[:1])
    store.queue.answer({UIDS[0]: 1})
    with store.annotations.transaction() as rows:
        sample = rows.read(UIDS[0])
        (given,) = sample.annotations
        control = [
            type(given)(
                uid=UIDS[0],
                annotator=given.annotator,
                kind=given.kind,
                label=0,
                at=None,
                control=True,
            )
        ]
        rows.write(type(sample)(item=sample.item, annotations=(given, *control)))

    found = tasks(TaskExport(store, Shown(), CLASSES))

    assert len(found[UIDS[0]]["annotations"]) == 1


def test_samples_that_cannot_be_shown_are_set_aside(
    store: MemoryStore, tmp_path: Path
) -> None:
    uids = TaskExport(store, Shown(), CLASSES).uids(Which.ALL)
    broken = Part(name="", medium=Medium.SERIES, content=b"{}")
    others = {uids[2]: [part(Medium.TEXT)], uids[3]: [broken]}
    exhibit = Shown(others=others, gone=[uids[1]])

    done = export_tasks(
        TaskExport(store, exhibit, CLASSES), Which.ALL, tmp_path / "a.json"
    )

    assert (done.tasks, done.aside) == (5, 3)
    reasons = {aside.where: aside.reason for aside in done.asides}
    assert "no longer in the pool" in reasons[uids[1]]
    assert "not those of the first" in reasons[uids[2]]
    assert "not names and rows" in reasons[uids[3]]
    assert len(json.loads((tmp_path / "a.json").read_text())) == 5


def test_an_empty_export_is_an_empty_list(tmp_path: Path) -> None:
    shelf = TaskExport(MemoryStore(), Shown(), CLASSES)

    assert export_tasks(shelf, Which.ALL, tmp_path / "a.json").tasks == 0
    assert json.loads((tmp_path / "a.json").read_text()) == []
    assert not (tmp_path / "a.xml").exists()


def test_files_beside_are_named_by_local_files_urls(
    store: MemoryStore, tmp_path: Path
) -> None:
    contents = TaskContent(tmp_path / "shown", served="ward 3/shown")
    shelf = TaskExport(store, Shown(EVERY), CLASSES, contents=contents)

    data = first(shelf).json["data"]

    uid = shelf.uids(Which.ALL)[0]
    assert data["image"] == f"/data/local-files/?d=ward%203/shown/{uid}-0.png"
    assert (tmp_path / "shown" / f"{uid}-0.png").read_bytes() == PNG
    assert data["text"].startswith("<div")


@pytest.mark.parametrize(
    ("classes", "parts", "reason"),
    [
        (["a\x00"], [part(Medium.IMAGE)], "a character that XML cannot say"),
        (["a", "$5"], [part(Medium.IMAGE)], r"'\$5' holds a \$, which Label Studio"),
        (CLASSES, [part(Medium.IMAGE, "a b"), part(Medium.TEXT, "a_b")], "different"),
    ],
)
def test_names_that_do_not_fit_are_refused(
    tmp_path: Path, classes: list[str], parts: list[Part], reason: str
) -> None:
    store = MemoryStore()
    store.queue.add(1, UIDS)
    shelf = TaskExport(store, Shown(parts), classes)

    with pytest.raises(DataError, match=reason):
        export_tasks(shelf, Which.WAITING, tmp_path / "a.json")


def test_the_store_of_a_task_with_more_classes_is_refused(
    store: MemoryStore, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"label \d is not one of 1 classes: is"):
        export_tasks(TaskExport(store, Shown(), ["a"]), Which.ALL, tmp_path / "a.json")
    with pytest.raises(DataError, match=r"label \d is not one of 1 classes: is"):
        export_table(store.annotations, ["a"], tmp_path / "a.csv", NOON)


def test_an_export_shows_nothing_in_its_repr(store: MemoryStore) -> None:
    desk(store)
    assert "base64" not in repr(first(TaskExport(store, Shown(), CLASSES)))
