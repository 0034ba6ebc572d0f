"""The plain baseline of a run: a ridge regression on the labels that the run bought.

Called after a run. It has no rounds, no devices and nothing to set, so that a run which
ends far below it has not learned what its labels say. Letters: n labels, d features of
a sample, c classes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedask.common.config import Scenario
from fedask.common.errors import ConfigError
from fedask.common.ids import Uid, stable_seed
from fedask.common.inputs import flat
from fedask.common.task import Task
from fedask.common.text import hashed
from fedask.simulations.fleet.devices import shares_of
from fedask.simulations.fleet.tasks import task_of
from fedask.simulations.runtimes.runtime import Asked

Reals = NDArray[np.float64]

_MOST_LABELS = 2000  # an n x n matrix of them takes a second
_MOST_TESTED = 2000  # standard error of an accuracy: at most 1.1 points
_MOST_FEATURES = 2048  # more are added up: inner products stay about as they are
_PIECE = 64  # samples that are whole at once: pictures are large
_TRUTHFUL = ("perfect", "slow")  # people whose answers are the labels of the data
_PENALTIES = np.geomspace(1e-4, 1e4, 33)  # times the mean eigenvalue


def baseline_accuracy(asked: Asked, answered: int, scenario: Scenario) -> float | None:
    """Return the accuracy of a ridge regression on the labels of a run.

    On the inputs as the model takes them, standardised; on hashed words where the
    samples are texts.

    Parameters
    ----------
    asked
        Per device: (cycle, uid).
    answered
        How many of them were answered, the earliest first.

    Returns
    -------
    float or None
        In [0, 1]; None where it is not known what people said, no two classes were
        named, or the inputs cannot be laid side by side.
    """
    if scenario.fleet.people not in _TRUTHFUL:
        return None
    shares, task = shares_of(scenario), task_of(scenario)
    data = shares.data
    row_of = {uid: row for row, uid in enumerate(shares.uids.tolist())}
    bought = sorted(pair for chosen in asked.values() for pair in chosen)
    rows = [row_of[Uid(uid)] for _, uid in bought[: min(answered, _MOST_LABELS)]]
    labels = data.train_y[rows]
    if len(np.unique(labels)) <= 1:
        return None
    rng = np.random.default_rng(stable_seed("baseline"))
    tested = np.sort(rng.permutation(len(data.test_y))[:_MOST_TESTED])
    try:
        x = _features(task, data.train_x[rows])
        test_x = _features(task, data.test_x[tested])
    except ConfigError:  # a transform that fails elsewhere
        return None
    if x.shape[1] != test_x.shape[1]:
        return None
    scores = ridge(x, np.eye(task.num_classes)[labels], test_x)
    return float((scores.argmax(axis=1) == data.test_y[tested]).mean())


def _features(task: Task, raw: NDArray[Any]) -> Reals:
    """Return what the regression sees of raw samples: (n, d).

    Raises
    ------
    ConfigError
        If the transform fails, or its inputs differ in length.
    """
    pieces = [raw[at : at + _PIECE] for at in range(0, len(raw), _PIECE)]
    if raw.dtype.kind == "U":
        seen = [folded(hashed(piece)) for piece in pieces]
    else:
        seen = [folded(flat(task.to_inputs(piece)).numpy()) for piece in pieces]
    if len({piece.shape[1] for piece in seen}) > 1:
        raise ConfigError("the inputs differ in length")
    return np.concatenate(seen)


def folded(x: NDArray[Any]) -> Reals:
    """Add up columns at random, with random signs, down to 2048 features.

    References
    ----------
    Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.
    """
    whole: Reals = np.asarray(x, dtype=np.float64)
    if x.shape[1] <= _MOST_FEATURES:
        return whole
    rng = np.random.default_rng(stable_seed("fold", x.shape[1]))
    width: tuple[int, ...] = x.shape[1:]
    bucket = rng.integers(_MOST_FEATURES, size=width)
    sign = rng.choice(np.array([-1.0, 1.0]), size=width)
    order = np.argsort(bucket, kind="stable")
    starts = np.flatnonzero(np.diff(bucket[order], prepend=-1))
    out = np.zeros((len(whole), _MOST_FEATURES))
    signed = whole[:, order] * sign[order]
    out[:, bucket[order[starts]]] = np.add.reduceat(signed, starts, axis=1)
    return out


def ridge(x: Reals, targets: Reals, test_x: Reals) -> Reals:
    """Fit in closed form and predict, with the penalty that cross-validation chooses.

    Parameters
    ----------
    x
        (n, d), standardised here.
    targets
        (n, c).
    test_x
        (t, d).

    Returns
    -------
    NDArray
        (t, c).

    References
    ----------
    Golub, Heath and Wahba, "Generalized cross-validation as a method for choosing a
    good ridge parameter", Technometrics 21(2), 1979.

    Notes
    -----
    Through the smaller of X X^T (n, n) and X^T X (d, d).
    """
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation < 1e-9] = 1.0  # noqa: PLR2004  (a feature that never moves)
    x, test_x = (x - mean) / deviation, (test_x - mean) / deviation
    centre = targets.mean(axis=0)
    n, d = x.shape
    if d > n:
        values, vectors = np.linalg.eigh(x @ x.T)
        turned, outside = vectors.T @ (targets - centre), 0.0
    else:
        values, vectors = np.linalg.eigh(x.T @ x)
        values = np.maximum(values, 1e-12)
        turned = (vectors.T @ (x.T @ (targets - centre))) / np.sqrt(values)[:, None]
        outside = float(((targets - centre) ** 2).sum() - (turned**2).sum())
    values = np.maximum(values, 1e-12)
    penalty = _penalty(values, turned, max(outside, 0.0), n)
    weights = turned / (values + penalty)[:, None]
    slopes: Reals
    if d > n:
        slopes = x.T @ (vectors @ weights)
    else:
        slopes = vectors @ (weights * np.sqrt(values)[:, None])
    predicted: Reals = test_x @ slopes + centre
    return predicted


def _penalty(values: Reals, turned: Reals, outside: float, count: int) -> float:
    """Return the penalty of the smallest generalised cross-validation error.

    Parameters
    ----------
    values
        (r,) eigenvalues.
    turned
        (r, c) targets along their directions.
    outside
        Squares of the targets that no feature reaches.
    """
    tried = _PENALTIES * max(float(values.mean()), 1e-12)
    errors = []
    for penalty in tried:
        kept = values / (values + penalty)
        misfit = (((1.0 - kept)[:, None] * turned) ** 2).sum() + outside
        errors.append(misfit / max(count - kept.sum(), 1e-9) ** 2)
    return float(tried[int(np.argmin(errors))])
