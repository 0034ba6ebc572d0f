from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.support.client.training_jobs import (
    LABELS,
    PLAIN,
    SAMPLES,
    job,
    learner,
    start,
    task,
)
from torch import nn
from torch.nn import functional

from fedask.client.learning.training.learner import Learner
from fedask.client.learning.training.training_step import (
    LabelledBatch,
    TrainingJob,
    decayed,
)
from fedask.common.sections import TrainConfig
from fedask.common.task import Task


def with_torch(
    config: TrainConfig, labelled: LabelledBatch, *, lr: float, mu: float = 0.0
) -> tuple[dict[str, NDArray[Any]], float]:
    """Train the obvious way: an optimiser, and FedProx as a term of the loss."""
    model = task().build(seed=3)
    anchors = [p.detach().clone() for p in model.parameters()]
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
    loss = torch.zeros(())
    for _ in range(config.steps):
        optimiser.zero_grad()
        loss = functional.cross_entropy(model(labelled.inputs), labelled.targets)
        drift = [
            ((p - a) ** 2).sum()
            for p, a in zip(model.parameters(), anchors, strict=True)
        ]
        total = loss + mu / 2 * torch.stack(drift).sum() if mu else loss
        torch.autograd.backward(total)
        optimiser.step()
    state = {name: t.detach().numpy() for name, t in model.state_dict().items()}
    return state, float(loss.detach())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("steps", [1, 6])
def test_a_step_is_that_of_torchs_sgd_bit_for_bit(
    momentum: float, weight_decay: float, steps: int
) -> None:
    config = TrainConfig(
        steps=steps, momentum=momentum, weight_decay=weight_decay, logit_shift=0.0
    )
    made = learner(config)

    trained = made.train(job(made, lr=0.3))

    expected, expected_loss = with_torch(config, job(made).labelled, lr=0.3)
    # The mean adds the same entropies in another order; the gradient is the same.
    assert trained.loss == pytest.approx(expected_loss, rel=1e-6)
    for name, array in trained.arrays.items():
        assert np.array_equal(array, expected[name]), name
    assert not np.array_equal(trained.arrays["1.weight"], start()["1.weight"])


@pytest.mark.parametrize("mu", [0.01, 1.0])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_proximal_term_is_the_gradient_of_half_mu_times_the_squared_drift(
    mu: float, momentum: float
) -> None:
    config = TrainConfig(steps=6, momentum=momentum, logit_shift=0.0)
    made = learner(config)

    trained = made.train(job(made, lr=0.3, prox=mu))

    expected, expected_loss = with_torch(config, job(made).labelled, lr=0.3, mu=mu)
    # Autograd adds the same numbers in another order: a few float32 roundings.
    assert trained.loss == pytest.approx(expected_loss, rel=1e-5)
    for name, array in trained.arrays.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6)


def test_momentum_does_not_reach_into_the_next_round() -> None:
    made = learner(TrainConfig(steps=3, logit_shift=0.0))
    first = made.train(job(made)).arrays

    second = made.train(job(made)).arrays

    assert all(np.array_equal(second[name], first[name]) for name in first)


@pytest.mark.parametrize("step", range(4))
def test_the_rate_decays_along_half_a_cosine(step: int) -> None:
    # Loshchilov and Hutter, SGDR, equation 5, with T = 4: (1 + cos(pi t / T)) / 2.
    published = [1.0, 0.8535533905932737, 0.5, 0.14644660940672627]

    assert decayed(0.2, step, 4) == pytest.approx(0.2 * published[step], rel=1e-12)


def test_the_rate_never_reaches_zero() -> None:
    assert decayed(0.1, 0, 1) == 0.1
    assert decayed(0.1, 99, 4) == decayed(0.1, 3, 4) > 0


@pytest.mark.parametrize("tau", [0.2, 1.0])
def test_logits_shift_by_the_log_of_the_class_counts(tau: float) -> None:
    made = learner(TrainConfig(logit_shift=tau))

    shift = made.prepare(SAMPLES[:5], [2, 0, 2, 2, 0]).shift

    assert shift is not None
    expected = tau * np.log1p([2, 0, 3])
    np.testing.assert_allclose(shift.numpy(), expected, rtol=1e-6)


def test_a_shift_of_zero_costs_nothing() -> None:
    assert learner(PLAIN).prepare(SAMPLES[:1], [0]).shift is None


def test_the_loss_is_taken_of_the_shifted_logits() -> None:
    made = learner(TrainConfig(steps=1, logit_shift=0.5))
    made.load({name: np.zeros_like(array) for name, array in start().items()})

    loss = made.train(job(made)).loss

    counts = np.bincount(LABELS, minlength=3)
    logits = 0.5 * np.log1p(counts)
    log_probs = logits - np.log(np.exp(logits).sum())
    assert loss == pytest.approx(-log_probs[LABELS].mean(), rel=1e-5)


def test_training_is_repeatable_and_the_stream_orders_the_batches() -> None:
    config = TrainConfig(steps=4, batch_size=7)
    made = learner(config)
    results: list[NDArray[Any]] = []
    for stream in (1, 1, 2):
        torch.manual_seed(len(results))  # the global generator plays no part
        trained = made.train(job(made, stream=stream))
        results.append(trained.arrays["1.weight"])

    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_every_label_is_seen_once_before_any_is_seen_again() -> None:
    seen: list[int] = []

    def watching(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.extend(targets.tolist())
        return functional.cross_entropy(logits, targets)

    classes = [str(i) for i in range(10)]
    many = Task(classes=classes, model="linear", input_shape=(5,), loss=watching)
    made = Learner(many, TrainConfig(steps=6, batch_size=4, logit_shift=0.0))
    labelled = made.prepare(SAMPLES[:10], list(range(10)))
    made.train(TrainingJob(labelled=labelled, lr=0.1, prox=0.0, stream=("s",)))

    # Six batches of four: 24 = two passes of ten, and four of the third.
    assert sorted(seen[:10]) == sorted(seen[10:20]) == list(range(10))
    assert len(set(seen[20:])) == 4
    assert seen[:10] != seen[10:20]


@pytest.mark.parametrize("n", [1, 7])
def test_fewer_labels_than_a_batch_are_one_batch(n: int) -> None:
    config = TrainConfig(steps=2, batch_size=7, momentum=0.0, logit_shift=0.0)
    made = learner(config)

    trained = made.train(job(made, n=n))

    expected, _ = with_torch(config, job(made, n=n).labelled, lr=0.1)
    assert np.array_equal(trained.arrays["1.weight"], expected["1.weight"])


def test_a_custom_loss_is_used() -> None:
    made = learner(PLAIN, task(loss=lambda logits, _: (logits**2).mean() + 40))

    assert made.train(job(made)).loss > 40


def with_weights(made: Learner, weights: list[float]) -> TrainingJob:
    labelled = made.prepare(SAMPLES, LABELS, weights)
    return TrainingJob(labelled=labelled, lr=0.1, prox=0.0, stream=("train", 0))


WEIGHTS = [1.0 if row < 8 else 0.1 for row in range(24)]


@pytest.mark.parametrize("loss", [None, functional.cross_entropy])
def test_a_sample_counts_by_its_weight(loss: Any) -> None:  # noqa: ANN401
    made = learner(TrainConfig(steps=1, momentum=0.0, logit_shift=0.0), task(loss=loss))

    trained = made.train(with_weights(made, WEIGHTS))

    model = task().build(seed=3)
    inputs = torch.from_numpy(SAMPLES)
    losses = functional.cross_entropy(
        model(inputs), torch.tensor(LABELS), reduction="none"
    )
    weights = torch.tensor(WEIGHTS)
    expected = (weights * losses).sum() / weights.sum()
    torch.autograd.backward(expected)
    assert trained.loss == pytest.approx(float(expected.detach()), rel=1e-6)
    moved = start()["1.weight"] - trained.arrays["1.weight"]
    grad = next(model.parameters()).grad
    assert grad is not None
    np.testing.assert_allclose(moved, 0.1 * grad.numpy(), rtol=1e-3, atol=1e-7)


def test_weights_follow_their_samples_into_the_batches() -> None:
    made = learner(TrainConfig(steps=9, batch_size=7, momentum=0.0, logit_shift=0.0))
    light = [1e-6 if label == 0 else 1.0 for label in LABELS]

    trained = made.train(with_weights(made, light))

    made.load(trained.arrays)
    others = made.train(with_weights(made, [1.0] * 24))
    assert trained.loss < others.loss  # of the classes that weigh something
    made.load(start())
    same = made.train(with_weights(made, [0.5] * 24))
    alike = made.train(job(made))
    np.testing.assert_allclose(
        same.arrays["1.weight"], alike.arrays["1.weight"], atol=1e-6
    )


def test_logits_shift_by_weighed_class_counts() -> None:
    made = learner(TrainConfig(logit_shift=0.5))

    shift = made.prepare(SAMPLES[:4], [2, 0, 2, 2], [1.0, 0.1, 0.1, 0.1]).shift

    assert shift is not None
    expected = 0.5 * np.log1p([0.1, 0.0, 1.2])
    np.testing.assert_allclose(shift.numpy(), expected, rtol=1e-6)


def test_after_a_lesson_the_loaded_model_is_still_loaded() -> None:
    made = learner()
    before = made.predict(SAMPLES)

    first = made.train(job(made))
    assert np.array_equal(made.predict(SAMPLES), before)

    made.load(first.arrays)
    assert not np.array_equal(made.predict(SAMPLES), before)


def test_dropout_draws_from_the_lesson_and_leaves_the_global_generator_alone() -> None:
    given = task(
        lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    )
    made = learner(PLAIN, given)
    results: list[NDArray[Any]] = []
    for stream in (1, 1, 2):
        torch.manual_seed(len(results))
        state = torch.random.get_rng_state()
        trained = made.train(job(made, stream=stream))
        assert torch.equal(torch.random.get_rng_state(), state)
        results.append(trained.arrays["0.weight"])

    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
