"""The truncated power law beside numerical integration, scipy's optimiser, and planted samples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, optimize, special

from thermoscan.theory import truncated_power_law
from thermoscan.theory.no_fit import NoFit
from thermoscan.theory.truncated_power_law import TruncatedPowerLawFit, fit_truncated_power_law


def drawn(seed: int, alpha: float, rate: float, count: int) -> np.ndarray:
    """A truncated power law from 1 on, by rejection from a power law (alpha above 1)."""
    rng = np.random.default_rng(seed)
    found = np.empty(0)
    while found.size < count:
        offered = (1 - rng.random(4 * count)) ** (-1 / (alpha - 1))
        kept = offered[rng.random(offered.size) < np.exp(-rate * (offered - 1))]
        found = np.concatenate([found, kept])
    return np.sort(found[:count])


def fit_of(values: np.ndarray, xmin: float = 1.0) -> TruncatedPowerLawFit:
    fit = fit_truncated_power_law(values, xmin)
    assert isinstance(fit, TruncatedPowerLawFit)
    return fit


def expectation(alpha: float, rate: float, of: object = lambda t: 1.0) -> float:
    """``∫₁^∞ f(t) t^-alpha e^(-rate (t - 1)) dt``, piece by piece in ln t around the peak."""
    peak = max(0.0, math.log(max(-alpha / rate, 1.0)))
    width = 1 / math.sqrt(max(1.0, abs(alpha)))
    ends = [
        0.0,
        *(
            peak + width * step
            for step in (-30, -6, -2, 0, 2, 6, 30, 90)
            if peak + width * step > 0
        ),
    ]
    top = -alpha * peak - rate * math.expm1(peak)

    def integrand(u: float) -> float:
        t = math.exp(u)
        return of(t) * math.exp(u - alpha * u - rate * (t - 1) - top)  # type: ignore[operator]

    pieces = (
        integrate.quad(integrand, low, high, epsabs=0, epsrel=1e-11, limit=200)[0]
        for low, high in itertools.pairwise(ends)
    )
    return sum(pieces) * math.exp(top)


def log_likelihood(values: np.ndarray, alpha: float, rate: float) -> float:
    total = float((-alpha * np.log(values) - rate * (values - 1)).sum())
    norm = expectation(alpha, rate) if rate > 0 else 1 / (alpha - 1)
    return total - values.size * math.log(norm)


TAILS = {
    "planted": drawn(0, 2.0, 0.05, 400),
    "alpha near 1": drawn(1, 1.1, 0.01, 300),
    "few": drawn(2, 2.5, 0.3, 12),
    "heavy, hardly cut off": drawn(3, 1.5, 1e-6, 300),
    "a bulk's edge": 1 + np.sort(np.random.default_rng(4).random(60)) ** 0.7,
    "a peak": np.sort(np.random.default_rng(5).normal(3.0, 0.3, 80)),
    "two values": np.array([1.0, 2.0]),
}
TAILS["a peak"] /= TAILS["a peak"][0]


@pytest.mark.parametrize("values", TAILS.values(), ids=TAILS.keys())
def test_its_mean_statistics_are_those_of_the_tail(values: np.ndarray) -> None:
    # The log-likelihood of an exponential family is concave: this says that it is at its maximum.
    fit = fit_of(values)
    assert fit.rate > 0
    norm = expectation(fit.alpha, fit.rate)
    for statistic in (math.log, lambda t: t - 1):
        mean = np.mean([statistic(float(each)) for each in values])
        expected = expectation(fit.alpha, fit.rate, statistic) / norm
        assert expected == pytest.approx(mean, rel=1e-8)


@pytest.mark.parametrize("values", TAILS.values(), ids=TAILS.keys())
def test_its_ratio_is_that_of_the_likelihoods(values: np.ndarray) -> None:
    fit = fit_of(values)
    plain = log_likelihood(values, 1 + 1 / np.log(values).mean(), 0.0)
    expected = log_likelihood(values, fit.alpha, fit.rate) - plain
    assert fit.log_likelihood_ratio == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", ["planted", "alpha near 1", "few"])
def test_it_is_where_an_optimiser_goes(name: str) -> None:
    values = TAILS[name]
    fit = fit_of(values)
    found = optimize.minimize(
        lambda p: -log_likelihood(values, p[0], math.exp(p[1])),
        x0=[1.5, math.log(0.02)],
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10},
    )
    assert fit.alpha == pytest.approx(found.x[0], abs=1e-4)
    assert fit.rate == pytest.approx(math.exp(found.x[1]), rel=1e-4)


def test_a_whole_exponent_is_normalised_by_the_exponential_integral() -> None:
    for alpha, rate in [(0, 1.0), (1, 1e-4), (2, 0.1), (5, 3.0), (40, 1e-3)]:
        family = truncated_power_law._Family.at(alpha - 1.0, rate)
        expected = math.log(special.expn(alpha, rate)) + rate
        assert family.log_norm == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("alpha", "rate"), [(1.5, 1e-3), (0.2, 1e-6), (-0.5, 1e-9), (3.5, 1e-3), (-50.0, 60.0)]
)
def test_the_covariance_is_the_derivative_of_the_means(alpha: float, rate: float) -> None:
    family = truncated_power_law._Family.at(alpha, rate)
    for place, size in enumerate((1e-5 * max(1.0, abs(alpha)), 1e-5 * rate)):
        step = size * np.eye(2)[place]
        up, down = (truncated_power_law._Family.at(*(family.parameters + s)) for s in (step, -step))
        slope = (down.means - up.means) / (2 * size)
        assert family.covariance[place] == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize(("alpha", "rate"), [(1.3, 0.002), (2.0, 0.05), (3.0, 0.5)])
def test_planted_parameters_are_found_within_their_errors(alpha: float, rate: float) -> None:
    values = drawn(6, alpha, rate, 20_000)
    fit = fit_of(values)
    # The information of an exponential family is the covariance of its statistics.
    errors = np.sqrt(np.diag(np.linalg.inv(np.cov(np.log(values), values))) / values.size)
    assert abs(fit.alpha - alpha) < 4 * errors[0]
    assert abs(fit.rate - rate) < 4 * errors[1]
    assert fit.p_value < 1e-6


def test_a_tail_heavier_than_its_power_law_has_no_cut_off() -> None:
    values = np.sort(np.concatenate([drawn(7, 4.0, 0.0, 200), [50.0, 200.0, 1000.0]]))
    fit = fit_of(values)
    plain = 1 + 1 / np.log(values).mean()
    assert fit == TruncatedPowerLawFit(pytest.approx(plain), 0.0, 0.0, 1.0)
    with_some = optimize.minimize_scalar(
        lambda alpha: -log_likelihood(values, alpha, 1e-5), bounds=(1, 9), method="bounded"
    )
    assert -with_some.fun < log_likelihood(values, plain, 0.0)


def test_a_cut_off_next_to_none_is_found() -> None:
    # The mean that a power law of the same mean logarithm would have, and hardly less.
    log_mean = 0.25
    for short in (1e-2, 1e-4, 1e-6):
        mean = 1 / (1 / log_mean - 1) * (1 - short)
        found = truncated_power_law._likeliest(np.array([log_mean, mean]), 10.0)
        assert found is not None
        # To first order 13.5 times that: over the variance of t that ln t does not explain.
        assert 13.5 * short < found[1] < 20 * short
        family = truncated_power_law._Family.at(*found)
        assert family.means == pytest.approx([log_mean, mean], rel=1e-10)


def test_of_power_laws_few_are_improved_upon() -> None:
    fits = [fit_of(drawn(seed, 3.0, 0.0, 50)) for seed in range(300)]
    assert all(fit.log_likelihood_ratio >= 0 for fit in fits)
    assert 0.03 < np.mean([fit.p_value < 0.1 for fit in fits]) < 0.13


def test_the_unit_changes_the_rate_alone() -> None:
    values = TAILS["planted"]
    fit, scaled = fit_of(values), fit_of(values * 1e-3, 1e-3)
    assert scaled.rate == pytest.approx(1e3 * fit.rate, rel=1e-8)
    assert (scaled.alpha, scaled.log_likelihood_ratio, scaled.p_value) == pytest.approx(
        (fit.alpha, fit.log_likelihood_ratio, fit.p_value), rel=1e-8
    )


def test_values_below_the_tail_do_not_count() -> None:
    values = TAILS["planted"]
    assert fit_of(np.concatenate([np.linspace(0, 0.99, 50), values])) == fit_of(values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([2.0, 2.0, 2.0], "lie too close together"),
        ([1.0, 1.0 + 1e-7, 1.0 + 2e-7], "lie too close together"),
        ([1e-5, 1.0, 1e120], "orders of magnitude apart"),
    ],
)
def test_tails_too_narrow_or_too_wide_have_no_fit(values: list[float], reason: str) -> None:
    fit = fit_truncated_power_law(np.array(values), values[0])
    assert isinstance(fit, NoFit)
    assert reason in fit.reason


@pytest.mark.parametrize("width", [3e-5, 1e-3, 1e60])
def test_narrow_and_wide_tails_have_a_fit(width: float) -> None:
    places = np.linspace(0, 1, 30)
    fit = fit_of(1 + width * places if width < 1 else width**places)
    assert fit.log_likelihood_ratio > 1


def test_a_search_that_does_not_settle_gives_no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truncated_power_law, "_STEPS", 2)
    fit = fit_truncated_power_law(TAILS["planted"], 1.0)
    assert fit == NoFit("the search for the truncated power law did not settle")
