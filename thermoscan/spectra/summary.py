"""The spectra of a model together, as a card sums them up."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from thermoscan.card_spectra import LayerSpectra, SpectraSummary, Spectrum
from thermoscan.reasons import Reasons
from thermoscan.spectra.describing import FEWEST

NO_SPECTRUM = "no layer has a spectrum of eight eigenvalues or more"
NO_FIT = "no layer has a power law"
NO_BULK = "no layer has a Marchenko-Pastur fit"


def summary_of(layers: Sequence[LayerSpectra], max_side: int) -> SpectraSummary:
    """Returns the means over layers that have eigenvalues enough for them to mean something.

    Args:
        layers: Of every layer of the model.
        max_side: The largest smaller side that was taken whole.
    """
    counted = [each for layer in layers if (each := layer.counted)]
    spectra = [each for each in counted if each.num_evals >= FEWEST]
    bulks = [(each, each.bulk) for each in spectra if each.bulk]
    tails = [each.tail for each in spectra if each.tail]
    reasons = Reasons()

    def mean(name: str, values: Sequence[float | None], reason: str) -> float | None:
        known = [each for each in values if each is not None]
        return reasons.value(name, statistics.fmean(known) if known else None, reason)

    def of_spectra(name: str, figure: Callable[[Spectrum], float | None]) -> float | None:
        return mean(name, [figure(each) for each in spectra], NO_SPECTRUM)

    energy = sum(each.norm for each, _ in bulks)
    ordered = sum(each.norm * bulk.ordered_fraction for each, bulk in bulks)
    return SpectraSummary(
        max_side=max_side,
        spectra=len(counted),
        fits=len(tails),
        sampled=sum(each.sampled is not None for each in counted),
        alpha=mean("alpha", [each.alpha for each in tails], NO_FIT),
        alpha_weighted=mean("alpha_weighted", [each.alpha_weighted for each in tails], NO_FIT),
        log_alpha_norm=mean("log_alpha_norm", [each.log_alpha_norm for each in tails], NO_FIT),
        log_norm=of_spectra("log_norm", lambda each: each.log_norm),
        log_spectral_norm=of_spectra("log_spectral_norm", lambda each: each.log_spectral_norm),
        stable_rank=of_spectra("stable_rank", lambda each: each.stable_rank),
        soft_rank=mean("soft_rank", [bulk.soft_rank for _, bulk in bulks], NO_BULK),
        ordered_fraction=reasons.value(
            "ordered_fraction", ordered / energy if energy else None, NO_BULK
        ),
        outliers=sum(bulk.outliers for _, bulk in bulks),
        reasons=reasons,
    )
