"""What the spectra of a scan's layers show, judged against a random matrix (docs/spectra.md).

Nothing is found where spectra were not asked for. A layer that cannot be told from a Gaussian
matrix of its shape and temperature has none of these, whatever its exponent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from thermoscan.anatomy.model import Role
from thermoscan.findings.kinds import INFO, Kind, Sighting, figure
from thermoscan.theory.states import SIGNIFICANCE

if TYPE_CHECKING:
    from thermoscan.card_spectra import PowerLaw, Spectrum
    from thermoscan.scanner.measurement import LayerMeasurement, Measurement

OVER, UNDER = 2.0, 6.0
"""Exponents below and above which WeightWatcher calls a layer over- and under-trained."""

SIDE = 64
"""Smaller side from which a Gaussian matrix of any shape gets an exponent below `OVER` less than
once in 100; of 16 by 16 every other one does."""

FIT = 0.9
"""``D √n`` of a tail above which it is no power law: of drawn ones 1 in 100 is above."""

EXCESS = 6.0
"""Deviations by which an eigenvalue must exceed the largest of a random matrix; of these, less than
one in a million does by the Tracy-Widom law."""

FACTOR = 4.0
"""In an eigenvalue: a factor of 2 in scale, as for layers that are hot."""

COLLAPSED = 0.1
"""Share of a random matrix's effective rank below which a rank has collapsed; and share of all
directions from which on those that are empty are a collapse."""

FEWEST = 8
"""Eigenvalues per matrix below which ranks are not judged."""

OVER_TRAINED = Kind(
    "over-trained",
    INFO,
    "The eigenvalues' tail is so heavy that a few directions hold most of the energy. By "
    "WeightWatcher's convention (alpha below 2) the layer is over-trained, or bound to its data; "
    "that is an observation on its makers' models, no law.",
    "Compare with the other layers and with held-out accuracy before acting on it.",
)
UNDER_TRAINED = Kind(
    "under-trained",
    INFO,
    "The eigenvalues' tail is nearly as light as that of a random matrix. By WeightWatcher's "
    "convention (alpha above 6) the layer is under-trained, or larger than its task needs.",
    "Compare with the other layers; most random matrices of this size have such an exponent too.",
)
CORRELATION_TRAP = Kind(
    "correlation-trap",
    INFO,
    "One entry is so large that it makes a direction of its own, and would wherever it stood: "
    "the matrix keeps it when its entries are shuffled, which WeightWatcher calls a correlation "
    "trap.",
    "Expect rounding to few bits with one scale per matrix to harm this layer; look at the "
    "features that the entry connects.",
)
RANK_COLLAPSE = Kind(
    "rank-collapse",
    INFO,
    "The layer uses a small part of the directions that its shape allows.",
    "A product of two narrow matrices may do the same work. If it was not meant to be of low "
    "rank, look for copied units and for inputs that are always the same.",
)


def over_and_under_trained(measurement: Measurement) -> Iterator[Sighting]:
    """Finds exponents beyond WeightWatcher's bounds by three of their errors, where they mean any.

    A convolution is judged by its slices, as WeightWatcher does.
    """
    for each in measurement.layers:
        spectrum = each.spectra and (each.spectra.slices or each.spectra.matrix)
        if spectrum and spectrum.columns >= SIDE and _told_from_noise(spectrum):
            tail = spectrum.tail
            if tail and tail.distance * math.sqrt(tail.spikes) <= FIT:
                yield from _beyond(each.layer.name, spectrum, tail)


def _told_from_noise(spectrum: Spectrum) -> bool:
    return spectrum.null is not None and spectrum.null.excess > EXCESS


def _beyond(name: str, spectrum: Spectrum, tail: PowerLaw) -> Iterator[Sighting]:
    margin = SIGNIFICANCE * tail.sigma
    for kind, side, bound, distance in (
        (OVER_TRAINED, "below", OVER, OVER - tail.alpha),
        (UNDER_TRAINED, "above", UNDER, tail.alpha - UNDER),
    ):
        if distance > margin:
            yield Sighting(
                kind,
                name,
                f"alpha is {figure(tail.alpha)} ± {figure(tail.sigma)} over {tail.spikes:,} of "
                f"{spectrum.num_evals:,} eigenvalues, {side} {bound:g}",
                extent=distance,
                evidence={
                    "alpha": tail.alpha,
                    "alpha_error": tail.sigma,
                    "distance": tail.distance,
                    "tail": tail.spikes,
                    "eigenvalues": spectrum.num_evals,
                },
            )


def correlation_traps(measurement: Measurement) -> Iterator[Sighting]:
    """Finds entries that by themselves make an eigenvalue far above all that noise makes."""
    for each in measurement.layers:
        spectrum = each.spectra and each.spectra.matrix
        null = spectrum and spectrum.null
        if not spectrum or not null or null.trap is None:
            continue
        noise = null.largest + EXCESS * null.largest_error
        if null.trap > max(noise, FACTOR * null.largest):
            moments = each.tally.moments
            entry = max(abs(moments.minimum), abs(moments.maximum))
            yield Sighting(
                CORRELATION_TRAP,
                each.layer.name,
                f"its largest entry, {figure(entry)}, by itself makes an eigenvalue "
                f"{figure(null.trap / null.largest)} times the largest of noise of its temperature",
                extent=null.trap / null.largest,
                evidence={
                    "trap": null.trap,
                    "noise": null.largest,
                    "noise_error": null.largest_error,
                    "largest_eigenvalue": spectrum.spectral_norm,
                    "shuffled": spectrum.shuffled.largest if spectrum.shuffled else None,
                },
            )


def rank_collapse(measurement: Measurement) -> Iterator[Sighting]:
    """Finds matrices of which few directions carry energy; tables are not judged.

    Rows of a table are points, which may well lie on a curve, as positions do.
    """
    for each in measurement.layers:
        spectrum = each.spectra and each.spectra.matrix
        if spectrum and spectrum.columns >= FEWEST and each.layer.role is not Role.EMBEDDING:
            yield from _collapse(each, spectrum)


def _collapse(each: LayerMeasurement, spectrum: Spectrum) -> Iterator[Sighting]:
    if spectrum.null is None or spectrum.effective_rank is None:
        return
    expected = spectrum.null.effective_rank
    share = spectrum.effective_rank / expected
    empty = spectrum.rank_loss / spectrum.num_evals
    if share < COLLAPSED:
        message = (
            f"its effective rank is {figure(spectrum.effective_rank)}; a random matrix of its "
            f"shape has {figure(expected)}"
        )
    elif empty >= COLLAPSED:
        message = (
            f"{spectrum.rank_loss:,} of its {spectrum.num_evals:,} directions carry nothing at all"
        )
    else:
        return
    yield Sighting(
        RANK_COLLAPSE,
        each.layer.name,
        message,
        extent=1 / share,
        evidence={
            "effective_rank": spectrum.effective_rank,
            "random_effective_rank": expected,
            "rank": spectrum.matrix_rank,
            "directions": spectrum.num_evals,
        },
    )
