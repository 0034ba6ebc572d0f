from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional
from typing_extensions import override

from fedask.common.errors import ConfigError
from fedask.common.model import (
    FeatureTap,
    Standardise,
    check_logits,
    cnn,
    linear,
    mlp,
    standardised_mlp,
)


class Block(nn.Module):
    """Part of a user's own model, with a layer made but never run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.spare = nn.Linear(2, 2)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.norm(self.conv(x)))


class Own(nn.Module):
    """A user's own model: nested, functional operations, dropout, head named first."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(5, 4)
        self.body = nn.ModuleDict({"block": Block()})
        self.hidden = nn.Linear(3, 5)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body["block"](x.unsqueeze(1)).mean(dim=(2, 3))
        x = functional.dropout(torch.tanh(self.hidden(x)), 0.5, self.training)
        logits: torch.Tensor = self.head(x)
        return logits


class Bare(nn.Module):
    """A model whose only layer is a parameter list, which never runs as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([torch.ones(6, 2)])

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = x @ self.weights[0]
        return logits


def images(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 4, 4, generator=torch.Generator().manual_seed(3))


def state(model: nn.Module) -> list[bytes]:
    return [t.detach().numpy().tobytes() for t in model.state_dict().values()]


def hooks(model: nn.Module) -> int:
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()
    )


def test_the_feature_of_a_perceptron_is_its_hidden_layer() -> None:
    model, x = mlp((4, 4), 3), images()
    assert isinstance(model, nn.Sequential)
    tap = FeatureTap(model, x)

    logits, features = tap.read(x)

    assert tap.layers == ("0", "1", "2", "3")
    assert tap.penultimate == "3"
    assert torch.equal(features, torch.relu(model[1](x.flatten(1))))
    assert torch.equal(logits, model(x))


def test_the_feature_of_a_convolutional_network_is_what_its_linear_layer_takes() -> (
    None
):
    model, x = cnn((4, 4), 3), images()
    assert isinstance(model, nn.Sequential)

    _, features = FeatureTap(model, x).read(x)

    assert features.shape == (6, 512)
    assert torch.equal(features, model[:-1](x))


def test_the_feature_of_a_linear_model_is_its_input() -> None:
    model, x = linear((4, 4), 3), images()

    assert torch.equal(FeatureTap(model, x).read(x)[1], x.flatten(1))


def test_an_own_model_is_read_in_the_order_in_which_it_runs() -> None:
    model, x = Own().eval(), images()
    tap = FeatureTap(model, x)

    logits, features = tap.read(x)

    assert tap.layers == ("body.block.conv", "body.block.norm", "hidden", "head")
    assert tap.penultimate == "head"
    pooled = model.body["block"](x.unsqueeze(1)).mean(dim=(2, 3))
    assert torch.equal(features, torch.tanh(model.hidden(pooled)))
    assert torch.equal(logits, model(x))


def test_any_layer_is_read_before_or_after_it_and_flat_per_sample() -> None:
    model, x = Own().eval(), images()
    tap = FeatureTap(model, x)

    _, taken = tap.read(x, "body.block.conv")
    _, given = tap.read(x, "body.block.conv", output=True)

    assert torch.equal(taken, x.flatten(1))
    block = model.body["block"]
    assert isinstance(block, Block)
    assert torch.equal(given, block.conv(x.unsqueeze(1)).flatten(1))


def test_a_single_layer_is_a_model_too() -> None:
    model, x = nn.Linear(16, 3), images().flatten(1)

    _, features = FeatureTap(model, x).read(x)

    assert torch.equal(features, x)


def test_a_model_without_linear_layers_gives_what_its_last_layer_takes() -> None:
    layers = OrderedDict(conv=nn.Conv1d(4, 3, 4), flat=nn.Flatten())
    model, x = nn.Sequential(layers), images()
    tap = FeatureTap(model, x)

    assert tap.penultimate == "flat"
    assert torch.equal(tap.read(x)[1], model[0](x).flatten(1))


def test_what_is_read_takes_no_part_in_gradients() -> None:
    model, x = mlp((4, 4), 3), images()

    logits, features = FeatureTap(model, x).read(x)

    assert not logits.requires_grad
    assert not features.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_reading_leaves_the_model_as_it_was(*, training: bool) -> None:
    model, x = Own().train(training), images()
    block = model.body["block"]
    assert isinstance(block, Block)
    block.norm.eval()  # frozen, whatever the rest does
    modes = {name: m.training for name, m in model.named_modules()}
    before = state(model)

    tap = FeatureTap(model, x)
    first = tap.read(x)[0]
    second = tap.read(x, "hidden", output=True)[0]

    assert torch.equal(first, second)  # no dropout
    assert state(model) == before  # no batch statistics
    assert hooks(model) == 0
    assert {name: m.training for name, m in model.named_modules()} == modes
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_a_model_that_fails_is_left_as_it_was() -> None:
    model = Own().train()

    with pytest.raises(RuntimeError):
        FeatureTap(model, torch.zeros(2, 3, 4, 4))
    assert hooks(model) == 0
    tap = FeatureTap(model, images())
    with pytest.raises(RuntimeError):
        tap.read(torch.zeros(2, 3, 4, 4))
    assert hooks(model) == 0
    assert model.training


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("haed", r"no layer 'haed' in the model \(did you mean 'head'\?\)"),
        ("body.block.spare", "no layer 'body.block.spare'"),  # it exists, but never ran
        ("body", "no layer 'body'"),
    ],
)
def test_a_layer_that_did_not_run_is_refused(layer: str, message: str) -> None:
    tap = FeatureTap(Own(), images())

    with pytest.raises(ConfigError, match=message):
        tap.read(images(), layer)


def test_a_model_that_runs_no_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match="runs no layer"):
        FeatureTap(Bare(), torch.zeros(1, 6))


def test_logits_of_the_right_shape_are_accepted() -> None:
    check_logits(torch.zeros(3, 4), 3, 4)


@pytest.mark.parametrize("shape", [(3, 5), (2, 4), (3,), (3, 4, 1), (12,)])
def test_logits_that_do_not_fit_the_task_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"task has 4 classes: it must give \(3, 4\)"):
        check_logits(torch.zeros(shape), 3, 4)


# --- features that are read of any layer ----------------------------------------------


class Head(nn.Module):
    """A last layer that is given its input by keyword, or rows of a sequence."""

    def __init__(self, *, rows: bool) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self._rows = rows

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self._rows:
            return self.fc(input=x[:, 0])  # type: ignore[no-any-return]
        scores: torch.Tensor = self.fc(x.reshape(-1, 4))
        return scores.reshape(len(x), -1, 3).mean(dim=1)


def test_the_feature_of_a_layer_called_by_keyword_is_read() -> None:
    model, x = Head(rows=False), images()

    assert torch.equal(FeatureTap(model, x).read(x)[1], x[:, 0])


def test_rows_of_a_sequence_are_put_together_by_sample() -> None:
    model, x = Head(rows=True), images()

    assert torch.equal(FeatureTap(model, x).read(x)[1], x.flatten(1))
    assert torch.equal(FeatureTap(model, x).features(x), x.flatten(1))


# --- inputs of any scale --------------------------------------------------------------


def test_standardised_inputs_are_of_one_scale_whatever_they_were() -> None:
    torch.manual_seed(0)
    layer = Standardise(4)
    x = torch.randn(500, 4) * torch.tensor([1e-3, 1.0, 50.0, 1e4]) + 7.0
    for _ in range(3):
        layer(x)

    out = layer.eval()(x)

    assert out.mean(dim=0).abs().max() < 0.05
    assert out.std(dim=0).tolist() == pytest.approx([6.0] * 4, rel=0.1)


def test_training_sees_what_prediction_sees() -> None:
    """Unlike batch norm: what is noted moves first, and then serves both."""
    layer, x = Standardise(3), torch.randn(20, 3) * 9
    layer(x)
    trained = layer(x)

    assert torch.allclose(trained, layer.eval()(x))


def test_an_outlier_and_a_feature_that_never_moved_stay_near() -> None:
    layer = Standardise(2)
    layer(torch.tensor([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]))

    out = layer.eval()(torch.tensor([[1e9, 6.0]]))

    assert out.tolist() == [pytest.approx([4 * 12 / 2**0.5, 0.0])]


def test_a_lone_sample_can_be_trained_on() -> None:
    model = standardised_mlp((3,), 2)

    assert torch.isfinite(model(torch.tensor([[1e4, -3.0, 0.0]]))).all()


def test_features_of_a_compiled_module_are_those_of_the_module() -> None:
    plain = linear((3,), 2)
    made = torch.compile(plain, backend="eager")
    assert isinstance(made, nn.Module)
    x = torch.ones(4, 3)
    made.eval()
    with torch.inference_mode():
        made(x)  # from here on it runs as it was compiled, without hooks
    tap = FeatureTap(made, x)
    for _ in range(2):
        logits, features = tap.read(x)
        assert torch.equal(features, x)
        assert torch.equal(logits, plain(x))
