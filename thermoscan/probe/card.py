"""Writes what running a model measured into its card.

Takes a card from the weights and a `Probing`; gives the same card with `Card.probe` and each
layer's probe. Nothing is measured here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from thermoscan.anatomy import Anatomy, Layer
from thermoscan.card import Card, LayerProbe, LayerRecord, Probe, ProbeRun
from thermoscan.probe.reading import LayerReading, Reading, Stroke, together
from thermoscan.reasons import Reasons
from thermoscan.scanner.stages import JOINED, NOT_AN_ENGINE

IS_REFERENCE = "the data is the reference data"
NO_COPIES = "no re-initialised copies were run"
NO_LOSS = "the model has no objective on this data"
NO_GRADIENT = "the loss does not depend on it on this data"
NOT_SEEN = "no elementwise activation was seen to take its output"
ADDED = "its output was added to another layer's before an activation took it"
NO_HEAT = "it absorbed no heat"
NO_STROKE = "no activation was seen at work"


@dataclass(frozen=True, slots=True)
class DataReading:
    """A run, with a description of the data and the reason where it has no loss."""

    data: str
    reading: Reading
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Probing:
    """Everything that running a model measured.

    Attributes:
        objective: What the loss is.
        device: Where it ran.
        seed: Of every random choice.
        run: On the data.
        reference: On the reference data; None where the data is the reference data.
        copies: Re-initialised copies on the data.
        unmatched: Name of a layer that is not in the running model -> why.
        notes: Assumptions that were made, in sentences.
    """

    objective: str
    device: str
    seed: int
    run: DataReading
    reference: DataReading | None
    copies: tuple[Reading, ...]
    unmatched: Mapping[str, str]
    notes: tuple[str, ...]


def with_probe(card: Card, anatomy: Anatomy, probing: Probing) -> Card:
    """Returns `card` with what was measured.

    Args:
        card: Of the checkpoint, from its weights.
        anatomy: Its layers, in the order of the card.
        probing: What running it measured.
    """
    layers = tuple(
        _with_layer(record, layer, probing)
        for record, layer in zip(card.layers, anatomy.layers, strict=True)
    )
    notes = (*card.notes, *probing.notes, *_surprises(anatomy, probing))
    return replace(
        card,
        layers=layers,
        probe=_probe(probing),
        notes=tuple(dict.fromkeys(notes)),
        reasons={key: why for key, why in card.reasons.items() if key != "probe"},
    )


def _probe(probing: Probing) -> Probe:
    reasons = Reasons()
    if probing.reference is None:
        reasons["reference"] = IS_REFERENCE
    if not probing.copies:
        reasons["baseline"] = NO_COPIES
    return Probe(
        objective=probing.objective,
        device=probing.device,
        seed=probing.seed,
        run=_run(probing.run),
        reference=_run(probing.reference) if probing.reference else None,
        baseline=_baseline(probing) if probing.copies else None,
        copies=len(probing.copies),
        reasons=reasons,
    )


def _run(found: DataReading) -> ProbeRun:
    reading, stroke = found.reading, found.reading.stroke
    return _record(
        found, reading.loss, reading.temperature, stroke, stroke.efficiency if stroke else None
    )


def _baseline(probing: Probing) -> ProbeRun:
    copies = probing.copies
    strokes = [each.stroke for each in copies if each.stroke]
    total = together(strokes)
    stroke = (
        replace(total, heat=total.heat / len(strokes), work=total.work / len(strokes))
        if total
        else None
    )
    return _record(
        probing.run,
        _mean([each.loss for each in copies]),
        _mean([each.temperature for each in copies]),
        stroke,
        total.efficiency if total else None,
    )


def _record(
    found: DataReading,
    loss: float | None,
    temperature: float | None,
    stroke: Stroke | None,
    efficiency: float | None,
) -> ProbeRun:
    reasons = Reasons()
    no_loss = found.reason or NO_LOSS
    return ProbeRun(
        data=found.data,
        inputs=found.reading.inputs,
        positions=found.reading.positions,
        loss=reasons.value("loss", loss, no_loss),
        temperature=reasons.value("temperature", temperature, no_loss),
        heat=reasons.value("heat", stroke.heat if stroke else None, NO_STROKE),
        work=reasons.value("work", stroke.work if stroke else None, NO_STROKE),
        efficiency=reasons.value("efficiency", efficiency, NO_HEAT if stroke else NO_STROKE),
        reasons=reasons,
    )


def _with_layer(record: LayerRecord, layer: Layer, probing: Probing) -> LayerRecord:
    reasons = {key: why for key, why in record.reasons.items() if key != "probe"}
    if layer.name in probing.unmatched:
        return replace(record, reasons={**reasons, "probe": probing.unmatched[layer.name]})
    return replace(record, probe=_layer(layer, probing), reasons=reasons)


def _layer(layer: Layer, probing: Probing) -> LayerProbe:
    reasons = Reasons()
    found = probing.run.reading.layers[layer.name]
    before = probing.reference
    other = before.reading.layers[layer.name] if before else None
    copies = [each.layers[layer.name] for each in probing.copies]
    total = together(each.stroke for each in copies if each.stroke)
    silent = _no_stroke(layer, found)
    return LayerProbe(
        parameters=found.parameters,
        temperature=reasons.value("temperature", found.temperature, _no_temperature(probing.run)),
        heat=reasons.value("heat", found.stroke.heat if found.stroke else None, silent),
        work=reasons.value("work", found.stroke.work if found.stroke else None, silent),
        efficiency=_efficiency("efficiency", found.stroke, silent, reasons),
        reference_temperature=reasons.value(
            "reference_temperature",
            other.temperature if other else None,
            _no_temperature(before) if before else IS_REFERENCE,
        ),
        reference_efficiency=_efficiency(
            "reference_efficiency",
            other.stroke if other else None,
            _no_stroke(layer, other) if other else IS_REFERENCE,
            reasons,
        ),
        baseline_temperature=reasons.value(
            "baseline_temperature",
            _mean([each.temperature for each in copies]),
            _no_temperature(probing.run) if copies else NO_COPIES,
        ),
        baseline_efficiency=_efficiency(
            "baseline_efficiency", total, silent if copies else NO_COPIES, reasons
        ),
        reasons=reasons,
    )


def _efficiency(name: str, stroke: Stroke | None, silent: str, reasons: Reasons) -> float | None:
    value = stroke.efficiency if stroke else None
    return reasons.value(name, value, NO_HEAT if stroke else silent)


def _no_temperature(found: DataReading) -> str:
    return NO_GRADIENT if found.reading.loss is not None else found.reason or NO_LOSS


def _no_stroke(layer: Layer, found: LayerReading) -> str:
    if layer.joins:
        return JOINED
    if found.joined:
        return ADDED
    return NOT_SEEN if layer.engine else NOT_AN_ENGINE


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _surprises(anatomy: Anatomy, probing: Probing) -> list[str]:
    """Notes on activations that are others than the anatomy expects."""
    unexpected, others = 0, set()
    for layer in anatomy.layers:
        found = probing.run.reading.layers.get(layer.name)
        if found is None or found.stroke is None:
            continue
        unexpected += not layer.engine
        expected = layer.activation.partition("(")[0] if layer.activation else None
        if layer.engine and expected and found.stroke.functions != (expected,):
            others.add((expected, " and ".join(found.stroke.functions)))
    notes = [
        f"Where the configuration says {expected}, the running model applied {seen}."
        for expected, seen in sorted(others)
    ]
    if unexpected:
        notes.append(
            "Layers behind which an activation was seen that their names do not tell of: "
            f"{unexpected}."
        )
    return notes
