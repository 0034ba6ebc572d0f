from collections.abc import Callable
from math import inf, nan

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from typing_extensions import override

from fedask.common.errors import ConfigError
from fedask.common.manifest import ArrayKind, Manifest
from fedask.common.module_arrays import ModuleArrays, read_arrays, read_manifest

PARAMETER, STATISTIC, COUNTER, CONSTANT = ArrayKind


class Kinds(nn.Module):
    """A module with an array of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.base = nn.Linear(3, 3).requires_grad_(requires_grad=False)
        self.low = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
        self.register_buffer("mask", torch.full((3, 3), -inf).triu(1))
        self.register_buffer("allowed", torch.ones(3, dtype=torch.bool))
        self.register_buffer("cache", torch.zeros(9), persistent=False)
        self.register_buffer("nothing", None)


def kinds(manifest: Manifest) -> dict[str, tuple[str, str]]:
    return {e.name: (e.kind.value, e.dtype) for e in manifest.entries}


def test_the_kind_follows_from_how_a_module_is_built() -> None:
    assert kinds(read_manifest(Kinds())) == {
        "low": ("parameter", "float32"),
        "mask": ("constant", "float32"),
        "allowed": ("counter", "bool"),
        "embed.weight": ("parameter", "float32"),
        "norm.weight": ("parameter", "float32"),
        "norm.bias": ("parameter", "float32"),
        "norm.running_mean": ("statistic", "float32"),
        "norm.running_var": ("statistic", "float32"),
        "norm.num_batches_tracked": ("counter", "int64"),
        "base.weight": ("constant", "float32"),
        "base.bias": ("constant", "float32"),
    }


def test_it_is_the_same_whatever_the_weights_are() -> None:
    one, other = Kinds(), Kinds()
    for _ in range(3):  # statistics that move on one device and not on another
        other.norm(torch.randn(4, 3))
    assert read_manifest(one).digest == read_manifest(other).digest


def test_tied_weights_are_one_array_with_two_names() -> None:
    model = Kinds()
    manifest = read_manifest(model)
    assert manifest.by_name["embed.weight"].aliases == ("head.weight",)
    whole = manifest.with_aliases(read_arrays(model))
    assert set(whole) == {*model.state_dict()}
    model.load_state_dict({n: torch.from_numpy(a) for n, a in whole.items()})


@pytest.mark.parametrize(
    "make",
    [
        lambda: parametrizations.weight_norm(nn.Linear(4, 3)),
        lambda: parametrizations.spectral_norm(nn.Linear(4, 3)),
        lambda: nn.LSTM(4, 3, num_layers=2),
        lambda: nn.Sequential(layer := nn.Linear(3, 3), nn.ReLU(), layer),
        lambda: nn.Linear(3, 3, dtype=torch.float64),
        lambda: nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
    ],
)
def test_it_lists_what_the_state_dict_does_in_its_order(
    make: Callable[[], nn.Module],
) -> None:
    model = make()
    arrays, state = ModuleArrays(model), model.state_dict()
    manifest = arrays.manifest
    names = [name for e in manifest.entries for name in (e.name, *e.aliases)]
    assert sorted(names) == sorted(state)
    assert [n for n in state if n in manifest.by_name] == [*manifest.by_name]
    for name, array in arrays.read().items():
        np.testing.assert_array_equal(array, state[name].numpy())


def test_arrays_are_read_and_written_where_they_are_now() -> None:
    model = nn.BatchNorm1d(2)
    arrays = ModuleArrays(model)
    built, before = model.running_mean, read_arrays(model)
    model.running_mean = torch.full((2,), 3.0)
    model.weight.data = torch.full((2,), 4.0)
    now = arrays.read()
    assert now["running_mean"].tolist() == [3, 3]
    assert now["weight"].tolist() == [4, 4]
    model.running_mean = built
    arrays.write({**before, "weight": np.full(2, 5, np.float32)})
    assert model.weight.tolist() == [5, 5]
    assert arrays.read()["running_mean"].tolist() == [0, 0]


def test_bfloat16_travels_as_float32_and_comes_back_to_the_bit() -> None:
    model = nn.Linear(7, 5, dtype=torch.bfloat16)
    sent = read_arrays(model)
    assert sent["weight"].dtype == np.float32
    for array in sent.values():
        array.flags.writeable = False  # as arrays of a message are
    other = nn.Linear(7, 5, dtype=torch.bfloat16)
    ModuleArrays(other).write(sent)
    assert torch.equal(other.weight, model.weight)


class Extra(nn.Linear):
    @override
    def get_extra_state(self) -> object:
        return {"seen": 3}


def sparse() -> nn.Module:
    model = nn.Linear(2, 2)
    model.register_buffer("few", torch.eye(2).to_sparse())
    return model


def odd(dtype: torch.dtype) -> nn.Module:
    model = nn.Linear(2, 2)
    model.register_buffer("odd", torch.zeros(2, dtype=dtype))
    return model


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: nn.LazyLinear(3), "'weight' has no shape yet"),
        (lambda: nn.Linear(2, 2, device="meta"), "'weight' is on meta"),
        (sparse, "'few' is sparse"),
        (lambda: odd(torch.complex64), "'odd' is of torch.complex64"),
        (lambda: nn.Sequential(Extra(2, 2)), "module '0' .Extra. has extra state"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_what_cannot_travel_is_refused_by_name(
    make: Callable[[], nn.Module], part: str
) -> None:
    with pytest.raises(ConfigError, match=part):
        read_manifest(make())


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (torch.zeros(3), r"replaced 'running_mean', float32 \(2,\), by float32 \(3,\)"),
        (torch.zeros(2, dtype=torch.float64), "by float64"),
        (None, "replaced 'running_mean' by None"),
    ],
)
def test_an_array_that_became_another_is_refused_by_name(
    value: torch.Tensor | None, part: str
) -> None:
    model = nn.BatchNorm1d(2)
    arrays = ModuleArrays(model)
    model.running_mean = value
    with pytest.raises(ConfigError, match=part):
        arrays.read()


def test_tied_weights_that_came_apart_are_refused() -> None:
    model = Kinds()
    arrays = ModuleArrays(model)
    model.head.weight = nn.Parameter(torch.zeros(5, 3))
    with pytest.raises(ConfigError, match=r"'embed.weight' and 'head.weight' were one"):
        arrays.read()


def test_a_statistic_that_begins_without_a_number_is_a_constant() -> None:
    for value in (inf, -inf, nan):
        model = nn.Module()
        model.register_buffer("range", torch.tensor([0.0, value]))
        assert kinds(read_manifest(model))["range"] == ("constant", "float32")
