"""Losses under normal outputs against fine quadrature, random draws, closed forms and limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, special, stats

from thermoscan.errors import OptionError
from thermoscan.theory.logistic import expect_logistic
from thermoscan.theory.losses import LOSSES, loss
from thermoscan.theory.softmax import expect_cross_entropy, expected_maximum

WIDTHS = (1e-6, 1e-3, 0.1, 0.99, 1.01, 3.0, 100.0, 1e4, 1e6)
#: Where the sigmoid bends, and the kink at the target.
KNOTS = (0, *(sign * at for at in (0.5, 1, 2, 3, 4, 6, 8, 11, 15, 20, 30, 45) for sign in (-1, 1)))


def by_quad(
    function: Callable[[np.ndarray], np.ndarray], mean: float, std: float, *knots: float
) -> float:
    """E[f(z)], z ~ N(mean, std²), by Gauss-Legendre between deviations and knots."""
    edges = {mean + std * k for k in range(-12, 13)}
    edges |= {k for k in knots if abs(k - mean) < 12 * std}
    return math.fsum(
        integrate.fixed_quad(lambda z: function(z) * stats.norm.pdf(z, mean, std), a, b, n=40)[0]
        for a, b in pairwise(sorted(edges))
    )


@pytest.mark.parametrize("std", WIDTHS)
@pytest.mark.parametrize("mean_in_deviations", [-8.0, -3.0, -0.3, 0.0, 2.0])
def test_the_logistic_loss_is_that_of_a_fine_quadrature(
    std: float, mean_in_deviations: float
) -> None:
    mean = mean_in_deviations * std
    found = expect_logistic(np.array([mean]), np.array([std]))
    functions = (
        lambda v: np.logaddexp(0, v),
        special.expit,
        lambda v: special.expit(v) * special.expit(-v),
    )
    for ours, function in zip(found, functions, strict=True):
        assert ours[0] == pytest.approx(by_quad(function, mean, std, *KNOTS), rel=1e-8, abs=1e-18)


@pytest.mark.parametrize("std", WIDTHS)
@pytest.mark.parametrize("mean", [-7.0, 0.0, 1.3])
@pytest.mark.parametrize("target", [0.0, 1.3])
def test_the_absolute_error_is_that_of_a_quadrature_split_at_its_kink(
    std: float, mean: float, target: float
) -> None:
    energy, virial = loss("mae").expect(np.array([mean]), np.array([std]), np.array([target]))
    expected = by_quad(lambda z: abs(z - target), mean, std, target)
    assert energy[0] == pytest.approx(expected, rel=1e-9)
    expected = by_quad(lambda z: z * np.sign(z - target), mean, std, target)
    assert virial[0] == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_the_squared_error_is_that_of_the_moments() -> None:
    energy, virial = loss("mse").expect(np.array([2.0]), np.array([3.0]), np.array([0.5]))
    assert energy[0] == pytest.approx(by_quad(lambda z: (z - 0.5) ** 2, 2.0, 3.0))
    assert virial[0] == pytest.approx(by_quad(lambda z: 2 * z * (z - 0.5), 2.0, 3.0))


@pytest.mark.parametrize("std", [1e-6, 0.3, 0.99, 1.01, 4.0, 50.0, 1e6])
def test_softmax_over_two_classes_is_the_logistic_loss_of_their_difference(std: float) -> None:
    means = np.array([[0.4, -0.7], [3.0, 1.0]]) * min(std, 1.0) * 3
    targets = np.array([0, 1])
    energy, virial = expect_cross_entropy(means, np.full(2, std), targets)
    margin = np.where(targets == 0, means[:, 1] - means[:, 0], means[:, 0] - means[:, 1])
    wide = std * math.sqrt(2)
    expected, slope, curvature = expect_logistic(margin, np.full(2, wide))
    assert energy == pytest.approx(expected, rel=1e-7, abs=1e-8)
    assert virial == pytest.approx(margin * slope + wide**2 * curvature, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("std", [0.2, 0.99, 1.01, 30.0])
@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_softmax_is_that_of_random_draws(std: float, spread: float) -> None:
    rng = np.random.default_rng(3)
    mean = spread * rng.normal(size=5)
    z = mean + std * rng.normal(size=(1_000_000, 5))
    losses = special.logsumexp(z, axis=1) - z[:, 2]
    virials = (z * special.softmax(z, axis=1)).sum(axis=1) - z[:, 2]
    energy, virial = expect_cross_entropy(mean[None], np.array([std]), np.array([2]))
    assert energy[0] == pytest.approx(losses.mean(), abs=4 * losses.std() / 1000)
    assert virial[0] == pytest.approx(virials.mean(), abs=4 * virials.std() / 1000)


@pytest.mark.parametrize("classes", [2, 5, 1000])
def test_softmax_meets_its_limits(classes: int) -> None:
    std = np.array([1e-6, 1e-3, 1e4, 1e6])
    zero, targets = np.zeros((4, classes)), np.zeros(4)
    energy, virial = expect_cross_entropy(zero, std, targets)
    assert virial[:2] == pytest.approx(std[:2] ** 2 * (1 - 1 / classes), rel=1e-5)
    # The expected maximum as scipy integrates it, not as the code does.
    top = integrate.quad(
        lambda u: u * classes * stats.norm.pdf(u) * stats.norm.cdf(u) ** (classes - 1), -9, 9
    )[0]
    assert expected_maximum(classes) == pytest.approx(top, rel=1e-8)
    assert virial[2:] == pytest.approx(std[2:] * top, rel=1e-4)
    assert energy[:2] == pytest.approx(math.log(classes), abs=1e-5)
    assert energy[2:] == pytest.approx(std[2:] * top, rel=1e-3)


def test_softmax_of_many_samples_is_that_of_each_alone() -> None:
    rng = np.random.default_rng(4)
    mean, std = rng.normal(size=(40, 3)), rng.uniform(0.1, 4.0, 40)
    targets = rng.integers(0, 3, 40).astype(float)
    together = np.array(expect_cross_entropy(mean, std, targets))
    alone = [
        np.array(expect_cross_entropy(mean[[n]], std[[n]], targets[[n]]))[:, 0] for n in range(40)
    ]
    assert together == pytest.approx(np.transpose(alone), abs=1e-7)


@pytest.mark.parametrize(
    ("name", "targets", "expected"),
    [
        ("mse", [0.5], (2.25, 6.0)),
        ("mae", [0.5], (1.5, 2.0)),
        ("bce", [1.0], (math.log1p(math.exp(-2)), -2 / (1 + math.exp(2)))),
    ],
)
def test_an_output_that_never_varies_has_the_loss_at_its_mean(
    name: str, targets: list[float], expected: tuple[float, float]
) -> None:
    energy, virial = loss(name).expect(np.array([2.0]), np.zeros(1), np.array(targets))
    assert (energy[0], virial[0]) == pytest.approx(expected)
    energy, virial = expect_cross_entropy(np.array([[2.0, 0.0]]), np.zeros(1), np.zeros(1))
    assert energy[0] == pytest.approx(math.log1p(math.exp(-2)), abs=1e-9)
    assert virial[0] == pytest.approx(-2 / (1 + math.exp(2)), abs=1e-9)


def test_an_unknown_loss_is_refused_with_the_choices() -> None:
    with pytest.raises(OptionError, match=r"mse, mae, bce, softmax") as caught:
        loss("hinge")
    assert caught.value.code == "loss-unknown"
    assert [loss(name).name for name in LOSSES] == ["mse", "mae", "bce", "softmax"]


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("bce", [0.0, 1.0]),
        ("bce", [2.0]),
        ("softmax", [-1.0]),
        ("softmax", [0.5]),
        ("softmax", [1e9]),
    ],
)
def test_targets_without_meaning_for_the_loss_are_refused(name: str, targets: list[float]) -> None:
    with pytest.raises(OptionError) as caught:
        loss(name).check(np.array(targets))
    assert caught.value.code == "data-labels"


@pytest.mark.parametrize(
    ("name", "targets"), [("mse", [-3.5]), ("mae", [7.0]), ("bce", [-1, 1]), ("softmax", [0, 9])]
)
def test_targets_with_a_meaning_pass(name: str, targets: list[float]) -> None:
    loss(name).check(np.array(targets))
