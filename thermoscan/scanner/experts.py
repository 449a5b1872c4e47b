"""Sets the experts of each mixture beside each other: how far their states are apart.

Takes measured layers; gives the card's `ExpertSpread` records. Theory section 3: temperatures and
orders are those of the layers; what they would differ by if all experts were draws from one
distribution follows from the standard error of each temperature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thermoscan.anatomy.mixtures import mixtures
from thermoscan.card import ExpertSpread
from thermoscan.reasons import Reasons
from thermoscan.scanner.measurement import LayerMeasurement
from thermoscan.theory.states import LayerState, network_state

TOO_FEW = "fewer than two of its experts have one"
NO_DEGREES = "none of its experts has an entry that is finite and not zero"
NO_BLOCK = "its name gives no block"


def expert_spreads(layers: Sequence[LayerMeasurement]) -> tuple[ExpertSpread, ...]:
    """Returns a record for each matrix of each mixture, in the order of the model."""
    measured = {each.layer.name: each for each in layers}
    return tuple(
        _spread(name, [measured[expert.name] for expert in experts])
        for name, experts in mixtures(each.layer for each in layers).items()
    )


def _spread(name: str, experts: Sequence[LayerMeasurement]) -> ExpertSpread:
    reasons = Reasons()
    warm = [(each.state.temperature, each.layer.name) for each in experts if each.state]
    states = [each.state for each in experts if each.state]
    orders = [state.order for state in states if state.order is not None]
    pooled = network_state(states)
    depths = {each.layer.depth for each in experts}
    depth = depths.pop() if len(depths) == 1 else None
    if depth is None:
        reasons["depth"] = NO_BLOCK
    if not warm:
        reasons["coldest"] = reasons["hottest"] = NO_DEGREES
    spread, by_sampling = _relative_spreads(states)
    return ExpertSpread(
        name=name,
        role=experts[0].layer.role.value,
        depth=depth,
        experts=len(experts),
        reduced_temperature=reasons.value(
            "reduced_temperature", pooled.reduced_temperature if pooled else None, NO_DEGREES
        ),
        temperature_spread=reasons.value("temperature_spread", spread, TOO_FEW),
        sampling_spread=reasons.value("sampling_spread", by_sampling, TOO_FEW),
        order_spread=reasons.value(
            "order_spread", float(np.std(orders, ddof=1)) if len(orders) > 1 else None, TOO_FEW
        ),
        coldest=min(warm)[1] if warm else None,
        hottest=max(warm)[1] if warm else None,
        reasons=reasons,
    )


def _relative_spreads(states: Sequence[LayerState]) -> tuple[float | None, float | None]:
    """Standard deviation of T across experts over its mean: as it is, and by errors alone."""
    hottest = max((state.temperature for state in states), default=0.0)
    if len(states) < 2 or not hottest > 0:
        return None, None
    # a relative spread has no scale: squares of what is no more than 1 cannot overflow
    temperatures = np.array([state.temperature for state in states]) / hottest
    errors = np.array([state.temperature_error for state in states]) / hottest
    mean = float(np.mean(temperatures))
    deviation = float(np.std(temperatures, ddof=1))
    return deviation / mean, float(np.sqrt(np.mean(np.square(errors)))) / mean
