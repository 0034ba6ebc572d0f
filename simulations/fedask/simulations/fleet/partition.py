"""Who holds which sample: a training set dealt out to simulated devices.

Called once per run, before the devices are made. Sees labels only, never samples.
Letters: n samples, c classes, m devices.
"""

import heapq
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import ConfigError, DataError
from fedask.common.ids import stable_seed
from fedask.common.registry import nearest
from fedask.common.sections import FleetConfig

IntArray = NDArray[np.int64]


def partition(labels: IntArray, config: FleetConfig, seed: int) -> tuple[IntArray, ...]:
    """Deal every sample to exactly one device, the same way for the same seed.

    Parameters
    ----------
    labels
        (n,) int64, any values; only which of them are equal matters.
    config
        ``devices`` is m; ``partition`` is a key of ``PARTITIONS``; ``alpha`` is used by
        ``dirichlet`` alone.
    seed
        Of the run. The stream is the partition's own: nothing else draws from it.

    Returns
    -------
    tuple
        m arrays of int64, ascending, none empty; entry i holds the rows of ``labels``
        that device i has. Together they hold each row once.

    Raises
    ------
    ConfigError
        If the partition is unknown (the nearest one is named), or ``alpha`` is too
        large to draw from.
    DataError
        If there are fewer samples than devices.

    Notes
    -----
    A skewed draw can leave devices without data. Each of them, in order, then gets the
    last row of the device that is largest at that moment (the first of equals). This
    ends with every device filled, because n >= m.
    """
    deal = PARTITIONS.get(config.partition)
    if deal is None:
        raise ConfigError(
            f"unknown partition {config.partition!r}"
            + nearest(config.partition, PARTITIONS)
        )
    if len(labels) < config.devices:
        raise DataError(
            "a device without data cannot take part: "
            f"{config.devices} devices for {len(labels)} samples"
        )
    rng = np.random.default_rng(stable_seed("partition", seed))
    owners = _fill_empty(deal(labels, config, rng), config.devices)
    sizes = np.bincount(owners, minlength=config.devices)
    rows = np.argsort(owners, kind="stable").astype(np.int64, copy=False)
    return tuple(np.split(rows, np.cumsum(sizes)[:-1]))


def iid(labels: IntArray, config: FleetConfig, rng: np.random.Generator) -> IntArray:
    """Deal samples in random order, one device after the other.

    Returns
    -------
    NDArray
        (n,) int64 in [0, m); entry i is the device of sample i. Sizes differ by at
        most one.
    """
    return rng.permutation(np.arange(len(labels), dtype=np.int64) % config.devices)


def dirichlet(
    labels: IntArray, config: FleetConfig, rng: np.random.Generator
) -> IntArray:
    """Cut every class by its own draw of device shares from Dirichlet(alpha).

    Devices become unequal in size and in class mix: the smaller alpha, the more.

    Returns
    -------
    NDArray
        (n,) int64 in [0, m); entry i is the device of sample i. A device gets its share
        of a class to within one sample.

    Raises
    ------
    ConfigError
        If ``alpha`` is so large that the draw overflows.

    References
    ----------
    Hsu, Qi and Brown, "Measuring the effects of non-identical data distribution for
    federated visual classification", 2019, arXiv 1909.06335: alpha as the measure of
    skew; their devices are of equal size. Shares drawn per class, as here: Yurochkin
    et al., "Bayesian nonparametric federated learning of neural networks", ICML 2019,
    arXiv 1905.12022.
    """
    owners = np.empty(len(labels), dtype=np.int64)
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order])) + 1
    for one_class in np.split(order, starts):
        rows = rng.permutation(one_class)
        upper = np.cumsum(rng.dirichlet(np.full(config.devices, config.alpha)))
        if not upper[-1] > 0.0:  # 0 or NaN: the gamma draws behind it overflowed
            raise ConfigError(
                f"fleet.alpha = {config.alpha!r} is too large; use partition 'iid'"
            )
        places = (np.arange(len(rows)) + 0.5) / len(rows) * upper[-1]
        owners[rows] = np.searchsorted(upper, places, side="right")
    return owners


def _fill_empty(owners: IntArray, devices: int) -> IntArray:
    """Give each empty device the last row of the device that is largest by then."""
    sizes = np.bincount(owners, minlength=devices)
    rows = np.argsort(owners, kind="stable")
    ends = np.cumsum(sizes)  # one past the last row of each device
    donors = [(-size, device) for device, size in enumerate(sizes.tolist())]
    heapq.heapify(donors)
    filled = owners.copy()
    for device in np.flatnonzero(sizes == 0).tolist():
        negative_size, donor = donors[0]
        ends[donor] -= 1
        filled[rows[ends[donor]]] = device
        heapq.heapreplace(donors, (negative_size + 1, donor))
    return filled


Deal = Callable[[IntArray, FleetConfig, np.random.Generator], IntArray]

PARTITIONS: dict[str, Deal] = {"dirichlet": dirichlet, "iid": iid}
