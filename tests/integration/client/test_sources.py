"""A deployed device over every kind of data: the ClientApp, its folder."""

import csv
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, Message, RecordDict
from numpy.typing import NDArray
from tests.support.client.folders import write_settings
from tests.support.client.messages import ask_record, message, pose_as_server
from tests.support.client.places import NOW, PLACES, put
from tests.support.client.world import SCENARIO, first_cut

from fedask.client.app import client_app
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import ScanContext
from fedask.client.data.sources.source import open_source
from fedask.client.records.label_queue import ItemState
from fedask.client.records.pool import Pool
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.arrays import model_version
from fedask.common.task import Task
from fedask.common.weights import to_record

FEATURES = 16


@pytest.fixture(autouse=True)
def server() -> None:
    pose_as_server()


def numbers(raw: NDArray[Any]) -> NDArray[np.float32]:
    """Turn samples of any kind into (n, FEATURES), as a task's own transform would."""
    if raw.dtype.names:
        parts = [numbers(raw[name]) for name in raw.dtype.names]
        return np.asarray(np.stack(parts).sum(axis=0), dtype=np.float32)
    made = np.zeros((len(raw), FEATURES), dtype=np.float32)
    for row, sample in enumerate(raw):
        values = (
            np.frombuffer(str(sample).encode(), dtype=np.uint8)
            if raw.dtype.kind == "U"
            else np.ravel(sample).astype(np.float32)
        )[:FEATURES]
        made[row, : len(values)] = values / np.float32(1 + np.abs(values).max())
    return made


def transform(raw: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(numbers(raw))


TASK = Task(
    classes=("red", "green"),
    model="linear",
    input_shape=(FEATURES,),
    transform=transform,
)


class Deployed:
    """A device that is opened anew for each message, as a SuperNode does."""

    def __init__(self, folder: Path, options: Mapping[str, Any]) -> None:
        self.store = folder / "device.db"
        self.labels = folder / "labels.csv"
        write_settings(folder, {"data": dict(options), "labels": str(self.labels)})
        self.folder = folder
        state = TASK.build(1).state_dict()
        self.model = {name: tensor.numpy() for name, tensor in state.items()}

    def send(self, **ask: Any) -> Message:  # noqa: ANN401
        content = RecordDict({"arrays": to_record(self.model)})
        content["fedask.ask"] = ask_record(**ask)
        config = SCENARIO.to_flat()
        node: dict[str, Any] = {"site": str(self.folder)}
        context = Context(1, 2, node, RecordDict(), dict(config))
        return client_app(TASK)(message(content), context)

    def queue(self) -> dict[str, ItemState]:
        store = SqliteStore(self.store)
        try:
            return {item.uid: item.state for item in store.queue.items()}
        finally:
            store.close()


@pytest.mark.parametrize("name", sorted(PLACES))
def test_a_device_asks_trains_and_scores_over_any_data(
    name: str, tmp_path: Path
) -> None:
    options = put(PLACES[name], tmp_path / "data", range(8), broken=[3])
    device = Deployed(tmp_path, options)

    asked = device.send(cut=first_cut(take=3))
    assert not asked.has_error(), asked.error.reason
    uids = list(device.queue())
    assert len(uids) == 3
    rows = "".join(f"{uid},{TASK.classes[at % 2]}\n" for at, uid in enumerate(uids))
    device.labels.write_text("uid,label\n" + rows)
    scored = device.send(step=2, score=model_version(device.model))

    assert not scored.has_error(), scored.error.reason
    assert set(device.queue().values()) == {ItemState.TRAINED}
    grid = scored.content.array_records["fedask.grid"]["counts"].numpy()
    assert grid.sum() == 4  # seven are whole, three were asked
    assert Path(f"{device.store}.index").exists()


def test_the_reason_is_for_the_log_of_the_device_and_its_kind_for_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = put(PLACES["sounds"], tmp_path / "data", range(2))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "mueller-anna-1953.wav").write_bytes(b"broken")

    for wrong, kind, said in (
        ({"kind": "sound"}, "DataError", "unknown kind of data 'sound'"),
        ({"frame": 3}, "ConfigError", "unknown key 'data.frame'"),
        ({"data": str(tmp_path / "gone")}, "DataError", "cannot read samples from"),
        ({"data": str(tmp_path / "one")}, "NoSamplesError", "mueller-anna-1953.wav"),
    ):
        caplog.clear()
        reply = Deployed(tmp_path, {**options, **wrong}).send(cut=first_cut())
        told = str(reply.error.reason)
        assert told == f"{kind}: the log of this device says more"
        assert said in caplog.text


def test_what_goes_wrong_with_data_quotes_none_of_it_to_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "anna-miller-1960.wav").write_bytes(b"no sound")

    reply = Deployed(tmp_path, {"data": str(folder), "kind": "sounds"}).send()

    reason = "NoSamplesError: the log of this device says more"
    assert reply.error.reason == reason
    assert "anna-miller-1960.wav" in caplog.text


def spoils(*_: object) -> None:
    """Stand for code of the user's own, which quotes what it cannot read."""
    msg = "cannot parse 'anna miller, 1960'"
    raise ValueError(msg)


def test_an_error_of_the_users_own_code_is_not_quoted_to_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedask.client.site.deployment.open_device", spoils)
    options = put(PLACES["sounds"], tmp_path / "data", range(2))

    reply = Deployed(tmp_path, options).send()

    assert reply.error.reason == "ValueError: the log of this device says more"


def opened(options: Mapping[str, Any], index: Index) -> Pool:
    source = open_source(options, ScanContext(index=index, now=NOW))
    assert source.broken() == []
    return Pool(source)


def data_set(name: str) -> Path:
    return Path(os.environ["FEDASK_DATA"]) / name


@pytest.mark.data
def test_spoken_digits_are_read_from_their_wavs(tmp_path: Path) -> None:
    with tarfile.open(data_set("fsdd/fsdd.tar.xz")) as archive:
        archive.extractall(tmp_path / "wavs", filter="data")
    index = Index()

    pools = [
        opened({"data": str(tmp_path / "wavs"), "frames": 8000}, index)
        for _ in range(2)
    ]

    assert len(pools[0]) == 3000
    assert pools[0].uids.tolist() == pools[1].uids.tolist()
    sounds = np.concatenate([raw for _, raw in pools[0].batches((), 500)])
    assert sounds.shape == (3000, 8000)
    assert 0.5 < np.abs(sounds).max() <= 1.0


@pytest.mark.data
def test_intents_are_read_from_their_csv() -> None:
    path = data_set("banking77/train.csv")
    with path.open(newline="", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]

    pool = opened({"data": str(path), "column": "text"}, Index())

    read = [text for _, raw in pool.batches((), 4096, 1 << 20) for text in raw.tolist()]
    assert read == list(dict.fromkeys(texts))
    assert len(texts) == 10_003


@pytest.mark.data
def test_accelerometer_windows_are_read_and_gaps_set_aside(tmp_path: Path) -> None:
    lines = data_set("wisdm-ar/WISDM_ar_v1.1_transformed.arff").read_text().splitlines()
    start = [line.strip().lower() for line in lines].index("@data")
    names = [line.split()[1].strip('"') for line in lines if line[:10] == "@attribute"]
    rows = [line for line in lines[start + 1 :] if line.strip()]
    path = tmp_path / "windows.csv"
    path.write_text("\n".join([",".join(names), *rows]))
    features = ",".join(names[2:-1])

    source = open_source(
        {"data": str(path), "columns": features}, ScanContext(index=Index(), now=NOW)
    )

    gaps = sum("?" in row for row in rows)
    assert len(rows) == 5418
    assert len(source.broken()) == gaps
    assert len(source.uids()) == 5418 - gaps
    first = next(row.split(",") for row in rows if "?" not in row)
    assert source.load(np.arange(1))[0].tolist() == pytest.approx(
        [float(number) for number in first[2:-1]], rel=1e-6
    )
