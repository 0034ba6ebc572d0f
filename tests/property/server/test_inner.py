"""The mean does not depend on who answers first, and is Flower's own."""

from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp.strategy import FedAvg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.server.scripted import (
    Bench,
    content,
    model,
    report,
    same,
    values,
)

from fedask.common.manifest import ArrayKind, Manifest
from fedask.common.records import Report
from fedask.server.inner_strategy import Averaged, Gathered, Listed
from fedask.server.model_split import ModelSplit


def split() -> ModelSplit:
    return ModelSplit(Manifest.plain(model()), model(), (ArrayKind.PARAMETER,))


# Sums are kept to 2**-30 per label; Flower's own mean rounds in float32, which is the
# larger error: (m + 1) * 2**-24 of the largest term.
ABSOLUTE = 2.0**-30
weights = st.lists(st.integers(1, 2000), min_size=1, max_size=12)
Reply = tuple[Message, Report]


def _fleet(labels: list[int], seed: int, scale: float) -> list[Reply]:
    """Return replies of a fleet with random updates and losses."""
    Bench()  # sets what Flower needs to make messages
    rng = np.random.default_rng(seed)
    replies = []
    for node, count in enumerate(labels):
        said = report(node, asked=count, answered=count, class_counts=(count, 0, 0))
        update: dict[str, NDArray[Any]] = {
            name: rng.normal(scale=scale, size=array.shape).astype(array.dtype)
            for name, array in model().items()
        }
        sent = Message(RecordDict({"c": ConfigRecord()}), node, "train")
        made = Message(content(said, update, float(rng.random())), reply_to=sent)
        replies.append((made, said))
    return replies


def _aggregate(
    gathered: Gathered, replies: list[Reply]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    for message, said in replies:
        assert gathered.add(message, said)
    arrays, metrics = gathered.aggregate(FedAvg(fraction_evaluate=0.0), 1)
    assert metrics is not None
    return values(arrays), dict(metrics)


@settings(max_examples=80, deadline=None)
@given(
    labels=weights,
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-3, 1.0, 300.0]),
)
def test_summed_mean_is_flowers_mean_of_all_replies(
    labels: list[int], seed: int, scale: float
) -> None:
    replies = _fleet(labels, seed, scale)
    summed, summed_metrics = _aggregate(Averaged(split()), replies)
    listed, listed_metrics = _aggregate(Listed(split()), replies)
    updates = [
        values(message.content.array_records["arrays"]) for message, _ in replies
    ]
    for name, array in summed.items():
        largest = max(float(np.abs(update[name]).max()) for update in updates)
        tolerance = ABSOLUTE + (len(replies) + 1) * 2.0**-24 * largest
        np.testing.assert_allclose(array, listed[name], rtol=0, atol=tolerance)
        exact = sum(
            (n * update[name].astype(np.float64))
            for n, update in zip(labels, updates, strict=True)
        ) / sum(labels)
        # Against the exact mean: one rounding to float32 and one to the fixed point.
        np.testing.assert_allclose(array, exact, rtol=2.0**-24, atol=ABSOLUTE)
    np.testing.assert_allclose(
        summed_metrics["train-loss"], listed_metrics["train-loss"], rtol=1e-12
    )


@settings(max_examples=80, deadline=None)
@given(
    labels=weights,
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_any_order_of_replies_gives_the_same_bits(
    labels: list[int], seed: int, data: st.DataObject
) -> None:
    replies = _fleet(labels, seed, 1.0)
    shuffled = data.draw(st.permutations(replies))
    for kind in (Averaged, Listed):
        first, first_metrics = _aggregate(kind(split()), replies)
        second, second_metrics = _aggregate(kind(split()), shuffled)
        assert same(first, second)
        assert first_metrics == second_metrics


@settings(max_examples=40, deadline=None)
@given(labels=weights, seed=st.integers(0, 2**32 - 1), factor=st.integers(2, 50))
def test_scaling_all_weights_alike_changes_nothing_but_rounding(
    labels: list[int], seed: int, factor: int
) -> None:
    once, _ = _aggregate(Averaged(split()), _fleet(labels, seed, 1.0))
    more, _ = _aggregate(
        Averaged(split()),
        _fleet([factor * count for count in labels], seed, 1.0),
    )
    for name, array in once.items():
        np.testing.assert_allclose(array, more[name], rtol=2.0**-23, atol=2 * ABSOLUTE)


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.integers(1, 50), min_size=4, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    order=st.permutations([11, 12, 13, 14]),
)
def test_order_of_arrival_changes_neither_the_model_nor_the_next_cut(
    labels: list[int], seed: int, order: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    values_of = {node: float(rng.normal()) for node in order}
    benches = [Bench(), Bench()]
    for bench, nodes in zip(benches, (sorted(order), order), strict=True):
        for _ in range(2):
            sent = bench.send()
            replies = []
            for node in nodes:
                count = labels[node - 11]
                grid = np.zeros((3, 4), dtype=np.int64)
                grid[node % 3, count % 4] = 1 + count % 5
                said = report(
                    node,
                    asked=count,
                    answered=count,
                    class_counts=(0, count, 0),
                    grid=grid if bench.strategy.progress.rounds else None,
                )
                update = model(values_of[node])
                replies.append(Message(content(said, update), reply_to=sent[node]))
            bench.take(replies)
    first, second = benches
    assert same(values(first.arrays), values(second.arrays))
    assert first.strategy.progress.cut == second.strategy.progress.cut
    assert first.strategy.progress.cut is not None
    assert not first.refused
    assert not second.refused
