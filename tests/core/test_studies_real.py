"""The arithmetic of the studies on real checkpoints, against Monte Carlo, torch and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from studies.features import FeatureSums, Known, features_of, ladder
from studies.mean_field import gelu_moments, normalised
from studies.subjects import Crepe
from studies.training_noise import within_families


def test_families_that_rise_together_are_significant_and_constant_chance_is_exact() -> None:
    rising = [[1.0, 2.0, 3.0], [0.1, 0.4, 0.5]]
    assert within_families(rising) == pytest.approx((1.0, 1 / 36))
    falling = [[3.0, 2.0, 1.0]]
    assert within_families(falling) == pytest.approx((-1.0, 1.0))


def test_the_moments_of_gelu_agree_with_monte_carlo() -> None:
    mean, variance = np.array([-1.0, 0.3, 2.0]), np.array([0.25, 4.0, 1.0])
    draws = np.random.default_rng(0).normal(mean, np.sqrt(variance), (400_000, 3))
    rise = torch.nn.functional.gelu(torch.tensor(draws)).numpy()
    found_mean, found_variance = gelu_moments(mean, variance)
    assert found_mean == pytest.approx(rise.mean(0), abs=0.01)
    assert found_variance == pytest.approx(rise.var(0), rel=0.02)


def test_moments_behind_a_layer_norm_agree_with_torch_in_many_dimensions() -> None:
    random = np.random.default_rng(0)
    mean, variance = random.normal(size=2000), random.uniform(0.1, 2, 2000)
    gain, bias = random.uniform(0.5, 2, 2000), random.normal(size=2000)
    x = torch.tensor(random.normal(mean, np.sqrt(variance), (4000, 2000)))
    y = torch.nn.functional.layer_norm(x, (2000,), torch.tensor(gain), torch.tensor(bias)).numpy()
    found_mean, found_variance = normalised(mean, variance, gain, bias)
    assert np.abs(found_mean - y.mean(0)).max() < 0.15
    assert found_variance.sum() == pytest.approx(y.var(0).sum(), rel=0.01)


def test_every_rung_is_right_where_features_are_as_the_estimate_takes_them() -> None:
    random = np.random.default_rng(0)
    weight, bias = random.normal(size=(5, 8)), random.normal(size=5)
    gain, shift = random.uniform(0.5, 1.5, 8), random.normal(size=8)
    x = shift + gain * random.normal(size=(200_000, 8))
    z = x @ weight.T + bias
    sums = FeatureSums.none(8, 5)
    for half in (slice(0, 70_000), slice(70_000, None)):
        sums.add(x[half], z[half])
    truth = (np.maximum(z, 0) ** 2).sum() / (z**2).sum()
    rungs = ladder(Known(weight, bias, gain, shift, "relu"), sums)
    assert list(rungs.values()) == pytest.approx([truth] * 5, rel=0.01)


def test_each_rung_uses_what_it_says_where_features_are_shifted_and_correlated() -> None:
    random = np.random.default_rng(0)
    common = random.normal(size=(200_000, 1))
    x = np.concatenate([2 + common, 2 + common], axis=1)
    weight, bias, ones = np.array([[1.0, 1.0]]), np.zeros(1), np.ones(2)
    sums = FeatureSums.none(2, 1)
    sums.add(x, x @ weight.T)
    rungs = ladder(Known(weight, bias, ones, np.zeros(2), "relu"), sums)

    def relu(mean: float, deviation: float) -> float:
        z = random.normal(mean, deviation, 400_000)
        return float((np.maximum(z, 0) ** 2).sum() / (z**2).sum())

    expected = [relu(0, 2**0.5), relu(4, 2**0.5), relu(0, 2), relu(4, 2**0.5), relu(4, 2)]
    assert list(rungs.values()) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("stride", [1, 2])
def test_features_of_a_convolution_give_its_output(stride: int) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 4, (3, 1), (stride, 1)).double()
    x = torch.randn(2, 3, 9, 1, dtype=torch.float64)
    weight = layer.weight.detach().flatten(1).numpy()
    z = features_of(layer, x) @ weight.T + layer.bias.detach().numpy()
    expected = layer(x).detach().movedim(1, -1).reshape(-1, 4).numpy()
    assert z == pytest.approx(expected)


def test_crepe_halves_its_places_to_sixteen_and_eight() -> None:
    state = {f"conv{k}.weight": torch.zeros(2, 1 if k == 1 else 2, 64, 1) for k in range(1, 7)}
    state["conv1.weight"] = torch.zeros(2, 1, 512, 1)
    state["classifier.weight"] = torch.zeros(360, 8)
    module = Crepe(state).eval()
    places = []
    for k in (5, 6):
        layer = module.get_submodule(f"conv{k}")
        layer.register_forward_hook(lambda _, __, output: places.append(output.shape[2]))
    assert module(torch.zeros(1, 1024)).shape == (1, 360)
    assert places == [16, 8]
