"""The keys of a store: one per sample, wrapped by the device's key from the keyring.

Called by the store, always within a transaction. A sample's key is made when
something of it is first sealed, and destroying it is erasure: what it sealed cannot be
opened by anybody any more, in no copy that is made afterwards.

One more key, the root, is wrapped by the device's key and never changes: names that SQL
compares, and what belongs to no single sample, are under keys derived from it, and
outlive a change of the device's key.
"""

import sqlite3
from pathlib import Path

from fedask.client.store.keys.keyring import Keyring
from fedask.common.errors import SealError, StoreError
from fedask.common.ids import Uid
from fedask.common.seal import Key, Place, derive, mark, new_key, seal, unseal

MAX_OPENED = 1 << 15  # envelopes whose content is remembered: some megabytes

_ROWS = "SELECT generation, key_id, root FROM device_key ORDER BY generation"
_ADD = "INSERT INTO device_key (generation, key_id, root) VALUES (?, ?, ?)"
_NEWEST = "SELECT max(generation) FROM device_key"
_WRAPPED = "SELECT wrapped, generation FROM sample_key WHERE uid = ?"
_ADD_KEY = "INSERT INTO sample_key (uid, wrapped, generation) VALUES (?, ?, ?)"
_DESTROY = "DELETE FROM sample_key WHERE uid = ?"
_ROOT = Place("device_key", "root")


class KeyVault:
    """Seals and opens content with the keys of a store. One per connection.

    Parameters
    ----------
    path
        Of the store, for error messages.
    keyring
        Where the device's key is.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, keyring: Keyring) -> None:
        self.keyring = keyring
        self._db = db
        self.has_retired = False  # whether a device key is still to be destroyed
        self._path = path
        self._devices: dict[int, Key] = {}  # by generation
        self._derived: dict[str, Key] = {}  # by purpose
        self._root: Key | None = None
        self._opened: dict[tuple[Place, bytes], bytes] = {}

    def make(self) -> None:
        """Make the root of a new store, and the device's key where there is none.

        Raises
        ------
        StoreError
            If the keyring refuses.
        """
        keys = self.keyring.read()
        if not keys:
            try:
                self.keyring.add(new_key())
            except StoreError:
                # Perhaps another store, which shares the keyring, was first.
                if not self.keyring.read():
                    raise
            keys = self.keyring.read()
        root = seal(keys[-1], new_key().secret, _ROOT)
        self._db.execute(_ADD, (1, keys[-1].id, root))
        self.open()

    def open(self) -> None:
        """Take the keys out of the keyring that the store was sealed with.

        Raises
        ------
        StoreError
            If one is not there, or does not open the store.
        """
        all_of_them = self._db.execute(_ROWS).fetchall()
        rows = [row for row in all_of_them if row[2] is not None]
        self.has_retired = len(rows) < len(all_of_them)
        if not rows:
            raise StoreError(f"the store {self._path} is damaged: it has no root key")
        keys = {key.id: key for key in self.keyring.read()}
        missing = [device for _, device, _ in rows if device not in keys]
        if missing:
            what = "another key than the one in" if keys else "a key that is not in"
            raise StoreError(
                f"the store {self._path} is sealed with {what} {self.keyring.place}: "
                "put the right one there; without it nothing can be read"
            )
        try:
            for generation, device, root in rows:
                self._root = Key(unseal(keys[device], root, _ROOT))
                self._devices[generation] = keys[device]
        except SealError as err:
            raise StoreError(
                f"the key in {self.keyring.place} does not open the store "
                f"{self._path}: one of the two is damaged"
            ) from err

    def generations(self) -> int:
        """Return how many device keys wrap something: two while keys are changed."""
        return sum(root is not None for _, _, root in self._db.execute(_ROWS))

    def add_device_key(self) -> None:
        """Add a device key, in the keyring first, and wrap the root by it as well.

        One that a process added before it was killed is used, rather than a third.

        Raises
        ------
        StoreError
            If the keyring refuses.
        """
        generation = self.newest()
        keys = self.keyring.read()
        if keys[-1].id == self._devices[generation].id:
            self.keyring.add(new_key())
            keys = self.keyring.read()
        root = seal(keys[-1], self._secret(), _ROOT)
        self._db.execute(_ADD, (generation + 1, keys[-1].id, root))
        self.open()

    def key_for(self, purpose: str) -> Key:
        """Return the store's own key for a purpose; it never changes.

        Raises
        ------
        StoreError
            If the vault is not open.
        """
        if purpose not in self._derived:
            self._derived[purpose] = derive(Key(self._secret()), purpose)
        return self._derived[purpose]

    def _secret(self) -> bytes:
        """Return the root's secret."""
        if self._root is None:
            raise StoreError(f"the store {self._path} is not open")
        return self._root.secret

    def name(self, *parts: str) -> bytes:
        """Return the pseudonym of a name, by which SQL finds it.

        The empty name is not hidden: it is b"".
        """
        return mark(self.key_for("names"), *parts) if parts[-1] else b""

    def tombstone(self, uid: Uid) -> bytes:
        """Return the keyed hash that is kept of an erased sample."""
        return mark(self.key_for("tombstones"), uid)

    def seal(self, place: Place, content: bytes) -> bytes:
        """Seal content that belongs to the sample of the place."""
        key = self._key(Uid(place.uid)) or self._new(Uid(place.uid))
        return seal(key, content, place)

    def unseal(self, place: Place, envelope: bytes) -> bytes:
        """Open content that belongs to a sample; small contents are cached.

        Raises
        ------
        SealError
            If the sample's key is gone, or the envelope is not of this place.
        """
        content = self._opened.get((place, envelope))
        if content is None:
            key = self._key(Uid(place.uid))
            if key is None:
                raise SealError
            content = unseal(key, envelope, place)
            self._remember(place, envelope, content)
        return content

    def destroy(self, uid: Uid) -> None:
        """Destroy a sample's key, and with it all that it sealed."""
        self._opened.clear()
        self._db.execute(_DESTROY, (uid,))

    def wrap(self, uid: Uid, secret: bytes, generation: int) -> bytes:
        """Wrap a sample's key by the device's key of a generation."""
        return seal(self._devices[generation], secret, _of(uid))

    def unwrap(self, uid: Uid, wrapped: bytes, generation: int) -> bytes:
        """Return the secret of a sample's key."""
        if generation not in self._devices:  # another process has changed keys
            self.open()
        if generation not in self._devices:
            raise SealError
        return unseal(self._devices[generation], wrapped, _of(uid))

    def newest(self) -> int:
        """Return the generation that wraps new keys now."""
        generation = int(self._db.execute(_NEWEST).fetchone()[0] or 0)
        if generation not in self._devices:  # another process has changed keys
            self.open()
        return generation

    def _key(self, uid: Uid) -> Key | None:
        row = self._db.execute(_WRAPPED, (uid,)).fetchone()
        return None if row is None else Key(self.unwrap(uid, *row))

    def _new(self, uid: Uid) -> Key:
        key, generation = new_key(), self.newest()
        wrapped = self.wrap(uid, key.secret, generation)
        self._db.execute(_ADD_KEY, (uid, wrapped, generation))
        return key

    def _remember(self, place: Place, envelope: bytes, content: bytes) -> None:
        if len(envelope) > 1 << 10:
            return
        if len(self._opened) >= MAX_OPENED:
            self._opened.clear()
        self._opened[place, envelope] = content


def _of(uid: Uid) -> Place:
    return Place("sample_key", "wrapped", uid)
