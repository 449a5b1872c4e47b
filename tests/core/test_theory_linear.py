"""Linear systems against drawn parameters, finite differences, autograd and closed forms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, special, stats

from thermoscan.errors import OptionError
from thermoscan.theory.initialisation import Initialisation, normal, truncated_normal, uniform
from thermoscan.theory.linear import (
    LinearData,
    LinearState,
    linear_data,
    linear_state,
    linear_transition,
)
from thermoscan.theory.linear_states import (
    ParameterState,
    ensemble_state,
    initial_state,
)
from thermoscan.theory.linear_training import trained_state
from thermoscan.theory.losses import LOSSES, Loss, loss

SIGMA, DRAWS = 0.3, 40_000
NORMAL = normal(SIGMA, "test")
UNIFORM = uniform(SIGMA * math.sqrt(3), "test")
SQUARED = loss("mse")


def data_for(name: str, samples: int = 400, features: int = 64, seed: int = 0) -> LinearData:
    rng = np.random.default_rng(seed)
    targets = {
        "mse": rng.normal(size=samples),
        "mae": rng.normal(size=samples),
        "bce": rng.choice([-1.0, 1.0], samples),
        "softmax": rng.integers(0, 5, samples).astype(float),
    }
    return linear_data(rng.normal(size=(samples, features)), targets[name], loss(name))


def losses_and_slopes(name: str, z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Loss and z·∂loss/∂z of outputs z, written out by hand; classes on the last axis."""
    if name == "mse":
        return (z - y) ** 2, 2 * z * (z - y)
    if name == "mae":
        return abs(z - y), z * np.sign(z - y)
    if name == "bce":
        return np.logaddexp(0, -y * z), -y * z * special.expit(-y * z)
    target = np.take_along_axis(z, y.astype(int)[None, :, None], axis=2)[..., 0]
    mean = (z * special.softmax(z, axis=2)).sum(axis=2)
    return special.logsumexp(z, axis=2) - target, mean - target


def draw(starts: Sequence[Initialisation], count: int, rng: np.random.Generator) -> np.ndarray:
    columns = []
    for start in starts:
        std = math.sqrt(start.variance)
        if start.family == "normal":
            columns.append(rng.normal(0, std, count))
        else:
            columns.append(rng.uniform(-std * math.sqrt(3), std * math.sqrt(3), count))
    return np.stack(columns, axis=1)


def by_draws(
    name: str, data: LinearData, weights: np.ndarray, parameters: int
) -> tuple[float, float, float, float]:
    """Energy and temperature over drawn weights (M, d) or (M, K, d), with their standard errors."""
    energies, virials = [], []
    for part in np.array_split(weights, 40):
        z = part @ data.inputs.T
        z = z if z.ndim == 2 else np.moveaxis(z, 1, 2)
        energy, virial = losses_and_slopes(name, z, data.targets)
        energies.append(energy.mean(axis=1))
        virials.append(virial.mean(axis=1) / parameters)
    energy, virial = np.concatenate(energies), np.concatenate(virials)
    root = math.sqrt(len(weights))
    return energy.mean(), energy.std() / root, virial.mean(), virial.std() / root


STARTS = {
    "normal": [NORMAL] * 64,
    "uniform": [UNIFORM] * 64,
    "mixed": [NORMAL, UNIFORM] * 32,
    "unequal": [NORMAL, normal(0.7, ""), UNIFORM, uniform(0.1, "")] * 16,
    "unequal normal": [NORMAL, normal(0.9, "")] * 32,
}


@pytest.mark.parametrize("name", ["mse", "mae", "bce"])
@pytest.mark.parametrize("kind", list(STARTS))
def test_an_initial_state_is_that_of_drawn_parameters(name: str, kind: str) -> None:
    data = data_for(name)
    ours = linear_state(initial_state(STARTS[kind]), data, loss(name))
    weights = draw(STARTS[kind], DRAWS, np.random.default_rng(1))
    energy, energy_error, temperature, error = by_draws(name, data, weights, 64)
    assert error < 0.0015 * temperature
    within = 0.002 if "uniform" not in {each.family for each in STARTS[kind]} else 0.005
    assert ours.temperature == pytest.approx(temperature, rel=within, abs=3 * error)
    assert ours.energy == pytest.approx(energy, rel=within / 2, abs=3 * energy_error)
    exact = name == "mse" or kind in ("normal", "unequal normal")
    assert ours.validity == ("exact" if exact else "asymptotic")
    assert (ours.effective_features is None) == exact


def test_softmax_at_initialisation_is_that_of_drawn_parameters() -> None:
    data = data_for("softmax", samples=200, features=32)
    for start, within in ((NORMAL, 0.002), (UNIFORM, 0.005)):
        ours = linear_state(initial_state([start] * 32, classes=5), data, loss("softmax"))
        weights = draw([start] * 160, 20_000, np.random.default_rng(2)).reshape(-1, 5, 32)
        energy, _, temperature, error = by_draws("softmax", data, weights, 160)
        assert error < 0.001 * temperature
        assert ours.parameters == 160
        assert ours.temperature == pytest.approx(temperature, rel=within)
        assert ours.energy == pytest.approx(energy, rel=0.002)
        assert ours.entropy == pytest.approx(160 * start.entropy)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("trained", [False, True])
def test_the_temperature_is_the_slope_of_energy_over_entropy_along_the_dilation(
    name: str, trained: bool
) -> None:
    data, step = data_for(name, 60, 8), 1e-3
    shape = (5, 8) if name == "softmax" else (8,)

    def dilated(factor: float) -> LinearState:
        if not trained:
            start = normal(0.5 * factor, "")
            return linear_state(
                initial_state([start] * 8, 5 if name == "softmax" else None), data, loss(name)
            )
        members = np.random.default_rng(6).normal(size=(30, *shape))
        centre = 2 * np.random.default_rng(7).normal(size=shape)
        return linear_state(ensemble_state(factor * (centre + members)), data, loss(name))

    cold, here, hot = dilated(math.exp(-step)), dilated(1.0), dilated(math.exp(step))
    slope = (hot.energy - cold.energy) / (hot.entropy - cold.entropy)
    assert hot.entropy - cold.entropy == pytest.approx(2 * step * here.parameters)
    assert here.temperature == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_trained_state_on_other_data_is_that_of_drawn_parameters(name: str) -> None:
    rng = np.random.default_rng(8)
    shape = (5, 6) if name == "softmax" else (6,)
    state = ensemble_state(rng.normal(size=shape) + 0.4 * rng.normal(size=(50, *shape)))
    data = data_for(name, 100, 6, seed=9)
    root = np.linalg.cholesky(state.covariance)
    weights = state.mean + rng.normal(size=(100_000, *shape)) @ root.T
    ours = linear_state(state, data, loss(name))
    energy, energy_error, temperature, error = by_draws(name, data, weights, state.mean.size)
    assert energy_error < 0.002 * energy
    assert ours.energy == pytest.approx(energy, abs=3 * energy_error)
    assert ours.temperature == pytest.approx(temperature, abs=3 * error)
    assert (ours.validity, ours.small_limit, ours.large_limit) == ("exact", None, None)


def test_the_virial_is_that_of_autograd() -> None:
    data = data_for("bce", 50, 4)
    x, y = torch.tensor(data.inputs), torch.tensor(data.targets)
    weights = torch.randn(40_000, 4, generator=torch.Generator().manual_seed(0)).double() * SIGMA
    weights.requires_grad_()
    torch.nn.functional.softplus(-y * (weights @ x.T)).mean(dim=1).sum().backward()
    virials = (weights * weights.grad).sum(dim=1).detach() / 4
    ours = linear_state(initial_state([NORMAL] * 4), data, loss("bce"))
    error = float(virials.std()) / 200
    assert error < 0.005 * ours.temperature
    assert ours.temperature == pytest.approx(float(virials.mean()), abs=3 * error)


def test_squared_error_reads_the_trace_of_the_data_whatever_the_distribution() -> None:
    data = data_for("mse", 30, 5)
    trace = np.trace(data.inputs.T @ data.inputs)
    for start in (NORMAL, UNIFORM, truncated_normal(0.5, 1.0, "")):
        state = linear_state(initial_state([start] * 5), data, loss("mse"))
        assert state.temperature == pytest.approx(2 * start.variance * trace / (30 * 5))
        assert (state.validity, state.small_limit, state.applies) == ("exact", None, None)


def exact_absolute(bounds: np.ndarray, y: float) -> float:
    """E[z sign(z - y)] of a sum of uniforms, from its characteristic function, by quadrature."""

    def phi(t: float) -> float:
        return float(np.prod(np.sinc(bounds * t / math.pi)))

    def excess(t: float) -> float:
        return (1 - math.cos(t * y) * phi(t)) / t**2 - y * math.sin(t * y) * phi(t) / t

    scale = math.sqrt((bounds**2).sum() / 3)
    far = 200 / scale
    inner = integrate.quad(excess, 0, far, limit=2000, epsabs=1e-11)[0]
    return 2 / math.pi * (inner + 1 / far)


def test_the_error_of_the_asymptotic_temperature_shrinks_with_the_features() -> None:
    errors = []
    for features in (4, 8, 16, 64):
        inputs = np.ones((1, features)) / math.sqrt(features)
        state = initial_state([UNIFORM] * features)
        ours = linear_state(state, linear_data(inputs, [0.1], loss("mae")), loss("mae"))
        bounds = SIGMA * math.sqrt(3) * inputs[0]
        errors.append(abs(ours.temperature * features / exact_absolute(bounds, 0.1) - 1))
        assert ours.effective_features == pytest.approx(features)
    assert errors[0] < 0.03
    assert errors[3] < 0.002
    # To leading order it is that of the fourth cumulant, which falls as 1/d.
    for first, second in ((0, 1), (1, 2), (2, 3)):
        ratio = (8, 16, 64)[first] / (4, 8, 16)[first]
        assert errors[first] / errors[second] == pytest.approx(ratio, rel=0.25)


def test_features_that_carry_no_output_do_not_make_it_normal() -> None:
    one_hot = np.eye(64)
    data = linear_data(one_hot, np.full(64, 0.01), loss("mae"))
    ours = linear_state(initial_state([UNIFORM] * 64), data, loss("mae"))
    assert ours.effective_features == pytest.approx(1)
    # E|w| of the uniform distribution is B/2.
    exact = SIGMA * math.sqrt(3) / 2
    assert ours.temperature * 64 / exact - 1 == pytest.approx(-0.079, abs=0.002)
    mixed = initial_state([UNIFORM] * 32 + [NORMAL] * 32)
    only_normal = linear_data(one_hot[32:], np.zeros(32), loss("mae"))
    assert linear_state(mixed, only_normal, loss("mae")).validity == "exact"


@pytest.mark.parametrize(("name", "classes"), [("mae", None), ("bce", None), ("softmax", 5)])
def test_limits_apply_where_outputs_are_narrow_or_wide(name: str, classes: int | None) -> None:
    data = data_for(name, 50, 6)
    found = {}
    for std in (1e-6, 0.4, 1e4, 1e6):
        state = linear_state(initial_state([normal(std, "")] * 6, classes), data, loss(name))
        assert math.isfinite(state.temperature)
        found[std] = state
    assert found[1e6].applies == found[1e4].applies == "large"
    assert found[1e6].temperature == pytest.approx(found[1e6].large_limit, rel=1e-4)
    assert found[0.4].applies is None
    s = 1e6 * np.linalg.norm(data.inputs, axis=1)
    factor = {"mae": math.sqrt(2 / math.pi), "bce": 1 / math.sqrt(2 * math.pi)}
    if name == "softmax":
        # E max of five standard normals.
        top = integrate.quad(lambda u: u * 5 * stats.norm.pdf(u) * stats.norm.cdf(u) ** 4, -9, 9)[0]
        factor["softmax"] = top / 5
    assert found[1e6].large_limit == pytest.approx(factor[name] * s.mean() / 6)
    if name == "mae":
        assert found[1e-6].small_limit is None
        assert found[1e-6].temperature == 0
    else:
        expected = (1e-6) ** 2 * (data.inputs**2).sum(axis=1).mean() / 6
        expected *= 1 / 4 if name == "bce" else (1 - 1 / 5) / 5
        assert found[1e-6].small_limit == pytest.approx(expected)
        assert found[1e-6].temperature == pytest.approx(expected, rel=1e-6)
        assert found[1e-6].applies == "small"


def test_mixed_parameters_have_the_entropy_of_each() -> None:
    state = initial_state([normal(0.2, ""), uniform(3.0, "")])
    expected = stats.norm(scale=0.2).entropy() + stats.uniform(-3, 6).entropy()
    assert state.entropy == pytest.approx(expected)
    twice = initial_state([normal(0.2, ""), uniform(3.0, "")], classes=2)
    assert twice.entropy == pytest.approx(2 * expected)


def least_squares(samples: int = 200, features: int = 7, seed: int = 0) -> tuple[LinearData, float]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, features)) * np.logspace(-3, 3, features)
    y = x @ (rng.normal(size=features) / np.logspace(-3, 3, features)) + rng.normal(size=samples)
    w, rss = np.linalg.lstsq(x / np.logspace(-3, 3, features), y, rcond=None)[:2]
    assert w.shape == (features,)
    return linear_data(x, y, loss("mse")), float(rss[0]) / (samples - features)


def test_least_squares_has_the_sampling_covariance_of_its_minimum() -> None:
    data, noise = least_squares()
    state = trained_state(data, SQUARED)
    covariance = noise * np.linalg.inv(data.inputs.T @ data.inputs)
    scale = np.sqrt(np.diag(covariance))
    assert state.covariance / np.outer(scale, scale) == pytest.approx(
        covariance / np.outer(scale, scale), abs=1e-8
    )
    gradient = data.inputs.T @ (data.inputs @ state.mean - data.targets)
    assert gradient / np.linalg.norm(data.inputs, axis=0) == pytest.approx(0, abs=1e-9)
    entropy = stats.multivariate_normal(cov=covariance / np.outer(scale, scale)).entropy()
    assert state.entropy == pytest.approx(entropy + np.log(scale).sum())


def test_a_least_squares_state_is_a_boltzmann_state_of_its_virial_temperature() -> None:
    data, noise = least_squares()
    ours = linear_state(trained_state(data, SQUARED), data, loss("mse"))
    assert ours.temperature == pytest.approx(2 * noise / 200)
    assert ours.energy == pytest.approx(noise)
    assert ours.entropy_per_parameter == pytest.approx(ours.entropy / 7)


def test_training_lowers_energy_and_entropy_at_the_temperature_of_the_way() -> None:
    data, noise = least_squares()
    before = linear_state(initial_state([normal(0.5, "")] * 7), data, loss("mse"))
    after = linear_state(trained_state(data, SQUARED), data, loss("mse"))
    moved = linear_transition(before, after)
    energy = noise - (data.targets**2).mean() - 0.25 * (data.inputs**2).sum(axis=1).mean()
    covariance = noise * np.linalg.inv(data.inputs.T @ data.inputs)
    entropy = 0.5 * np.linalg.slogdet(covariance / 0.25)[1]
    assert moved.energy_change == pytest.approx(energy)
    assert moved.entropy_change == pytest.approx(entropy, abs=1e-6)
    assert moved.temperature == pytest.approx(energy / entropy)
    assert (moved.validity, moved.reason) == ("exact", None)


def test_a_refresh_is_hotter_the_further_the_data_have_moved() -> None:
    rng = np.random.default_rng(11)
    x, w = rng.normal(size=(300, 5)), rng.normal(size=5)
    old = trained_state(linear_data(x, x @ w + rng.normal(size=300), SQUARED), SQUARED)
    temperatures, heats = [], []
    for shift in (0.0, 0.5, 1.0, 2.0):
        fresh = rng.normal(size=(400, 5))
        targets = fresh @ (w * (1 - shift)) + rng.normal(size=400)
        data = linear_data(fresh, targets, loss("mse"))
        before = linear_state(old, data, loss("mse"))
        after = linear_state(trained_state(data, SQUARED), data, loss("mse"))
        moved = linear_transition(before, after)
        # At μ = m·x the virial of the mean is 2 mean μ(μ - y), of the spread 2 mean s².
        spread = np.einsum("ni,ij,nj->n", fresh, old.covariance, fresh)
        mu = fresh @ old.mean
        expected = 2 * (mu * (mu - targets) + spread).mean() / 5
        assert before.temperature == pytest.approx(expected)
        temperatures.append(before.temperature)
        heats.append(-moved.energy_change)
    assert temperatures == sorted(temperatures)
    assert heats == sorted(heats)
    assert temperatures[0] < 0.1 * temperatures[1]


def two_classes(samples: int, seed: int) -> LinearData:
    rng = np.random.default_rng(seed)
    x = np.random.default_rng(15).normal(size=(samples, 3))
    chance = special.expit(x @ np.array([1.5, -0.5, 0.3]))
    y = np.where(rng.random(samples) < chance, 1.0, -1.0)
    return linear_data(x * np.array([1e-3, 1.0, 1e3]), y, loss("bce"))


def test_a_logistic_state_is_the_minimum_with_the_inverse_of_its_information() -> None:
    data = two_classes(300, 0)
    state = trained_state(data, loss("bce"))
    x, y = data.inputs / np.array([1e-3, 1.0, 1e3]), data.targets
    fit = optimize.minimize(
        lambda w: np.logaddexp(0, -y * (x @ w)).sum(), np.zeros(3), method="BFGS", tol=1e-9
    )
    scale = np.array([1e3, 1.0, 1e-3])
    assert state.mean == pytest.approx(fit.x * scale, rel=1e-4)
    leaf = torch.tensor(state.mean / scale)
    hessian = torch.autograd.functional.hessian(
        lambda w: torch.nn.functional.softplus(-torch.tensor(y) * (torch.tensor(x) @ w)).sum(), leaf
    )
    covariance = np.linalg.inv(hessian.numpy())
    assert state.covariance / np.outer(scale, scale) == pytest.approx(covariance, rel=1e-6)
    entropy = stats.multivariate_normal(cov=covariance).entropy() + np.log(scale).sum()
    assert state.entropy == pytest.approx(entropy)


def test_the_entropy_of_a_logistic_state_errs_as_repeated_data_show() -> None:
    states = [trained_state(two_classes(400, seed), loss("bce")) for seed in range(800)]
    spread = np.std([each.entropy for each in states])
    error = np.mean([each.entropy_error for each in states])
    assert error == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("scale", [1e-120, 1.0, 1e120])
def test_the_unit_of_the_inputs_moves_the_entropy_and_nothing_else(scale: float) -> None:
    data, _ = least_squares()
    moved = linear_data(data.inputs * scale, data.targets, SQUARED)
    before = linear_state(trained_state(data, SQUARED), data, SQUARED)
    after = linear_state(trained_state(moved, SQUARED), moved, SQUARED)
    assert after.temperature == pytest.approx(before.temperature)
    assert after.energy == pytest.approx(before.energy)
    assert after.entropy == pytest.approx(before.entropy - 7 * math.log(scale))


def test_a_rare_class_is_still_a_minimum() -> None:
    x = np.ones((10_000, 1))
    y = np.where(np.arange(10_000) == 0, 1.0, -1.0)
    state = trained_state(linear_data(x, y, loss("bce")), loss("bce"))
    assert state.mean[0] == pytest.approx(math.log(1 / 9_999))
    assert state.covariance[0, 0] == pytest.approx(10_000 / 9_999)


def test_the_same_state_has_no_transition() -> None:
    data = data_for("mse", 20, 3)
    state = linear_state(initial_state([NORMAL] * 3), data, loss("mse"))
    moved = linear_transition(state, state)
    assert (moved.temperature, moved.reason) == (
        None,
        "the entropy has not moved by three standard errors",
    )


def test_the_entropy_of_a_trained_state_errs_as_repeated_data_show() -> None:
    rng = np.random.default_rng(13)
    x = rng.normal(size=(60, 5))
    trained = [
        trained_state(linear_data(x, rng.normal(size=60), SQUARED), SQUARED) for _ in range(2000)
    ]
    spread = np.std([each.entropy for each in trained])
    assert trained[0].entropy_error == pytest.approx(spread, rel=0.06)
    ensembles = [ensemble_state(rng.normal(size=(80, 2, 5))) for _ in range(2000)]
    spread = np.std([each.entropy for each in ensembles])
    assert ensembles[0].entropy_error == pytest.approx(spread, rel=0.06)


def test_new_data_of_the_same_size_and_noise_give_no_refresh_temperature() -> None:
    rng = np.random.default_rng(14)
    x = rng.normal(size=(100, 4))
    named = 0
    for _ in range(200):
        data = linear_data(x, x.sum(axis=1), SQUARED)
        noisy = (linear_data(x, x.sum(axis=1) + rng.normal(size=100), SQUARED) for _ in "ab")
        first, second = (trained_state(each, SQUARED) for each in noisy)
        states = [linear_state(each, data, loss("mse")) for each in (first, second)]
        named += linear_transition(*states).temperature is not None
    assert named <= 4


def test_a_transition_from_an_asymptotic_state_is_asymptotic() -> None:
    data = data_for("mae", 20, 3)
    states = [
        linear_state(initial_state([each] * 3), data, loss("mae")) for each in STARTS["mixed"][:2]
    ]
    assert linear_transition(states[1], states[0]).validity == "asymptotic"
    assert linear_transition(states[0], states[0]).validity == "exact"


def test_an_ensemble_has_its_members_moments_pooled_over_classes() -> None:
    members = np.random.default_rng(12).normal(size=(9, 3, 4))
    state = ensemble_state(members)
    pooled = np.mean([np.cov(members[:, k].T) for k in range(3)], axis=0)
    assert state.mean == pytest.approx(members.mean(axis=0))
    assert state.covariance == pytest.approx(pooled)
    expected = 3 * stats.multivariate_normal(cov=pooled).entropy()
    assert state.entropy == pytest.approx(expected)
    alone = ensemble_state(members[:, 0])
    assert alone.covariance == pytest.approx(np.cov(members[:, 0].T))


@pytest.mark.parametrize("members", [np.zeros((5, 2)), np.eye(3), np.ones((1, 2))])
def test_an_ensemble_without_density_is_refused(members: np.ndarray) -> None:
    with pytest.raises(OptionError) as caught:
        ensemble_state(members)
    assert caught.value.code == "state-undetermined"


@pytest.mark.parametrize(
    ("name", "inputs", "targets", "code"),
    [
        ("mse", np.ones((3, 3)), [1.0, 2.0, 3.0], "state-undetermined"),
        ("mse", [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], [1.0, 2.0, 2.0], "state-undetermined"),
        ("mse", [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], [1.0, 2.0, 2.0], "state-undetermined"),
        ("mse", [[1.0], [2.0], [3.0]], [2.0, 4.0, 6.0], "state-certain"),
        ("mse", [[1.0], [2.0], [3.0]], [0.0, 0.0, 0.0], "state-certain"),
        ("bce", [[1.0], [2.0], [-3.0]], [1.0, 1.0, -1.0], "state-undetermined"),
        ("bce", [[1.0], [2.0], [0.0]], [1.0, 1.0, -1.0], "state-undetermined"),
        ("bce", [[1.0, 1.0], [1.0, -1.0], [1.0, 0.0]], [1.0, 1.0, 1.0], "state-undetermined"),
        ("mae", [[1.0], [2.0], [3.0]], [1.0, 2.0, 2.0], "state-unchosen"),
        ("softmax", [[1.0], [2.0], [3.0]], [1.0, 2.0, 2.0], "state-unchosen"),
    ],
)
def test_data_that_leave_no_spread_or_no_minimum_give_no_trained_state(
    name: str, inputs: list[list[float]], targets: list[float], code: str
) -> None:
    with pytest.raises(OptionError) as caught:
        trained_state(linear_data(inputs, targets, loss(name)), loss(name))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("inputs", "targets", "name", "code"),
    [
        ([1.0, 2.0], [1.0, 2.0], "mse", "data-shape"),
        ([[1.0], [2.0]], [1.0], "mse", "data-shape"),
        ([[1.0], [2.0]], [[1.0], [2.0]], "mse", "data-shape"),
        ([["a"]], [1.0], "mse", "data-shape"),
        ([[1.0]], ["a"], "mse", "data-shape"),
        ([[1j]], [1.0], "mse", "data-shape"),
        (np.zeros((0, 3)), np.zeros(0), "mse", "data-empty"),
        (np.zeros((3, 0)), np.zeros(3), "mse", "data-empty"),
        ([[math.nan]], [1.0], "mae", "data-not-finite"),
        ([[1.0]], [math.inf], "mae", "data-not-finite"),
        ([[1.0]], [0.0], "bce", "data-labels"),
        ([[1.0]], [0.5], "softmax", "data-labels"),
    ],
)
def test_data_that_make_no_sense_are_refused(
    inputs: object, targets: object, name: str, code: str
) -> None:
    with pytest.raises(OptionError) as caught:
        linear_data(inputs, targets, loss(name))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("state", "name", "targets", "code"),
    [
        (initial_state([NORMAL] * 2), "mse", [1.0], "data-shape"),
        (initial_state([NORMAL] * 3), "softmax", [1.0], "data-shape"),
        (initial_state([NORMAL] * 3, 2), "mse", [1.0], "data-shape"),
        (initial_state([NORMAL] * 3, 2), "softmax", [2.0], "data-labels"),
    ],
)
def test_a_state_that_does_not_fit_the_data_is_refused(
    state: ParameterState, name: str, targets: list[float], code: str
) -> None:
    data = linear_data(np.ones((1, 3)), targets, loss(name))
    with pytest.raises(OptionError) as caught:
        linear_state(state, data, loss(name))
    assert caught.value.code == code


@pytest.mark.parametrize("name", LOSSES)
def test_energies_beyond_float64_are_an_error_and_no_warning(name: str) -> None:
    data = linear_data([[1e200, -1e200]], [1.0], loss(name))
    with pytest.raises(OptionError) as caught:
        linear_state(
            initial_state([NORMAL] * 2, 2 if name == "softmax" else None), data, loss(name)
        )
    assert caught.value.code == "data-overflow"


def test_a_state_of_nothing_is_refused() -> None:
    for starts, classes in (([], None), ([NORMAL], 0)):
        with pytest.raises(OptionError) as caught:
            initial_state(starts, classes)
        assert caught.value.code == "data-empty"


@pytest.mark.parametrize("name", LOSSES)
def test_data_of_zeros_have_no_temperature_but_zero(name: str) -> None:
    asked: Loss = loss(name)
    data = linear_data(np.zeros((3, 2)), [1.0, 1.0, 1.0], asked)
    state = linear_state(
        initial_state([UNIFORM] * 2, 4 if name == "softmax" else None), data, asked
    )
    assert state.temperature == pytest.approx(0, abs=1e-12)
    untrained = {"mse": 1.0, "mae": 1.0, "bce": math.log(2), "softmax": math.log(4)}
    assert state.energy == pytest.approx(untrained[name])
