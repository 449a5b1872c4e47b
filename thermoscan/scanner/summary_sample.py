"""95 % intervals of a model's sums, where only a sample of its bytes was read (theory section 7).

Every sum and ratio is formed from all groups of blocks, and with one group of every layer left out
at a time: the same group number of every layer, each layer's drawn in for its own share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from thermoscan.anatomy.model import Role
from thermoscan.card import Summary
from thermoscan.scanner.layer_sample import bounded, changes, finite, sparsity_bound, widened
from thermoscan.scanner.measurement import LayerMeasurement
from thermoscan.theory import jackknife
from thermoscan.theory.entropy import FloatArray
from thermoscan.theory.jackknife import Interval

Figures = Mapping[str, FloatArray]
"""By name: the estimate from all groups, then its replicates, ``(1 + GROUPS,)``."""


def estimates(layers: Sequence[LayerMeasurement]) -> dict[str, FloatArray]:
    """Returns the sums of layers by the names of the card's summary; only those that there are.

    `energy_change` and `entropy_change` are those since initialisation. Names that begin with
    `systematic` are of the errors that replicates share.
    """
    every = [_figures(each) for each in layers]
    summing = [
        figures
        for each, figures in zip(layers, every, strict=True)
        if each.layer.role is not Role.EMBEDDING
    ]
    moved = [figures for figures in every if "entropy_change" in figures]
    found = {
        "temperature": _mean(every, "temperature"),
        "reduced_temperature": _mean(summing, "reduced_temperature"),
        "order": _mean(every, "order"),
        "bits_per_parameter": _mean(every, "bits_per_parameter", "count"),
        "sparsity": _mean(every, "sparsity", "count"),
        "work_efficiency": _mean(every, "efficiency", "heat"),
        "energy_change": _mean(moved, "energy_change"),
        "entropy_change": _mean(moved, "entropy_change"),
        "systematic order": _mean([each for each in every if "order" in each], "systematic order"),
        "systematic entropy": _mean(moved, "systematic entropy"),
        "systematic bits_per_parameter": _mean(every, "systematic bits_per_parameter", "count"),
    }
    return {name: each for name, each in found.items() if each is not None}


def intervals_of(
    layers: Sequence[LayerMeasurement], figures: Figures, summary: Summary
) -> dict[str, Interval]:
    """Returns the intervals of what the summary has a value of.

    Args:
        layers: Of the model.
        figures: Of `estimates`.
        summary: Of the same layers.
    """
    nothing = np.zeros(1)
    found = {
        name: bounded(name, jackknife.interval(each, figures.get(f"systematic {name}", nothing)[0]))
        for name, each in figures.items()
        if getattr(summary, name, None) is not None
    }
    if "sparsity" in found:
        count = sum(each.tally.count for each in layers)
        even = [
            (each.tally.count / count, each.sample.blocks)
            for each in layers
            if each.sample and each.sample.blocks is not None
        ]
        found["sparsity"] = widened(found["sparsity"], sparsity_bound(even))
    if summary.transition_temperature is not None:
        ratio = jackknife.ratio_interval(
            figures["energy_change"],
            figures["entropy_change"],
            float(figures["systematic entropy"][0]),
        )
        found |= {"transition_temperature": ratio} if ratio else {}
    if summary.carnot_bound is not None:
        found["carnot_bound"] = _carnot_interval(layers)
    return finite(found)


def _figures(each: LayerMeasurement) -> dict[str, FloatArray]:
    """The figures of a layer with their replicates, which are all the same where it is exact."""
    state, tally = each.state, each.tally
    if each.sample is not None:
        systematic = each.sample.systematic
        figures = dict(each.sample.values)
        moved = changes(each.layer, figures)
        if moved is not None and each.transition is not None:
            figures["energy_change"], figures["entropy_change"] = moved
    else:
        systematic = {}
        exact = {
            "sparsity": tally.zeros / tally.count,
            "bits_per_parameter": tally.bits,
            "parameters": state.parameters if state else None,
            "temperature": state.temperature if state else None,
            "reduced_temperature": state.reduced_temperature if state else None,
            "order": state.order if state else None,
            "heat": each.stage.heat if each.stage else None,
            "efficiency": each.stage.efficiency if each.stage else None,
        }
        if each.transition is not None and each.transition.entropy_change is not None:
            exact["energy_change"] = each.transition.energy_change
            exact["entropy_change"] = each.transition.entropy_change
        figures = {name: _same(value) for name, value in exact.items() if value is not None}
    shared = {
        f"systematic {name}": _same(systematic.get(name, 0.0))
        for name in ("entropy", "order", "bits_per_parameter")
    }
    return {**figures, **shared, "count": _same(tally.count)}


def _same(value: float) -> FloatArray:
    return np.full(1 + jackknife.GROUPS, float(value))


def _mean(layers: Iterable[Figures], name: str, weight: str = "parameters") -> FloatArray | None:
    """The weighted mean over the layers that have the figure; None where none has."""
    known = [each for each in layers if name in each and weight in each]
    if not known:
        return None
    weights = np.stack([each[weight] for each in known])
    values = np.stack([each[name] for each in known])
    mean: FloatArray = (weights * values).sum(axis=0) / weights.sum(axis=0)
    return mean


def _carnot_interval(layers: Sequence[LayerMeasurement]) -> Interval:
    """The bound at the ends of the intervals of the layers that may be coldest and hottest."""
    lows, highs = [], []
    for each in layers:
        if each.stage is not None and each.state is not None:
            exact = each.state.reduced_temperature
            known = each.sample.intervals if each.sample else {}
            low, high = known.get("reduced_temperature", (exact, exact))
            lows.append(low)
            highs.append(high)
    least = 1 - min(highs) / max(lows) if max(lows) > 0 else 0.0
    return max(least, 0.0), 1 - min(lows) / max(highs)
