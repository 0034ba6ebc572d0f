"""Disks that are full or read-only: what was acknowledged stays, the rest is told."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fedask.client.records.label_queue import ItemState
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.ids import Uid

UIDS = [Uid(f"{number:032x}") for number in range(400)]
NOBODY = 65534
# Answers until the disk refuses; says how many were acknowledged.
ANSWERING = """
import resource, signal, sys
from contextlib import closing
from pathlib import Path
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, room = Path(sys.argv[1]), int(sys.argv[2])
with closing(SqliteStore(path)) as store:
    uids = [item.uid for item in store.queue.items()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    kept = 0
    try:
        for uid in uids:
            store.queue.answer({uid: 1})
            kept += 1
    except StoreError as err:
        print(kept, "StoreError:", err)
    else:
        print(kept, "all")
"""
OPENING = """
import os, sys
from pathlib import Path
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import StoreError
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    SqliteStore(Path(sys.argv[1])).queue.answer({"0" * 32: 1})
except StoreError as err:
    print("StoreError:", err)
"""


def run(script: str, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603  (our own text)
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user may look into, unlike pytest's."""
    path = Path(tempfile.mkdtemp(prefix="fedask-disk-"))
    yield path
    path.chmod(0o700)
    shutil.rmtree(path)


def filled(folder: Path) -> Path:
    path = folder / "device.db"
    with closing(SqliteStore(path)) as store:
        store.queue.add(1, UIDS)
    return path


@pytest.mark.parametrize("spare", [0, 8_192, 65_536, 131_072])
def test_a_full_disk_loses_no_answer_that_was_acknowledged(
    folder: Path, spare: int
) -> None:
    path = filled(folder)
    told = run(ANSWERING, str(path), str(path.stat().st_size + spare))
    kept = int(told.split()[0])
    assert "StoreError: store" in told
    assert str(path) in told
    with closing(SqliteStore(path)) as store:
        assert store.problem() == ""
        labelled = [i for i in store.queue.items() if i.state is ItemState.LABELLED]
        assert len(labelled) == kept < len(UIDS)
        # With room again, everything goes on.
        rest = [item.uid for item in store.queue.items() if item.label is None]
        store.queue.answer(dict.fromkeys(rest, 1))
        assert len(store.annotations.newest(1000, None)) == len(UIDS)


def test_a_read_only_disk_is_told_and_changes_nothing(folder: Path) -> None:
    path = filled(folder)
    before = path.read_bytes()
    for each in folder.iterdir():
        each.chmod(0o444 if each.suffix != ".key" else 0o600)
        if os.getuid() == 0 and each.suffix == ".key":
            os.chown(each, NOBODY, NOBODY)
    folder.chmod(0o555)

    told = run(OPENING, str(path))

    assert "StoreError:" in told
    assert str(path) in told
    assert path.read_bytes() == before
