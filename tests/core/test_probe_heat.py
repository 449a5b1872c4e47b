"""Heat and work at the real activations, against forward passes written out in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import erf, expit
from support.tiny_models import build
from torch import nn
from torch.nn import functional

from thermoscan.anatomy import Assumptions
from thermoscan.probe.measure import Batch, Loss, measure
from thermoscan.probe.places import places_of
from thermoscan.probe.reading import LayerReading, Stroke

Array = np.ndarray[Any, np.dtype[np.float64]]


def forward(model: nn.Module, batch: Batch) -> Loss:
    with torch.no_grad():
        model(batch["x"])
    return Loss(None, len(batch["x"]))


def layers(model: nn.Module, x: torch.Tensor, config: Any = None) -> dict[str, LayerReading]:
    """The readings of a model run on one batch, without a loss."""
    places = places_of(model, config, Assumptions())
    return dict(measure(model.eval(), places, [{"x": x}], forward).layers)


def stroke(model: nn.Module, x: torch.Tensor, name: str) -> Stroke:
    found = layers(model, x)[name].stroke
    assert found is not None
    return found


def inputs(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def array(tensor: torch.Tensor) -> Array:
    return np.asarray(tensor.detach().double().numpy())


def energies(z: Array, phi: Callable[[Array], Array]) -> tuple[float, float]:
    """Heat and work of pre-activations, shape (positions, units)."""
    rise = phi(z) - phi(np.zeros(1))
    return float((z**2).mean(0).sum()), float((rise**2).mean(0).sum())


def relu(z: Array) -> Array:
    return np.maximum(z, 0)


def silu(z: Array) -> Array:
    return z * expit(z)


def gelu_tanh(z: Array) -> Array:
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


PHIS: dict[str, tuple[Callable[[], nn.Module], Callable[[Array], Array]]] = {
    "relu": (nn.ReLU, relu),
    "relu in place": (lambda: nn.ReLU(inplace=True), relu),
    "gelu": (nn.GELU, lambda z: 0.5 * z * (1 + erf(z / np.sqrt(2)))),
    "silu": (nn.SiLU, silu),
    "tanh": (nn.Tanh, np.tanh),
    "sigmoid": (nn.Sigmoid, expit),
    "softplus": (nn.Softplus, lambda z: np.logaddexp(0, z)),
    "elu": (nn.ELU, lambda z: np.where(z > 0, z, np.expm1(z))),
    "leaky": (lambda: nn.LeakyReLU(0.2), lambda z: np.where(z > 0, z, 0.2 * z)),
    "prelu": (nn.PReLU, lambda z: np.where(z > 0, z, 0.25 * z)),
    "hardtanh": (nn.Hardtanh, lambda z: np.clip(z, -1, 1)),
}


@pytest.mark.parametrize("name", PHIS)
def test_heat_and_work_of_a_plain_network(name: str) -> None:
    make, phi = PHIS[name]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), make(), nn.Linear(20, 15), make(), nn.Linear(15, 3))
    x = inputs(2, 40, 6) * 2
    found = layers(model.double(), x)
    h = array(x).reshape(80, 6)
    for index in (0, 2):
        z = h @ array(model[index].weight).T + array(model[index].bias)
        h = phi(z)
        seen = found[f"{index}.weight"].stroke
        assert seen is not None
        assert (seen.heat, seen.work) == pytest.approx(energies(z, phi), rel=1e-12)
        assert seen.units == z.shape[1]
    assert found["4.weight"].stroke is None


class Functional(nn.Module):
    """One layer, and what a function makes of its output."""

    def __init__(self, act: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Linear(5, 8).double()
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.first(x))


FUNCTIONS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[Array], Array]]] = {
    "F.relu": (functional.relu, relu),
    "F.relu in place": (lambda z: functional.relu(z, inplace=True), relu),
    "torch.relu_": (torch.relu_, relu),
    "a method": (lambda z: z.sigmoid(), expit),
    "a method in place": (lambda z: z.tanh_(), np.tanh),
    "by keyword": (lambda z: functional.silu(input=z), silu),
    "with arguments": (lambda z: functional.gelu(z, approximate="tanh"), gelu_tanh),
    "behind views": (lambda z: torch.tanh(z.T.contiguous().reshape(2, 4, -1)), np.tanh),
    "behind casts": (lambda z: torch.sigmoid(z.clone().to(torch.float64).detach()), expit),
    "behind dropout": (lambda z: functional.relu(functional.dropout(z, training=False)), relu),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activations_that_are_functions(name: str) -> None:
    act, phi = FUNCTIONS[name]
    model, x = Functional(act), inputs(30, 5)
    z = array(x) @ array(model.first.weight).T + array(model.first.bias)
    seen = stroke(model, x, "first.weight")
    assert (seen.heat, seen.work) == pytest.approx(energies(z, phi), rel=1e-12)


@pytest.mark.parametrize(
    "act",
    [
        lambda z: z.softmax(-1),
        lambda z: torch.tanh(2 * z),
        lambda z: torch.tanh(z.mul_(2)),
        lambda z: torch.tanh(z * z),
        lambda z: torch.tanh(torch.cumsum(z, -1)),
        functional.glu,
        lambda z: z,
    ],
)
def test_what_is_no_elementwise_activation_of_the_output_is_not_taken_for_one(
    act: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    assert layers(Functional(act), inputs(30, 5))["first.weight"].stroke is None


def test_of_a_fused_output_only_the_units_that_an_activation_takes_count() -> None:
    def act(z: torch.Tensor) -> torch.Tensor:
        front, behind = z.split([3, 5], dim=-1)
        return torch.tanh(front[..., 1:]).sum() + behind.sum()

    model, x = Functional(act), inputs(30, 5)
    z = array(x) @ array(model.first.weight).T + array(model.first.bias)
    seen = stroke(model, x, "first.weight")
    assert seen.units == 2
    assert (seen.heat, seen.work) == pytest.approx(energies(z[:, 1:3], np.tanh), rel=1e-12)


class Convolutional(nn.Module):
    """Convolution, batch norm, ReLU, pooling; then a residual block."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, bias=False)
        self.short = nn.Conv2d(4, 6, 3, bias=False)
        for buffer in (self.bn1.running_mean, self.bn1.running_var, self.bn1.weight, self.bn1.bias):
            assert buffer is not None
            buffer.data.uniform_(0.5, 1.5)
        self.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        return torch.relu(self.conv2(h) + self.short(h))


def convolved(x: Array, conv: nn.Conv2d) -> Array:
    """A convolution as a sum over the kernel, (batch, channels, rows, columns)."""
    weight, pad = array(conv.weight), int(conv.padding[0])
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows, columns = x.shape[2] - 2, x.shape[3] - 2
    out = sum(
        np.einsum("bchw,oc->bohw", x[:, :, i : i + rows, j : j + columns], weight[:, :, i, j])
        for i in range(3)
        for j in range(3)
    )
    assert isinstance(out, np.ndarray)
    return out + (array(conv.bias)[:, None, None] if conv.bias is not None else 0)


def test_a_convolution_is_credited_with_what_its_batch_norm_hands_on() -> None:
    model, x = Convolutional(), inputs(5, 3, 7, 6)
    found = layers(model, x)
    z = convolved(array(x), model.conv1)
    bn = model.bn1
    mean, var, gain, bias = (
        array(each)[:, None, None]
        for each in (bn.running_mean, bn.running_var, bn.weight, bn.bias)
        if each is not None
    )
    z = (z - mean) / np.sqrt(var + bn.eps) * gain + bias
    seen = found["conv1.weight"].stroke
    assert seen is not None
    units = np.moveaxis(z, 1, -1).reshape(-1, 4)
    assert (seen.heat, seen.work) == pytest.approx(energies(units, relu), rel=1e-12)
    # the two convolutions that are added are one stage, which is the first one's
    h = relu(z)
    z = convolved(h, model.conv2) + convolved(h, model.short)
    seen = found["conv2.weight"].stroke
    assert seen is not None
    units = np.moveaxis(z, 1, -1).reshape(-1, 6)
    assert (seen.heat, seen.work) == pytest.approx(energies(units, relu), rel=1e-12)
    assert found["short.weight"].stroke is None
    assert found["short.weight"].joined
    assert not found["conv2.weight"].joined


def test_a_transposed_convolution_stored_inputs_first_is_not_mistaken() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConvTranspose1d(3, 5, 2, bias=True), nn.ReLU()).double()
    x = inputs(4, 3, 6)
    z = array(functional.conv_transpose1d(x, model[0].weight, model[0].bias))
    seen = stroke(model, x, "0.weight")
    expected = energies(np.moveaxis(z, 1, -1).reshape(-1, 5), relu)
    assert (seen.heat, seen.work) == pytest.approx(expected, rel=1e-12)


def captured(model: nn.Module, module: str, x: torch.Tensor, config: Any) -> tuple[Array, Any]:
    """A module's output, (positions, units), and the readings of the same run."""
    outputs: list[torch.Tensor] = []
    handle = model.get_submodule(module).register_forward_hook(
        lambda _module, _inputs, output: outputs.append(output)
    )
    found = layers(model, x, config)
    handle.remove()
    (output,) = outputs
    return array(output).reshape(-1, output.shape[-1]), found


def tokens(seed: int = 0) -> torch.Tensor:
    return torch.randint(5, 100, (3, 11), generator=torch.Generator().manual_seed(seed))


def test_gpt_2_whose_weights_are_stored_inputs_first() -> None:
    model = build("gpt2", "ForCausalLM", "cpu").double()
    z, found = captured(model, "transformer.h.1.mlp.c_fc", tokens(), model.config.to_dict())
    seen = found["transformer.h.1.mlp.c_fc.weight"].stroke
    assert (seen.heat, seen.work) == pytest.approx(energies(z, gelu_tanh), rel=1e-12)
    assert (seen.functions, seen.units) == (("gelu_tanh",), 256)
    assert [name for name, each in found.items() if each.stroke] == [
        f"transformer.h.{k}.mlp.c_fc.weight" for k in range(2)
    ]


def test_llama_whose_engine_is_the_gate() -> None:
    model = build("llama", "ForCausalLM", "cpu").double()
    z, found = captured(model, "model.layers.0.mlp.gate_proj", tokens(), model.config.to_dict())
    seen = found["model.layers.0.mlp.gate_proj.weight"].stroke
    assert (seen.heat, seen.work) == pytest.approx(energies(z, silu), rel=1e-12)
    assert found["model.layers.0.mlp.up_proj.weight"].stroke is None


def test_phi_3_whose_gate_and_up_are_one_tensor() -> None:
    model = build("phi3", "ForCausalLM", "cpu").double()
    z, found = captured(model, "model.layers.0.mlp.gate_up_proj", tokens(), model.config.to_dict())
    stem = "model.layers.0.mlp.gate_up_proj.weight"
    seen = found[f"{stem}[gate]"].stroke
    assert (seen.heat, seen.work) == pytest.approx(energies(z[:, :96], silu), rel=1e-12)
    assert found[f"{stem}[up]"].stroke is None


def test_every_expert_has_the_heat_of_the_tokens_that_reached_it() -> None:
    torch.manual_seed(0)
    model: Any = build("qwen3_moe", "ForCausalLM", "cpu", num_experts_per_tok=2).double().eval()
    model.set_experts_implementation("eager")
    reached: list[tuple[torch.Tensor, torch.Tensor]] = []
    experts = model.model.layers[1].mlp.experts
    handle = experts.register_forward_pre_hook(
        lambda _module, given: reached.append((given[0], given[1]))
    )
    found = layers(model, tokens(), model.config.to_dict())
    handle.remove()
    ((hidden, chosen),) = reached
    for expert in range(3):
        x = array(hidden)[(chosen == expert).any(-1).numpy()]
        assert 0 < len(x) < 33
        z = x @ array(experts.gate_up_proj[expert, :32]).T
        seen = found[f"model.layers.1.mlp.experts.gate_up_proj[{expert}][gate]"].stroke
        assert seen is not None
        assert (seen.heat, seen.work) == pytest.approx(energies(z, silu), rel=1e-12)


def test_an_activation_class_of_transformers_is_one_step_whatever_it_calls_inside() -> None:
    from transformers.activations import ACT2FN

    for name, phi in (
        ("gelu_new", gelu_tanh),
        ("quick_gelu", lambda z: z * expit(1.702 * z)),
        ("relu2", lambda z: relu(z) ** 2),
        ("gelu_fast", gelu_tanh),
    ):
        model, x = Functional(ACT2FN[name]), inputs(30, 5)
        z = array(x) @ array(model.first.weight).T + array(model.first.bias)
        seen = stroke(model, x, "first.weight")
        assert (seen.heat, seen.work) == pytest.approx(energies(z, phi), rel=1e-6), name
        assert len(seen.functions) == 1


class Swish(nn.Module):
    """Somebody's own activation, by its name."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z * torch.sigmoid(z)


def test_an_activation_class_of_somebodys_own_is_known_by_its_name() -> None:
    model, x = Functional(Swish()), inputs(30, 5)
    z = array(x) @ array(model.first.weight).T + array(model.first.bias)
    seen = stroke(model, x, "first.weight")
    assert seen.functions == ("silu",)
    assert (seen.heat, seen.work) == pytest.approx(energies(z, silu), rel=1e-12)


def test_a_recurrent_layer_that_runs_as_one_kernel_is_not_seen() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 6, batch_first=True).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.lstm(x)[0]
            return output

    found = layers(Recurrent(), inputs(2, 5, 4))
    assert len(found) == 8
    assert all(each.stroke is None for each in found.values())


def test_without_a_loss_there_is_no_temperature() -> None:
    found = measure(
        Functional(torch.relu), places_of(Functional(torch.relu)), [{"x": inputs(9, 5)}], forward
    )
    assert (found.loss, found.temperature, found.positions) == (None, None, 9)
    assert found.stroke is not None
