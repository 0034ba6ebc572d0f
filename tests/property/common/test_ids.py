import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fedask.common.ids import content_uid, hash_uids

CHECK = settings(max_examples=150, deadline=None)
SAMPLES = hnp.arrays(
    st.sampled_from(["u1", "<i2", ">i2", "f4", "f8", "?"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
MASK = 2**64 - 1


@CHECK
@given(SAMPLES, SAMPLES)
def test_samples_share_a_uid_only_if_they_are_the_same(
    first: NDArray[np.generic], second: NDArray[np.generic]
) -> None:
    same = (first.dtype, first.shape, first.tobytes()) == (
        second.dtype,
        second.shape,
        second.tobytes(),
    )

    assert (content_uid(first) == content_uid(second)) == same


@CHECK
@given(SAMPLES, st.data())
def test_the_memory_layout_of_a_sample_does_not_matter(
    sample: NDArray[np.generic], data: st.DataObject
) -> None:
    axes = data.draw(st.permutations(range(sample.ndim)))
    view = np.array(sample.transpose(axes), order="C").transpose(np.argsort(axes))

    assert content_uid(view) == content_uid(sample)


def splitmix(word: int) -> int:
    """The finaliser of SplitMix64 on Python's integers."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return word ^ (word >> 31)


@CHECK
@given(st.lists(st.integers(0, MASK), min_size=1, max_size=20), st.integers(0, MASK))
def test_hashes_are_those_of_the_slow_splitmix(words: list[int], salt: int) -> None:
    uids = np.array([f"{word:016x}{'0' * 16}" for word in words])
    key = splitmix_key(salt)

    hashes = hash_uids(uids, salt)

    assert hashes.tolist() == [(splitmix(w ^ key) >> 11) / 2**53 for w in words]


def splitmix_key(salt: int) -> int:
    text = f"uid\x1f{salt}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
