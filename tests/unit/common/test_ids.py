import numpy as np
import pytest
from numpy.typing import NDArray

from fedask.common import ids
from fedask.common.errors import ProtocolError
from fedask.common.ids import (
    content_uid,
    hash_uids,
    parse_device_id,
    parse_model_version,
    stable_seed,
    unit_hash,
)

COUNTS = np.arange(10_000)
UIDS = np.array([content_uid(np.array([row])) for row in COUNTS], dtype=np.str_)
# Chi-square with 99 degrees of freedom: 99.9 % of uniform samples lie below. The data
# are fixed, so the test gives the same answer always.
CHI_SQUARE_99 = 148.2


def chi_square(values: NDArray[np.float64]) -> float:
    counts, _ = np.histogram(values, bins=100, range=(0.0, 1.0))
    expected = len(values) / 100
    return float(((counts - expected) ** 2 / expected).sum())


# --- names by content -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "uid"),
    [
        (np.arange(6, dtype="<u1").reshape(2, 3), "766b652f1300204a4387bbcbcf89c4b0"),
        (np.array([0.5, -1.5], dtype="<f4"), "1eb78d043ba2de495fc58918e2acecbf"),
        (np.array(3, dtype="<i8"), "925fe6c06ad1862f9dea661f64e95c9a"),
        (np.zeros((0, 2), dtype="<f8"), "788d79c747014f4aa622c3729857f908"),
        (np.array(["how do I pay?"], dtype="<U13"), "d87975c157424bd62d684c23bffa1d39"),
    ],
)
def test_a_uid_is_the_same_in_every_release_and_on_every_machine(
    sample: NDArray[np.generic], uid: str
) -> None:
    assert content_uid(sample) == uid


def test_a_uid_depends_on_type_shape_and_bytes() -> None:
    sample = np.arange(12, dtype=np.uint8)
    others: list[NDArray[np.generic]] = [
        sample.view(np.int8),
        sample.view(np.uint16),
        sample.astype(np.uint16),
        sample.reshape(3, 4),
        sample.reshape(4, 3),
        sample.reshape(1, 12),
        sample[::-1],
        sample[:-1],
        np.where(sample == 11, 12, sample).astype(np.uint8),
    ]

    assert len({content_uid(other) for other in [sample, *others]}) == 10


def test_a_number_and_a_list_of_one_have_different_uids() -> None:
    assert content_uid(np.array(5.0)) != content_uid(np.array([5.0]))


@pytest.mark.parametrize(
    "view",
    [
        np.arange(24).reshape(4, 6).T,
        np.arange(24).reshape(4, 6)[:, ::2],
        np.arange(24)[::-1],
        np.broadcast_to(np.arange(3), (4, 3)),
        np.asfortranarray(np.arange(24).reshape(4, 6)),
    ],
)
def test_a_view_has_the_uid_of_its_copy(view: NDArray[np.int64]) -> None:
    assert content_uid(view) == content_uid(np.array(view, order="C"))


def test_samples_that_look_alike_when_joined_differ() -> None:
    # Type and shape are written before the bytes: nothing can slide between them.
    assert content_uid(np.array([1, 2], dtype="<u1")) != content_uid(
        np.array([1 + 2 * 256], dtype="<u2")
    )


# --- hashes ---------------------------------------------------------------------------


def test_hashes_of_uids_are_the_same_in_every_release() -> None:
    uids = np.array(["0" * 32, "0123456789abcdef" * 2, "f" * 32])

    assert hash_uids(uids, 0).tolist() == [
        0.6728761027735733,
        0.234172870732004,
        0.29654276464420615,
    ]
    assert hash_uids(uids, 2**63 - 1).tolist() == [
        0.4450995970101215,
        0.5373736897757159,
        0.9638995104339013,
    ]


def test_other_hashes_are_the_same_in_every_release() -> None:
    assert stable_seed("ticket", 7, "device-1") == 17255440026617951293
    assert unit_hash("ticket", 7, "device-1") == 0.9354192782026256


def test_a_hash_of_many_is_the_hash_of_each() -> None:
    together = hash_uids(UIDS[:50], 3)

    assert together.tolist() == [
        float(hash_uids(UIDS[i : i + 1], 3)[0]) for i in range(50)
    ]
    assert hash_uids(UIDS[:0], 3).tolist() == []


@pytest.mark.parametrize("salt", [0, 1, 2**62])
def test_hashes_of_uids_are_uniform(salt: int) -> None:
    values = hash_uids(UIDS, salt)

    assert chi_square(values) < CHI_SQUARE_99
    assert values.min() >= 0
    assert values.max() < 1


def test_hashes_of_uids_that_count_up_are_uniform_too() -> None:
    counting = np.array([f"{row:016x}{0:016x}" for row in COUNTS])

    assert chi_square(hash_uids(counting, 1)) < CHI_SQUARE_99


def test_unit_hashes_are_uniform() -> None:
    values = np.array([unit_hash("ticket", 1, int(row)) for row in COUNTS])

    assert chi_square(values) < CHI_SQUARE_99


def test_another_salt_gives_unrelated_hashes() -> None:
    first, second = hash_uids(UIDS, 0), hash_uids(UIDS, 1)

    # 10,000 pairs: the correlation of independent ones has deviation 0.01.
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.04
    assert chi_square((first - second) % 1) < CHI_SQUARE_99


def test_the_parts_of_a_hash_do_not_run_together() -> None:
    parts = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("c", "ab"), (1, 23)]

    assert len({unit_hash(*p) for p in [*parts, (12, 3)]}) == 7


def test_the_highest_hash_stays_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "stable_seed", lambda *_: 2**64 - 1)

    assert unit_hash("any") < 1.0


# --- ids from outside -----------------------------------------------------------------


@pytest.mark.parametrize("text", ["a", "9", "Ward-3_b.2", "x" * 63])
def test_a_device_id_is_taken_as_it_is(text: str) -> None:
    assert parse_device_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "-a", ".a", "_a", "a b", "a/b", "ä", "a\n", "a\x00", "x" * 64, 7, None]
)
def test_a_malformed_device_id_is_refused(text: object) -> None:
    with pytest.raises(ProtocolError, match=r"device id .* must be 1-63"):
        parse_device_id(text)


def test_a_model_version_is_16_hexadecimal_digits() -> None:
    assert parse_model_version("0123456789abcdef") == "0123456789abcdef"


@pytest.mark.parametrize(
    "text",
    ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "g" * 16, 7, None],
)
def test_a_malformed_model_version_is_refused(text: object) -> None:
    with pytest.raises(ProtocolError, match="must be 16 hexadecimal digits"):
        parse_model_version(text)
