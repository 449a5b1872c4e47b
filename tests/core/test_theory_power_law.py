"""The power law beside the plain loop that defines it, the package `powerlaw`, and closed forms.

`POWERLAW` is what the package powerlaw 2.0.0 gives of `drawn(seed, exponent, count)`; it comes of

    pip install powerlaw==2.0.0
    python -c "import powerlaw, test_theory_power_law as t; [print(key, (f := powerlaw.Fit(
        t.drawn(*key), parameter_ranges={'alpha': [1, 99]})).alpha, f.D, f.xmin, f.sigma)
        for key in t.POWERLAW]"

in the folder of this file. Without the ranges it takes no exponent above 3.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from thermoscan.theory.no_fit import NoFit
from thermoscan.theory.power_law import PowerLawFit, fit_power_law

POWERLAW: dict[tuple[int, float, int], tuple[float, float, float, float]] = {
    (0, 2.0, 60): (1.8231485195407418, 0.08185872065373756, 3.180074765620365, 0.24818861691392458),
    (1, 2.5, 200): (
        2.497638368354526,
        0.04724834150554813,
        0.9468407688957116,
        0.14411031918636621,
    ),
    (2, 4.0, 300): (
        4.0756763594864776,
        0.033405760880375196,
        1.002272108145166,
        0.2519692250877118,
    ),
    (3, 8.0, 300): (9.396489026428792, 0.04078521301775484, 1.0312034431040424, 0.7421517910932789),
    (4, 1.5, 400): (
        1.4761919957086893,
        0.03935186572473576,
        1.9383533859878244,
        0.03776448173030637,
    ),
}


def drawn(seed: int, exponent: float, count: int) -> np.ndarray:
    """Values below 1 without a tail, and from there on a power law, half of each; ascending."""
    rng = np.random.default_rng(seed)
    tail = (1 - rng.random(count // 2)) ** (-1 / (exponent - 1))
    return np.sort(np.concatenate([rng.uniform(0.1, 1.0, count - count // 2), tail]))


def wishart(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    weights = np.random.default_rng(seed).normal(0, 0.05, (rows, columns))
    return np.linalg.eigvalsh(weights @ weights.T)


def by_trying_all(values: np.ndarray) -> tuple[float, float, float, float, float, int]:
    """Every tail in turn, as the definition has it."""
    data = values[values > 1e-5]
    few = len(data) < 20
    best = None
    for start in range(len(data) - 1):
        tail = data[start:]
        n = len(tail)
        if few and n < 8 and start > 0:
            continue
        spread = np.log(tail / tail[0]).sum()
        if spread == 0:
            continue
        alpha = 1 + (n - 1 if few else n) / spread
        distance = np.abs(1 - (tail / tail[0]) ** (1 - alpha) - np.arange(n) / n).max()
        if best is None or distance < best[2]:
            best = alpha, (alpha - 1) / n**0.5, distance, tail[0], n
    assert best is not None
    return (*best[:4], data[-1], int((values >= best[3]).sum()))


def parts(fit: PowerLawFit | NoFit) -> tuple[float, float, float, float, float, int]:
    assert isinstance(fit, PowerLawFit)
    return fit.alpha, fit.sigma, fit.distance, fit.xmin, fit.xmax, fit.spikes


SPECTRA = {
    "a Gaussian matrix": wishart(150, 300),
    "a square matrix": wishart(150, 150),
    "a bulk and a tail": drawn(1, 2.5, 300),
    "a power law": drawn(2, 1.7, 500)[250:],
    "a steep power law": drawn(3, 30.0, 200)[100:],
    "a matrix of low rank": np.concatenate([np.zeros(100), wishart(60, 90)]),
    "every value twice": np.repeat(wishart(80, 100), 2),
    "values rounded to few": np.round(drawn(4, 2.0, 200), 1),
    "twenty values": wishart(20, 30),
    "nineteen values": wishart(19, 30),
    "eight values": wishart(8, 30),
    "seven values": wishart(7, 30),
    "two values": np.array([1.0, 2.5]),
    "nineteen values above the threshold": np.concatenate([np.full(40, 1e-5), wishart(19, 30)]),
    "values around the threshold": wishart(150, 150) * 1e-4,
    "large values": drawn(5, 2.5, 100) * 1e300,
    "values of all scales": np.sort(10 ** np.random.default_rng(6).uniform(-4, 300, 100)),
}


@pytest.mark.parametrize("values", SPECTRA.values(), ids=SPECTRA.keys())
def test_it_is_the_best_of_all_tails(values: np.ndarray) -> None:
    assert parts(fit_power_law(values)) == pytest.approx(by_trying_all(values), rel=1e-10)


def test_it_is_the_best_of_all_tails_of_many_small_spectra() -> None:
    rng = np.random.default_rng(7)
    for _ in range(150):
        count, exponent, scale = rng.integers(2, 50), rng.uniform(1.3, 6), 10 ** rng.uniform(-4, 3)
        values = np.sort((1 - rng.random(count)) ** (-1 / (exponent - 1)) * scale)
        if (values > 1e-5).sum() >= 2:
            expected = by_trying_all(values)
            assert parts(fit_power_law(values)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_best_of_all_tails_where_many_are_nearly_as_good(seed: int) -> None:
    values = np.sort((1 - np.random.default_rng(seed).random(1500)) ** -0.6)
    assert parts(fit_power_law(values)) == pytest.approx(by_trying_all(values), rel=1e-10)


def test_a_planted_power_law_is_found() -> None:
    found = [parts(fit_power_law(drawn(seed, 3.0, 2000))) for seed in range(20)]
    alpha, _, distance, xmin, _, spikes = np.mean(found, axis=0)
    assert alpha == pytest.approx(3.0, abs=0.1)
    assert xmin == pytest.approx(1.0, abs=0.2)
    # Of n values of the very law D is 0.87 / √n in the mean, and the best of many tails has less.
    assert distance < 0.87 / spikes**0.5


def test_scale_changes_xmin_and_nothing_else() -> None:
    values = drawn(9, 2.5, 200)
    fit, scaled = parts(fit_power_law(values)), parts(fit_power_law(values * 1e6))
    assert scaled[:3] == pytest.approx(fit[:3], rel=1e-10)
    assert scaled[3:5] == pytest.approx([1e6 * each for each in fit[3:5]])


def test_two_values_have_a_closed_form() -> None:
    fit = fit_power_law(np.array([1.0, math.e]))
    # One step of 1 in the logarithm, and one degree of freedom: alpha - 1 = 1, the fit at the upper
    # value is 1 - 1/e, and half of the values are below it.
    assert parts(fit) == pytest.approx((2, 1 / 2**0.5, 0.5 - 1 / math.e, 1, math.e, 2))


@pytest.mark.parametrize(
    "values", [[], [1.0], [0.0, 0.0, 1e-5, 3.0], [1e-9] * 30], ids=["none", "one", "one left", "0"]
)
def test_fewer_than_two_values_have_no_fit(values: list[float]) -> None:
    fit = fit_power_law(np.array(values))
    assert fit == NoFit("fewer than two eigenvalues are above the threshold of the fit")


@pytest.mark.parametrize("count", [2, 10, 50])
@pytest.mark.parametrize("noise", [0.0, 1e-16])
def test_equal_values_have_no_fit(count: int, noise: float) -> None:
    values = np.sort(1.0 + noise * np.random.default_rng(0).normal(size=count))
    assert fit_power_law(values) == NoFit("its eigenvalues are equal")


def test_a_tail_of_equal_values_is_not_the_best() -> None:
    # Of the last two alone D would be 1/2, of all of them it is 0.53.
    fit = fit_power_law(np.array([1.0] + [2.0] * 24))
    assert isinstance(fit, PowerLawFit)
    assert (fit.xmin, fit.spikes) == (1.0, 25)
    assert fit.alpha == pytest.approx(1 + 25 / (24 * math.log(2)))


@pytest.mark.parametrize("key", POWERLAW)
def test_it_is_what_the_package_powerlaw_gives(key: tuple[int, float, int]) -> None:
    alpha, distance, xmin, sigma = POWERLAW[key]
    fit = fit_power_law(drawn(*key))
    assert isinstance(fit, PowerLawFit)
    found = fit.alpha, fit.distance, fit.xmin, fit.sigma
    assert found == pytest.approx((alpha, distance, xmin, sigma), rel=1e-10)
