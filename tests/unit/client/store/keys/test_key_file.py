import json
import os
import stat
import sys
from pathlib import Path

import pytest
from tests.support.client.keyring import MemoryKeyring
from typing_extensions import override

from fedask.client.store.keys.key_file import (
    KeyFile,
    Passphrase,
    PassphraseFile,
    Scrypt,
)
from fedask.client.store.keys.keyring import Backend, FixedKeyring, SystemKeyring
from fedask.common.errors import ConfigError, StoreError
from fedask.common.seal import new_key

CHEAP = Scrypt(n=1024)
WORD = Passphrase(b"correct horse")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "device.key"


def test_only_its_owner_may_read_a_key_file(path: Path) -> None:
    before = os.umask(0)
    try:
        KeyFile(path).add(new_key())
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["device.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_may_touch_is_refused(path: Path, mode: int) -> None:
    KeyFile(path).add(new_key())
    path.chmod(mode)

    with pytest.raises(StoreError, match=f"chmod 600 {path}"):
        KeyFile(path).read()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key",
        b"00" * 31,
        b"zz" * 32,
        b"00" * 33,
        (b"0" * 64 + b"\n") * 9,
        b"\xff" * 64,
        b"0" * 100_000,
    ],
)
def test_what_holds_no_key_is_refused_and_not_quoted(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(StoreError, match="holds no key") as caught:
        KeyFile(path).read()

    assert str(caught.value).replace(str(path), "").isascii()
    assert len(str(caught.value)) < 200 + len(str(path))


def test_a_pipe_or_a_folder_does_not_block_the_device(path: Path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(StoreError):
        KeyFile(path).read()
    with pytest.raises(StoreError):
        KeyFile(path.parent).read()


def test_a_key_that_another_process_made_first_is_not_overwritten(path: Path) -> None:
    class Late(KeyFile):
        """Looks before the other one is there."""

        @override
        def read(self) -> tuple[()]:
            return ()

    first = new_key()
    KeyFile(path).add(first)

    with pytest.raises(StoreError, match="another process made the key"):
        Late(path).add(new_key())

    assert [key.id for key in KeyFile(path).read()] == [first.id]
    assert len(list(path.parent.iterdir())) == 1


def test_a_key_is_on_the_disk_before_it_has_its_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for name in ("fsync", "link", "replace"):
        real = getattr(os, name)

        def watched(*args: object, name: str = name, real: object = real) -> object:
            is_folder = name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode)  # type: ignore[arg-type]
            done.append("folder" if is_folder else name)
            return real(*args)  # type: ignore[operator]

        monkeypatch.setattr(os, name, watched)

    KeyFile(path).add(new_key())
    KeyFile(path).add(new_key())

    assert done == ["fsync", "link", "folder", "fsync", "replace", "folder"]


def test_what_a_killed_process_left_goes_with_a_destroyed_key(path: Path) -> None:
    old = new_key()
    KeyFile(path).add(old)
    KeyFile(path).add(new_key())
    left = path.with_name(f".{path.name}.0123456789abcdef")
    left.write_text(old.secret.hex())

    KeyFile(path).drop(old.id)

    for each in path.parent.iterdir():
        assert old.secret.hex() not in each.read_text()


def test_without_the_passphrase_a_file_says_nothing(path: Path) -> None:
    key = new_key()
    PassphraseFile(path, WORD, CHEAP).add(key)

    assert key.secret not in path.read_bytes()
    assert key.secret.hex() not in path.read_text()
    with pytest.raises(StoreError, match="the passphrase does not open the key"):
        PassphraseFile(path, Passphrase(b"wrong horse")).read()
    with pytest.raises(StoreError, match="holds no key"):
        KeyFile(path).read()


def test_the_parameters_stand_beside_and_cannot_be_weakened(path: Path) -> None:
    PassphraseFile(path, WORD, Scrypt(n=2048)).add(new_key())
    fields = json.loads(path.read_text())
    assert (fields["n"], fields["r"], fields["p"]) == (2048, 8, 1)
    assert len(PassphraseFile(path, WORD).read()) == 1  # reads its own

    for wrong in ({"n": 1024}, {"salt": "00" * 16}, {"keys": fields["keys"][:-2]}):
        path.write_text(json.dumps(fields | wrong))
        with pytest.raises(StoreError, match="does not open"):
            PassphraseFile(path, WORD).read()


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1 << 30},
        {"n": 1000},
        {"n": True},
        {"r": 1 << 20},
        {"p": 10**9},
        {"p": "1"},
        {"fedask": 2},
        {"salt": "no"},
    ],
)
def test_parameters_that_would_take_the_memory_are_refused(
    path: Path, fields: dict[str, object]
) -> None:
    PassphraseFile(path, WORD, CHEAP).add(new_key())
    good = json.loads(path.read_text())
    path.write_text(json.dumps(good | fields))

    with pytest.raises(StoreError, match="holds no key under a passphrase"):
        PassphraseFile(path, WORD).read()


def test_a_passphrase_is_read_with_the_same_care(path: Path) -> None:
    path.write_bytes(b"correct horse\r\nanything\n")
    path.chmod(0o644)
    with pytest.raises(StoreError, match="others may read"):
        Passphrase.read(path)
    path.chmod(0o600)

    assert Passphrase.read(path) == WORD
    assert "correct" not in repr(WORD)
    with pytest.raises(StoreError, match="no passphrase"):
        Passphrase.read(path.with_name("gone"))
    path.write_bytes(b"short\n")
    with pytest.raises(ConfigError, match="8 to 1024"):
        Passphrase.read(path)


class Forgetful(Backend):
    """The null backend of the package, which takes everything."""

    @override
    def get_password(self, service: str, username: str) -> str | None:
        return None

    @override
    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class Locked(Backend):
    """Quotes what it was given in its errors."""

    @override
    def get_password(self, service: str, username: str) -> str | None:
        raise RuntimeError(username)

    @override
    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError(password)


def test_a_backend_that_keeps_nothing_is_found_out() -> None:
    with pytest.raises(StoreError, match="did not keep the key"):
        SystemKeyring("ward-3", Forgetful()).add(new_key())


def test_a_backend_that_fails_is_named_but_not_quoted() -> None:
    keyring = SystemKeyring("ward-3", Locked())

    with pytest.raises(StoreError, match=r"RuntimeError.*unlock it") as caught:
        keyring.read()
    assert caught.value.__cause__ is None


def test_without_the_package_one_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)

    with pytest.raises(ConfigError, match=r"pip install 'fedask\[keyring\]'"):
        SystemKeyring("ward-3")


def test_a_shared_key_is_made_once_and_stays() -> None:
    inner = MemoryKeyring()
    one, two = FixedKeyring(inner), FixedKeyring(inner)
    key = new_key()
    one.add(key)

    with pytest.raises(StoreError, match="shared by several stores"):
        two.add(new_key())
    with pytest.raises(StoreError, match="shared by several stores"):
        two.drop(key.id)
    assert two.read() == (key,)
