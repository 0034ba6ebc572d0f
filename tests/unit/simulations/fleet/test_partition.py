import numpy as np
import pytest

from fedask.common.errors import ConfigError, DataError
from fedask.common.sections import FleetConfig
from fedask.simulations.fleet.partition import _fill_empty, partition

LABELS = np.arange(1000) % 10


def sizes(config: FleetConfig, seed: int = 0) -> list[int]:
    return [len(rows) for rows in partition(LABELS, config, seed)]


def test_iid_devices_differ_in_size_by_at_most_one() -> None:
    counts = sizes(FleetConfig(devices=7, partition="iid"))

    assert sorted(set(counts)) == [142, 143]


def test_iid_devices_get_a_random_class_mix() -> None:
    sorted_labels = np.sort(LABELS)

    for rows in partition(sorted_labels, FleetConfig(devices=5, partition="iid"), 0):
        # 200 draws without replacement, 20 expected per class, deviation 3.8.
        assert np.bincount(sorted_labels[rows], minlength=10).min() >= 5
        assert np.bincount(sorted_labels[rows], minlength=10).max() <= 35


def test_a_small_alpha_makes_devices_unequal_in_size_and_mix() -> None:
    dealt = partition(LABELS, FleetConfig(devices=10, alpha=0.1), 0)

    counts = [len(rows) for rows in dealt]
    mixes = np.array([np.bincount(LABELS[rows], minlength=10) for rows in dealt])
    assert max(counts) > 2 * min(counts)
    assert (mixes.max(axis=0) > 50).sum() >= 5  # of 100: one device has most of a class


def test_a_large_alpha_makes_devices_equal() -> None:
    dealt = partition(LABELS, FleetConfig(devices=10, alpha=1e6), 0)

    for rows in dealt:
        mix = np.bincount(LABELS[rows], minlength=10)
        assert np.abs(mix - 10).max() <= 1


def test_class_shares_follow_the_dirichlet_distribution() -> None:
    # One class of many samples: the share of device 0 is Beta(a, (m - 1) a), so its
    # variance is (m - 1) / (m^2 (m a + 1)).
    one_class = np.zeros(2000, dtype=np.int64)
    config = FleetConfig(devices=4, alpha=0.5)

    shares = [len(partition(one_class, config, seed)[0]) / 2000 for seed in range(400)]

    # 400 draws: the mean is known to 0.0125 and the variance to about 8 %.
    assert np.mean(shares) == pytest.approx(0.25, abs=0.05)
    assert np.var(shares) == pytest.approx(3 / (16 * 3), rel=0.3)


def test_samples_of_a_class_are_dealt_in_random_order() -> None:
    rows = partition(
        np.zeros(1000, dtype=np.int64), FleetConfig(devices=2, alpha=1e6), 0
    )

    assert 400 < rows[0].mean() < 600


@pytest.mark.parametrize("kind", ["iid", "dirichlet"])
def test_the_seed_decides_the_partition(kind: str) -> None:
    config = FleetConfig(devices=10, partition=kind)

    first, again, other = (partition(LABELS, config, seed) for seed in (0, 0, 1))

    assert [rows.tolist() for rows in first] == [rows.tolist() for rows in again]
    assert [rows.tolist() for rows in first] != [rows.tolist() for rows in other]


@pytest.mark.parametrize("kind", ["iid", "dirichlet"])
def test_as_many_devices_as_samples_get_one_each(kind: str) -> None:
    config = FleetConfig(devices=1000, partition=kind, alpha=1e-3)

    assert sizes(config) == [1] * 1000


def test_an_empty_device_gets_the_last_row_of_the_largest() -> None:
    owners = np.array([1, 1, 3, 3, 3, 1, 4])

    filled = _fill_empty(owners, 5)

    # Device 0 takes row 5 from device 1 (the first of two with 3 rows), then device 2
    # takes row 4 from device 3, by then the only one with 3.
    assert filled.tolist() == [1, 1, 3, 3, 2, 0, 4]


def test_ten_thousand_devices_share_sixty_thousand_samples() -> None:
    labels = np.arange(60_000) % 10

    dealt = partition(labels, FleetConfig(devices=10_000, alpha=0.01), 0)

    assert min(map(len, dealt)) == 1
    assert np.array_equal(np.sort(np.concatenate(dealt)), np.arange(60_000))


def test_labels_need_not_be_consecutive() -> None:
    config = FleetConfig(devices=6)

    spread = partition(LABELS * 1000 - 7, config, 0)

    plain = partition(LABELS, config, 0)
    assert [rows.tolist() for rows in spread] == [rows.tolist() for rows in plain]


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (
            FleetConfig(partition="dirichlett"),
            ConfigError,
            "unknown partition 'dirichlett' .*did you mean 'dirichlet'",
        ),
        (FleetConfig(partition="shards"), ConfigError, "valid: dirichlet, iid"),
        (FleetConfig(devices=1001), DataError, "a device without data .* 1001 devices"),
        (FleetConfig(alpha=1e308), ConfigError, r"fleet\.alpha = 1e\+308 is too large"),
        (FleetConfig(alpha=float("inf")), ConfigError, r"fleet\.alpha = inf"),
    ],
)
def test_a_fleet_that_cannot_be_dealt_is_refused(
    config: FleetConfig, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        partition(LABELS, config, 0)
