import random
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from fedask.common import Task
from fedask.common.errors import ConfigError

TWO = ("cat", "dog")


def own_model() -> nn.Module:
    return nn.Linear(3, 2)


def no_model() -> str:
    return "not a module"


def tensor_of(task: Task, raw: NDArray[Any]) -> torch.Tensor:
    inputs = task.to_inputs(raw)
    assert isinstance(inputs, torch.Tensor)
    return inputs


def digest(model: nn.Module) -> list[bytes]:
    return [t.detach().numpy().tobytes() for t in model.state_dict().values()]


# --- what a task is -------------------------------------------------------------------


@pytest.mark.parametrize("classes", [(), ("cat",)])
def test_fewer_than_two_classes_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="at least two classes"):
        Task(classes=classes)


def test_repeated_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="class names repeat"):
        Task(classes=["cat", "dog", "cat"])


@pytest.mark.parametrize("shape", [(0,), (3, -1), (0, 4)])
def test_a_shape_that_is_not_positive_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        Task(classes=TWO, input_shape=shape)


def test_classes_given_as_a_list_are_kept_as_they_were() -> None:
    names = ["cat", "dog"]
    task = Task(classes=names)
    names.append("cow")

    assert task.classes == TWO
    assert task.num_classes == 2


# --- models ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linear", "mlp", "cnn"])
@pytest.mark.parametrize("shape", [(8, 8), (3, 9, 7), (1, 4, 4)])
def test_a_registry_model_maps_a_batch_to_logits(
    name: str, shape: tuple[int, ...]
) -> None:
    model = Task(classes=["a", "b", "c"], model=name, input_shape=shape).build(0)

    logits = model(torch.zeros(5, *shape))

    assert logits.shape == (5, 3)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_vectors_are_taken_too(name: str) -> None:
    model = Task(classes=TWO, model=name, input_shape=(6,)).build(0)

    assert model(torch.zeros(5, 6)).shape == (5, 2)


@pytest.mark.parametrize("shape", [(6,), (1, 2, 3, 4)])
def test_a_cnn_takes_images_only(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="'cnn' takes images"):
        Task(classes=TWO, model="cnn", input_shape=shape).build(0)


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'mpl' \(did you mean 'mlp'"):
        Task(classes=TWO, model="mpl", input_shape=(3,)).build(0)


def test_a_registry_model_needs_the_input_shape() -> None:
    with pytest.raises(ConfigError, match="'mlp' needs the task's input_shape"):
        Task(classes=TWO, model="mlp").build(0)


@pytest.mark.parametrize("model", [own_model, f"{__name__}:own_model"])
def test_a_users_own_model_is_called_with_nothing(model: Any) -> None:  # noqa: ANN401
    built = Task(classes=TWO, model=model).build(0)

    assert isinstance(built, nn.Linear)


@pytest.mark.parametrize("model", [no_model, f"{__name__}:no_model"])
def test_a_factory_that_gives_no_module_is_refused(model: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match=r"gave str, not nn\.Module"):
        Task(classes=TWO, model=model).build(0)


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn", own_model])
def test_the_seed_alone_decides_the_weights(model: Any) -> None:  # noqa: ANN401
    task = Task(classes=TWO, model=model, input_shape=(4, 4))
    first = digest(task.build(7))
    torch.rand(3)

    assert digest(task.build(7)) == first
    assert digest(task.build(8)) != first


def global_state() -> list[object]:
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    return [torch.get_rng_state().tolist(), random.getstate(), repr(numpy_state)]


def test_building_leaves_every_global_generator_alone() -> None:
    before = global_state()

    Task(classes=TWO, model="cnn", input_shape=(4, 4)).build(7)

    assert global_state() == before


# --- inputs ---------------------------------------------------------------------------


def test_bytes_are_scaled_to_one_and_reshaped() -> None:
    raw = np.array([[0, 51, 102, 255]], dtype=np.uint8)

    inputs = tensor_of(Task(classes=TWO, input_shape=(1, 2, 2)), raw)

    assert inputs.dtype == torch.float32
    assert inputs.shape == (1, 1, 2, 2)
    assert torch.equal(inputs.flatten(), torch.tensor([0, 51, 102, 255]) / 255)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [((3,), (4,)), ((8, 8, 3), (3, 8, 8)), ((8, 8, 1), (3, 8, 8)), ((5, 2), (2, 5))],
)
def test_samples_that_a_reshape_would_scramble_are_refused(
    given: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"input_shape .*transform="):
        tensor_of(Task(classes=TWO, input_shape=wanted), np.zeros((2, *given)))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [((8, 8), (1, 8, 8)), ((8, 8, 1), (1, 8, 8)), ((2, 6), (12,)), ((64,), (1, 8, 8))],
)
def test_samples_are_brought_into_form(
    given: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    inputs = tensor_of(Task(classes=TWO, input_shape=wanted), np.zeros((2, *given)))

    assert inputs.shape == (2, *wanted)


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.float32, np.float64])
def test_other_numbers_are_converted_but_not_scaled(dtype: type[Any]) -> None:
    raw = np.array([[0, 51, 102, 255]], dtype=dtype)

    inputs = tensor_of(Task(classes=TWO), raw)

    assert inputs.dtype == torch.float32
    assert inputs.tolist() == [[0, 51, 102, 255]]


def test_an_empty_batch_keeps_its_shape() -> None:
    raw = np.zeros((0, 4), dtype=np.uint8)

    assert tensor_of(Task(classes=TWO, input_shape=(2, 2)), raw).shape == (0, 2, 2)


def test_a_read_only_source_is_copied() -> None:
    raw = np.ones((2, 3), dtype=np.float32)
    raw.flags.writeable = False

    tensor_of(Task(classes=TWO), raw).zero_()

    assert raw.sum() == 6


def test_a_users_own_transform_is_used_alone() -> None:
    def to_ones(raw: NDArray[Any]) -> torch.Tensor:
        return torch.ones(len(raw), 7)

    task = Task(classes=TWO, input_shape=(3,), transform=to_ones)

    assert torch.equal(tensor_of(task, np.zeros((2, 3), np.uint8)), torch.ones(2, 7))


@pytest.mark.parametrize("writeable", [True, False])
def test_a_transform_may_change_its_batch(*, writeable: bool) -> None:
    def halved(raw: NDArray[Any]) -> torch.Tensor:
        raw /= 2
        return torch.from_numpy(raw)  # torch warns of memory that is not writable

    raw = np.ones((2, 3), dtype=np.float32)
    raw.flags.writeable = writeable

    inputs = tensor_of(Task(classes=TWO, transform=halved), raw)

    assert inputs.sum() == 3
    assert raw.sum() == 6


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (np.array(["a", "b"]), "are texts"),
        (np.zeros(2, dtype=[("image", "u1", (2,)), ("note", "<U3")]), "'image'"),
    ],
)
def test_samples_that_are_no_numbers_need_a_transform(
    raw: NDArray[Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=rf"{said}.*needs a transform="):
        tensor_of(Task(classes=TWO), raw)
