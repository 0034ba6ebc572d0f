"""Private files are there whole, or not at all, and never for others to read."""

import stat
from pathlib import Path

import pytest
from tests.support.client.disk import room_for

from fedask.client.base.private_file import write_private
from fedask.client.labelling.grpc.secret import token_at
from fedask.common.errors import StoreError


@pytest.mark.parametrize("new", [True, False])
def test_a_file_that_cannot_be_written_whole_is_not_there(
    new: bool, tmp_path: Path
) -> None:
    with room_for(100), pytest.raises(StoreError, match="cannot write"):
        write_private(tmp_path / "key", [b"x" * 101], new=new)
    assert list(tmp_path.iterdir()) == []


def test_what_stood_there_stays_if_the_disk_is_full(tmp_path: Path) -> None:
    write_private(tmp_path / "key", [b"old"])
    with room_for(100), pytest.raises(StoreError):
        write_private(tmp_path / "key", [b"x" * 101])
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_new_file_overwrites_none(tmp_path: Path) -> None:
    write_private(tmp_path / "key", [b"old"], new=True)
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "key", [b"new"], new=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_token_that_cannot_be_kept_leaves_nothing_that_blocks_the_next(
    tmp_path: Path,
) -> None:
    path = tmp_path / "token"
    with room_for(8), pytest.raises(StoreError):
        token_at(path)
    assert token_at(path) == token_at(path)
