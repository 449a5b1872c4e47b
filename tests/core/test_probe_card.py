"""What a run measured becomes part of the card, with a reason for whatever it lacks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.measuring import measured
from support.model_folders import write_model

from thermoscan.anatomy import Anatomy
from thermoscan.card import Card
from thermoscan.card_io import from_json, missing_reasons, to_json
from thermoscan.findings import find
from thermoscan.probe import card as module
from thermoscan.probe.card import DataReading, Probing, with_probe
from thermoscan.probe.reading import LayerReading, Reading, Stroke
from thermoscan.scanner.assemble import card_of


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Card, Anatomy]:
    folder = tmp_path_factory.mktemp("llama")
    write_model(folder, "llama", "ForCausalLM")
    measurement = measured(folder)
    return card_of(measurement, find(measurement), (), {}), measurement.anatomy


def reading(anatomy: Anatomy, heat: float, temperature: float | None = 0.5) -> Reading:
    layers = {
        each.name: LayerReading(
            10, temperature, Stroke(("silu",), heat, heat / 4, 3) if each.engine else None
        )
        for each in anatomy.layers
    }
    return Reading(3, 30, None if temperature is None else 2.0, layers)


def probing(run: Reading, **more: object) -> Probing:
    found = Probing(
        "causal language modelling", "cpu", 7, DataReading("my data", run), None, (), {}, ()
    )
    return replace(found, **more)  # type: ignore[arg-type]


def test_a_run_alone(scanned: tuple[Card, Anatomy]) -> None:
    card, anatomy = scanned
    found = with_probe(card, anatomy, probing(reading(anatomy, 8.0)))
    assert missing_reasons(found) == []
    assert "probe" not in found.reasons
    assert found.probe is not None
    assert (found.probe.seed, found.probe.run.data, found.probe.run.loss) == (7, "my data", 2.0)
    assert found.probe.run.heat == 8.0 * sum(each.engine for each in anatomy.layers)
    assert found.probe.run.efficiency == 0.25
    assert found.probe.reasons == {
        "reference": module.IS_REFERENCE,
        "baseline": module.NO_COPIES,
    }
    gate = next(each.probe for each in found.layers if each.role == "mlp gate")
    down = next(each.probe for each in found.layers if each.role == "mlp down")
    assert gate is not None
    assert down is not None
    assert (gate.heat, gate.work, gate.efficiency, gate.temperature) == (8.0, 2.0, 0.25, 0.5)
    assert down.heat is None
    assert down.reasons["heat"] == "no activation follows it"
    written = to_json(found)
    assert to_json(from_json(written)) == written


def test_reference_and_copies_stand_beside_the_run(scanned: tuple[Card, Anatomy]) -> None:
    card, anatomy = scanned
    other = DataReading("sample", reading(anatomy, 4.0, 0.1))
    copies = (reading(anatomy, 2.0, 3.0), reading(anatomy, 6.0, 5.0))
    found = with_probe(
        card, anatomy, probing(reading(anatomy, 8.0), reference=other, copies=copies)
    )
    assert missing_reasons(found) == []
    assert found.probe is not None
    assert found.probe.reference is not None
    assert found.probe.baseline is not None
    assert found.probe.reference.temperature == 0.1
    engines = sum(each.engine for each in anatomy.layers)
    assert (found.probe.copies, found.probe.baseline.temperature) == (2, 4.0)
    assert found.probe.baseline.heat == 4.0 * engines
    assert found.probe.baseline.efficiency == 0.25
    gate = next(each.probe for each in found.layers if each.role == "mlp gate")
    assert gate is not None
    assert (gate.reference_temperature, gate.baseline_temperature) == (0.1, 4.0)


def test_a_baseline_is_a_ratio_of_sums(scanned: tuple[Card, Anatomy]) -> None:
    card, anatomy = scanned
    hot, cold = reading(anatomy, 9.0), reading(anatomy, 1.0)
    name = next(each.name for each in anatomy.layers if each.engine)
    layer = replace(cold.layers[name], stroke=Stroke(("silu",), 1.0, 0.75, 3))
    cold = replace(cold, layers={**cold.layers, name: layer})
    found = with_probe(card, anatomy, probing(hot, copies=(hot, cold)))
    probe = next(each.probe for each in found.layers if each.name == name)
    assert probe is not None
    assert probe.baseline_efficiency == (9.0 / 4 + 0.75) / 10


def test_without_a_loss_the_reason_is_the_data_sets(scanned: tuple[Card, Anatomy]) -> None:
    card, anatomy = scanned
    run = reading(anatomy, 8.0, None)
    data = DataReading("my data", run, "the model classifies, and the data has no labels")
    found = with_probe(card, anatomy, replace(probing(run), run=data))
    assert missing_reasons(found) == []
    assert found.probe is not None
    assert found.probe.run.reasons["loss"] == data.reason
    first = found.layers[0].probe
    assert first is not None
    assert first.reasons["temperature"] == data.reason


def test_numbers_that_are_not_finite_are_null(scanned: tuple[Card, Anatomy]) -> None:
    card, anatomy = scanned
    found = with_probe(card, anatomy, probing(reading(anatomy, float("inf"), float("nan"))))
    assert missing_reasons(found) == []
    assert from_json(to_json(found)).probe == found.probe
    first = found.layers[0].probe
    assert first is not None
    assert "range of floating-point" in first.reasons["temperature"]


def test_a_layer_that_is_not_running_has_no_probe_and_the_reason(
    scanned: tuple[Card, Anatomy],
) -> None:
    card, anatomy = scanned
    name = anatomy.layers[0].name
    run = reading(anatomy, 8.0)
    run = replace(run, layers={k: v for k, v in run.layers.items() if k != name})
    found = with_probe(card, anatomy, probing(run, unmatched={name: "not there"}))
    assert found.layers[0].probe is None
    assert found.layers[0].reasons["probe"] == "not there"
    assert missing_reasons(found) == []


def test_an_activation_that_the_configuration_does_not_tell_of_is_noted(
    scanned: tuple[Card, Anatomy],
) -> None:
    card, anatomy = scanned
    run = reading(anatomy, 8.0)
    gate = next(each.name for each in anatomy.layers if each.engine)
    down = next(each.name for each in anatomy.layers if each.name.endswith("down_proj.weight"))
    relu = Stroke(("relu",), 1.0, 0.5, 3)
    layers = {
        **run.layers,
        gate: replace(run.layers[gate], stroke=relu),
        down: replace(run.layers[down], stroke=relu),
    }
    found = with_probe(card, anatomy, probing(replace(run, layers=layers)))
    notes = set(found.notes) - set(card.notes)
    assert notes == {
        "Where the configuration says silu, the running model applied relu.",
        "Layers behind which an activation was seen that their names do not tell of: 1.",
    }
