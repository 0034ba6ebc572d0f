"""What the server makes of each kind of array."""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import numpy as np
import pytest
from flwr.app import Message
from flwr.serverapp.strategy import (
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedYogi,
    QFedAvg,
    Strategy,
)
from numpy.typing import NDArray
from tests.support.server.scripted import (
    FIRST_NODE,
    Bench,
    reply,
    report,
    values,
)

from fedask.common.errors import ProtocolError
from fedask.common.manifest import ArrayEntry, ArrayKind, Manifest
from fedask.common.part_record import read_parts
from fedask.common.weights import to_record

Model = Mapping[str, NDArray[Any]]
PLAIN: dict[str, Any] = {"fraction_evaluate": 0.0, "min_train_nodes": 4}
STEPPING: dict[str, Callable[[], Strategy]] = {
    "FedAdam": lambda: FedAdam(eta=1.0, **PLAIN),
    "FedYogi": lambda: FedYogi(eta=1.0, **PLAIN),
    "FedAdagrad": lambda: FedAdagrad(eta=1.0, **PLAIN),
    "FedAvgM": lambda: FedAvgM(server_momentum=0.9, **PLAIN),
    "FedAvg": lambda: FedAvg(**PLAIN),
    "QFedAvg": lambda: QFedAvg(0.1, train_loss_key="train-loss", **PLAIN),
}


def model(value: float = 0.0, var: float = 1.0, steps: int = 65_536) -> Model:
    return {
        "w": np.full((2, 3), value, np.float32),
        "norm.var": np.full(3, var, np.float32),
        "norm.steps": np.array(steps),
        "mask": np.array([0, -inf], np.float32),
    }


KINDS = (
    ArrayKind.PARAMETER,
    ArrayKind.STATISTIC,
    ArrayKind.COUNTER,
    ArrayKind.CONSTANT,
)
MANIFEST = Manifest(
    tuple(
        ArrayEntry(name=n, shape=a.shape, dtype=a.dtype.name, kind=kind)
        for (n, a), kind in zip(model().items(), KINDS, strict=True)
    )
)


def bench(inner: Strategy) -> Bench:
    made = Bench(inner, ask__cycles=20)
    made.arrays = to_record(dict(model()))
    made.strategy.begin(made.arrays, MANIFEST)
    return made


def update(**changes: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401
    """What a device sends: no constant."""
    return {n: a for n, a in model(**changes).items() if n != "mask"}


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPPING)
def test_statistics_are_averaged_whatever_the_optimiser_does(name: str) -> None:
    made = bench(STEPPING[name]())
    wanted = 1.0
    for number in range(12):
        var, steps = wanted * 0.25, 65_536 + 5 * number + 5

        arrays = values(
            made.take(
                [
                    reply(
                        sent,
                        update=update(
                            value=0.1 * number, var=var, steps=steps + node - FIRST_NODE
                        ),
                    )
                    for node, sent in made.send().items()
                ]
            )
        )
        assert made.refused == []
        wanted = float(np.float32(var))
        np.testing.assert_allclose(arrays["norm.var"], wanted, rtol=1e-6, atol=1e-9)
        assert (arrays["norm.var"] >= 0).all()
        assert arrays["norm.steps"] == steps + 3  # the largest
        assert arrays["mask"].tolist() == [0, -inf]
        assert [*arrays] == [*model()]
        assert number == 0 or (arrays["w"] != 0).all()


def test_every_message_brings_the_whole_model() -> None:
    made = bench(STEPPING["FedAdam"]())
    for message in made.send().values():
        by_value = values(message.content.array_records["arrays"])
        parts = read_parts(message.content, MANIFEST)
        assert sorted([*by_value, *parts.digests]) == sorted(model())
        for name, array in model().items():
            sent = by_value.get(name)
            if sent is None:
                sent = parts.sent[parts.digests[name]].array
            np.testing.assert_array_equal(array, sent)


def test_what_a_device_leaves_out_did_not_change_there() -> None:
    made = bench(STEPPING["FedAvg"]())

    def answer(node: int, sent: Message) -> Message:
        moved = update(value=1.0, var=3.0, steps=65_540)
        quiet = {"w": moved["w"]}
        return reply(sent, update=moved if node == FIRST_NODE else quiet)

    arrays = values(made.round(answer))
    assert (arrays["w"] == 1.0).all()
    assert (arrays["norm.var"] == 1.5).all()
    assert arrays["norm.steps"] == 65_540


def test_a_strategy_that_chooses_sees_the_statistics_of_every_device() -> None:
    made = bench(FedMedian(**PLAIN))
    wild = {FIRST_NODE: 1e6, FIRST_NODE + 1: 2.0, FIRST_NODE + 2: 3.0}

    def answer(node: int, sent: Message) -> Message:
        return reply(
            sent, update=update(value=1.0, var=wild.get(node, 4.0), steps=65_540)
        )

    arrays = values(made.round(answer))
    assert (arrays["norm.var"] == 3.5).all()
    assert arrays["norm.steps"] == 65_540


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"value": 65_537.0}, "array 'w' holds NaN"),
        ({"var": np.nan}, "statistic 'norm.var' holds NaN"),
        ({"steps": 2**40}, "counter 'norm.steps' moved by more than"),
    ],
)
def test_an_update_that_does_not_fit_is_refused_by_array_and_not_added(
    change: dict[str, Any], part: str
) -> None:
    made = bench(STEPPING["FedAvg"]())

    def answer(node: int, sent: Message) -> Message:
        fine = update(value=1.0, var=2.0, steps=65_540)
        return reply(sent, update=update(**change) if node == FIRST_NODE else fine)

    arrays = values(made.round(answer))
    assert [part in why for _, _, why in made.refused] == [True]
    assert (arrays["w"] == 1.0).all()
    assert (arrays["norm.var"] == 2.0).all()


def test_a_constant_is_not_taken_from_a_device() -> None:
    made = bench(STEPPING["FedAvg"]())
    made.round(lambda _, sent: reply(sent, update=dict(model())))
    assert all("['mask'] differ" in why for _, _, why in made.refused)
    assert len(made.refused) == 4


@pytest.mark.parametrize(
    ("refused", "array", "part"),
    [
        ("unfit", "mask", "no update: training changed 'mask', which is a constant"),
        ("unfit", "norm.steps", "no update: counter 'norm.steps' moved by more than"),
        ("diverged", "w", "not finite; lower train.lr (parameter 'w' holds NaN"),
        ("diverged", "", "its loss is not finite; lower train.lr"),
        ("unfit", "other", "names 'other', no array of the model"),
    ],
)
def test_why_a_device_sent_no_update_is_told_by_array(
    refused: str, array: str, part: str
) -> None:
    made = bench(STEPPING["FedAvg"]())

    def answer(node: int, sent: Message) -> Message:
        if node != FIRST_NODE:
            return reply(sent, update=update(value=1.0))
        return reply(sent, report(node, refused=refused, array=array))

    made.round(answer)
    assert [part in why for _, _, why in made.refused] == [True]


def test_a_strategy_that_gives_nonsense_is_named_with_the_array() -> None:
    made = bench(FedAdam(eta=1e30, **PLAIN))
    with pytest.raises(ProtocolError, match="strategy FedAdam: parameter 'w' holds"):
        made.round(lambda _, sent: reply(sent, update=update(value=1.0)))
