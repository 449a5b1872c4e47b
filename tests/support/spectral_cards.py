"""Spectra for the cards of tests, whose figures agree with each other by their definitions.

A layer's spectrum is that of a random matrix somewhat colder than the layer, and a tail above it
that holds the rest of the energy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from thermoscan.card import Card, LayerRecord
from thermoscan.card_spectra import (
    Bulk,
    LayerSpectra,
    PowerLaw,
    ShuffledSpectrum,
    SpectralChange,
    SpectralNull,
    SpectraSummary,
    Spectrum,
    TruncatedPowerLaw,
)

NO_FIT = "fewer than eight eigenvalues lie in any tail"
NOT_FINITE = "it holds values that are not finite"
NO_KERNEL = "it is no convolution"
NOT_SHUFFLED = "shuffling was not asked for"
NO_BASE = "no base checkpoint was given"
WHOLE = "its smaller side was taken whole"
NO_TRAP = "its largest entry makes no eigenvalue beyond the bulk"
_GOLDEN = (math.sqrt(5) - 1) / 2
# Mean and standard deviation of the Tracy-Widom law of real matrices.
_TRACY_WIDOM = (-1.2065335745820, 1.2680340580)


def nine(value: float) -> float:
    """The number that a card of `value` holds."""
    return float(f"{value:.9g}")


def with_spectra(card: Card) -> Card:
    """Returns `card` with spectra: its second has none, no power law fits its fourth.

    The fifth was shuffled, and every layer with a `change` has one of its spectrum.
    """
    layers = tuple(_with_spectra(each, index) for index, each in enumerate(card.layers))
    spectra = [each.spectra for each in layers if each.spectra]
    reasons = {name: why for name, why in card.reasons.items() if name != "spectra"}
    return replace(card, layers=layers, spectra=_summary(spectra), reasons=reasons)


def _with_spectra(layer: LayerRecord, index: int) -> LayerRecord:
    reasons = {name: why for name, why in layer.reasons.items() if name != "spectra"}
    return replace(layer, spectra=_spectra(layer, index), reasons=reasons)


def _spectra(layer: LayerRecord, index: int) -> LayerSpectra:
    if index == 1:
        why = {"matrix": NOT_FINITE, "slices": NO_KERNEL}
        return LayerSpectra(matrix=None, slices=None, reasons=why)
    temperature = layer.temperature or 0.0
    share = index * _GOLDEN % 1
    alpha = None if index == 3 else nine(1.7 * math.exp(1.6 * share**3))
    ordered = nine(0.05 + 0.3 * (7 * share % 1))
    matrix = spectrum(layer.shape, temperature, alpha, ordered)
    if index == 4:
        shuffled = ShuffledSpectrum(0, nine(0.2 * matrix.spectral_norm), 1, 0.2, 0.184)
        reasons = {name: why for name, why in matrix.reasons.items() if name != "shuffled"}
        matrix = replace(matrix, shuffled=shuffled, reasons=reasons)
    moved = layer.change.distance if layer.change else None
    if moved is not None:
        matrix = _changed(matrix, moved)
    if layer.role != "convolution":
        return LayerSpectra(matrix=matrix, slices=None, reasons={"slices": NO_KERNEL})
    outputs, inputs = layer.shape
    slices = spectrum((outputs, inputs // 9), temperature / 2, alpha, ordered, matrices=9)
    if moved is not None:
        slices = _changed(slices, moved)
    return LayerSpectra(matrix=matrix, slices=slices)


def spectrum(
    shape: tuple[int, int],
    temperature: float,
    alpha: float | None,
    ordered: float,
    *,
    matrices: int = 1,
) -> Spectrum:
    """A spectrum at a temperature, with a power law where `alpha` is given."""
    rows, columns = max(shape), min(shape)
    norm = matrices * rows * columns * temperature
    bulk = _bulk(rows, columns, temperature, ordered)
    largest = bulk.edge_high / bulk.soft_rank
    entropy = math.log(matrices * columns) - 0.5 * columns / rows - ordered
    reasons = {"sampled": WHOLE, "shuffled": NOT_SHUFFLED, "change": NO_BASE}
    tail = truncated = None
    if alpha is None:
        reasons |= {"tail": NO_FIT, "truncated": NO_FIT}
    else:
        tail = _tail(alpha, columns // 5, bulk.edge_low + bulk.temperature * rows, largest)
        truncated = TruncatedPowerLaw(nine(alpha - 0.3), nine(0.2 / largest), 0.84, 0.195)
    return Spectrum(
        rows=rows,
        columns=columns,
        matrices=matrices,
        num_evals=matrices * columns,
        sampled=None,
        norm=nine(norm),
        log_norm=nine(math.log10(norm)),
        spectral_norm=nine(largest),
        log_spectral_norm=nine(math.log10(largest)),
        stable_rank=nine(norm / largest),
        matrix_rank=matrices * columns - 1,
        rank_loss=1,
        weak_rank_loss=1,
        sv_max=nine(math.sqrt(largest)),
        sv_min=0.0,
        spectral_entropy=nine(entropy),
        effective_rank=nine(math.exp(entropy)),
        entropy=nine(entropy / math.log(matrices * columns - 1)),
        detx_num=matrices * columns // 3,
        detx_val=nine(norm / (matrices * columns)),
        tail=tail,
        truncated=truncated,
        bulk=bulk,
        null=_null(rows, columns, temperature, largest),
        shuffled=None,
        change=None,
        reasons=reasons,
    )


def _bulk(rows: int, columns: int, temperature: float, ordered: float) -> Bulk:
    cooler = (1 - ordered) * temperature
    outliers = max(1, columns // 30)
    return Bulk(
        temperature=nine(cooler),
        edge_low=nine(cooler * (math.sqrt(rows) - math.sqrt(columns)) ** 2),
        edge_high=nine(cooler * (math.sqrt(rows) + math.sqrt(columns)) ** 2),
        soft_rank=nine(0.6 - ordered),
        ordered_fraction=ordered,
        outliers=outliers,
        outliers_low=outliers - 1,
        outliers_high=outliers + 2,
        distance=0.031,
    )


def _null(rows: int, columns: int, temperature: float, largest: float) -> SpectralNull:
    wide, narrow = math.sqrt(rows - 1), math.sqrt(columns)
    width = (wide + narrow) * (1 / wide + 1 / narrow) ** (1 / 3)
    mean, deviation = _TRACY_WIDOM
    expected = temperature * ((wide + narrow) ** 2 + mean * width)
    error = temperature * deviation * width
    entropy = math.log(columns) - 0.5 * columns / rows
    return SpectralNull(
        edge_low=nine(temperature * (math.sqrt(rows) - narrow) ** 2),
        edge_high=nine(temperature * (math.sqrt(rows) + narrow) ** 2),
        largest=nine(expected),
        largest_error=nine(error),
        excess=nine((largest - expected) / error),
        spectral_entropy=nine(entropy),
        effective_rank=nine(math.exp(entropy)),
        distance=0.12,
        trap=None,
        reasons={"trap": NO_TRAP},
    )


def _tail(alpha: float, spikes: int, xmin: float, largest: float) -> PowerLaw:
    return PowerLaw(
        alpha=alpha,
        sigma=nine((alpha - 1) / math.sqrt(spikes)),
        distance=0.042,
        xmin=nine(min(xmin, 0.9 * largest)),
        xmax=nine(largest),
        spikes=spikes,
        alpha_weighted=nine(alpha * math.log10(largest)),
        log_alpha_norm=nine(alpha * math.log10(largest) + 0.2),
    )


def _changed(matrix: Spectrum, distance: float) -> Spectrum:
    moved = distance > 0
    alpha = None if matrix.tail is None else nine(-distance)
    return replace(
        matrix,
        change=SpectralChange(
            distance=nine(distance / 2),
            jensen_shannon=nine(distance / 5),
            alignment=nine(1 - distance / 50) if moved else 1.0,
            alpha=alpha,
            stable_rank=nine(3 * distance),
            effective_rank=nine(-2 * distance),
            reasons={} if matrix.tail else {"alpha": NO_FIT},
        ),
        reasons={name: why for name, why in matrix.reasons.items() if name != "change"},
    )


def _summary(layers: Sequence[LayerSpectra]) -> SpectraSummary:
    spectra = [each for layer in layers if (each := layer.slices or layer.matrix)]
    tails = [each.tail for each in spectra if each.tail]
    bulks = [(each.norm, each.bulk) for each in spectra if each.bulk]
    energy = sum(norm for norm, _ in bulks)
    return SpectraSummary(
        max_side=8192,
        spectra=len(spectra),
        fits=len(tails),
        sampled=0,
        alpha=_mean([each.alpha for each in tails]),
        alpha_weighted=_mean([each.alpha_weighted for each in tails]),
        log_alpha_norm=_mean([each.log_alpha_norm for each in tails]),
        log_norm=_mean([each.log_norm for each in spectra]),
        log_spectral_norm=_mean([each.log_spectral_norm for each in spectra]),
        stable_rank=_mean([each.stable_rank for each in spectra]),
        soft_rank=_mean([bulk.soft_rank for _, bulk in bulks]),
        ordered_fraction=nine(sum(norm * bulk.ordered_fraction for norm, bulk in bulks) / energy),
        outliers=sum(bulk.outliers for _, bulk in bulks),
    )


def _mean(values: Sequence[float | None]) -> float:
    known = [each for each in values if each is not None]
    return nine(sum(known) / len(known))
