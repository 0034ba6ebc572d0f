"""Warm-up: the loss, the views, what is trained and what is left alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.client.training_jobs import SAMPLES, learner, start, task
from tests.support.client.world import LABELS, NAME, TASK, UIDS, Script
from tests.support.client.world import SAMPLES as OWN
from tests.support.client.world import SCENARIO as USUAL
from torch import nn

from fedask.client.data.sources.array_source import ArraySource
from fedask.client.learning.selection.run_context import RunContext
from fedask.client.learning.training.learner import Learner
from fedask.client.learning.training.training_step import WarmupJob
from fedask.client.learning.training.warmup import barlow_twins, draw, noisy, views
from fedask.client.records.pool import Pool
from fedask.client.round.device import Device, RoundOutcome
from fedask.client.store.memory import MemoryStore
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.records import Ask
from fedask.common.sections import WARMUP_SAMPLES, TrainConfig
from fedask.common.task import Task

CONFIG = TrainConfig(steps=4, weight_decay=0.01)
BATCH = torch.from_numpy(SAMPLES)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def warm(inputs: torch.Tensor = BATCH, stream: int = 0, lr: float = 0.1) -> WarmupJob:
    return WarmupJob(inputs=inputs, lr=lr, prox=0.0, stream=("warm-up", stream))


def slowly(one: Any, two: Any) -> float:  # noqa: ANN401
    """The published loss, term by term, per feature."""
    n, d = one.shape
    total = 0.0
    for i in range(d):
        for j in range(d):
            a, b = one[:, i] - one[:, i].mean(), two[:, j] - two[:, j].mean()
            spread = np.sqrt((a.var(ddof=1) + 1e-4) * (b.var(ddof=1) + 1e-4))
            c = (a * b).sum() / (n - 1) / spread
            total += (1 - c) ** 2 if i == j else 0.005 * c**2
    return float(total / d)


@pytest.mark.parametrize(("n", "d", "scale"), [(2, 1, 1.0), (9, 4, 0.3), (30, 7, 3.0)])
def test_the_loss_is_the_published_one(n: int, d: int, scale: float) -> None:
    rng = np.random.default_rng(n)
    one, two = rng.normal(size=(2, n, d)) * scale

    found = barlow_twins(torch.from_numpy(one), torch.from_numpy(two))

    assert float(found) == pytest.approx(slowly(one, two), rel=1e-9)


def test_the_loss_is_zero_for_views_alike_of_uncorrelated_features() -> None:
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * 1000

    assert float(barlow_twins(corners, corners)) == pytest.approx(0.0, abs=1e-6)
    assert float(barlow_twins(corners, -corners)) == pytest.approx(4.0, abs=1e-5)


def test_features_that_never_move_do_no_harm() -> None:
    still = torch.zeros(4, 3, requires_grad=True)

    (grad,) = torch.autograd.grad(barlow_twins(still, still), still)

    assert torch.isfinite(grad).all()


def test_the_usual_view_is_noisy_masked_and_decided_by_the_generator() -> None:
    batch = torch.full((200, 3, 4), 5.0) + torch.randn(200, 3, 4, generator=generator())

    view = noisy(batch, generator(1))

    masked = (view == 0).float().mean()
    assert float(masked) == pytest.approx(0.2, abs=0.03)  # of 2400 elements
    noise = (view - batch)[view != 0] / batch.std()
    assert float(noise.std()) == pytest.approx(0.2, abs=0.02)
    assert torch.equal(view, noisy(batch, generator(1)))
    assert not torch.equal(view, noisy(batch, generator(2)))


def test_the_two_views_of_a_step_differ_and_follow_from_the_stream() -> None:
    first = list(views(warm(), CONFIG, None))

    again = list(views(warm(), CONFIG, None))
    other = list(views(warm(stream=1), CONFIG, None))

    assert len(first) == CONFIG.steps
    assert not torch.equal(*first[0])
    assert not torch.equal(first[0][0], first[1][0])
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][0], other[0][0])


def test_a_tasks_own_augment_is_used_and_cannot_change_the_inputs() -> None:
    inputs = BATCH.clone()

    def flipped(batch: torch.Tensor, _: torch.Generator) -> torch.Tensor:
        return batch.mul_(-1)

    (one, two), *_ = views(warm(inputs), CONFIG, flipped)

    assert torch.equal(one, -BATCH)
    assert torch.equal(two, -BATCH)
    assert torch.equal(inputs, BATCH)


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        (lambda batch, _: batch[:1], r"made torch.float32 .*\[1, 5\].* keep both"),
        (lambda batch, _: batch.double(), "made torch.float64"),
        (lambda batch, _: batch.numpy(), "must keep both"),
        (lambda _batch, _: None, "made None"),
    ],
)
def test_an_augment_that_makes_something_else_is_a_config_error(
    augment: Callable[..., Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        next(views(warm(), CONFIG, augment))


def test_inputs_that_are_no_floats_need_a_tasks_own_augment() -> None:
    with pytest.raises(ConfigError, match=r"torch.int64 inputs: give Task\(augment="):
        next(views(warm(torch.zeros(4, 2, dtype=torch.int64)), CONFIG, None))


def test_the_encoder_is_trained_and_the_head_left_alone() -> None:
    made = learner(CONFIG)

    trained = made.train(warm())

    before = start()
    assert trained.usable
    moved = {n for n, array in trained.arrays.items() if (array != before[n]).any()}
    assert moved == {"1.weight", "1.bias"}  # of "3", the last layer, nothing


def test_warm_up_lowers_its_loss() -> None:
    made = learner(TrainConfig(steps=1))
    first = made.train(warm(lr=0.3)).loss

    for _ in range(30):
        made.load(made.train(warm(lr=0.3)).arrays)

    assert made.train(warm(lr=0.3)).loss < 0.8 * first


def dropping() -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)
    )


def test_warm_up_is_repeatable_and_draws_from_its_own_stream() -> None:
    given = task(dropping)
    results: list[Any] = []
    for stream in (1, 1, 2):
        torch.manual_seed(len(results))
        state = torch.random.get_rng_state()
        # A device of its own, and one that has had a training job before: the same
        # bits.
        made = learner(CONFIG, given)
        if results:
            made.train(warm(stream=5))
        results.append(made.train(warm(stream=stream)).arrays)
        assert torch.equal(torch.random.get_rng_state(), state)

    assert all(np.array_equal(a, results[1][n]) for n, a in results[0].items())
    assert not np.array_equal(results[0]["0.weight"], results[2]["0.weight"])


def test_a_model_that_is_all_head_cannot_be_warmed_up() -> None:
    with pytest.raises(ConfigError, match="nothing to train before its last layer"):
        learner(CONFIG, task("linear")).train(warm())


def test_warm_up_is_not_trained_in_company() -> None:
    made = learner(CONFIG)

    assert made.train_together([warm(stream=n) for n in range(20)]) == {}


def test_every_round_draws_another_bounded_share() -> None:
    rng = np.random.default_rng(0)
    many = rng.normal(size=(WARMUP_SAMPLES + 500, 2)).astype(np.float32)
    pool, mirrored = Pool(ArraySource(many)), Pool(ArraySource(many[::-1].copy()))

    shares = [draw(pool, 7, step) for step in range(2)]

    assert [len(share) for share in shares] == [WARMUP_SAMPLES] * 2
    assert shares[0] != shares[1]
    assert draw(mirrored, 7, 0) == shares[0]
    assert draw(pool, 8, 0) != shares[0]


SCENARIO = USUAL.with_values({"train.warmup": 2})
WARM_TASK = Task(classes=TASK.classes, model="mlp", input_shape=(4,))


class Warming:
    """A device in a run with two rounds of warm-up."""

    def __init__(self, samples: Any = OWN) -> None:  # noqa: ANN401
        self.store = MemoryStore()
        self.people = Script(LABELS)
        pool = Pool(ArraySource(samples))
        self.device = Device(
            device_id=NAME, pool=pool, store=self.store, oracle=self.people
        )
        state = WARM_TASK.build(1).state_dict()
        self.model = {name: tensor.numpy().copy() for name, tensor in state.items()}

    def round(self, ask: Ask, task: Task = WARM_TASK) -> RoundOutcome:
        made = Learner(task, SCENARIO.train)
        made.load(self.model)
        begun = self.device.begin(RunContext(task, SCENARIO, made), ask, prox=0.0)
        trained = None if begun.job is None else made.train(begun.job)
        return self.device.finish(begun, trained)


def test_a_round_of_warm_up_weighs_its_samples_and_touches_no_label() -> None:
    here = Warming()
    # A run that was begun anew over a store that has questions, and new answers.
    here.store.queue.add(1, UIDS[:3])
    here.store.queue.answer({uid: LABELS[uid] for uid in UIDS[:2]})
    before = here.store.queue.items()

    outcome = here.round(Ask(cycle=0, step=1))

    assert outcome.weight == len(OWN)
    assert outcome.arrays is not None
    assert outcome.report.labelled == 2
    assert here.store.queue.items() == before
    assert not here.people.asked


def test_rounds_of_warm_up_differ_and_repeat() -> None:
    results = [Warming().round(Ask(cycle=0, step=n)).arrays for n in (0, 0, 1)]

    first, again, other = (r["1.weight"] for r in results if r is not None)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_device_with_one_sample_has_nothing_to_warm_up_on() -> None:
    outcome = Warming(OWN[:1]).round(Ask(cycle=0, step=0))

    assert outcome.arrays is None
    assert outcome.weight == 0


def test_a_warm_up_that_the_run_does_not_have_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"round 3 of warm-up: train.warmup = 2"):
        Warming().round(Ask(cycle=0, step=2))
