from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fedask.common.errors import ConfigError
from fedask.common.inputs import (
    check_inputs,
    cloned,
    count_of,
    flat,
    logits_of,
    rows_of,
    shape_told,
)

TOKENS = {"ids": torch.arange(6).reshape(3, 2), "mask": torch.ones(3, 2)}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([1.0, 2.0, 3.0], "gives list, must give a tensor"),
        ({}, "gives an empty dict"),
        ({"ids": [1, 2, 3]}, "gives list"),
        (torch.zeros(2, 4), r"gives a tensor \(2, 4\) for 3 samples"),
        (torch.tensor(1.0), r"gives a tensor \(\) for 3 samples"),
        (
            {"ids": torch.zeros(3, 2), "mask": torch.zeros(1, 2)},
            r"gives a tensor \(1, 2\) for 3",
        ),
        (torch.zeros(3, 2, device="meta"), "gives a tensor on meta: .*CPU"),
    ],
)
def test_what_no_model_can_be_given_is_refused(given: object, words: str) -> None:
    with pytest.raises(ConfigError, match=f"the transform {words}"):
        check_inputs(given, 3, "the transform")


def test_inputs_carry_no_gradient_into_the_training_of_later_steps() -> None:
    encoder = nn.Linear(4, 2)

    inputs = check_inputs(encoder(torch.zeros(3, 4)), 3, "the transform")

    assert isinstance(inputs, torch.Tensor)
    assert not inputs.requires_grad


def test_rows_of_several_tensors_stay_together() -> None:
    some = rows_of(TOKENS, torch.tensor([2, 0]))

    assert isinstance(some, dict)
    assert some["ids"].tolist() == [[4, 5], [0, 1]]
    assert count_of(some) == 2
    assert rows_of(TOKENS, None) is TOKENS


def test_a_copy_has_memory_of_its_own() -> None:
    copy = cloned(TOKENS)

    assert isinstance(copy, dict)
    copy["ids"].zero_()
    assert TOKENS["ids"].sum() == 15


def test_a_sample_of_several_tensors_is_one_row() -> None:
    assert flat(TOKENS).tolist() == [[0, 1, 1, 1], [2, 3, 1, 1], [4, 5, 1, 1]]


def test_shapes_are_told_by_name() -> None:
    assert shape_told(TOKENS) == "ids int64 (3, 2), mask float32 (3, 2)"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: logits,
        lambda logits: {"logits": logits, "loss": None},
        lambda logits: SimpleNamespace(logits=logits),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_logits_are_found_and_cast(
    wrap: Callable[[torch.Tensor], object], dtype: torch.dtype
) -> None:
    logits = torch.tensor([[1.0, 2.0]], dtype=dtype)

    found = logits_of(lambda _: wrap(logits), torch.zeros(1, 1))

    assert found.dtype == torch.float32
    assert found.tolist() == [[1.0, 2.0]]


def test_named_inputs_are_given_by_keyword() -> None:
    def model(*, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return ids * mask

    assert logits_of(model, TOKENS).tolist() == [[0, 1], [2, 3], [4, 5]]
