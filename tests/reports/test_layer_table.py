"""The table of layers: what is on the first page, and that packing loses nothing but digits."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import cards, packed_layers

from thermoscan.card import Card, Finding
from thermoscan.text import printable
from thermoscan_reports.layer_table import ROWS, number, severities, table_of

REALISTIC = cards.realistic()


def values_of(card: Card) -> list[list[float | None]]:
    """The columns that `card` should have, layer by layer, taken from its fields by hand."""
    layers = card.layers
    columns = [
        [x.reduced_temperature for x in layers],
        [x.order for x in layers],
        [x.transition_temperature for x in layers],
        [x.engine.efficiency if x.engine else None for x in layers],
    ]
    if card.sampling:
        for name in ("reduced_temperature", "order"):
            ends = [x.intervals.get(name) for x in layers]
            halves = [None if each is None else (each[1] - each[0]) / 2 for each in ends]
            columns.append([None if each is None else float(f"{each:.0e}") for each in halves])
    if card.spectra:
        spectra = [x.spectra and (x.spectra.slices or x.spectra.matrix) for x in layers]
        columns.append([x.tail.alpha if x and x.tail else None for x in spectra])
        columns.append([x.stable_rank if x else None for x in spectra])
        columns.append([x.effective_rank if x else None for x in spectra])
        columns.append([x.bulk.ordered_fraction if x and x.bulk else None for x in spectra])
    if card.probe:
        columns.append([x.probe.efficiency if x.probe else None for x in layers])
        columns.append([x.probe.temperature if x.probe else None for x in layers])
    if card.comparison:
        columns.append([x.refresh_temperature for x in layers])
        columns.append([x.change.distance if x.change else None for x in layers])
        columns.append([x.change.cosine if x.change else None for x in layers])
    if card.spectra and card.comparison:
        columns.append([x.change.distance if x and x.change else None for x in spectra])
    return columns


@pytest.mark.parametrize(
    "card",
    [
        REALISTIC,
        cards.complete(),
        cards.sampled(),
        cards.hostile(),
        cards.of_layers(1000),
        cards.bare(),
    ],
)
def test_what_is_packed_is_every_layer_to_three_digits(card: Card) -> None:
    columns = packed_layers.decoded(table_of(card).packed)
    assert packed_layers.names(columns) == [printable(x.name, 120) or "–" for x in card.layers]
    assert packed_layers.words(columns["roles"]) == [printable(x.role, 40) for x in card.layers]
    shapes = [f"{x.shape[0]} × {x.shape[1]}" for x in card.layers]
    assert packed_layers.words(columns["shapes"]) == shapes
    for values, packed in zip(values_of(card), columns["numbers"], strict=True):
        found = packed_layers.numbers(packed)
        for expected, (value, reason) in zip(values, found, strict=True):
            assert (value is None) == (expected is None)
            assert bool(reason) == (value is None)
            if value is not None and expected is not None:
                assert value == pytest.approx(expected, rel=0.00501)


@given(st.lists(st.text(alphabet="01289.-aé٣\n*", max_size=12), min_size=1, max_size=20))
def test_names_with_any_digits_come_back_whole(texts: list[str]) -> None:
    layer = REALISTIC.layers[0]
    card = replace(REALISTIC, layers=tuple(replace(layer, name=text) for text in texts))
    columns = packed_layers.decoded(table_of(card).packed)
    assert packed_layers.names(columns) == [printable(text, 120) or "–" for text in texts]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_finite_number_is_packed_within_the_range_that_letters_have(value: float) -> None:
    card = replace(REALISTIC, layers=(replace(REALISTIC.layers[0], order=value),))
    columns = packed_layers.decoded(table_of(card).packed)
    ((packed, _),) = packed_layers.numbers(columns["numbers"][1])
    assert packed is not None
    if abs(value) < 9.99e-14:
        assert packed == 0
    elif abs(value) > 9.994e12:
        assert abs(packed) == 9.99e12
    else:
        assert packed == pytest.approx(value, rel=0.00501)
        assert math.copysign(1, packed) == math.copysign(1, value)


def test_layers_with_findings_come_first_the_worst_of_them_before_the_others() -> None:
    card = cards.realistic()
    rows = table_of(card).rows
    assert [row.severity for row in rows[:3]] == ["warning", "info", ""]
    assert rows[0].name == "pooler.dense.weight"
    assert rows[1].name == "encoder.layer.0.attention.self.query.weight"
    assert [row.index for row in rows[2:]] == [i for i in range(39) if i not in (2, 38)][: ROWS - 2]


def test_a_finding_about_a_tensor_or_about_nothing_here_is_no_trouble() -> None:
    card = cards.realistic()
    fused = replace(card.layers[3], name="fused[query]", tensor="fused")
    findings = tuple(
        Finding("x", severity, layer, "m", "m", "a", {})
        for severity, layer in [
            ("info", "fused"),
            ("error", "fused"),
            ("error", "gone"),
            ("odd", "fused"),
        ]
    )
    layers = (*card.layers[:3], fused, *card.layers[4:])
    assert severities(replace(card, layers=layers, findings=findings)) == {3: "error"}


def test_a_missing_number_is_a_dash_with_its_reason() -> None:
    card = cards.realistic()
    layer = replace(
        card.layers[0], transition_temperature=None, reasons={"transition_temperature": "why \x1b"}
    )
    cell = table_of(replace(card, layers=(layer,))).rows[0].numbers[2]
    assert (cell.text, cell.reason) == ("–", "why \\x1b")


def test_a_figure_of_a_spectrum_says_which_part_of_it_is_missing() -> None:
    card = cards.complete()
    alphas = [number(layer, "spectra.counted.tail.alpha") for layer in card.layers]
    assert alphas[1] == (None, "it holds values that are not finite")
    assert alphas[3] == (None, "fewer than eight eigenvalues lie in any tail")
    assert {why for place, (_, why) in enumerate(alphas) if place not in (1, 3)} == {""}
    nowhere = number(cards.realistic().layers[0], "spectra.counted.stable_rank")
    assert nowhere == (None, "spectra were not asked for")


def test_the_packed_table_of_10000_layers_takes_at_most_ten_bytes_a_layer() -> None:
    assert len(table_of(cards.of_layers(10_000)).packed) < 100_000
