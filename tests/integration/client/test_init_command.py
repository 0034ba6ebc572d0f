"""``fedask device init``, and what the other commands say of the folder it makes."""

import gzip
import json
import re
import shutil
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.disk import room_for
from tests.support.client.wavs import wav
from typer.testing import CliRunner

from fedask.client.site.device_folder import DeviceFolder
from fedask.common.command_line import app
from fedask.common.errors import ConfigError, StoreError
from fedask.common.ids import Uid

PROJECT = '[tool.flwr.app.config.task]\nname = "ward_init_task:task"\n'
TASK = """
from fedask.common import Task
task = Task(classes=["sick", "well"], model="linear", input_shape=(2,))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "app" / "ward_init_task.py").write_text(TASK)
    rows = [f"{n}.5,{n}" for n in range(12)]
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows, *rows[:3]])
    )
    return tmp_path


def device(*told: object, typed: str = "") -> str:
    arguments: Sequence[str] = ["device", *map(str, told)]
    result = CliRunner().invoke(app, arguments, input=typed)
    if isinstance(result.exception, Exception):
        raise result.exception
    return result.output


def init(place: Path, *more: str) -> str:
    told = ["--app", place / "app", "--data", place / "rows.jsonl", "--rights", "open"]
    return device("init", place / "ward", *told, *more)


def test_a_full_disk_leaves_nothing_that_blocks_the_next_init(place: Path) -> None:
    with room_for(100), pytest.raises(StoreError, match="cannot"):
        init(place)
    assert not (place / "ward" / "device.toml").exists()
    init(place)
    with pytest.raises(ConfigError, match="this is a device already"):
        init(place)


def test_what_the_first_rows_need_is_proposed(place: Path) -> None:
    rows = [{"id": n, "note": f"the lamp of bed {n} is broken"} for n in range(30)]
    packed = gzip.compress(json.dumps([*rows, {"note": "\u200b "}, rows[0]]).encode())
    (place / "notes.json.gz").write_bytes(packed)

    said = init(place, "--data", str(place / "notes.json.gz"))
    told = device("doctor", "--site", place / "ward")

    assert "kind texts, column note" in said
    settings = (place / "ward" / "device.toml").read_text()
    assert 'kind = "texts"\ncolumn = "note"\n' in settings
    plain = " ".join(told.split())
    assert "30 samples in" in plain
    assert "1 more are copies of one of them" in plain
    assert "1 set aside: holds nothing but blanks in column 'note'" in plain


def test_doctor_finds_keys_that_repeat_and_columns_that_are_left_out(
    place: Path,
) -> None:
    with closing(sqlite3.connect(place / "ward.db")) as db, db:
        db.execute("CREATE TABLE t (key INTEGER PRIMARY KEY, x REAL, y INT)")
        rows = [(n, n / 2, n) for n in range(30)]
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    (place / "a.csv").write_text("x,y,zip\n" + "1,2,03373\n" * 30)

    init(place, "--data", str(place / "ward.db"))
    settings = place / "ward" / "device.toml"
    text = settings.read_text()
    assert r'query = "SELECT rowid, \"x\", \"y\" FROM \"t\""' in text
    settings.write_text(text.replace("SELECT rowid", "SELECT max(rowid, 3)"))
    told = " ".join(device("doctor", "--site", place / "ward").split())
    assert "26 samples in" in told
    assert "4 set aside: has the key of another row, by which neither is found" in told

    shutil.rmtree(place / "ward")
    init(place, "--data", str(place / "a.csv"))
    told = " ".join(device("doctor", "--site", place / "ward").split())
    assert "columns 'x', 'y'; left out as codes that begin with zero: 'zip'" in told


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["login", "a b"], "NAME"),
        (["label", "--as", "a b"], "--as"),
    ],
)
def test_a_wrong_name_is_wrong_usage(
    command: list[str], option: str, place: Path
) -> None:
    init(place)
    with pytest.raises(ConfigError, match=f"{option}: annotator 'a b' must be"):
        device(*command, "--site", place / "ward")


def test_a_wrong_device_is_wrong_usage(place: Path) -> None:
    with pytest.raises(ConfigError, match="--device: device id 'a b' must be 1-63"):
        init(place, "--device", "a b")


def test_doctor_and_status_count_the_same_samples(place: Path) -> None:
    init(place)
    ward = place / "ward"
    _agree(ward, samples=12)
    assert "3 more are copies of one of them" in device("doctor", "--site", ward)


def test_erased_samples_are_none_for_either(place: Path) -> None:
    init(place)
    ward = place / "ward"
    with DeviceFolder.open(ward) as opened:
        uids = opened.pool.uids.tolist()
    device("forget", *uids[:2], "--site", ward)
    _agree(ward, samples=10)


def _agree(ward: Path, *, samples: int) -> None:
    found = json.loads(device("status", "--json", "--site", ward))
    assert (found["samples"], found["asked"]) == (samples, samples)
    said = device("doctor", "--site", ward)
    assert re.findall(r"(?:data|rights): (\d+) samples", said) == [str(samples)] * 2


def test_the_terminal_shows_its_keys_before_anybody_asks(place: Path) -> None:
    init(place)
    with DeviceFolder.open(place / "ward") as opened:
        opened.store.queue.add(1, [Uid(str(opened.pool.uids[0]))])
    said = device("label", "--as", "ann", "--site", place / "ward", typed="q\n")
    assert "s skip, u unsure, z undo, q quit\n> " in said


def test_what_is_no_sample_is_counted_by_init_and_doctor(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    scans = place / "scans"
    scans.mkdir()
    for number in range(30):
        (scans / f"{number}.pgm").write_bytes(b"P5 2 1 255\n" + bytes([number, 9]))
    for number in range(12):
        (scans / f"{number}.heic").write_bytes(b"")
    (scans / "terms.docx").write_bytes(b"")
    (scans / "old").symlink_to(place / "app")

    said = " ".join(init(place, "--data", str(scans)).split())
    told = " ".join(device("doctor", "--site", place / "ward").split())

    passed = "12 .heic: need the extra heic (pip install 'fedask[heic]'); "
    passed += "1 linked folders: not followed; 1 .docx: no kind of data"
    assert f"passed over: {passed}" in said
    assert f"doubtful data: 30 samples in {scans}; passed over: {passed}" in told
    assert "-> install the extras" in told


def test_doctor_says_how_sounds_of_all_rates_are_used(place: Path) -> None:
    sounds = place / "sounds"
    sounds.mkdir()
    for number in range(30):
        tone = np.full(4, number, dtype="<i2")
        data = wav(tone, rate=8000 if number < 25 else 16000)
        (sounds / f"{number}.wav").write_bytes(data)
    init(place, "--data", str(sounds))
    settings = place / "ward" / "device.toml"

    told = " ".join(device("doctor", "--site", place / "ward").split())
    assert "25 samples in" in told
    assert "set rate in [data], and sounds of all rates are resampled to it" in told

    text = settings.read_text()
    settings.write_text(text.replace('"sounds"\n', '"sounds"\nrate = 8000\n'))
    told = " ".join(device("doctor", "--site", place / "ward").split())
    assert "30 samples in" in told
