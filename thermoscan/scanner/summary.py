"""Sums a model's layers up: the card's `Summary`, ratios of sums (theory sections 3 and 4).

Takes measured layers. Where only a sample was read, intervals come from
`thermoscan.scanner.summary_sample`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from thermoscan.anatomy.model import Role
from thermoscan.card import Summary
from thermoscan.reasons import Reasons
from thermoscan.scanner.measurement import LayerMeasurement, Measurement
from thermoscan.scanner.stages import UNSAMPLED
from thermoscan.scanner.summary_sample import estimates, intervals_of
from thermoscan.theory.engine import carnot_bound, network
from thermoscan.theory.states import NO_ENTROPY, Transition, network_state, network_transition

NO_BASE = "no base checkpoint was given"
NOT_IN_BASE = "the base checkpoint has no layer of this name with an entropy"
NO_LAYER = "no layer was analysed"
NO_SUM = "no layer but embeddings was analysed, whose inputs are one-hot"


def summary_of(measurement: Measurement) -> Summary:
    """Returns the summary of a measured checkpoint."""
    summary = _summary(measurement.layers, measurement.comparison is not None)
    if measurement.sampling is None:
        return summary
    with np.errstate(over="ignore", invalid="ignore"):
        figures = estimates(measurement.layers)
        intervals = intervals_of(measurement.layers, figures, summary)
    # A layer's order is not below 0, but a sum of what is cut off at 0 would be too large.
    if summary.order is not None:
        summary = replace(summary, order=max(float(figures["order"][0]), 0.0))
    return replace(summary, intervals=intervals)


def _summary(layers: Sequence[LayerMeasurement], compared: bool) -> Summary:
    reasons = Reasons()
    state = network_state([each.state for each in layers if each.state])
    summing = network_state(
        [each.state for each in layers if each.state and each.layer.role is not Role.EMBEDDING]
    )
    # Without one of its stages a network's engine is another one.
    known = not any(each.stage_reason in UNSAMPLED for each in layers)
    staged = [each for each in layers if each.stage and known]
    engine = network([each.stage for each in staged if each.stage])
    carnot = carnot_bound([each.state.reduced_temperature for each in staged if each.state])
    first = _whole(layers, "initialisation")
    refresh = _whole(layers, "the base checkpoint")
    count = sum(each.tally.count for each in layers)
    no_stage = _no_stage(layers)
    if engine.type is None:
        reasons["engine_type"] = no_stage
    return Summary(
        temperature=reasons.value("temperature", state.temperature if state else None, NO_LAYER),
        reduced_temperature=reasons.value(
            "reduced_temperature", summing.reduced_temperature if summing else None, NO_SUM
        ),
        transition_temperature=reasons.value(
            "transition_temperature", first.temperature if first else None, _no_first(layers, first)
        ),
        refresh_temperature=reasons.value(
            "refresh_temperature",
            refresh.temperature if refresh else None,
            (refresh.reason if refresh else None) or (NOT_IN_BASE if compared else NO_BASE),
        ),
        order=reasons.value(
            "order", state.order if state else None, NO_ENTROPY if layers else NO_LAYER
        ),
        work_efficiency=reasons.value("work_efficiency", engine.efficiency, no_stage),
        engine_type=engine.type,
        engine_shares=dict(engine.shares),
        carnot_bound=reasons.value("carnot_bound", carnot, no_stage),
        bits_per_parameter=reasons.value(
            "bits_per_parameter",
            sum(each.tally.bits * each.tally.count for each in layers) / count if count else None,
            NO_LAYER,
        ),
        sparsity=reasons.value(
            "sparsity",
            sum(each.tally.zeros for each in layers) / count if count else None,
            NO_LAYER,
        ),
        reasons=reasons,
    )


def _whole(layers: Sequence[LayerMeasurement], origin: str) -> Transition | None:
    refresh = origin != "initialisation"
    pairs = [
        (each.state.parameters, found)
        for each in layers
        if each.state and (found := each.refresh if refresh else each.transition)
    ]
    return network_transition(pairs, origin)


def _no_first(layers: Sequence[LayerMeasurement], whole: Transition | None) -> str:
    if not layers:
        return NO_LAYER
    if whole is not None:
        return whole.reason or ""
    known = [
        each.layer.initialisation_reason for each in layers if each.layer.initialisation_reason
    ]
    return known[0] if known else NO_ENTROPY


def _no_stage(layers: Sequence[LayerMeasurement]) -> str:
    reasons = [each.stage_reason for each in layers if each.layer.engine and each.stage_reason]
    reasons.sort(key=lambda reason: reason not in UNSAMPLED)
    if reasons:
        return reasons[0]
    return "no layer is followed by an activation" if layers else NO_LAYER
