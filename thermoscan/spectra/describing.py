"""From the eigenvalues of a matrix to what a card says of them (docs/spectra.md).

Figures of the values alone are here; the distributions that are fitted to them come from
`thermoscan.theory`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from thermoscan.card_spectra import (
    Bulk,
    PowerLaw,
    ShuffledSpectrum,
    SpectralNull,
    Spectrum,
    TruncatedPowerLaw,
)
from thermoscan.reasons import Reasons
from thermoscan.spectra.gram import Eigenvalues
from thermoscan.theory import power_law, spectral_null
from thermoscan.theory.entropy import FloatArray
from thermoscan.theory.no_fit import NoFit
from thermoscan.theory.power_law import fit_power_law
from thermoscan.theory.spectral_bulk import bulk_fit
from thermoscan.theory.spectral_distance import jensen_shannon
from thermoscan.theory.spectral_null import Shape, null_spectrum, trap
from thermoscan.theory.truncated_power_law import fit_truncated_power_law

WEAK = 1e-6
"""Eigenvalues below this are counted as weak: WeightWatcher's tolerance, squared weight units."""

FEWEST = 8
"""Of fewer eigenvalues no law is fitted, and they are in no mean over a model: WeightWatcher's."""

TOO_FEW = "fewer than eight eigenvalues show no distribution"
ALL_ZERO = spectral_null.ALL_ZERO.reason
RANK_ONE = "its rank is one"
ALL_EQUAL = power_law.ALL_EQUAL.reason
ALL_TAKEN = "its smaller side was taken whole"
NOT_SHUFFLED = "shuffling was not asked for"
NO_BASE = "no base checkpoint was given"


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Eigenvalues of the same entries in random places; see `Eigenvalues`."""

    values: FloatArray
    seed: int


def spectrum_of(found: Eigenvalues, shuffled: Shuffled | None = None) -> Spectrum:
    """Returns the spectrum that a card shows of these eigenvalues.

    Args:
        found: Of one matrix, or of several together.
        shuffled: Of the same matrices, shuffled; None where that was not asked for.
    """
    each, values = found.values, found.pooled
    shape = Shape(found.rows, found.columns, each.shape[0])
    reasons = Reasons(change=NO_BASE)
    if found.sampled is None:
        reasons["sampled"] = ALL_TAKEN
    norm, largest = float(values.sum()), float(values[-1])
    tail = _tail(values, reasons)
    rank = _rank(each)
    entropy = _spectral_entropy(values) if norm else None
    of_one = _tail_of_determinant_one(values)
    if of_one is None:
        reasons["detx_num"] = reasons["detx_val"] = ALL_EQUAL if norm else ALL_ZERO
    share = entropy / math.log(rank) if entropy is not None and rank > 1 else None
    return Spectrum(
        rows=found.rows,
        columns=found.columns,
        matrices=each.shape[0],
        num_evals=values.size,
        sampled=found.sampled,
        norm=norm,
        log_norm=reasons.value("log_norm", _log10(norm), ALL_ZERO),
        spectral_norm=largest,
        log_spectral_norm=reasons.value("log_spectral_norm", _log10(largest), ALL_ZERO),
        stable_rank=reasons.value("stable_rank", norm / largest if largest else None, ALL_ZERO),
        matrix_rank=rank,
        rank_loss=values.size - rank,
        weak_rank_loss=int(np.searchsorted(values, WEAK)),
        sv_max=math.sqrt(largest),
        sv_min=math.sqrt(float(each[:, 0].max())),
        spectral_entropy=reasons.value("spectral_entropy", entropy, ALL_ZERO),
        effective_rank=reasons.value(
            "effective_rank", None if entropy is None else math.exp(entropy), ALL_ZERO
        ),
        entropy=reasons.value("entropy", share, RANK_ONE if norm else ALL_ZERO),
        detx_num=of_one,
        detx_val=None if of_one is None else float(values[-of_one]),
        tail=tail,
        truncated=_truncated(tail, values, reasons),
        bulk=_bulk(values, shape, reasons),
        null=_null(found, values, shape, reasons),
        shuffled=_shuffled(shuffled, values, shape, reasons),
        change=None,
        reasons=reasons,
    )


def _tail_of_determinant_one(values: FloatArray) -> int | None:
    """How many of the largest values have a product below 1, over the mean; None if all are equal.

    All of them where none have: then their product is 1 but for rounding.
    """
    if values[-1] - values[0] <= values.size * np.finfo(np.float64).eps * values[-1]:
        return None
    with np.errstate(divide="ignore"):
        logs = np.log(values[::-1] / values.mean())
    below = np.flatnonzero(np.cumsum(logs) < 0)
    return int(below[0]) + 1 if below.size else values.size


def _truncated(
    tail: PowerLaw | None, values: FloatArray, reasons: Reasons
) -> TruncatedPowerLaw | None:
    fit = NoFit(reasons["tail"]) if tail is None else fit_truncated_power_law(values, tail.xmin)
    if isinstance(fit, NoFit):
        reasons["truncated"] = fit.reason
        return None
    return TruncatedPowerLaw(**asdict(fit))


def _bulk(values: FloatArray, shape: Shape, reasons: Reasons) -> Bulk | None:
    fit = bulk_fit(values, shape)
    if isinstance(fit, NoFit):
        reasons["bulk"] = fit.reason
        return None
    return Bulk(**asdict(fit))


def _tail(values: FloatArray, reasons: Reasons) -> PowerLaw | None:
    fit = fit_power_law(values) if values.size >= FEWEST else NoFit(TOO_FEW)
    if isinstance(fit, NoFit):
        reasons["tail"] = fit.reason
        return None
    logs = fit.alpha * np.log10(values[values > 0])
    highest = float(logs[-1])
    return PowerLaw(
        **asdict(fit),
        alpha_weighted=fit.alpha * math.log10(fit.xmax),
        log_alpha_norm=highest + math.log10(float((10 ** (logs - highest)).sum())),
    )


def _null(
    found: Eigenvalues, values: FloatArray, shape: Shape, reasons: Reasons
) -> SpectralNull | None:
    fit = null_spectrum(values, shape)
    if isinstance(fit, NoFit):
        reasons["null"] = fit.reason
        return None
    lone = trap(found.largest_entry, float(values.sum()), shape)
    if isinstance(lone, NoFit):
        return SpectralNull(**asdict(fit), trap=None, reasons={"trap": lone.reason})
    return SpectralNull(**asdict(fit), trap=lone)


def _shuffled(
    shuffled: Shuffled | None, values: FloatArray, shape: Shape, reasons: Reasons
) -> ShuffledSpectrum | None:
    if shuffled is None:
        reasons["shuffled"] = NOT_SHUFFLED
        return None
    places = np.sort(shuffled.values, axis=None)
    bulk = bulk_fit(places, shape)
    if isinstance(bulk, NoFit):
        reasons["shuffled"] = bulk.reason
        return None
    return ShuffledSpectrum(
        seed=shuffled.seed,
        largest=float(places[-1]),
        outliers=bulk.outliers,
        soft_rank=float(places[-1] / values[-1]),
        distance=jensen_shannon(values, places),
    )


def _log10(value: float) -> float | None:
    return math.log10(value) if value > 0 else None


def _rank(each: FloatArray) -> int:
    """Eigenvalues that a Gram matrix tells from zero: above M ε of the largest of their matrix."""
    resolution = each.shape[1] * np.finfo(np.float64).eps * each[:, -1:]
    return int((each > resolution).sum())


def _spectral_entropy(values: FloatArray) -> float:
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
