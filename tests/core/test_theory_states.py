"""States and transitions against closed forms, simulations and real checkpoints."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from scipy import stats
from support.wheels import path_of

from thermoscan.theory.initialisation import from_rule, normal
from thermoscan.theory.states import (
    NO_ENTROPY,
    SIGNIFICANCE,
    LayerState,
    Transition,
    entropic_temperature,
    layer_state,
    network_state,
    network_transition,
    order,
    temperature_error,
    transition,
)

positive = st.floats(1e-6, 1e6)


def gaussian_entropy(variance: float) -> float:
    return float(stats.norm(scale=math.sqrt(variance)).entropy())


def between_gaussians(hot: float, cold: float) -> Transition:
    return transition(
        hot,
        gaussian_entropy(hot),
        cold,
        gaussian_entropy(cold),
        second_error=0.0,
        entropy_error=0.0,
    )


def histogram_entropy(weights: np.ndarray, cells: int = 400) -> float:
    """Plug-in entropy over equal cells, nats, with Miller and Madow's correction."""
    counts, edges = np.histogram(weights, cells)
    share = counts[counts > 0] / weights.size
    plug_in = -(share * np.log(share)).sum() + math.log(edges[1] - edges[0])
    return float(plug_in + (share.size - 1) / (2 * weights.size))


def state_of(matrix: np.ndarray, fan_in: int) -> LayerState:
    w = matrix.astype(np.float64).ravel()
    return layer_state(w.size, fan_in, (w**2).mean(), (w**4).mean(), histogram_entropy(w, 4000))


@pytest.mark.parametrize("distribution", [stats.norm(scale=0.3), stats.uniform(-0.2, 0.4)])
def test_temperature_and_its_error_are_those_of_equipartition(
    distribution: stats.rv_continuous,
) -> None:
    w = distribution.rvs(size=(2000, 500), random_state=0)
    spread = (w**2).mean(axis=1).std()
    expected = temperature_error(distribution.moment(2), distribution.moment(4), 500)
    assert spread == pytest.approx(expected, rel=0.06)
    energy = 0.5 * (w**2).sum(axis=1).mean()
    state = layer_state(500, 1.0, distribution.moment(2), distribution.moment(4), None)
    assert 2 * energy / 500 == pytest.approx(state.temperature, rel=0.01)


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (stats.norm(scale=0.02), 0.0),
        (stats.uniform(-1, 2), 0.5 * math.log(math.pi * math.e / 6)),
        (stats.laplace(scale=3.0), 0.5 * math.log(math.pi / math.e)),
        (stats.norm(loc=1.0, scale=1.0), 0.5 * math.log(2)),
    ],
)
def test_order_is_the_distance_from_a_zero_mean_gaussian(
    distribution: stats.rv_continuous, expected: float
) -> None:
    second, entropy = distribution.moment(2), float(distribution.entropy())
    assert order(second, entropy) == pytest.approx(expected, abs=1e-12)
    assert entropic_temperature(entropy) == pytest.approx(second * math.exp(-2 * expected))


def test_order_below_zero_by_the_estimators_error_is_zero() -> None:
    assert order(1.0, gaussian_entropy(1.0) + 0.001) == 0.0


@given(scale=st.floats(1e-3, 1e3), second=positive, entropy=st.floats(-5, 0.5))
def test_scaling_the_weights_scales_temperatures_and_leaves_order(
    scale: float, second: float, entropy: float
) -> None:
    before = layer_state(10, 4.0, second, 3 * second**2, entropy)
    fourth = 3 * second**2 * scale**4
    after = layer_state(10, 4.0, second * scale**2, fourth, entropy + math.log(scale))
    assert after.temperature == pytest.approx(scale**2 * before.temperature)
    assert after.temperature_error == pytest.approx(scale**2 * before.temperature_error)
    assert after.reduced_temperature == pytest.approx(scale**2 * before.reduced_temperature)
    assert after.entropic_temperature == pytest.approx(scale**2 * before.entropic_temperature)
    assert after.order == pytest.approx(before.order, abs=1e-9)


@pytest.mark.parametrize(
    ("rule", "expected"), [("lecun_normal", 1), ("he_normal", 2), ("torch", 1 / 3)]
)
@pytest.mark.parametrize("fan_in", [16, 4096])
def test_reduced_temperature_of_an_initialisation_does_not_depend_on_the_width(
    rule: str, expected: float, fan_in: int
) -> None:
    start = from_rule(rule, fan_in, 10)
    state = layer_state(10, fan_in, start.variance, 3 * start.variance**2, start.entropy)
    assert state.reduced_temperature == pytest.approx(expected)


def test_a_constant_layer_has_a_temperature_but_no_entropy() -> None:
    state = layer_state(10, 4.0, 0.25, 0.0625, None)
    assert (state.temperature, state.temperature_error) == (0.25, 0.0)
    assert (state.entropy, state.entropic_temperature, state.order) == (None, None, None)
    moved = transition(0.25, None, 1.0, 1.0, second_error=0.0, entropy_error=0.0)
    assert (moved.temperature, moved.reason) == (None, NO_ENTROPY)
    assert moved.energy_change == pytest.approx(-0.375)


@pytest.mark.parametrize(("second", "entropy"), [(0.0, -460.0), (math.inf, 391.0)])
def test_weights_whose_squares_leave_float64_have_no_order(second: float, entropy: float) -> None:
    state = layer_state(10, 4.0, second, second, entropy)
    assert (state.entropic_temperature, state.order) == (None, None)
    assert state.temperature == second


@given(hot=positive, cold=positive)
def test_between_two_gaussians_it_is_the_logarithmic_mean(hot: float, cold: float) -> None:
    if abs(math.log(hot / cold)) < 1e-3:
        return
    moved = between_gaussians(hot, cold)
    assert moved.temperature == pytest.approx((hot - cold) / math.log(hot / cold), rel=1e-9)
    assert min(hot, cold) <= moved.temperature <= max(hot, cold)
    assert not moved.is_order_under_heating


def test_energy_up_and_entropy_down_is_a_negative_temperature_and_named() -> None:
    moved = transition(2.0, 0.9, 1.0, 1.4, second_error=0.01, entropy_error=0.01)
    assert moved.temperature == pytest.approx(-1.0)
    assert moved.is_order_under_heating


def test_energy_down_and_entropy_up_is_negative_but_no_order_under_heating() -> None:
    moved = transition(0.9, 1.4, 1.0, 1.3, second_error=0.01, entropy_error=0.01)
    assert moved.temperature == pytest.approx(-0.5)
    assert not moved.is_order_under_heating


def test_entropy_within_its_error_gives_no_temperature_but_the_reason() -> None:
    still = transition(1.01, 1.42, 1.0, 1.4, second_error=0.01, entropy_error=0.01)
    assert (still.temperature, still.reason) == (None, "at initialisation")
    base = transition(
        1.0, 1.4, 1.0, 1.4, second_error=0.0, entropy_error=0.0, origin="the base checkpoint"
    )
    assert (base.temperature, base.reason) == (None, "at the base checkpoint")


def test_energy_that_moved_without_entropy_is_not_called_initialisation() -> None:
    moved = transition(1.5, 1.42, 1.0, 1.4, second_error=0.01, entropy_error=0.01)
    assert moved.temperature is None
    assert moved.reason == "its energy has moved from initialisation, its entropy has not"


def test_entropy_that_moved_without_energy_gives_a_ratio_of_no_sign_and_so_none() -> None:
    moved = transition(1.01, 1.5, 1.0, 1.4, second_error=0.01, entropy_error=0.01)
    assert moved.temperature is None
    assert moved.reason == "its entropy has moved from initialisation, its energy has not"


def test_one_standard_error_calls_a_third_of_untouched_layers_trained_and_three_hardly_any() -> (
    None
):
    rng = np.random.default_rng(1)
    start, size, layers = normal(0.02, "test"), 10_000, 1000
    # Var(-ln p) of a normal distribution is 1/2.
    error = math.sqrt(0.5 / size)
    untouched = [rng.normal(0, 0.02, size) for _ in range(layers)]
    moves = [
        transition(
            (w**2).mean(),
            histogram_entropy(w, 80),
            start.variance,
            start.entropy,
            second_error=temperature_error((w**2).mean(), (w**4).mean(), size),
            entropy_error=error,
        )
        for w in untouched
    ]
    beyond_one = sum(abs(move.entropy_change) > error for move in moves) / layers
    assert 0.26 < beyond_one < 0.4
    assert SIGNIFICANCE == 3
    assert sum(move.temperature is not None for move in moves) / layers < 0.01


def test_a_layer_trained_by_a_twentieth_is_told_from_an_untouched_one() -> None:
    w = np.random.default_rng(2).normal(0, 0.021, 100_000)
    start = normal(0.02, "test")
    moved = transition(
        (w**2).mean(),
        histogram_entropy(w, 80),
        start.variance,
        start.entropy,
        second_error=temperature_error((w**2).mean(), (w**4).mean(), w.size),
        entropy_error=math.sqrt(0.5 / w.size),
    )
    expected = (0.021**2 - 0.02**2) / math.log(0.021**2 / 0.02**2)
    assert moved.temperature == pytest.approx(expected, rel=0.05)


def test_network_figures_are_ratios_of_sums() -> None:
    small = layer_state(10, 2.0, 1.0, 3.0, gaussian_entropy(1.0) - 0.5)
    large = layer_state(30, 4.0, 3.0, 27.0, gaussian_entropy(3.0) - 0.1)
    constant = layer_state(60, 1.0, 5.0, 25.0, None)
    whole = network_state([small, large, constant])
    assert whole is not None
    assert whole.parameters == 100
    assert whole.temperature == pytest.approx((10 * 1 + 30 * 3 + 60 * 5) / 100)
    assert whole.reduced_temperature == pytest.approx((10 * 2 + 30 * 12 + 60 * 5) / 100)
    assert whole.order == pytest.approx((10 * 0.5 + 30 * 0.1) / 40)


def test_the_networks_transition_is_the_ratio_of_summed_energy_and_entropy() -> None:
    first, second = between_gaussians(4.0, 1.0), between_gaussians(0.5, 1.0)
    whole = network_transition([(100, first), (700, second)])
    assert whole is not None
    energy = 100 * (4 - 1) / 2 + 700 * (0.5 - 1) / 2
    entropy = 100 * math.log(4) / 2 + 700 * math.log(0.5) / 2
    assert whole.temperature == pytest.approx(energy / entropy)
    assert whole.energy_change == pytest.approx(energy / 800)


def test_a_network_of_untouched_layers_is_at_its_start_and_one_without_entropy_has_none() -> None:
    still = transition(1.0, 1.4, 1.0, 1.401, second_error=0.01, entropy_error=0.01)
    constant = transition(1.0, None, 1.0, 1.4, second_error=0.0, entropy_error=0.0)
    whole = network_transition([(5, still), (7, still), (9, constant)])
    assert whole is not None
    assert (whole.temperature, whole.reason) == (None, "at initialisation")
    assert whole.entropy_error == pytest.approx(0.01)
    assert network_transition([(9, constant)]) is None
    assert network_transition([]) is None
    assert network_state([]) is None


def test_minilms_first_query_is_hot_and_its_pooler_has_decayed() -> None:
    weights = load_file(next(path_of("minilm").rglob("*.safetensors")))
    start = normal(0.02, "initializer_range")
    found = {}
    for key in ("encoder.layer.0.attention.self.query.weight", "pooler.dense.weight"):
        state = state_of(weights[key], weights[key].shape[1])
        moved = transition(
            state.temperature,
            state.entropy,
            start.variance,
            start.entropy,
            second_error=state.temperature_error,
            entropy_error=0.002,
        )
        found[key.split(".")[0]] = state, moved
    query, moved = found["encoder"]
    assert query.reduced_temperature == pytest.approx(3.50, abs=0.01)
    assert query.temperature / start.variance == pytest.approx(22.8, abs=0.05)
    assert query.order == pytest.approx(0.012, abs=0.002)
    assert moved.temperature / start.variance == pytest.approx(7.0, abs=0.05)
    pooler, moved = found["pooler"]
    assert pooler.temperature / start.variance == pytest.approx(0.21, abs=0.005)
    assert moved.entropy_change == pytest.approx(-0.81, abs=0.01)


def test_crepes_late_convolutions_have_far_more_order_than_its_early_ones() -> None:
    weights = torch.load(path_of("crepe-full"), map_location="cpu", weights_only=True)
    orders = {}
    for layer in range(1, 7):
        w = weights[f"conv{layer}.weight"].numpy()
        # Spacings, since equal cells are too coarse for weights that reach this far.
        values = w.astype(np.float64).ravel()
        orders[layer] = order((values**2).mean(), float(stats.differential_entropy(values[::7])))
    assert orders[6] == pytest.approx(2.04, abs=0.1)
    assert orders[5] == pytest.approx(1.11, abs=0.1)
    assert all(0 <= orders[layer] < 0.1 for layer in range(1, 5))
