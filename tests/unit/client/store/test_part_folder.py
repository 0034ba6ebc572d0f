"""A folder of parts: damage, kills, full disks, foreign files."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedask.client.store.part_folder import PartFolder
from fedask.common.errors import StoreError
from fedask.common.ids import DeviceId, PartDigest
from fedask.common.part import ModelPart

PART = ModelPart.of(np.arange(5000, dtype=np.float32))  # 20,064 bytes: five blocks
# Writes a part until the disk is full, or the process is killed: in the middle of the
# content, before it is on the disk, or before it has its name.
WRITING = """
import os, pathlib, resource, signal, sys
import numpy as np
from fedask.client.store.part_folder import PartFolder
from fedask.common.errors import StoreError
from fedask.common.part import ModelPart
folder, how = PartFolder(pathlib.Path(sys.argv[1])), sys.argv[2]
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
if how == "content":
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # ends the process; Python ignores it
elif how == "disk":
    os.fsync = die
elif how == "name":
    os.replace = die
if how in ("content", "full"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
try:
    folder.put([ModelPart.of(np.arange(5000, dtype=np.float32))], [])
except StoreError as err:
    print("StoreError:", err)
"""


@pytest.fixture
def folder(tmp_path: Path) -> PartFolder:
    return PartFolder(tmp_path / "device.db.parts")


def write(folder: PartFolder, how: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  (our own text)
        [sys.executable, "-c", WRITING, str(folder.path), how],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


@pytest.mark.parametrize("how", ["content", "disk", "name"])
def test_a_write_that_is_killed_leaves_no_part(folder: PartFolder, how: str) -> None:
    killed = write(folder, how)

    assert killed.returncode < 0
    assert len(list(folder.path.iterdir())) == 1  # under another name
    assert folder.get(PART.digest) is None
    folder.put([PART], [])
    assert folder.get(PART.digest) is not None


def test_what_a_killed_write_left_goes_when_room_is_wanted(folder: PartFolder) -> None:
    write(folder, "disk")
    small = PartFolder(folder.path, max_bytes=5 * 4096)

    small.put([PART], [])

    assert [each.name for each in folder.path.iterdir()] == [PART.digest]


def test_a_full_disk_is_told_and_leaves_nothing(folder: PartFolder) -> None:
    full = write(folder, "full")

    assert full.stdout.startswith("StoreError: cannot write")
    assert str(folder.path) in full.stdout
    assert list(folder.path.iterdir()) == []


def damage_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[10_000] ^= 1
    file.write_bytes(content)


def cut_short(file: Path) -> None:
    os.truncate(file, 10_000)


def lengthen(file: Path) -> None:
    with file.open("ab") as content:
        content.write(b"x")


def put_another(file: Path) -> None:
    other = ModelPart.of(np.ones(5000, dtype=np.float32))
    PartFolder(file.parent).put([other], [])
    (file.parent / other.digest).replace(file)


def put_link(file: Path) -> None:
    moved = file.rename(file.parent.parent / "elsewhere")
    file.symlink_to(moved)


def put_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    "spoil", [damage_bit, cut_short, lengthen, put_another, put_link, put_pipe]
)
def test_what_is_not_what_it_was_is_asked_for_again(
    folder: PartFolder, spoil: object, caplog: pytest.LogCaptureFixture
) -> None:
    folder.put([PART], [])
    spoil(folder.path / PART.digest)  # type: ignore[operator]

    assert folder.get(PART.digest) is None
    assert "part of the model" in caplog.text
    folder.put([PART], [])
    assert folder.get(PART.digest) is not None


def test_nobody_else_may_read_or_write_there(folder: PartFolder) -> None:
    folder.put([PART], [])
    folder.ask(DeviceId("ward"), [PART.digest])

    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in folder.path.iterdir()} == {0o600}


@pytest.mark.parametrize("name", ["", "..", "../device.db", "a" * 63, "A" * 64, "/etc"])
def test_only_a_digest_is_a_name(folder: PartFolder, name: str) -> None:
    with pytest.raises(ValueError, match="no digest"):
        folder.get(PartDigest(name))


def test_small_parts_count_as_the_blocks_they_take(tmp_path: Path) -> None:
    folder = PartFolder(tmp_path / "parts", max_bytes=10 * 4096)

    for number in range(50):
        folder.put([ModelPart.of(np.array(number))], [])

    assert len(list(folder.path.iterdir())) == 10


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "parts").write_text("no folder")
    folder = PartFolder(tmp_path / "parts")

    assert folder.get(PART.digest) is None
    assert not folder.ask(DeviceId("ward"), [PART.digest])
    with pytest.raises(StoreError, match="parts"):
        folder.put([PART], [])
