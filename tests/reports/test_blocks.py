"""Sections that only some cards have: what they say, and that they are bounded."""

from __future__ import annotations

from dataclasses import replace

from support import cards

from thermoscan.card import ExpertSpread
from thermoscan_reports.blocks import EXPERTS_SHOWN, Block, blocks_of
from thermoscan_reports.page import page_of


def block(key: str) -> Block:
    (found,) = [each for each in blocks_of(cards.complete()) if each.key == key]
    return found


def test_a_card_from_weights_alone_has_none() -> None:
    assert blocks_of(cards.realistic()) == ()


def test_a_run_stands_beside_the_reference_data_and_fresh_copies() -> None:
    found = block("probe")
    assert [row[0] for row in found.rows] == [
        "on the data",
        "on the reference data",
        "2 fresh copies, on the data",
    ]
    assert [row[4] for row in found.rows] == ["3.21", "2.63", "10.4"]
    assert [row[6] for row in found.rows] == ["5.6 %", "5.5 %", "42.5 %"]
    assert "masked language modelling" in found.sentences[0]


def test_a_number_that_a_run_could_not_give_says_why_once() -> None:
    card = cards.complete()
    assert card.probe is not None
    why = "this kind of model has no loss here"
    run = replace(card.probe.run, loss=None, temperature=None, reasons={"loss": why} | {
        "temperature": why})  # fmt: skip
    found = blocks_of(replace(card, probe=replace(card.probe, run=run)))
    (probe,) = [each for each in found if each.key == "probe"]
    assert probe.sentences[1:] == ("This kind of model has no loss here.",)
    assert probe.rows[0][4:6] == ("–", "–")


def test_a_comparison_says_its_verdict_and_what_became_of_the_layers() -> None:
    found = block("comparison")
    assert found.title == "Beside nreimers/MiniLM-L6-H384-uncased at 3276f0…643c0"
    assert found.sentences == (
        "Fine-tune: 99.9 % of the base is kept and every layer points the same way.",
        "Layers: 2 same, 37 changed, 1 re-initialised.",
        "The change is of low rank in 38 layers: 8.",
        "Gone from the base: cls.predictions.decoder.weight, "
        "cls.predictions.transform.dense.weight.",
    )
    assert {row[0]: row[1] for row in found.rows}["T*₂"] == "0.00476"


def test_mixtures_are_bounded_and_the_widest_come_first() -> None:
    mixtures = tuple(
        ExpertSpread(f"m{k}", "mlp up", k, 8, 1.0, k / 100, 0.0, 0.0, "a", "b") for k in range(50)
    )
    found = [b for b in blocks_of(replace(cards.complete(), experts=mixtures)) if b.rows]
    experts = found[-1]
    assert (len(experts.rows), experts.more) == (EXPERTS_SHOWN, 50 - EXPERTS_SHOWN)
    assert [row[0] for row in experts.rows[:2]] == ["m49", "m48"]


def test_the_extreme_experts_are_named_by_their_numbers() -> None:
    assert block("experts").rows[0][-2:] == ("5", "2")
    card = cards.complete()
    name = "layers.7.experts.{}.up.weight"
    numbered = replace(
        card.experts[0], name=name.format("*"), coldest=name.format(17), hottest=None
    )
    (row,) = blocks_of(replace(card, experts=(numbered,)))[-1].rows
    assert row[-2:] == ("17", "–")


def test_the_headline_has_what_was_measured_beside_what_was_estimated() -> None:
    figures = {figure.key: figure.value for figure in page_of(cards.complete()).figures}
    assert figures["work_efficiency"] == "17.4 %"
    assert figures["measured_efficiency"] == "5.6 %"
    assert figures["virial_temperature"] == "1.40e-6"
    assert figures["refresh_temperature"] == "0.00476"
