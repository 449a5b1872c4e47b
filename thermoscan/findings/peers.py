"""Layers that stand out among their peers: those of the same role in the same model.

The peers of an expert are the same matrices of the other experts of its mixture. In a checkpoint of
several components the peers are of the same component.

Two figures are compared, each on a logarithmic scale: the reduced temperature as ln τ, and the
order J = ½ ln(T/Θ). `thermoscan.theory.outliers` says what stands out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from thermoscan.anatomy.mixtures import mixtures
from thermoscan.findings.kinds import WARNING, Kind, Sighting, figure
from thermoscan.findings.values import varies
from thermoscan.theory.outliers import FEWEST, outliers

if TYPE_CHECKING:
    from thermoscan.scanner.measurement import LayerMeasurement, Measurement
    from thermoscan.theory.states import LayerState

FACTOR = 4.0
"""Ratio of temperatures, twice the scale of weights, below which a difference is of no matter."""

_ROLE = "layers of its role"
_EXPERTS = "experts of its mixture"

HOT = Kind(
    "hot",
    WARNING,
    "Its energy per degree of freedom is far above that of the other layers of its role: it was "
    "trained at a higher rate or for longer, is not regularised, or is about to diverge.",
    "Look at its learning rate and weight decay, and whether a scale that belongs elsewhere was "
    "merged into it.",
)
COLD = Kind(
    "cold",
    WARNING,
    "Its energy per degree of freedom is far below that of the other layers of its role: little "
    "reaches its output, so that the model has all but switched it off.",
    "Look whether it is used, whether it was damped on purpose, or whether its scale was lost in "
    "a conversion.",
)
ORDER_OUTLIER = Kind(
    "order-outlier",
    WARNING,
    "Its weights are far further from Gaussian than those of the other layers of its role: a few "
    "entries carry most of its energy, and most of the others are idle.",
    "It bears pruning well and rounding to few bits badly. In training, look at what feeds it: "
    "weights that meet only dead inputs or padding decay.",
)


def hot_and_cold(measurement: Measurement) -> Iterator[Sighting]:
    """Finds layers whose reduced temperature is far from that of their peers."""
    for kin, peers in _groups(measurement):
        logarithms = [math.log(state.reduced_temperature) for _, state in peers]
        errors = [state.temperature_error / state.temperature for _, state in peers]
        for outlier in outliers(logarithms, errors, math.log(FACTOR)):
            layer, state = peers[outlier.index]
            usual = math.exp(outlier.median)
            hot = outlier.offset > 0
            ratio = math.exp(abs(outlier.offset))
            yield Sighting(
                HOT if hot else COLD,
                layer.layer.name,
                f"τ is {figure(state.reduced_temperature)}, {figure(ratio)} times "
                f"{'above' if hot else 'below'} the median {figure(usual)} of the {len(peers)} "
                f"{kin}",
                extent=abs(outlier.offset),
                evidence={
                    "reduced_temperature": state.reduced_temperature,
                    "median": usual,
                    "deviations": outlier.spreads,
                    "peers": len(peers),
                },
            )


def order_outliers(measurement: Measurement) -> Iterator[Sighting]:
    """Finds layers whose order is far above that of their peers."""
    for kin, group in _groups(measurement):
        peers = [
            (layer, state.order, _order_error(layer, state))
            for layer, state in group
            if state.order is not None
        ]
        found = outliers([p[1] for p in peers], [p[2] for p in peers], 0.5 * math.log(FACTOR))
        for outlier in found:
            if outlier.offset < 0:
                continue
            layer, order, error = peers[outlier.index]
            yield Sighting(
                ORDER_OUTLIER,
                layer.layer.name,
                f"J is {order:.2f} nats, against a median of {outlier.median:.2f} in the "
                f"{len(peers)} {kin}",
                extent=outlier.offset,
                evidence={
                    "order": order,
                    "order_error": error,
                    "median": outlier.median,
                    "deviations": outlier.spreads,
                    "peers": len(peers),
                },
            )


def _groups(
    measurement: Measurement,
) -> list[tuple[str, list[tuple[LayerMeasurement, LayerState]]]]:
    """The layers that have a temperature, each with its peers, and what these are called."""
    experts = {
        layer.name: mixture
        for mixture, layers in mixtures(each.layer for each in measurement.layers).items()
        for layer in layers
        if len(layers) >= FEWEST
    }
    component_of = measurement.checkpoint.component_of
    groups: dict[tuple[str, str | None, str], list[tuple[LayerMeasurement, LayerState]]] = {}
    for each in measurement.layers:
        if each.state is not None and each.state.temperature > 0 and varies(each.tally):
            name, role = each.layer.name, each.layer.role.value
            mixture = experts.get(name)
            key = (_EXPERTS, None, mixture) if mixture else (_ROLE, component_of(name), role)
            groups.setdefault(key, []).append((each, each.state))
    return [(kin, members) for (kin, _, _), members in groups.items()]


def _order_error(layer: LayerMeasurement, state: LayerState) -> float:
    entropy = layer.tally.entropy
    own = entropy.error if entropy else 0.0
    return math.hypot(own, state.temperature_error / (2 * state.temperature))
