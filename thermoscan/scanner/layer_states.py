"""Draws a layer's state, transitions and spread from its tally (theory section 3)."""

from __future__ import annotations

from thermoscan.anatomy.model import Layer
from thermoscan.scanner.measurement import UnitSpread
from thermoscan.tally.record import Tally, Units
from thermoscan.theory.states import LayerState, Transition, layer_state, transition

DEAD_SHARE = 1e-4
"""A unit with less than this share of its layer's mean energy per unit is dead."""

_LARGEST_FOURTH = 1e300
"""A fourth moment beyond this is as good as infinite: its layer's figures leave float64."""


def spread_of(units: Units) -> UnitSpread:
    """Returns how a layer's energy is spread over its units."""
    energy = units.energy
    mean = float(energy.mean()) if energy.size else 0.0
    return UnitSpread(
        units=energy.size,
        dead=int((energy < DEAD_SHARE * mean).sum()) if mean else energy.size,
        silent=int((energy == 0).sum()),
    )


def state_of(layer: Layer, tally: Tally) -> LayerState | None:
    """Returns a layer's thermal state; None without degrees of freedom, or beyond float64."""
    if not tally.degrees or not tally.moments.fourth <= _LARGEST_FOURTH:
        return None
    kept = tally.degrees / tally.moments.count
    return layer_state(
        parameters=tally.degrees,
        fan_in=layer.fan_in * kept,
        second_moment=tally.moments.second / kept,
        fourth_moment=tally.moments.fourth / kept,
        entropy=tally.entropy.value if tally.entropy else None,
    )


def first_transition(layer: Layer, tally: Tally, state: LayerState | None) -> Transition | None:
    """Returns the transition from initialisation (Type I); None where an end is not known."""
    start = layer.initialisation
    if start is None or state is None or tally.entropy is None:
        return None
    # Under the hypothesis that nothing happened, the sample's second moment errs as the
    # initialisation's would.
    return transition(
        state.temperature,
        tally.entropy.value,
        start.variance,
        start.entropy,
        second_error=state.temperature_error,
        entropy_error=tally.entropy.error,
    )
