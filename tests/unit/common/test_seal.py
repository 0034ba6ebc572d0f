import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedask.common.errors import FedaskError, SealError, StoreError
from fedask.common.seal import (
    OVERHEAD,
    Key,
    Place,
    derive,
    mark,
    new_key,
    seal,
    unseal,
)

KEY = Key(bytes(range(32)))
HERE = Place("item", "label", "a" * 32)


def test_what_was_sealed_opens_at_its_place() -> None:
    for content in (b"", b"7", bytes(100_000)):
        envelope = seal(KEY, content, HERE)

        assert unseal(KEY, envelope, HERE) == content
        assert len(envelope) == len(content) + OVERHEAD


def test_the_layout_is_that_of_the_decision_record() -> None:
    envelope = seal(KEY, b"content", HERE)
    version, key_id, nonce = envelope[:1], envelope[1:9], envelope[9:21]
    parts = (b"item", b"label", b"a" * 32)
    places = b"".join(len(part).to_bytes(2, "big") + part for part in parts)

    digest = hashlib.blake2b(KEY.secret, digest_size=8, person=b"fedask key id")
    assert (version, key_id) == (b"\x01", digest.digest())
    bound = version + key_id + places
    opened = AESGCM(KEY.secret).decrypt(nonce, envelope[21:], bound)
    assert opened == b"content"


@pytest.mark.parametrize(
    "place",
    [
        Place("item", "label", "b" * 32),
        Place("item", "token", "a" * 32),
        Place("annotation", "label", "a" * 32),
        Place("iteml", "abel", "a" * 32),
        Place("item", "labela", "a" * 31),
    ],
)
def test_an_envelope_does_not_open_at_another_place(place: Place) -> None:
    with pytest.raises(SealError):
        unseal(KEY, seal(KEY, b"1", HERE), place)


def test_no_bit_can_be_changed_and_every_failure_looks_the_same() -> None:
    envelope = seal(KEY, b"1", HERE)
    wrong = [
        envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :]
        for at in range(len(envelope))
    ]
    wrong += [b"", envelope[:-1], envelope + b"0", envelope[:20]]
    said = set()
    for each in wrong:
        with pytest.raises(SealError) as caught:
            unseal(KEY, each, HERE)
        said.add((str(caught.value), caught.value.__cause__))
    with pytest.raises(SealError) as caught:
        unseal(new_key(), envelope, HERE)
    said.add((str(caught.value), caught.value.__cause__))

    assert len(said) == 1
    assert issubclass(SealError, StoreError)
    assert issubclass(SealError, FedaskError)


def test_the_same_content_never_looks_the_same() -> None:
    assert len({seal(KEY, b"1", HERE) for _ in range(100)}) == 100


def test_a_key_shows_its_name_and_not_its_secret() -> None:
    shown = repr(KEY) + str(KEY) + f"{KEY}"

    assert KEY.secret.hex() not in shown
    assert repr(KEY.secret) not in shown
    assert "id=" in shown


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_has_32_bytes(length: int) -> None:
    with pytest.raises(SealError):
        Key(bytes(length))


def test_keys_of_two_purposes_have_nothing_in_common() -> None:
    names, tombs = derive(KEY, "names"), derive(KEY, "tombstones")

    assert derive(KEY, "names").secret == names.secret
    assert len({KEY.secret, names.secret, tombs.secret}) == 3


def test_a_mark_is_an_hmac_over_its_parts_and_their_lengths() -> None:
    text = b"\x00\x00\x00\x03ann\x00\x00\x00\x01k"

    assert mark(KEY, "ann", "k") == hmac.digest(KEY.secret, text, "sha256")[:16]
    assert mark(KEY, "ann", "k") != mark(KEY, "an", "nk")
    assert mark(KEY, "ann") != mark(new_key(), "ann")
