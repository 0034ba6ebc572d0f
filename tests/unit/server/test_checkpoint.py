"""The server's files: written in one step, read back whole, or refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord
from flwr.serverapp.strategy import (
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedYogi,
    Strategy,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.server.scripted import Bench, honest, same, values

from fedask.common.errors import ConfigError, StoreError
from fedask.common.weights import to_record
from fedask.server.checkpoint import (
    CHECKPOINT,
    HISTORY,
    MODEL,
    SERVER,
    Checkpoint,
    RunFolder,
    inner_state,
    replace_file,
    restore_inner,
)

SETTINGS = {"seed": 3, "ask.quota": 20}
ROWS: list[dict[str, Any]] = [{"round": 1, "labels": 4}, {"round": 2, "labels": 9}]


def _arrays() -> dict[str, NDArray[Any]]:
    """Return arrays of several types, with values that text would round."""
    rng = np.random.default_rng(5)
    return {
        "0.weight": rng.normal(size=(3, 4)).astype(np.float32),
        "half": rng.normal(size=5).astype(np.float16),
        "double": np.array([np.pi, 5e-324, -0.0]),
        "count": np.array(2**62 + 1),
        "mask": np.array([True, False]),
        "bytes": np.arange(256, dtype=np.uint8).reshape(2, 8, 16),
        "none": np.zeros((0, 3), dtype=np.float32),
    }


def _saved(folder: Path, rows: list[dict[str, Any]] | None = None) -> RunFolder:
    run = RunFolder(folder, SETTINGS)
    run.save(
        Checkpoint(
            arrays=_arrays(),
            progress={"rounds": 2, "refused": [[1, "device-1", "näh"]]},
            rows=ROWS if rows is None else rows,
            inner={"m_t/dict/0.weight": np.ones(3)},
        )
    )
    return run


def test_checkpoint_comes_back_bit_by_bit(tmp_path: Path) -> None:
    _saved(tmp_path)
    loaded = RunFolder(tmp_path, SETTINGS).load()
    assert loaded is not None
    assert same(loaded.arrays, _arrays())
    assert {k: v.shape for k, v in loaded.arrays.items()} == {
        k: v.shape for k, v in _arrays().items()
    }
    assert list(loaded.arrays) == list(_arrays())
    assert loaded.progress == {"rounds": 2, "refused": [[1, "device-1", "näh"]]}
    assert loaded.rows == ROWS
    assert same(loaded.inner, {"m_t/dict/0.weight": np.ones(3)})


def test_without_a_checkpoint_there_is_none_and_no_history(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a" / "b", SETTINGS)
    run.append({"round": 1})
    assert run.load() is None
    assert not (tmp_path / "a" / "b" / HISTORY).exists()


def test_history_is_trimmed_to_the_checkpoint(tmp_path: Path) -> None:
    run = _saved(tmp_path)
    for number in (1, 2, 3):  # the run was killed after the third line
        run.append({"round": number, "at": "2025-01-01T00:00:00+00:00"})
    run.load()
    lines = (tmp_path / HISTORY).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ROWS


def test_history_line_cut_short_by_a_crash_is_gone_after_loading(
    tmp_path: Path,
) -> None:
    run = _saved(tmp_path)
    (tmp_path / HISTORY).write_text('{"round": 1}\n{"rou', encoding="utf-8")
    run.load()
    run.append({"round": 3})
    lines = (tmp_path / HISTORY).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["round"] for line in lines] == [1, 2, 3]


def test_crash_between_write_and_rename_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _saved(tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    seen: list[bytes] = []

    def crash(self: Path, target: Path) -> None:
        seen.append(self.read_bytes())
        assert target == tmp_path / CHECKPOINT
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            _saved(tmp_path, rows=[])
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert seen
    assert seen[0] != before
    loaded = run.load()
    assert loaded is not None
    assert loaded.rows == ROWS
    _saved(tmp_path, rows=[])  # and the next save is not in the way of its remains
    assert json.loads(json.dumps(RunFolder(tmp_path, SETTINGS).load() is not None))


@pytest.mark.parametrize("call", ["open", "replace"])
def test_disk_that_refuses_is_a_store_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, call, refuse)
    with pytest.raises(StoreError, match=r"model\.npz: .*No space left"):
        replace_file(tmp_path / MODEL, b"new")


def test_history_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, SETTINGS)
    (tmp_path / HISTORY).mkdir()
    with pytest.raises(StoreError, match=r"history\.jsonl"):
        run.append({"round": 1})


def test_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot make the folder"):
        RunFolder(tmp_path / "file" / "out", SETTINGS)


def test_checkpoint_of_other_settings_is_refused_by_key(tmp_path: Path) -> None:
    _saved(tmp_path)
    other = RunFolder(tmp_path, {"seed": 3, "ask.quota": 21, "ask.new": 1})
    with pytest.raises(ConfigError, match=r"other settings: ask\.new, ask\.quota cha"):
        other.load()


def test_checkpoint_of_another_schema_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("fedask.server.checkpoint.SCHEMA", 2)
        _saved(tmp_path)
    with pytest.raises(ConfigError, match="checkpoint of schema 2"):
        RunFolder(tmp_path, SETTINGS).load()


DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "text": b"not an archive",
    "an array": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, "
    b"'shape': (1,), }" + b" " * 59 + b"\n" + b"\0" * 8,
    "pickle": b"\x80\x04}\x94.",
    "head of an archive": b"PK\x03\x04" + b"\0" * 60,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_no_checkpoint_is_a_store_error(tmp_path: Path, data: bytes) -> None:
    run = RunFolder(tmp_path, SETTINGS)
    (tmp_path / CHECKPOINT).write_bytes(data)
    with pytest.raises(StoreError, match=r"checkpoint\.npz is damaged"):
        run.load()


def test_archive_that_holds_no_run_is_a_store_error(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, SETTINGS)
    np.savez(tmp_path / CHECKPOINT, other=np.ones(1))
    with pytest.raises(StoreError, match=r"checkpoint\.npz is damaged"):
        run.load()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a checkpoint."""
    folder = tmp_path_factory.mktemp("whole")
    _saved(folder)
    return (folder / CHECKPOINT).read_bytes()


def test_nothing_of_a_file_is_parsed_before_its_checksums_are_right(
    tmp_path: Path, whole: bytes
) -> None:
    changed = whole.replace(b"(3, 4), }", b"(3L,4), }")  # numpy would warn, and read on
    assert changed != whole
    (tmp_path / CHECKPOINT).write_bytes(changed)
    with pytest.raises(
        StoreError, match=r"checksum of 'model/0\.weight\.npy' is wrong"
    ):
        RunFolder(tmp_path, SETTINGS).load()


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bits=st.integers(0, 255))
def test_checkpoint_with_a_flipped_or_missing_byte_is_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, place: float, bits: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    index = int(place * len(whole))
    flipped = bytes([whole[index] ^ bits]) + whole[index + 1 :] if bits else b""
    (folder / CHECKPOINT).write_bytes(whole[:index] + flipped)
    try:
        loaded = RunFolder(folder, SETTINGS).load()
    except StoreError:
        return
    assert bits  # a file that is cut short never loads
    assert loaded is not None
    assert same(loaded.arrays, _arrays())
    assert loaded.rows == ROWS


def test_final_model_and_account_are_written(tmp_path: Path) -> None:
    RunFolder(tmp_path, SETTINGS).finish(_arrays(), {"ledger": {"spent": 3}})
    with np.load(tmp_path / MODEL, allow_pickle=False) as file:
        assert same({name: file[name] for name in file.files}, _arrays())
    account = json.loads((tmp_path / SERVER).read_text(encoding="utf-8"))
    assert account == {"ledger": {"spent": 3}}
    assert not list(tmp_path.glob("*.new"))


def _strategies() -> dict[str, list[Strategy]]:
    usual: dict[str, Any] = {"fraction_evaluate": 0.0, "min_train_nodes": 4}
    return {
        "FedAvg": [FedAvg(**usual) for _ in range(2)],
        "FedAdam": [FedAdam(**usual) for _ in range(2)],
        "FedYogi": [FedYogi(**usual) for _ in range(2)],
        "FedAdagrad": [FedAdagrad(**usual) for _ in range(2)],
        "FedAvgM": [FedAvgM(**usual, server_momentum=0.9) for _ in range(2)],
    }


@pytest.mark.parametrize("name", _strategies())
def test_restored_inner_strategy_goes_on_bit_by_bit(tmp_path: Path, name: str) -> None:
    first, second = _strategies()[name]
    through, resumed = Bench(first, ask__cycles=4), Bench(second, ask__cycles=4)
    for _ in range(3):
        through.round(honest)
    state = inner_state(first)
    assert bool(state) == (name != "FedAvg")
    run = RunFolder(tmp_path, SETTINGS)
    run.save(
        Checkpoint(arrays=values(through.arrays), progress={}, rows=[], inner=state)
    )
    loaded = run.load()
    assert loaded is not None
    restore_inner(second, loaded.inner)
    assert inner_state(second).keys() == state.keys()
    resumed.arrays = to_record(loaded.arrays)
    resumed.strategy.progress.rounds = 3
    for _ in range(2):
        through.round(honest)
        resumed.round(honest)
        assert same(values(through.arrays), values(resumed.arrays))


def test_inner_state_leaves_out_what_is_no_array() -> None:
    class Mixed(FedAvg):
        def __init__(self) -> None:
            super().__init__(fraction_evaluate=0.0)
            self.notes = {"a": np.ones(1), "b": "text"}
            self.names = ["a", "b"]
            self.empty: dict[str, Any] = {}
            self.options = ConfigRecord({"x": 1})
            self.model = to_record({"w": np.arange(3.0)})
            self.steps = [np.zeros(2), np.ones(2)]

    state = inner_state(Mixed())
    assert list(state) == ["model/record/w", "steps/list/0", "steps/list/1"]
    fresh = Mixed()
    restore_inner(fresh, {**state, "steps/list/1": np.full(2, 7.0)})
    assert fresh.steps[1].tolist() == [7.0, 7.0]
    assert fresh.names == ["a", "b"]
    assert fresh.model["w"].numpy().tolist() == [0.0, 1.0, 2.0]
