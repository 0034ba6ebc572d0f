import subprocess
import sys
from pathlib import Path

import pytest

from fedask.client.store.sqlite.claim import claimed
from fedask.common.errors import StoreError

HOLD = """
import sys
from pathlib import Path
from fedask.client.store.sqlite.claim import claimed
with claimed(Path(sys.argv[1])) as ours:
    print(ours, flush=True)
    sys.stdin.read()
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "work"
    with claimed(path) as first, claimed(path) as second:
        assert (first, second) == (True, False)
    with claimed(path) as again:
        assert again
    assert path.stat().st_size == 0
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_claim_of_a_process_that_is_killed_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "work"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(  # noqa: S603  (our own text)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        with claimed(path) as ours:
            assert not ours
        other.kill()
    with claimed(path) as ours:
        assert ours


def test_what_fails_in_it_is_told_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "work"
    with pytest.raises(ValueError, match="mine"), claimed(path):
        raise ValueError("mine")
    with claimed(path) as ours:
        assert ours


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "work"
    with pytest.raises(StoreError, match="missing/work"), claimed(path):
        pass


def test_a_file_that_is_something_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "work"
    path.write_bytes(b"no database " * 100)
    with pytest.raises(StoreError, match="cannot use"), claimed(path):
        pass
