"""A card as JSON: stable bytes, strict reading, the shipped schema, and the null rule."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import cards

import thermoscan
from thermoscan.card import CARD_VERSION, SCHEMA_URL, Card
from thermoscan.card_io import from_json, missing_reasons, to_json
from thermoscan.card_schema import schema_text
from thermoscan.errors import CardError

SCHEMA = Path(thermoscan.__file__).parent / "schema" / f"card-{CARD_VERSION}.json"
GOLDENS = Path(__file__).parent / "goldens"
EVERY_KIND = {
    "realistic": cards.realistic(),
    "complete": cards.complete(),
    "sampled": cards.sampled(),
    "hostile": cards.hostile(),
    "bare": cards.bare(),
    "300 layers": cards.of_layers(300),
}
every_kind = pytest.mark.parametrize("card", EVERY_KIND.values(), ids=EVERY_KIND)


def changed(edit: Callable[[dict[str, Any]], object]) -> str:
    """Returns a card's JSON after `edit` has had its way with the decoded text."""
    value = json.loads(to_json(cards.realistic()))
    edit(value)
    return json.dumps(value)


@every_kind
def test_a_card_that_was_written_reads_back_equal(card: Card) -> None:
    assert from_json(to_json(card)) == card


@every_kind
def test_a_written_card_satisfies_the_shipped_schema(card: Card) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(to_json(card)), schema)


@every_kind
def test_the_fixture_cards_explain_every_null(card: Card) -> None:
    assert missing_reasons(card) == []


def test_a_null_without_a_reason_is_named_wherever_it_is() -> None:
    card = cards.realistic()
    layer = replace(card.layers[0], order=None)
    summary = replace(card.summary, order=None, reasons={"order": ""})
    card = replace(card, layers=(layer, *card.layers[1:]), summary=summary)
    assert missing_reasons(card) == [
        "card.summary.refresh_temperature",
        "card.summary.order",
        "card.layers[0].order",
    ]


def test_the_shipped_schema_is_what_the_classes_generate() -> None:
    assert SCHEMA.read_text("utf-8") == schema_text()
    assert json.loads(schema_text())["$id"] == SCHEMA_URL


@pytest.mark.parametrize(
    "edit",
    [
        lambda value: value["layers"][0].pop("order"),
        lambda value: value["layers"][0].update(surprise=1),
        lambda value: value["summary"].update(temperature="0.5"),
        lambda value: value["layers"][0].update(shape=[1, 2, 3]),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(
    edit: Callable[[dict[str, Any]], object],
) -> None:
    text = changed(edit)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(text), json.loads(SCHEMA.read_text("utf-8")))
    with pytest.raises(CardError, match="card") as caught:
        from_json(text)
    assert caught.value.code == "card-malformed"


def without_spectra(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a card's or a layer's JSON as it was before version 4."""
    reasons = {name: why for name, why in record["reasons"].items() if name != "spectra"}
    kept = {name: value for name, value in record.items() if name != "spectra"}
    return {**kept, "reasons": reasons}


def test_a_card_of_version_1_stays_readable_for_ever() -> None:
    """This golden is never rewritten: a card that someone wrote with version 1 must stay a card."""
    text = (GOLDENS / "card-1.json").read_bytes().decode("ascii")
    card = from_json(text)
    assert card.version == CARD_VERSION
    old, new = json.loads(text), json.loads(to_json(card))
    assert new["summary"] == {**old["summary"], "intervals": {}}
    for before, after in zip(old["layers"], new["layers"], strict=True):
        engine = before["engine"] and {**before["engine"], "intervals": {}}
        assert {**before, "engine": engine, "reasons": after["reasons"]} == {
            name: value
            for name, value in after.items()
            if name not in ("probe", "change", "intervals", "spectra")
        }
        assert before["reasons"].items() <= after["reasons"].items()
    assert missing_reasons(card) == []
    assert card.model.id == "sentence-transformers/all-MiniLM-L6-v2"
    assert len(card.layers) == 39
    assert card.layers[-1].initialisation is not None
    assert card.layers[-1].initialisation.variance == 0.0004


def test_a_card_of_version_2_stays_readable_for_ever() -> None:
    """This golden is never rewritten either: it has a run on data, a base, and experts."""
    text = (GOLDENS / "card-2.json").read_bytes().decode("ascii")
    card = from_json(text)
    assert card.sampling is None and card.reasons["sampling"] == "every byte was read"
    assert card.not_looked_for == () and card.summary.intervals == {}
    old, new = json.loads(text), json.loads(to_json(card))
    assert new["findings"] == old["findings"]
    assert new["model"]["files"] == [{**each, "reasons": {}} for each in old["model"]["files"]]
    for before, after in zip(old["layers"], new["layers"], strict=True):
        engine = before["engine"] and {**before["engine"], "intervals": {}}
        assert {**before, "engine": engine, "intervals": {}} == without_spectra(after)
    assert card.probe is not None and card.probe.run.positions == 2310
    assert card.comparison is not None and card.comparison.verdict == "fine-tune"
    assert card.layers[-1].change is not None and card.layers[-1].change.rank == 8
    assert [each.sampling_spread for each in card.experts] == [0.002]


def test_a_card_of_version_3_stays_readable_for_ever() -> None:
    """This golden is never rewritten either: it is of a sample, with intervals."""
    text = (GOLDENS / "card-3.json").read_bytes().decode("ascii")
    card = from_json(text)
    old, new = json.loads(text), json.loads(to_json(card))
    version = {"schema": SCHEMA_URL, "version": CARD_VERSION}
    layers = [without_spectra(each) for each in new["layers"]]
    assert {**old, **version} == {**without_spectra(new), "layers": layers}
    assert missing_reasons(card) == []
    assert card.sampling is not None and card.sampling.bytes_read == 4_302_336
    assert card.summary.intervals["reduced_temperature"] == (2.5, 2.75)
    assert card.layers[0].digest is not None and not card.layers[0].intervals
    assert card.layers[1].digest is None
    assert card.layers[1].reasons["digest"] == "only a sample of its bytes was read"
    assert [each.code for each in card.not_looked_for] == ["constant", "dead-units"]


def test_a_card_of_version_4_stays_readable_for_ever() -> None:
    """This golden is never rewritten either: it has spectra, and a layer whose tail has no fit."""
    text = (GOLDENS / "card-4.json").read_bytes().decode("ascii")
    card = from_json(text)
    assert to_json(card) == text
    assert missing_reasons(card) == []
    assert card.spectra is not None and (card.spectra.spectra, card.spectra.fits) == (39, 38)
    assert card.layers[1].spectra is not None
    assert card.layers[1].spectra.reasons["matrix"] == "it holds values that are not finite"
    unfitted, shuffled, convolution = (card.layers[place].spectra for place in (3, 4, 39))
    assert unfitted is not None and unfitted.matrix is not None
    assert unfitted.matrix.tail is None and unfitted.matrix.change is not None
    assert unfitted.matrix.reasons["tail"] == "fewer than eight eigenvalues lie in any tail"
    assert shuffled is not None and shuffled.matrix is not None
    assert shuffled.matrix.shuffled is not None and shuffled.matrix.shuffled.outliers == 1
    assert convolution is not None and convolution.slices is not None
    assert (convolution.slices.matrices, convolution.slices.num_evals) == (9, 9 * 32)


def test_the_text_is_ascii_ends_in_a_newline_and_has_a_line_per_layer() -> None:
    card = cards.hostile()
    text = to_json(card)
    assert text.isascii()
    assert text.endswith("}\n")
    lines = text.splitlines()
    records = len(card.layers) + len(card.experts) + len(card.files)
    assert sum(line.startswith('    {"name": ') for line in lines) == records


def test_numbers_are_rounded_to_nine_significant_digits_and_zero_has_no_sign() -> None:
    card = cards.realistic()
    summary = replace(card.summary, temperature=1 / 3, order=-0.0, carnot_bound=1e-300)
    value = json.loads(to_json(replace(card, summary=summary)))["summary"]
    assert value["temperature"] == 0.333333333
    assert str(value["order"]) == "0.0"
    assert value["carnot_bound"] == 1e-300


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_refused_with_its_place(number: float) -> None:
    card = cards.realistic()
    layer = replace(card.layers[0], mean=number)
    with pytest.raises(CardError, match=r"card\.layers\[0\]\.mean") as caught:
        to_json(replace(card, layers=(layer,)))
    assert caught.value.code == "card-not-finite"


def test_a_value_that_json_has_no_word_for_is_refused() -> None:
    card = replace(cards.realistic(), notes=(b"bytes",))  # type: ignore[arg-type]
    with pytest.raises(CardError, match=r"card\.notes\[0\] is a bytes"):
        to_json(card)


def test_a_newer_version_is_refused_by_its_number() -> None:
    newer = CARD_VERSION + 1
    with pytest.raises(CardError, match=rf"version {newer}.*up to version {newer - 1}") as caught:
        from_json(f'{{"version": {newer}, "anything": "else"}}')
    assert caught.value.code == "card-newer-version"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "card-not-json"),
        ("{", "card-not-json"),
        ("[" * 100_000, "card-not-json"),
        ('{"version": 1, "x": NaN}', "card-not-json"),
        ("1" * 10_000, "card-not-json"),
        ("[]", "card-malformed"),
        ("{}", "card-malformed"),
        ('{"version": true}', "card-malformed"),
        ('{"version": "1"}', "card-malformed"),
        ('{"version": 0}', "card-malformed"),
        ('{"version": 1, "layers": 3}', "card-malformed"),
        (changed(lambda value: value.update(notes="text")), "card-malformed"),
        (changed(lambda value: value.update(notes=[1])), "card-malformed"),
        (changed(lambda value: value.update(model=None)), "card-malformed"),
        (changed(lambda value: value["model"].update(parameters=1.0)), "card-malformed"),
        (changed(lambda value: value["model"].update(parameters=True)), "card-malformed"),
        (changed(lambda value: value["summary"].update(order=10**400)), "card-malformed"),
        (changed(lambda value: value["findings"][0]["evidence"].update(x=[])), "card-malformed"),
    ],
)
def test_what_is_no_card_is_refused_with_a_code(text: str, code: str) -> None:
    with pytest.raises(CardError) as caught:
        from_json(text)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_a_whole_number_is_read_as_a_float_where_a_float_belongs() -> None:
    card = from_json(changed(lambda value: value["summary"].update(order=1)))
    assert isinstance(card.summary.order, float)
    evidence = from_json(changed(lambda v: v["findings"][0]["evidence"].update(n=3, x=3.0)))
    kinds = [type(value) for value in evidence.findings[0].evidence.values()]
    assert kinds[-2:] == [int, float]


def test_the_same_bytes_come_from_another_process_without_pydantic() -> None:
    code = (
        "import sys; from support import cards; from thermoscan.card_io import to_json, from_json\n"
        "text = to_json(cards.realistic()); from_json(text)\n"
        "assert 'pydantic' not in sys.modules and 'pandas' not in sys.modules\n"
        "sys.stdout.write(text)"
    )
    folder = Path(__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    assert result.stdout == to_json(cards.realistic())


def test_a_card_renders_itself_by_the_registered_reporter() -> None:
    assert cards.realistic().to_json() == to_json(cards.realistic())
    assert cards.realistic().to_html().startswith("<!doctype html>")
