"""k-means cells of a shortlist, and picking from cells in turn. Called by batchers.

Bounded: never more than a block of distances at once, and a fixed number of passes.
"""

import numpy as np

from fedask.client.base.distance import Doubles, Reals, blocks
from fedask.client.learning.batchers.batcher import Rows
from fedask.client.learning.batchers.seeding import spread

_PASSES = 10  # over a shortlist the cells have all but settled by then


def kmeans(points: Reals, k: int, rng: np.random.Generator) -> Rows:
    """Assign points to k cells: Lloyd's passes from D-squared seeds, row 0 the first.

    Parameters
    ----------
    points
        (n, d) float, n at least 1.
    k
        Number of cells, 1 to n; fewer are used when points coincide.

    Returns
    -------
    NDArray
        (n,) cell of each point, in [0, k).

    References
    ----------
    Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information
    Theory 1982.
    """
    centres = points[spread(points, k, rng)].astype(np.float64)
    cell = np.full(len(points), -1)
    for _ in range(_PASSES):
        nearest, sums = _assign(points, centres)
        if np.array_equal(nearest, cell):
            break
        cell = nearest
        sizes = np.bincount(cell, minlength=len(centres))
        used = sizes > 0  # the centre of an empty cell stays
        centres[used] = sums[used] / sizes[used, None]
    return cell


def _assign(points: Reals, centres: Doubles) -> tuple[Rows, Doubles]:
    """Return the nearest centre of each point, and the sum of the points of each."""
    # |x|^2 is the same for every centre and may be left out.
    half_norms = 0.5 * np.einsum("ij,ij->i", centres, centres)
    nearest = np.empty(len(points), dtype=np.int64)
    sums = np.zeros_like(centres)
    for part in blocks(len(points), max(centres.shape)):
        x = points[part].astype(np.float64)
        closeness = x @ centres.T
        closeness -= half_norms
        cell = closeness.argmax(axis=1)
        nearest[part] = cell
        order = np.argsort(cell, kind="stable")
        starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
        sums[cell[order[starts]]] += np.add.reduceat(x[order], starts)
    return nearest, sums


def in_turn(cell: Rows, order: Rows, size_first: bool) -> Rows:
    """Arrange rows so that every cell gives one, then every cell its second, and so on.

    Parameters
    ----------
    cell
        (n,) cell of each row.
    order
        (n,) rows in the order in which they leave their own cell.
    size_first
        Whether smaller cells come first in each turn; else, and between cells of the
        same size, the cell whose row comes first in ``order``.

    Returns
    -------
    NDArray
        (n,) the rows, arranged.
    """
    n = len(cell)
    ordered = cell[order]
    by_cell = np.argsort(ordered, kind="stable")
    sizes = np.bincount(ordered)
    starts = np.cumsum(sizes) - sizes
    turn = np.empty(n, dtype=np.int64)
    turn[by_cell] = np.arange(n) - starts[ordered[by_cell]]
    size = sizes[ordered] if size_first else np.zeros(n, dtype=np.int64)
    return order[np.lexsort((size, turn))]
