"""Findings from spectra: quiet on random matrices, exact on planted faults and real checkpoints."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.gaussian_matrices import squared_singular_values
from support.measuring import Found, found_in, measured, measured_copy
from support.wheels import path_of

from thermoscan.findings import find, spectra
from thermoscan.findings.gather import EACH
from thermoscan.options import ScanOptions, SpectraOptions
from thermoscan.theory.no_fit import NoFit
from thermoscan.theory.power_law import fit_power_law
from thermoscan.theory.tracy_widom import largest_of, quantile

SPECTRA = ScanOptions(spectra=SpectraOptions())
CODES = {
    each.code
    for each in (
        spectra.OVER_TRAINED,
        spectra.UNDER_TRAINED,
        spectra.CORRELATION_TRAP,
        spectra.RANK_COLLAPSE,
    )
}
EXPONENTS = {spectra.OVER_TRAINED.code, spectra.UNDER_TRAINED.code}


def tensors(state: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {
        name: torch.tensor(np.ascontiguousarray(each), dtype=torch.float32)
        for name, each in state.items()
    }


def seen(state: dict[str, np.ndarray], codes: set[str] = CODES) -> list[Found]:
    found = found_in(measured_copy(tensors(state), options=SPECTRA))
    return [each for each in found if each[1] in codes]


SHAPES = [
    (8, 8),
    (9, 40),
    (16, 16),
    (40, 64),
    (64, 64),
    (64, 400),
    (100, 70),
    (150, 150),
    (300, 90),
]


def initialised(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> np.ndarray:
    if kind == "orthogonal":
        tall = np.linalg.qr(rng.normal(size=(max(shape), min(shape))))[0]
        return tall if tall.shape == shape else tall.T
    if kind == "truncated":
        return np.clip(rng.normal(size=shape), -2, 2) * 0.02
    draw = {
        "normal": rng.normal,
        "uniform": lambda size: rng.uniform(-1, 1, size),
        "laplace": lambda size: rng.laplace(size=size),
        "t6": lambda size: rng.standard_t(6, size),
    }[kind]
    drawn: np.ndarray = draw(size=shape) / shape[1] ** 0.5
    return drawn


@pytest.mark.parametrize("kind", ["normal", "uniform", "truncated", "orthogonal", "laplace", "t6"])
def test_random_initialisations_of_many_shapes_yield_none(kind: str) -> None:
    rng = np.random.default_rng(0)
    state = {
        f"layers.{index}.{turn}.weight": initialised(rng, kind, shape)
        for turn in range(2)
        for index, shape in enumerate(SHAPES + [shape[::-1] for shape in SHAPES])
    }
    assert seen(state) == []


def test_convolutions_at_random_yield_none() -> None:
    rng = np.random.default_rng(1)
    shapes = [(64, 3, 7, 7), (64, 64, 3, 3), (128, 64, 1, 1), (96, 1, 5, 5), (70, 80, 3)]
    assert seen({f"conv{i}.weight": rng.normal(size=each) for i, each in enumerate(shapes)}) == []


def with_spectrum(
    rng: np.random.Generator, rows: int, columns: int, values: np.ndarray
) -> np.ndarray:
    """A matrix that has these eigenvalues, in random directions."""
    left = np.linalg.qr(rng.normal(size=(columns, columns)))[0]
    right = np.linalg.qr(rng.normal(size=(rows, columns)))[0]
    return (left * np.sqrt(values)) @ right.T


def of_power_law(alpha: float, count: int) -> np.ndarray:
    """The quantiles of a power law: eigenvalues repel each other, and lie as evenly as these."""
    shares = (np.arange(count) + 0.5) / count
    return 0.02 * (1 - shares) ** (-1 / (alpha - 1))


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [(1.5, "over-trained"), (1.9, None), (3.0, None), (12.0, "under-trained")],
)
def test_an_exponent_beyond_its_bound_by_three_errors_is_found(
    alpha: float, expected: str | None
) -> None:
    values = of_power_law(alpha, 200)
    # A light tail by itself is within the bulk of noise: a few directions tell it apart.
    values[-4:] = np.maximum(values[-4:], 0.06 if alpha > 6 else 0.0)
    rng = np.random.default_rng(2)
    found = seen({"layer.weight": with_spectrum(rng, 3000, 200, values)}, EXPONENTS)
    assert found == ([("info", expected, "layer.weight")] if expected else [])


def test_the_message_of_an_exponent_has_what_the_fit_says() -> None:
    values = of_power_law(1.5, 200)
    stored = tensors({"layer.weight": with_spectrum(np.random.default_rng(2), 300, 200, values)})
    finding = next(
        each for each in find(measured_copy(stored, options=SPECTRA)) if each.code == "over-trained"
    )
    fit = fit_power_law(squared_singular_values(stored["layer.weight"].double().numpy()))
    assert not isinstance(fit, NoFit)
    assert finding.evidence["alpha"] == pytest.approx(fit.alpha, rel=1e-6)
    assert finding.evidence["tail"] == fit.spikes
    assert f"{fit.alpha:.3g} ± {fit.sigma:.3g} over {fit.spikes} of 200" in finding.message


def test_a_small_matrix_has_no_exponent_worth_a_finding() -> None:
    values = of_power_law(1.5, 48)
    small = with_spectrum(np.random.default_rng(3), 64, 48, values)
    assert seen({"layer.weight": small}, EXPONENTS) == []


def test_a_tail_that_is_no_power_law_has_no_exponent_worth_a_finding() -> None:
    # As many eigenvalues in every octave, and then none: the fit is bad, whatever its exponent.
    values = np.geomspace(1e-2, 1.0, 200)
    fit = fit_power_law(values)
    assert not isinstance(fit, NoFit) and fit.alpha + 3 * fit.sigma < 2
    matrix = with_spectrum(np.random.default_rng(4), 300, 200, values)
    assert seen({"layer.weight": matrix}, EXPONENTS) == []


def test_an_entry_that_makes_a_direction_of_its_own_is_a_trap_wherever_it_stands() -> None:
    rng = np.random.default_rng(5)
    found = {}
    for size in (1.5, 5.0):
        matrix = rng.normal(0.0, 0.02, (100, 300))
        matrix[7, 11] = size * 0.02 * 30_000**0.25
        found[size] = seen({"layer.weight": matrix})
    # 1.5 is beyond the bulk, and too little of a difference to matter.
    assert found == {1.5: [], 5.0: [("info", "correlation-trap", "layer.weight")]}


def test_directions_in_excess_of_noise_are_no_trap() -> None:
    rng = np.random.default_rng(6)
    matrix = rng.normal(0.0, 0.02, (100, 300)) + np.outer(rng.normal(size=100), np.ones(300)) * 0.01
    assert seen({"layer.weight": matrix}) == []


@pytest.mark.parametrize(("rank", "expected"), [(5, True), (40, True), (57, False)])
def test_a_rank_that_is_too_small_is_found(rank: int, expected: bool) -> None:
    rng = np.random.default_rng(7)
    matrix = rng.normal(size=(60, rank)) @ rng.normal(size=(rank, 90))
    found = seen({"layer.weight": matrix * 0.01})
    assert found == ([("info", "rank-collapse", "layer.weight")] if expected else [])


def test_rows_that_are_dead_explain_a_lost_rank() -> None:
    matrix = np.random.default_rng(8).normal(0.0, 0.05, (60, 90))
    matrix[:20] = 0.0
    found = found_in(measured_copy(tensors({"layer.weight": matrix}), options=SPECTRA))
    assert found == [("warning", "dead-units", "layer.weight")]


def test_a_table_may_lie_on_a_curve() -> None:
    at = np.linspace(0, 1, 200)[:, None]
    table = np.cos(2 * np.pi * at * np.arange(3)) @ np.random.default_rng(9).normal(size=(3, 64))
    assert seen({"embeddings.position_embeddings.weight": table * 0.02}) == []
    assert seen({"layer.weight": table * 0.02}) != []


def test_without_spectra_nothing_of_them_is_found() -> None:
    values = of_power_law(1.5, 100)
    matrix = with_spectrum(np.random.default_rng(10), 100, 100, values)
    found = found_in(measured_copy(tensors({"layer.weight": matrix})))
    assert not {each[1] for each in found} & CODES


def test_the_thresholds_are_those_that_chance_passes_as_seldom_as_they_say() -> None:
    rng = np.random.default_rng(11)
    for alpha in (1.5, 4.0):
        fits = [fit_power_law(np.sort(rng.pareto(alpha - 1, 128) + 1)) for _ in range(200)]
        passed = [
            each.distance * each.spikes**0.5 > spectra.FIT
            for each in fits
            if not isinstance(each, NoFit)
        ]
        assert len(passed) == 200 and sum(passed) <= 2 + 3 * 1.4
    noise = [
        fit_power_law(squared_singular_values(rng.normal(size=(spectra.SIDE, spectra.SIDE)) / 8))
        for _ in range(150)
    ]
    assert sum(not isinstance(each, NoFit) and each.alpha < spectra.OVER for each in noise) <= 4
    law = largest_of(1)
    assert quantile(1 - 1e-6) < law.mean + spectra.EXCESS * law.deviation


REAL: dict[str, list[Found]] = {
    "minilm": [
        ("info", "correlation-trap", f"encoder.layer.{layer}.output.dense.weight")
        for layer in (0, 2)
    ],
    "crepe-full": [
        ("info", "rank-collapse", "classifier.weight"),
        ("info", "over-trained", "classifier.weight"),
    ],
    "crepe-tiny": [],
    "chgnet-0.3.0": [],
    "resemblyzer": [],
}


@pytest.mark.parametrize("name", REAL)
def test_published_checkpoints_yield_exactly_these(name: str) -> None:
    found = found_in(measured(path_of(name), SPECTRA))
    assert [each for each in found if each[1] in CODES] == REAL[name]
    assert len(REAL[name]) <= EACH
