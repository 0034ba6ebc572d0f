"""The envelope of what a device keeps secret on its disk: AES-256-GCM.

Called by the device's vault, its keyrings and the index of its data; never sent
anywhere. No primitives of our own: AES-GCM, HKDF and HMAC are those of ``cryptography``
and of Python. ``docs/adr/0010-what-is-sealed.md`` has the layout byte by byte.

An envelope is ``version (1) | key id (8) | nonce (12) | ciphertext | tag (16)``. It is
bound to its place, so that it opens nowhere else: the associated data are ``version |
key id`` and then table, field and uid, each after its length in two bytes.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedask.common.errors import SealError

KEY_BYTES = 32  # AES-256
_ID_BYTES = 8
_MARK_BYTES = 16
OVERHEAD = 1 + _ID_BYTES + 12 + 16  # bytes that an envelope is longer than its content
_VERSION = b"\x01"
_NONCE_BYTES = 12  # 96 bits, random: good for 2**32 envelopes under one key
_BODY = 1 + _ID_BYTES + _NONCE_BYTES
_MAX_PART = 0xFFFF  # bytes of table, field or uid


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A secret of 32 bytes, with a public name.

    Parameters
    ----------
    secret
        Random, or derived from what is.

    Attributes
    ----------
    id
        8 bytes, a hash of the secret: tells keys apart and says nothing of them.

    Raises
    ------
    SealError
        If the secret is of another length.
    """

    secret: bytes = field(repr=False)
    id: bytes = field(init=False)
    aead: AESGCM = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise SealError
        digest = hashlib.blake2b(
            self.secret, digest_size=_ID_BYTES, person=b"fedask key id"
        )
        object.__setattr__(self, "id", digest.digest())
        object.__setattr__(self, "aead", AESGCM(self.secret))


@dataclass(frozen=True, slots=True)
class Place:
    """Where an envelope belongs.

    Parameters
    ----------
    table, field
        Of the row, and what of it.
    uid
        Of the sample, or what else tells rows apart.
    """

    table: str
    field: str
    uid: str = ""

    def to_bytes(self) -> bytes:
        """Return the parts, each after its length: no two places look the same."""
        parts = [each.encode() for each in (self.table, self.field, self.uid)]
        if max(map(len, parts)) > _MAX_PART:
            raise SealError
        return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def new_key() -> Key:
    """Make a key from the randomness of the operating system."""
    return Key(os.urandom(KEY_BYTES))


def seal(key: Key, content: bytes, place: Place) -> bytes:
    """Return content as an envelope, ``OVERHEAD`` bytes longer."""
    head = _VERSION + key.id
    nonce = os.urandom(_NONCE_BYTES)
    return head + nonce + key.aead.encrypt(nonce, content, head + place.to_bytes())


def unseal(key: Key, envelope: bytes, place: Place) -> bytes:
    """Return the content of an envelope.

    Raises
    ------
    SealError
        Always the same one, whatever is wrong: the key, the place, a bit.
    """
    head = envelope[: 1 + _ID_BYTES]
    if len(envelope) < OVERHEAD or head != _VERSION + key.id:
        raise SealError
    nonce, body = envelope[1 + _ID_BYTES : _BODY], envelope[_BODY:]
    try:
        return key.aead.decrypt(nonce, body, head + place.to_bytes())
    except InvalidTag:
        raise SealError from None


def derive(key: Key, purpose: str) -> Key:
    """Return the key of one purpose (HKDF-SHA256, RFC 5869)."""
    info = f"fedask 1 {purpose}".encode()
    return Key(HKDF(SHA256(), KEY_BYTES, None, info).derive(key.secret))


def mark(key: Key, *parts: str) -> bytes:
    """Return a pseudonym for some texts: always the same one, known only with the key.

    Parameters
    ----------
    parts
        What is to be told apart.

    Returns
    -------
    bytes
        The first 16 of HMAC-SHA256 over the parts, each after its length.
    """
    raw = [part.encode("utf-8", "surrogateescape") for part in parts]
    text = b"".join(len(part).to_bytes(4, "big") + part for part in raw)
    return hmac.digest(key.secret, text, "sha256")[:_MARK_BYTES]
