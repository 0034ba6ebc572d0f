import numpy as np
import pytest

from fedask.common.config import Scenario
from fedask.common.ids import DeviceId, Uid
from fedask.simulations.fleet.devices import shares_of
from fedask.simulations.run.baseline import baseline_accuracy, folded, ridge

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("width", [5, 60], ids=["primal", "dual"])
def test_ridge_is_that_of_a_penalised_least_squares_fit(width: int) -> None:
    """Slow and obvious: each penalty by ``solve``, each error by leaving one out."""
    x, test_x = RNG.normal(size=(40, width)), RNG.normal(size=(7, width))
    targets = x[:, :3] + 0.5 * RNG.normal(size=(40, 3))

    predicted = ridge(x, targets, test_x)

    mean, deviation = x.mean(axis=0), x.std(axis=0)
    z, test_z = (x - mean) / deviation, (test_x - mean) / deviation
    gram = z @ z.T if width > 40 else z.T @ z
    scale = np.maximum(np.linalg.eigvalsh(gram), 1e-12).mean()
    best, fitted = np.inf, predicted
    for penalty in np.geomspace(1e-4, 1e4, 33) * scale:
        solve = np.linalg.solve(z.T @ z + penalty * np.eye(width), z.T)
        hat, y = z @ solve, targets - targets.mean(axis=0)
        error = ((y - hat @ y) ** 2).sum() / (40 - np.trace(hat)) ** 2
        if error < best:
            best, fitted = error, test_z @ solve @ y + targets.mean(axis=0)
    np.testing.assert_allclose(predicted, fitted, atol=1e-6)


def test_folding_keeps_inner_products_about_as_they_are() -> None:
    x = RNG.normal(size=(3, 50_000))
    x[1] += x[0]

    ours, theirs = folded(x) @ folded(x).T, x @ x.T

    np.testing.assert_allclose(ours, theirs, atol=0.1 * theirs.max())
    assert folded(x[:, :2048]) is not None
    np.testing.assert_array_equal(folded(x[:, :9]), x[:, :9])


def test_the_baseline_learns_digits_from_the_labels_that_were_bought() -> None:
    scenario = Scenario()
    uids = RNG.choice(shares_of(scenario).uids, 300, replace=False).tolist()
    asked = {DeviceId("device-00000"): [(1, Uid(uid)) for uid in uids]}

    many = baseline_accuracy(asked, 300, scenario)
    few = baseline_accuracy(asked, 30, scenario)

    assert many is not None
    assert few is not None
    assert many > 0.88
    assert 0.3 < few < many
    assert baseline_accuracy(asked, 1, scenario) is None  # one class


def test_nothing_is_said_of_labels_that_may_be_wrong() -> None:
    scenario = Scenario().with_values({"fleet.people": "mine:People"})

    assert baseline_accuracy({}, 0, scenario) is None
