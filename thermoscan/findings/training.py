"""What training did to a layer, from its transition since initialisation (theory section 3)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thermoscan.findings.kinds import INFO, WARNING, Kind, Sighting, figure
from thermoscan.theory.states import SIGNIFICANCE

if TYPE_CHECKING:
    from thermoscan.scanner.measurement import LayerMeasurement, Measurement

RESOLUTION = 0.10
"""Relative change of temperature that must be visible in a layer before it is called unmoved."""

BOUND_ROUNDING = 1.01
"""Multiple of a uniform initialisation's bound that rounding to any element type stays within."""

SHRUNK = 0.25
"""Share of its initial temperature below which a layer has shrunk: to less than half its scale."""

SAME_SHAPE = 0.5 * math.log(math.pi / math.e)
"""Change of order, in nats, that tells a Laplace distribution from a Gaussian one."""

AT_INITIALISATION = Kind(
    "at-initialisation",
    WARNING,
    "Energy and entropy are those of the random start: nothing shows that this layer was trained. "
    "It may be a new head, unused by the model, frozen, or missing when weights were loaded.",
    "Do not rely on its output before training it; check that the loader reported no missing "
    "weights. If the start was assumed, state the real one with --init.",
)
DECAYED = Kind(
    "decayed",
    WARNING,
    "It shrank and kept the shape of its initial distribution, as weight decay does to a layer "
    "that no gradient reaches: it was not used in training.",
    "Do not rely on its output; leave the layer out, or train it before use.",
)
ORDER_UNDER_HEATING = Kind(
    "order-under-heating",
    INFO,
    "Its energy rose while its entropy fell (T* < 0), like a population inversion: a small part of "
    "the entries grew large while most shrank.",
    "Nothing is wrong in itself. Expect it to bear pruning well, and rounding to few bits badly.",
)


@dataclass(frozen=True, slots=True)
class _Move:
    """How far a layer is from its initialisation.

    Attributes:
        each: The layer.
        ratio: Its temperature over the initialisation's.
        ratio_error: Standard error of `ratio`.
        entropy: Change of entropy, nats.
        entropy_error: Its standard error.
    """

    each: LayerMeasurement
    ratio: float
    ratio_error: float
    entropy: float
    entropy_error: float

    @property
    def evidence(self) -> dict[str, float | int | str | None]:
        start = self.each.layer.initialisation
        return {
            "temperature_ratio": self.ratio,
            "temperature_ratio_error": self.ratio_error,
            "entropy_change": self.entropy,
            "entropy_error": self.entropy_error,
            "initialisation": start.source if start else None,
        }


def _moves(measurement: Measurement) -> Iterator[_Move]:
    """Yields the layers of which both ends of the transition are known."""
    for each in measurement.layers:
        start, state, change = each.layer.initialisation, each.state, each.transition
        if start is None or state is None or change is None:
            continue
        if change.entropy_change is not None and change.entropy_error is not None:
            yield _Move(
                each,
                ratio=state.temperature / start.variance,
                ratio_error=state.temperature_error / start.variance,
                entropy=change.entropy_change,
                entropy_error=change.entropy_error,
            )


def at_initialisation(measurement: Measurement) -> Iterator[Sighting]:
    """Finds layers where neither energy nor entropy moved, though a move would have shown."""
    for move in _moves(measurement):
        # Along a dilation a temperature's relative change is twice its entropy's change.
        coarsest = max(move.ratio_error, 2 * move.entropy_error)
        if SIGNIFICANCE * coarsest <= RESOLUTION and _unmoved(move):
            yield Sighting(
                AT_INITIALISATION,
                move.each.layer.name,
                f"T is {move.ratio:.3f} of its initialisation's and the entropy moved by "
                f"{move.entropy:.4f} nats, both within {SIGNIFICANCE:.0f} standard errors of none",
                extent=move.each.tally.count,
                evidence=move.evidence,
            )


def _unmoved(move: _Move) -> bool:
    start, moments = move.each.layer.initialisation, move.each.tally.moments
    if start is not None and start.family == "uniform":
        bound = math.sqrt(3 * start.variance) * BOUND_ROUNDING
        if max(-moments.minimum, moments.maximum) > bound:
            return False
    return (
        abs(move.ratio - 1) <= SIGNIFICANCE * move.ratio_error
        and abs(move.entropy) <= SIGNIFICANCE * move.entropy_error
    )


def decayed(measurement: Measurement) -> Iterator[Sighting]:
    """Finds layers that shrank to less than half their scale and kept their shape."""
    for move in _moves(measurement):
        if not 0 < move.ratio < SHRUNK:
            continue
        reshaped = abs(move.entropy - 0.5 * math.log(move.ratio))
        error = math.hypot(move.entropy_error, move.ratio_error / (2 * move.ratio))
        if reshaped + SIGNIFICANCE * error < SAME_SHAPE:
            yield Sighting(
                DECAYED,
                move.each.layer.name,
                f"T is {figure(move.ratio)} of its initialisation's and the entropy fell by "
                f"{-move.entropy:.2f} nats",
                extent=-move.entropy,
                evidence=move.evidence,
            )


def order_under_heating(measurement: Measurement) -> Iterator[Sighting]:
    """Finds layers whose energy rose while their entropy fell, both beyond their error."""
    for move in _moves(measurement):
        change = move.each.transition
        if change is not None and change.is_order_under_heating:
            yield Sighting(
                ORDER_UNDER_HEATING,
                move.each.layer.name,
                f"T is {figure(move.ratio)} of its initialisation's while the entropy fell by "
                f"{-move.entropy:.2f} nats",
                extent=-move.entropy,
                evidence={"transition_temperature": change.temperature, **move.evidence},
            )
