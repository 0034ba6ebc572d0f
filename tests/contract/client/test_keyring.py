from collections.abc import Callable
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
from fedask.client.store.keys.keyring import Backend, Keyring, SystemKeyring
from fedask.common.errors import StoreError
from fedask.common.seal import new_key

CHEAP = Scrypt(n=1024)
Opener = Callable[[], Keyring]


class Wallet(Backend):
    """A backend as the package ``keyring`` has them, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    @override
    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    @override
    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture(params=["memory", "file", "passphrase", "system"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    memory, wallet = MemoryKeyring(), Wallet()
    passphrase = Passphrase(b"correct horse")
    path = tmp_path / "device.key"
    openers: dict[str, Opener] = {
        "memory": lambda: memory,
        "file": lambda: KeyFile(path),
        "passphrase": lambda: PassphraseFile(path, passphrase, CHEAP),
        "system": lambda: SystemKeyring("ward-3", wallet),
    }
    return openers[str(request.param)]


def ids(keyring: Keyring) -> list[bytes]:
    return [key.id for key in keyring.read()]


def test_a_new_keyring_holds_nothing(reopen: Opener) -> None:
    assert reopen().read() == ()
    reopen().drop(b"unknown!")
    assert reopen().read() == ()


def test_keys_stay_in_the_order_in_which_they_came(reopen: Opener) -> None:
    one, two = new_key(), new_key()

    reopen().add(one)
    assert [key.secret for key in reopen().read()] == [one.secret]
    reopen().add(two)

    assert [key.secret for key in reopen().read()] == [one.secret, two.secret]


def test_a_key_is_destroyed_for_good(reopen: Opener) -> None:
    one, two = new_key(), new_key()
    reopen().add(one)
    reopen().add(two)

    for _ in range(2):  # the second time it is not there
        reopen().drop(one.id)

    assert ids(reopen()) == [two.id]


def test_the_only_key_cannot_be_destroyed(reopen: Opener) -> None:
    one = new_key()
    reopen().add(one)

    with pytest.raises(StoreError, match="only key"):
        reopen().drop(one.id)

    assert ids(reopen()) == [one.id]


def test_a_keyring_says_where_it_is_and_no_key(reopen: Opener) -> None:
    one = new_key()
    keyring = reopen()
    keyring.add(one)

    assert keyring.place
    assert one.secret.hex() not in keyring.place + repr(keyring)
