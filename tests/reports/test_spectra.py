"""The section on spectra: what it says of a model, and of what it could not take."""

from __future__ import annotations

import statistics
from dataclasses import replace

from support import cards
from support.spectral_cards import NO_FIT, with_spectra

from thermoscan.card import Card
from thermoscan.card_spectra import LayerSpectra
from thermoscan_reports.blocks import Block
from thermoscan_reports.html_report import HtmlReporter
from thermoscan_reports.numbers import shown
from thermoscan_reports.spectra import spectra_of


def section_of(card: Card) -> Block:
    found = spectra_of(card)
    assert found is not None
    return found


def test_a_card_without_spectra_has_no_section() -> None:
    assert spectra_of(cards.realistic()) is None
    page = HtmlReporter().render(cards.realistic())
    assert "Spectra" not in page and "WeightWatcher" not in page and "Spectrum" not in page


def test_the_first_sentence_says_how_many_fits_there_are_and_what_is_ordered() -> None:
    card = cards.complete()
    assert card.spectra is not None
    spectra = replace(card.spectra, spectra=1200, fits=38, alpha=3.456, outliers=4321)
    card = replace(card, spectra=replace(spectra, ordered_fraction=0.1234))
    assert section_of(card).sentences[0] == (
        "A power law was fitted to 38 of 1,200 spectra, of mean exponent α = 3.46. Where a bulk "
        "was fitted, a mean of 12.3 % of the energy is ordered; outliers in all: 4,321."
    )


def test_figures_go_by_their_names_and_a_missing_one_says_why() -> None:
    card = cards.complete()
    assert card.spectra is not None
    why = "no layer has a power law"
    unknown = replace(card.spectra, alpha=None, reasons={"alpha": why}, soft_rank=0.25)
    section = section_of(replace(card, spectra=unknown))
    rows = {name: (value, meaning) for name, value, meaning in section.rows}
    assert rows["alpha"][0] == "–"
    assert rows["alpha"][1].startswith(f"{why}: ")
    assert rows["soft_rank"][0] == "0.250"
    assert "exponent" not in section.sentences[0]
    assert set(rows) <= set(vars(card.spectra))


def test_layers_without_a_spectrum_are_counted_by_their_reason_the_commonest_first() -> None:
    card = with_spectra(cards.of_layers(20))
    reasons = ["rare", *["common"] * 4, "x\x1b"]
    layers = [
        replace(each, spectra=LayerSpectra(None, None, {"matrix": why, "slices": "no kernel"}))
        for each, why in zip(card.layers, reasons, strict=False)
    ]
    card = replace(card, layers=(*layers, *card.layers[len(layers) :]))
    assert (
        section_of(card).sentences[1]
        == "Layers without a spectrum: 4 (common), 1 (rare), 1 (x\\x1b)."
    )


def test_spectra_without_a_power_law_are_counted_by_their_reason() -> None:
    sentences = section_of(with_spectra(cards.of_layers(20))).sentences
    assert f"Spectra without a power law: 1 ({NO_FIT})." in sentences
    everyone_has_one = with_spectra(cards.of_layers(3))
    assert not any("without a power law" in each for each in section_of(everyone_has_one).sentences)


def test_a_model_without_matrices_has_no_spectrum_and_no_fits_are_counted() -> None:
    card = with_spectra(cards.realistic())
    assert card.spectra is not None
    empty = replace(card, layers=(), spectra=replace(card.spectra, spectra=0, fits=0))
    assert section_of(empty).sentences == ("No layer has a spectrum.",)


def test_a_sampled_side_is_said_with_its_length() -> None:
    card = with_spectra(cards.realistic())
    assert card.spectra is not None
    sampled = replace(card, spectra=replace(card.spectra, sampled=3, max_side=8192))
    assert section_of(sampled).sentences[1].startswith("Estimated in 3 of them: ")
    assert "8,192" in section_of(sampled).sentences[1]
    assert not any("Estimated" in each for each in section_of(card).sentences)


def test_singular_values_and_weights_stand_beside_each_other_where_there_is_a_base() -> None:
    card = cards.complete()
    weights = [x.change.distance or 0.0 for x in card.layers if x.change]
    del weights[1]  # which has no spectrum
    values = [each / 2 for each in weights]  # as the card was made
    assert section_of(card).sentences[-1] == (
        f"Beside the base, singular values moved by {shown(statistics.median(values))} of their "
        "norm, and weights, whose distance has rotations in it too, by "
        f"{shown(statistics.median(weights))} (medians of 39 layers)."
    )
    alone = section_of(with_spectra(cards.realistic())).sentences
    assert not any("base" in each for each in alone)


def test_temperature_and_exponent_stand_side_by_side_with_the_convention() -> None:
    page = HtmlReporter().render(cards.complete())
    section = page[page.index('<section id="spectra"') :]
    section = section[: section.index("</section>")]
    assert section.count("<svg") == 2
    temperature, exponent = section.index("Reduced temperature τ"), section.index("Tail exponent α")
    assert section.count('fill-opacity=".1"') == 1
    assert temperature < exponent < section.index("by WeightWatcher’s convention")
    assert section.index("WeightWatcher’s convention") < section.index('<th scope="row">alpha<')
