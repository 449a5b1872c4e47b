"""Virial temperatures against identities, finite differences and the closed forms of section 2."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.tiny_models import build
from torch import nn
from torch.nn import functional

from thermoscan.errors import ProbeError
from thermoscan.probe.measure import Batch, Loss, Objective, measure
from thermoscan.probe.places import Place, places_of
from thermoscan.probe.reading import Reading

WIDTHS = (48, 64, 56, 64, 10)


def network(activation: Callable[[], nn.Module], seed: int, bias: bool = False) -> nn.Sequential:
    """Four layers with an activation between each two, at He's initialisation, in doubles."""
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(WIDTHS):
        linear = nn.Linear(inputs, outputs, bias=bias, dtype=torch.float64)
        nn.init.normal_(linear.weight, std=math.sqrt(2 / inputs))
        parts += [linear, activation()]
    return nn.Sequential(*parts[:-1]).eval()


def data(seed: int, count: int = 300) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, WIDTHS[0], generator=generator, dtype=torch.float64)
    return {"x": x, "y": torch.randint(WIDTHS[-1], (count,), generator=generator)}


def cross_entropy(model: nn.Module, batch: Batch) -> Loss:
    logits = model(batch["x"])
    return Loss(functional.cross_entropy(logits, batch["y"], reduction="sum"), len(logits))


def products(reading: Reading) -> list[float]:
    """``d T`` of every layer."""
    return [each.parameters * (each.temperature or 0.0) for each in reading.layers.values()]


def ratios(activation: Callable[[], nn.Module], networks: int) -> list[float]:
    """Each layer's mean ``d T`` over the next one's, over random networks."""
    total = np.zeros(len(WIDTHS) - 1)
    for seed in range(networks):
        model = network(activation, seed)
        total += products(measure(model, places_of(model), [data(seed)], cross_entropy))
    return [float(before / behind) for before, behind in itertools.pairwise(total)]


def test_in_a_relu_network_without_biases_every_layer_has_the_same_product() -> None:
    model = network(nn.ReLU, 0)
    found = products(measure(model, places_of(model), [data(0)], cross_entropy))
    assert found == pytest.approx([found[0]] * 4, rel=1e-12)
    # ... and it is that of the logits: L is a function of them alone, of degree one in each layer
    logits = model(data(0)["x"]).detach().requires_grad_()
    functional.cross_entropy(logits, data(0)["y"]).backward()
    assert logits.grad is not None
    assert found[0] == pytest.approx(float((logits * logits.grad).sum().detach()), rel=1e-12)


def test_in_a_transformer_without_biases_neighbours_with_nothing_between_them_are_equal() -> None:
    """Scores are bilinear in query and key; outputs in value and output, and in up and down."""
    model = build("llama", "ForCausalLM", "cpu").double().eval()
    ids = torch.randint(100, (4, 12), generator=torch.Generator().manual_seed(0))

    def next_tokens(model: nn.Module, batch: Batch) -> Loss:
        logits = model(input_ids=batch["ids"]).logits[:, :-1].reshape(-1, 100)
        wanted = batch["ids"][:, 1:].reshape(-1)
        return Loss(functional.cross_entropy(logits, wanted, reduction="sum"), len(wanted))

    reading = measure(model, places_of(model, model.config.to_dict()), [{"ids": ids}], next_tokens)
    found = dict(zip(reading.layers, products(reading), strict=True))
    for block in ("model.layers.0", "model.layers.1"):
        for one, other in (
            ("self_attn.q_proj", "self_attn.k_proj"),
            ("self_attn.v_proj", "self_attn.o_proj"),
            ("mlp.up_proj", "mlp.down_proj"),
        ):
            product = found[f"{block}.{one}.weight"]
            assert product == pytest.approx(found[f"{block}.{other}.weight"], rel=1e-9)
            assert product != pytest.approx(found[f"{block}.mlp.gate_proj.weight"], rel=1e-3)


def test_a_weight_whose_output_is_normalised_has_no_temperature_at_all() -> None:
    torch.manual_seed(0)
    head = nn.Linear(40, 10, dtype=torch.float64)
    norm = nn.LayerNorm(40, eps=0.0, dtype=torch.float64)
    model = nn.Sequential(nn.Linear(48, 40, bias=False, dtype=torch.float64), norm, nn.Tanh(), head)
    found = measure(model.eval(), places_of(model), [data(0)], cross_entropy)
    assert abs(found.layers["0.weight"].temperature or 0.0) < 1e-15
    assert abs(found.layers["3.weight"].temperature or 0.0) > 1e-6


def test_biases_break_the_identity_of_relu_networks() -> None:
    model = network(nn.ReLU, 0, bias=True)
    found = products(measure(model, places_of(model), [data(0)], cross_entropy))
    assert abs(found[0] / found[-1] - 1) > 1e-3


@pytest.mark.parametrize(
    ("activation", "least", "most"),
    [
        (nn.ReLU, 1 - 1e-9, 1 + 1e-9),
        (nn.GELU, 1.07, 1.12),
        (nn.SiLU, 1.1, 1.22),
        (nn.Tanh, 0.30, 0.55),
        (nn.Sigmoid, 0.02, 0.20),
    ],
)
def test_products_grow_towards_the_output_for_saturating_activations_only(
    activation: Callable[[], nn.Module], least: float, most: float
) -> None:
    found = ratios(activation, 40)
    assert all(least < each < most for each in found), found


def dilated(model: nn.Module, place: Place, factor: float, batch: Batch) -> float:
    """The mean loss with one layer's entries multiplied."""
    entries = place.of(dict(model.named_parameters())[place.parameter].detach())
    before = entries.clone()
    entries.mul_(factor)
    loss = cross_entropy(model, batch)
    entries.copy_(before)
    assert loss.total is not None
    return float(loss.total.detach()) / loss.positions


class Fused(nn.Module):
    """A fused gate and up, stacked experts, and a table that is also the head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embed_tokens = nn.Embedding(20, 12)
        self.mlp = nn.ModuleDict(
            {"gate_up_proj": nn.Linear(12, 32), "down_proj": nn.Linear(16, 12)}
        )
        self.block = nn.Module()
        self.block.experts = nn.Module()
        self.block.experts.gate_up_proj = nn.Parameter(torch.randn(3, 12, 20) / 3)
        self.block.experts.down_proj = nn.Parameter(torch.randn(3, 10, 12) / 3)
        self.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed_tokens(x)
        gate, up = self.mlp["gate_up_proj"](h).chunk(2, dim=-1)
        h = h + self.mlp["down_proj"](functional.silu(gate) * up)
        gate, up = torch.einsum("bi,eio->ebo", h, self.block.experts.gate_up_proj).chunk(2, -1)
        h = h + torch.bmm(torch.tanh(gate) * up, self.block.experts.down_proj).mean(0)
        return h @ self.embed_tokens.weight.T


def test_every_temperature_is_the_slope_of_the_loss_along_its_own_dilation() -> None:
    model = Fused().eval()
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randint(20, (50,), generator=generator) for _ in range(2))
    places = places_of(model)
    assert len(places) == 1 + 3 + 3 * 3  # a table; gate, up, down; three experts of the same
    reading = measure(model, places, [{"x": x, "y": y}], cross_entropy)
    step = 1e-5
    for place in places:
        above, below = (dilated(model, place, 1 + s, {"x": x, "y": y}) for s in (step, -step))
        found = reading.layers[place.layer.name]
        slope = (above - below) / (2 * step)
        assert found.temperature is not None
        assert found.parameters * found.temperature == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_the_global_temperature_is_the_slope_along_the_dilation_of_all_layers() -> None:
    model = network(nn.Tanh, 1)
    reading = measure(model, places_of(model), [data(1)], cross_entropy)
    losses = []
    for factor in (1 + 1e-5, 1 - 1e-5):
        with torch.no_grad():
            for each in model.parameters():
                each.mul_(factor)
            loss = cross_entropy(model, data(1))
            assert loss.total is not None
            losses.append(float(loss.total) / loss.positions)
            for each in model.parameters():
                each.div_(factor)
    degrees = sum(each.parameters for each in reading.layers.values())
    slope = (losses[0] - losses[1]) / 2e-5
    assert reading.temperature == pytest.approx(slope / degrees, rel=1e-6)


def test_over_initialisations_the_mean_is_the_closed_form_of_a_linear_softmax() -> None:
    """Section 2: ``T = (1/Kd) mean s² E[1 - Σ p²]``, for normal parameters."""
    classes, inputs, std, count = 5, 32, 0.2, 100
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, inputs, generator=generator)
    y = torch.randint(classes, (count,), generator=generator)
    model = nn.Linear(inputs, classes, bias=False)
    found = []
    for seed in range(400):
        torch.manual_seed(seed)
        nn.init.normal_(model.weight, std=std)
        reading = measure(model, places_of(model), [{"x": x, "y": y}], cross_entropy)
        found.append(reading.temperature)
    spread = std * x.norm(dim=1).numpy()
    draws = np.random.default_rng(0).standard_normal((2000, classes))
    scores = np.exp(spread[:, None, None] * draws)
    p = scores / scores.sum(-1, keepdims=True)
    expected = np.mean(spread**2 * (1 - (p**2).sum(-1)).mean(-1)) / (classes * inputs)
    error = np.std(found) / math.sqrt(len(found))
    assert error < 0.03 * expected
    assert np.mean(found) == pytest.approx(expected, abs=4 * error)


def test_the_size_of_a_batch_changes_nothing() -> None:
    model = network(nn.GELU, 2)
    whole = data(2)
    parts = [{name: value[k : k + 37] for name, value in whole.items()} for k in range(0, 300, 37)]
    one = measure(model, places_of(model), [whole], cross_entropy)
    many = measure(model, places_of(model), parts, cross_entropy)
    assert (many.inputs, many.positions) == (300, 300)
    assert many.loss == pytest.approx(one.loss, rel=1e-12)
    assert products(many) == pytest.approx(products(one), rel=1e-9)
    for name, layer in one.layers.items():
        if layer.stroke:
            again = many.layers[name].stroke
            assert again is not None
            assert (again.heat, again.work) == pytest.approx((layer.stroke.heat, layer.stroke.work))


def hungry(most: int, calls: list[int]) -> Objective:
    """Runs out of memory, as torch does, on more than `most` examples."""

    def objective(model: nn.Module, batch: Batch) -> Loss:
        calls.append(len(batch["x"]))
        loss = cross_entropy(model, batch)
        if len(batch["x"]) > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")
        return loss

    return objective


def test_a_batch_that_does_not_fit_is_halved_and_counted_once() -> None:
    model, calls = network(nn.ReLU, 3), list[int]()
    whole = measure(model, places_of(model), [data(3)], cross_entropy)
    halved = measure(model, places_of(model), [data(3)], hungry(80, calls))
    assert calls == [300, 150, 75, 75, 150, 75, 75]
    assert halved.inputs == 300
    assert products(halved) == pytest.approx(products(whole), rel=1e-9)
    first = (reading.layers["0.weight"].stroke for reading in (halved, whole))
    halves, wholes = (each.heat if each else None for each in first)
    assert halves == pytest.approx(wholes)


def test_an_example_that_does_not_fit_at_all_is_an_error() -> None:
    model = network(nn.ReLU, 3)
    with pytest.raises(ProbeError) as caught:
        measure(model, places_of(model), [data(3, 4)], hungry(0, []))
    assert caught.value.code == "out-of-memory"


def test_other_errors_of_the_model_are_not_taken_for_lack_of_memory() -> None:
    model = network(nn.ReLU, 3)
    with pytest.raises(RuntimeError, match="shapes"):
        measure(model, places_of(model), [{**data(3), "x": torch.zeros(300, 7)}], cross_entropy)


def test_a_layer_that_the_loss_does_not_depend_on_has_no_temperature() -> None:
    model = nn.ModuleDict({"used": network(nn.ReLU, 4), "unused": nn.Linear(3, 3)})
    found = measure(
        model, places_of(model), [data(4)], lambda m, batch: cross_entropy(m["used"], batch)
    )
    assert found.layers["unused.weight"].temperature is None
    used = [each for name, each in found.layers.items() if name != "unused.weight"]
    assert len(used) == 4
    assert found.temperature == pytest.approx(
        sum(each.parameters * (each.temperature or 0) for each in used)
        / sum(each.parameters for each in used)
    )


def test_the_model_is_left_as_it_was() -> None:
    model = network(nn.ReLU, 5)
    model[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = measure(model, places_of(model), [data(5)], cross_entropy)
    assert found.layers["0.weight"].temperature is not None
    assert [each.requires_grad for each in model.parameters()] == [False, True, True, True]
    assert all(each.grad is None for each in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
