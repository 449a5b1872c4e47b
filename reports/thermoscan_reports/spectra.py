"""What a page says of spectra: a sentence, the means over the model, and what has no spectrum.

Takes a card; gives a `Block`, whose sentences say enough where there is no room for its table.
Every text is printable and every number is already words.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator

from thermoscan.card import Card
from thermoscan.card_spectra import SpectraSummary
from thermoscan.text import printable
from thermoscan_reports.blocks import Block
from thermoscan_reports.numbers import percent, shown

_REASONS_SHOWN = 5


def spectra_of(card: Card) -> Block | None:
    """Returns what a page says of the spectra of `card`; None where they were not asked for."""
    if card.spectra is None:
        return None
    return Block(
        key="spectra",
        title="Spectra",
        sentences=(_gist(card.spectra), *_sampled(card.spectra), *_absent(card), *_moved(card)),
        caption="The whole model: plain means over its layers, as WeightWatcher takes them",
        columns=("Figure", "Value", "What it is"),
        rows=tuple(_rows(card.spectra)),
    )


def _gist(spectra: SpectraSummary) -> str:
    if not spectra.spectra:
        return "No layer has a spectrum."
    fits = f"A power law was fitted to {spectra.fits:,} of {spectra.spectra:,} spectra"
    alpha = "" if spectra.alpha is None else f", of mean exponent α = {shown(spectra.alpha)}"
    ordered = ""
    if spectra.ordered_fraction is not None:
        share, outliers = percent(spectra.ordered_fraction), f"{spectra.outliers:,}"
        ordered = (
            f". Where a bulk was fitted, a mean of {share} of the energy is ordered; outliers in "
            f"all: {outliers}"
        )
    return f"{fits}{alpha}{ordered}."


def _sampled(spectra: SpectraSummary) -> Iterator[str]:
    if spectra.sampled:
        yield (
            f"Estimated in {spectra.sampled:,} of them: where the smaller side is longer than "
            f"{spectra.max_side:,}, so many of its rows or columns were drawn."
        )


def _absent(card: Card) -> Iterator[str]:
    """Why layers have no spectrum, and why spectra have no power law."""
    layers = [layer.spectra for layer in card.layers if layer.spectra]
    yield from _counted(
        "Layers without a spectrum",
        (each.reasons.get("matrix", "not known") for each in layers if each.counted is None),
    )
    spectra = [each.counted for each in layers if each.counted]
    yield from _counted(
        "Spectra without a power law",
        (each.reasons.get("tail", "not known") for each in spectra if each.tail is None),
    )


def _counted(title: str, reasons: Iterable[str]) -> Iterator[str]:
    """How many there are of each reason, the commonest first."""
    counts = Counter(reasons)
    if counts:
        parts = [
            f"{count:,} ({printable(reason, 200)})"
            for reason, count in counts.most_common(_REASONS_SHOWN)
        ]
        more = " and for other reasons" if len(counts) > _REASONS_SHOWN else ""
        yield f"{title}: {', '.join(parts)}{more}."


def _moved(card: Card) -> Iterator[str]:
    """How far the singular values are from the base's, beside the weights themselves."""
    pairs = [
        (change.distance, layer.change.distance)
        for layer in card.layers
        if layer.spectra and layer.spectra.counted and layer.change
        if (change := layer.spectra.counted.change)
        if change.distance is not None and layer.change.distance is not None
    ]
    if pairs:
        values, weights = (shown(statistics.median(each)) for each in zip(*pairs, strict=True))
        yield (
            f"Beside the base, singular values moved by {values} of their norm, and weights, whose "
            f"distance has rotations in it too, by {weights} (medians of {len(pairs):,} layers)."
        )


def _rows(spectra: SpectraSummary) -> Iterator[tuple[str, str, str]]:
    """The figures by their names in the card, which are WeightWatcher's where it has them."""
    figures = (
        ("alpha", shown, "α, exponent of the power law that was fitted to the tail"),
        ("alpha_weighted", shown, "α · log₁₀ of the largest eigenvalue"),
        ("log_alpha_norm", shown, "log₁₀ Σ λ^α over the eigenvalues λ"),
        ("log_norm", shown, "log₁₀ Σ λ, the squared Frobenius norm"),
        ("log_spectral_norm", shown, "log₁₀ of the largest eigenvalue"),
        ("stable_rank", shown, "Σ λ over the largest eigenvalue"),
        ("soft_rank", shown, "upper edge of the bulk over the largest eigenvalue"),
        ("ordered_fraction", percent, "share of Σ λ that the outliers hold, where a bulk is"),
    )
    for name, say, meaning in figures:
        value = getattr(spectra, name)
        why = f"{printable(spectra.reasons.get(name, 'not known'), 200)}: " if value is None else ""
        yield name, say(value), why + meaning
    yield "outliers", f"{spectra.outliers:,}", "eigenvalues above a bulk by more than chance"
