"""From the eigenvalues of a matrix to what a card says of them (docs/spectra.md).

Figures of the values alone are here; the distributions that are fitted to them come from
`thermoscan.theory`.
"""

from __future__ import annotations

import math

import numpy as np

from thermoscan.card_spectra import Spectrum
from thermoscan.reasons import Reasons
from thermoscan.spectra.gram import Eigenvalues
from thermoscan.theory.entropy import FloatArray

WEAK = 1e-6
"""Eigenvalues below this are counted as weak: WeightWatcher's tolerance, squared weight units."""

ALL_ZERO = "all of its eigenvalues are zero"
RANK_ONE = "its rank is one"
ALL_TAKEN = "its smaller side was taken whole"
NOT_SHUFFLED = "shuffling was not asked for"
NO_BASE = "no base checkpoint was given"


def spectrum_of(found: Eigenvalues, scale: float = 1.0) -> Spectrum:
    """Returns the spectrum that a card shows of these eigenvalues.

    Args:
        found: Of one matrix, or of several together.
        scale: What to multiply them by first.
    """
    each = found.values * scale
    values = np.sort(each, axis=None)
    reasons = Reasons(shuffled=NOT_SHUFFLED, change=NO_BASE)
    if found.sampled is None:
        reasons["sampled"] = ALL_TAKEN
    norm, largest = float(values.sum()), float(values[-1])
    rank = _rank(each)
    entropy = _spectral_entropy(values) if norm else None
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
        tail=None,
        truncated=None,
        bulk=None,
        null=None,
        shuffled=None,
        change=None,
        reasons=reasons,
    )


def _log10(value: float) -> float | None:
    return math.log10(value) if value > 0 else None


def _rank(each: FloatArray) -> int:
    """Eigenvalues that a Gram matrix tells from zero: above M ε of the largest of their matrix."""
    resolution = each.shape[1] * np.finfo(np.float64).eps * each[:, -1:]
    return int((each > resolution).sum())


def _spectral_entropy(values: FloatArray) -> float:
    shares = values[values > 0] / values.sum()
    return float(-(shares * np.log(shares)).sum())
