"""The heat engine against closed forms, fine quadrature, Monte Carlo and the first law."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from scipy import integrate, stats
from support.wheels import path_of

from thermoscan.theory.activations import activation
from thermoscan.theory.engine import Stage, carnot_bound, network, response, stage

FIRST_LAW = (
    *("identity", "relu", "leaky_relu(0.01)", "leaky_relu(0.2)", "relu6", "elu", "gelu"),
    *("gelu_tanh", "quick_gelu", "silu", "mish", "softplus", "tanh", "sigmoid"),
    *("softsign", "hardtanh", "hardsigmoid", "hardswish"),
)
ALL = (*FIRST_LAW, "selu", "relu2", "erf")


def efficiency(name: str, mean: float, variance: float) -> float:
    value = stage(activation(name), np.array([mean]), np.array([variance])).efficiency
    assert value is not None
    return value


def by_quad(name: str, mean: float, std: float) -> float:
    """E[(φ(z) - φ(0))²] by quadrature between breakpoints at every scale there is."""
    phi = activation(name)
    knots = [*(mean + std * np.arange(-10, 11)), *range(-6, 7), -10, 10, -20, 20, -40, 40]
    low, high = mean - 10 * std, mean + 10 * std
    edges = sorted({low, high, *(k for k in knots if low < k < high)})

    def integrand(z: np.ndarray) -> np.ndarray:
        return phi.squared_rise(z) * stats.norm.pdf(z, mean, std)

    # On pieces of one deviation or less, 32 points of Gauss-Legendre leave nothing to adapt.
    return math.fsum(integrate.fixed_quad(integrand, a, b, n=32)[0] for a, b in pairwise(edges))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("identity", 1.0),
        ("relu", 0.5),
        ("leaky_relu(0.2)", 0.52),
        ("gelu", 0.4252),
        ("silu", 0.3558),
        ("tanh", 0.3943),
        ("sigmoid", 0.0434),
        ("softplus", 0.2843),
        ("elu", 0.6449),
    ],
)
def test_the_table_of_efficiencies_at_unit_variance(name: str, expected: float) -> None:
    assert efficiency(name, 0.0, 1.0) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("q", np.logspace(-4, 4, 17))
def test_gelu_and_erf_at_zero_mean_have_their_closed_forms(q: float) -> None:
    gelu = (
        0.25
        + math.asin(q / (1 + q)) / (2 * math.pi)
        + q / (math.pi * (1 + q) * math.sqrt(1 + 2 * q))
    )
    assert efficiency("gelu", 0.0, q) == pytest.approx(gelu, rel=1e-6)
    erf = 2 / (math.pi * q) * math.asin(2 * q / (1 + 2 * q))
    assert efficiency("erf", 0.0, q) == pytest.approx(erf, rel=1e-6)


@pytest.mark.parametrize("s", [0.01, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("m", [-3.0, -0.4, 0.0, 2.0])
def test_relu_has_its_closed_form_at_every_mean(m: float, s: float) -> None:
    mean = m * s
    expected = (mean**2 + s**2) * stats.norm.cdf(m) + mean * s * stats.norm.pdf(m)
    assert efficiency("relu", mean, s**2) == pytest.approx(expected / (mean**2 + s**2), rel=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_responses_are_within_a_millionth_of_a_fine_quadrature(name: str) -> None:
    cases = [
        (mean, std)
        for std in (0.01, 0.2, 0.699, 0.701, 1.5, 6.0, 100.0)
        for mean in (-3.0, 3.0, -3 * std, 0.0, 0.7 * std, 3 * std)
    ]
    means, stds = np.array(cases).T
    ours = response(activation(name), means, stds**2)
    expected = [by_quad(name, mean, std) for mean, std in cases]
    # What underflows to nothing against the heat need not agree.
    assert np.all(np.abs(ours - expected) <= 1e-6 * np.abs(expected) + 1e-15 * (means**2 + stds**2))


@pytest.mark.parametrize("name", ["gelu", "silu", "elu", "tanh", "hardswish"])
def test_responses_are_those_of_random_draws(name: str) -> None:
    draws = np.random.default_rng(0).normal(-0.5, 2.0, size=1_000_000)
    energies = activation(name).squared_rise(draws)
    error = energies.std() / 1000
    ours = response(activation(name), np.array([-0.5]), np.array([4.0]))[0]
    assert ours == pytest.approx(energies.mean(), abs=4 * error)


@pytest.mark.parametrize("name", FIRST_LAW)
def test_the_first_law_holds_over_the_grid(name: str) -> None:
    variance, m = np.meshgrid(np.logspace(-4, 4, 33), np.linspace(-3, 3, 25))
    for mean in (m, m * np.sqrt(variance)):
        eta = response(activation(name), mean.ravel(), variance.ravel())
        eta /= (mean**2 + variance).ravel()
        assert eta.min() >= 0
        assert eta.max() <= 1 + 1e-6


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(FIRST_LAW),
    # Squares of squares of what is smaller leave the range of a float64.
    st.floats(-1e6, 1e6).filter(lambda mean: mean == 0 or abs(mean) > 1e-70),
    st.just(0.0) | st.floats(1e-140, 1e60),
)
def test_the_first_law_holds_at_any_mean_and_variance(
    name: str, mean: float, variance: float
) -> None:
    heat = mean**2 + variance
    work = response(activation(name), np.array([mean]), np.array([variance]))[0]
    # The quadrature is off by 1.3e-6 for an ELU at mean 1091 and deviation 154.
    assert 0 <= work <= heat * (1 + 5e-6)


@pytest.mark.parametrize("name", ["gelu", "silu", "elu", "mish", "softplus", "hardswish", "relu"])
def test_efficiency_tends_to_the_limit_that_makes_the_type(name: str) -> None:
    assert efficiency(name, 0.0, 1e10) == pytest.approx(activation(name).limit, rel=1e-3)


@pytest.mark.parametrize(
    "name", ["tanh", "sigmoid", "softsign", "relu6", "hardtanh", "hardsigmoid", "erf"]
)
def test_saturating_efficiency_tends_to_zero_and_work_to_the_cap(name: str) -> None:
    assert efficiency(name, 0.0, 1e10) < 1e-8
    work = response(activation(name), np.zeros(1), np.full(1, 1e10))[0]
    tail = activation(name).squared_rise(np.array([-1e9, 1e9])).mean()
    assert work == pytest.approx(tail, rel=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_a_unit_that_never_varies_responds_as_at_its_mean(name: str) -> None:
    mean = np.array([-2.0, 0.0, 0.5, 4.0])
    expected = activation(name).squared_rise(mean)
    assert response(activation(name), mean, np.zeros(4)).tolist() == expected.tolist()
    assert response(activation(name), mean[[0, 3]], np.full(2, 1e-14)) == pytest.approx(
        expected[[0, 3]], rel=1e-5
    )


@pytest.mark.parametrize("name", ["relu", "silu", "elu"])
def test_a_unit_that_is_not_finite_spoils_no_other(name: str) -> None:
    mean = np.array([0.0, math.nan, math.inf, 0.0, 0.0])
    variance = np.array([1.0, 1.0, 1.0, math.inf, math.nan])
    ours = response(activation(name), mean, variance)
    assert np.isnan(ours).tolist() == [False, True, True, True, True]
    assert ours[0] == pytest.approx(by_quad(name, 0.0, 1.0), rel=1e-6)


def test_an_empty_layer_has_no_heat_and_no_efficiency() -> None:
    empty = stage(activation("gelu"), np.zeros(0), np.zeros(0))
    assert (empty.heat, empty.work, empty.efficiency) == (0, 0, None)


def test_a_stage_sums_over_its_units() -> None:
    mean, variance = np.array([0.0, 3.0, -1.0]), np.array([1.0, 0.0, 2.0])
    whole = stage(activation("silu"), mean, variance)
    assert whole.heat == pytest.approx(1 + 9 + 3)
    parts = [
        by_quad("silu", 0.0, 1.0),
        (3 / (1 + math.exp(-3))) ** 2,
        by_quad("silu", -1.0, 2**0.5),
    ]
    assert whole.work == pytest.approx(sum(parts), rel=1e-6)
    assert whole.type == "non-saturating"


def test_the_networks_efficiency_is_the_ratio_of_sums() -> None:
    engine = network([Stage("non-saturating", 10.0, 5.0), Stage("non-saturating", 1.0, 0.1)])
    assert engine.efficiency == pytest.approx(5.1 / 11)
    assert engine.type == "non-saturating"
    assert engine.shares == {"non-saturating": 1.0}


@pytest.mark.parametrize(
    ("saturating_work", "expected"),
    [(1.0, "non-saturating"), (1.01, "mixed"), (82.0, "saturating")],
)
def test_a_type_names_the_network_from_nine_tenths_of_the_work_on(
    saturating_work: float, expected: str
) -> None:
    engine = network(
        [Stage("non-saturating", 100.0, 9.0), Stage("saturating", 100.0, saturating_work)]
    )
    assert engine.type == expected
    assert engine.shares["saturating"] == pytest.approx(saturating_work / (9 + saturating_work))
    assert sum(engine.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "stages", [[], [Stage("saturating", 0.0, 0.0)], [Stage("saturating", 1.0, 0.0)]]
)
def test_a_network_without_work_has_no_type(stages: list[Stage]) -> None:
    engine = network(stages)
    assert engine.type is None
    assert engine.shares == {}


@pytest.mark.parametrize(
    ("temperatures", "expected"),
    [([], None), ([0.0], None), ([2.0], 0.0), ([4.0, 1.0, 2.0], 0.75), ([0.0, 1.0], 1.0)],
)
def test_the_carnot_bound_is_that_of_the_hottest_and_coldest_layer(
    temperatures: list[float], expected: float | None
) -> None:
    assert carnot_bound(temperatures) == expected


def test_the_theory_imports_neither_scipy_nor_torch() -> None:
    script = (
        "import sys, thermoscan.theory.engine, thermoscan.theory.states, "
        "thermoscan.theory.initialisation; print({'scipy', 'torch', 'pandas'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "set()"


def test_minilms_stages_have_the_efficiencies_of_the_theory() -> None:
    weights = load_file(next(path_of("minilm").rglob("*.safetensors")))
    stages = []
    for index in range(6):
        layer = f"encoder.layer.{index}."
        matrix = weights[layer + "intermediate.dense.weight"].astype(np.float64)
        gain = weights[layer + "attention.output.LayerNorm.weight"]
        shift = weights[layer + "attention.output.LayerNorm.bias"]
        mean = matrix @ shift + weights[layer + "intermediate.dense.bias"]
        stages.append(stage(activation("gelu"), mean, ((matrix * gain) ** 2).sum(axis=1)))
    expected = [0.036, 0.106, 0.131, 0.234, 0.274, 0.274]
    assert [one.efficiency for one in stages] == pytest.approx(expected, abs=6e-4)
