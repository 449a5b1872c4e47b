"""Draws a layer's figures and their 95 % intervals from a sample of its bytes (theory section 7).

Takes what was counted; gives a `LayerMeasurement` that speaks of the whole layer. Its figures are
drawn as those of a layer that was read whole are: from all groups, and from all but one in turn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from thermoscan.anatomy.model import Layer
from thermoscan.checkpoint import Tensor
from thermoscan.scanner import stages
from thermoscan.scanner.layer_states import first_transition, state_of
from thermoscan.scanner.measurement import LayerMeasurement, LayerSample
from thermoscan.scanner.vectors import Vectors
from thermoscan.tally.record import FloatArray, Tally, Units
from thermoscan.tally.sampled import Sampled
from thermoscan.theory import jackknife
from thermoscan.theory.engine import Stage
from thermoscan.theory.entropy import IntArray
from thermoscan.theory.jackknife import Interval
from thermoscan.theory.states import LayerState, entropic_temperature, signed_order

TOO_FEW_CELLS = "too few distinct histogram cells are occupied in what was read of it"

_LEAST = {"temperature": 0.0, "reduced_temperature": 0.0, "order": 0.0, "sparsity": 0.0,
         "bits_per_parameter": 0.0, "heat": 0.0, "work": 0.0,
         "efficiency": 0.0, "work_efficiency": 0.0}  # fmt: skip
"""The least possible value of a figure that has one."""

_LARGEST_ENTROPY = 350.0
"""Its entropic temperature is still a float64."""

_NO_UNITS = Units(energy=np.zeros(0))


def estimated(
    layer: Layer, tensor: Tensor, sampled: Sampled, vectors: Vectors, joined: bool
) -> LayerMeasurement:
    """Returns everything about one layer.

    Args:
        layer: What it is.
        tensor: The stored tensor that holds it.
        sampled: What was counted.
        vectors: Where its bias, and the norm behind it, are read.
        joined: Whether another matrix adds to its pre-activation.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _estimated(layer, tensor, sampled, vectors, joined)


def _estimated(
    layer: Layer, tensor: Tensor, sampled: Sampled, vectors: Vectors, joined: bool
) -> LayerMeasurement:
    """What `estimated` returns; where numbers leave float64, there is no interval."""
    reason = _no_stage(layer, sampled, joined)
    choices = [None, *range(jackknife.GROUPS)]
    found = [_stage(layer, sampled, each, vectors) if reason is None else None for each in choices]
    raw = _replicates(layer, sampled, found)
    values = {name: jackknife.drawn_in(each, sampled.share) for name, each in raw.items()}
    tally = _tally(layer, sampled.tally, raw)
    state = _state(layer, sampled.tally, raw)
    transition = first_transition(layer, tally, state)
    stage = None
    if found[0] is not None and "heat" in values:
        stage = Stage(found[0].type, float(values["heat"][0]), float(values["work"][0]))
    systematic = _systematic(sampled, tally)
    intervals = _intervals(values, systematic)
    blocks = _blocks(sampled) if sampled.even else None
    if blocks is not None:
        intervals["sparsity"] = widened(intervals["sparsity"], sparsity_bound([(1.0, blocks)]))
    if transition is not None and transition.temperature is not None:
        moved = changes(layer, values)
        between = moved and jackknife.ratio_interval(*moved, systematic["entropy"])
        intervals |= {"transition_temperature": between} if between else {}
    elif transition is not None:
        transition = replace(transition, reason=f"{transition.reason}, as far as a sample tells")
    return LayerMeasurement(
        layer=layer,
        tensor=tensor,
        digest=None,
        tally=tally,
        spread=None,
        state=state,
        transition=transition,
        stage=stage,
        stage_reason=reason or (None if stage else stages.NOT_FINITE),
        sample=LayerSample(values, systematic, blocks, finite(intervals)),
    )


def finite(intervals: Mapping[str, Interval]) -> dict[str, Interval]:
    """Returns the intervals whose ends are numbers."""
    return {name: each for name, each in intervals.items() if np.isfinite(each).all()}


def widened(shares: Interval, distance: float) -> Interval:
    """Returns an interval of shares that reaches further at both ends."""
    return max(shares[0] - distance, 0.0), min(shares[1] + distance, 1.0)


def bounded(name: str, interval: Interval) -> Interval:
    """Returns what an interval of a figure of this name should be.

    It holds nothing that is impossible. An order is a mean of squares, and falls short more often
    and by more than it overshoots: its upper end is that of its logarithm.
    """
    low, high = interval
    if name == "order":
        high = skewed(low, high)
    least = _LEAST.get(name, -math.inf)
    return max(low, least), max(high, least)


def skewed(low: float, high: float) -> float:
    """Returns the upper end that an interval has on the scale of ``ln(J + h)``, h its half width.

    An estimate below 0 is taken for 0, which is the least that it can mean.

    >>> round(skewed(1.0, 3.0), 3), round(skewed(-1.0, 1.0), 3), round(skewed(-2.0, 0.0), 3)
    (3.187, 1.718, 1.718)
    """
    half = (high - low) / 2
    shifted = max(high - half, 0.0) + half
    return shifted * math.exp(half / shifted) - half if half > 0 else high


def changes(layer: Layer, values: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray] | None:
    """Returns ΔE and ΔS since initialisation with their replicates; None where one is not known."""
    start = layer.initialisation
    if start is None or "temperature" not in values or "entropy" not in values:
        return None
    return (values["temperature"] - start.variance) / 2, values["entropy"] - start.entropy


def sparsity_bound(layers: Iterable[tuple[float, float]]) -> float:
    """Returns by how much sparsity may be off where the blocks of some layers agree on it.

    Zeros may fill blocks: rows of a table do. If a share p of a layer's blocks were of zeros, n
    random ones would all miss them with the chance ``(1 - p)ⁿ < exp(-p n)``.

    Args:
        layers: Of each, its share of the whole and the blocks that were read.
    """
    missed = -math.log((1 - jackknife.CONFIDENCE) / 2)
    return missed * max((weight / blocks for weight, blocks in layers), default=0.0)


def _systematic(sampled: Sampled, tally: Tally) -> dict[str, float]:
    """Errors that leaving groups out does not show, for a layer that was read in part.

    Of Miller and Madow's correction of the entropy a tenth is in doubt, as repeated draws show; of
    the correction of bits a half.
    """
    unread = math.sqrt(1 - sampled.share)
    entropy = 0.0
    if tally.entropy is not None:
        entropy = unread * math.hypot(tally.entropy.resolution, 0.1 * tally.entropy.correction)
    bits = unread * abs(sampled.tally.bits - tally.bits) / 2
    return {"entropy": entropy, "order": entropy, "bits_per_parameter": bits}


def _blocks(sampled: Sampled) -> float:
    """How many blocks, drawn again and again from the whole, miss as little as those drawn once."""
    share = sampled.share
    return sampled.blocks * -math.log1p(-share) / share if share < 1 else math.inf


def _no_stage(layer: Layer, sampled: Sampled, joined: bool) -> str | None:
    """Says why a layer has no stage; None where one can be estimated."""
    reason = stages.no_stage(layer)
    if reason is not None or joined:
        return reason or stages.OTHER_UNITS
    if _by_norm_alone(layer) or sampled.units is not None or sampled.inputs:
        return None
    return stages.NO_WHOLE_UNITS


def _by_norm_alone(layer: Layer) -> bool:
    """Says whether a norm behind the layer sets mean and variance of every unit by itself."""
    return layer.following is not None and layer.following.per_unit


def _stage(layer: Layer, sampled: Sampled, left_out: int | None, vectors: Vectors) -> Stage | None:
    """The stage of all units: those that were read, but for one group, stand for the others."""
    tally = sampled.tally if left_out is None else sampled.without[left_out]
    units = tally.units
    if _by_norm_alone(layer):
        return _stage_of(layer, units, vectors, None)
    if sampled.units is None:
        units = _scaled(units, math.prod(layer.shape) / tally.count)
        return _stage_of(layer, units, vectors, None)
    some = np.concatenate([rows for k, rows in enumerate(sampled.units) if k != left_out])
    drawn = _stage_of(layer, units, vectors, some)
    if drawn is None:
        return None
    scale = (units.energy.size - sampled.certain.size) / some.size
    drawn = Stage(drawn.type, scale * drawn.heat, scale * drawn.work)
    if not sampled.certain.size:
        return drawn
    known = _stage_of(layer, units, vectors, sampled.certain)
    return known and Stage(drawn.type, known.heat + drawn.heat, known.work + drawn.work)


def _stage_of(layer: Layer, units: Units, vectors: Vectors, some: IntArray | None) -> Stage | None:
    """The stage that some units make by themselves."""
    at = stages.pre_activation(layer, units, vectors, some)
    if at is None or layer.activation is None:
        return None
    return stages.estimate(layer.activation, at)


def _scaled(units: Units, factor: float) -> Units:
    """Sums over all inputs, of sums over some of them."""
    gained, shifted = units.gained, units.shifted
    return Units(
        energy=factor * units.energy,
        gained=None if gained is None else factor * gained,
        shifted=None if shifted is None else factor * shifted,
    )


def _replicates(
    layer: Layer, sampled: Sampled, found: Sequence[Stage | None]
) -> dict[str, FloatArray]:
    """Estimates by the card's names, with replicates; only what all groups are enough for.

    `parameters` are the degrees of freedom of the whole layer.
    """
    tallies = (sampled.tally, *sampled.without)
    rows = [_figures(layer, *each) for each in zip(tallies, found, strict=True)]
    values = {
        name: np.array([row[name] for row in rows], dtype=np.float64)
        for name in rows[0]
        if all(row.get(name) is not None for row in rows)
    }
    # A curved function of few elements is off: bits always, and squares of sums over some inputs.
    curved = ["bits_per_parameter", *(("heat", "work") if sampled.inputs else ())]
    for name in curved:
        if name in values:
            values[name] -= jackknife.bias(values[name], sampled.share)
    if "heat" in values and (values["heat"] > 0).all():
        values["efficiency"] = values["work"] / values["heat"]
    return values


def _figures(layer: Layer, tally: Tally, stage: Stage | None) -> dict[str, float | None]:
    state = state_of(layer, tally)
    figures = {
        "sparsity": tally.zeros / tally.count,
        "bits_per_parameter": tally.bits,
        "mean": tally.moments.mean if tally.moments.count else None,
    }
    if state is not None:
        figures |= {
            "parameters": math.prod(layer.shape) * tally.degrees / tally.count,
            "temperature": state.temperature,
            "reduced_temperature": state.reduced_temperature,
            "entropy": state.entropy,
            "order": _signed_order(state),
        }
    if stage is not None:
        figures |= {"heat": stage.heat, "work": stage.work}
    return figures


def _signed_order(state: LayerState) -> float | None:
    if state.entropy is None or state.order is None:
        return None
    return signed_order(state.temperature, state.entropy)


def _tally(layer: Layer, sampled: Tally, raw: Mapping[str, FloatArray]) -> Tally:
    """The tally of the whole layer, with the entropy's error as its replicates show it."""
    size = math.prod(layer.shape)
    entropy, reason = sampled.entropy, sampled.entropy_reason
    if entropy is not None and "entropy" not in raw:
        entropy, reason = None, TOO_FEW_CELLS
    if entropy is not None:
        found = math.hypot(jackknife.error(raw["entropy"]), entropy.resolution)
        entropy = replace(entropy, error=max(entropy.error, found))
    return replace(
        sampled,
        count=size,
        zeros=round(size * sampled.zeros / sampled.count),
        entropy=entropy,
        entropy_reason=reason,
        bits=max(float(raw["bits_per_parameter"][0]), 0.0),
        units=_NO_UNITS,
        histogram=None,
    )


def _state(layer: Layer, sampled: Tally, raw: Mapping[str, FloatArray]) -> LayerState | None:
    """The state of the whole layer, with the temperature's error as its replicates show it."""
    state = state_of(layer, sampled)
    if state is None or "temperature" not in raw:
        return None
    if "entropy" not in raw:
        state = replace(state, entropy=None, entropic_temperature=None, order=None)
    return replace(
        state,
        parameters=round(float(raw["parameters"][0])),
        temperature_error=max(state.temperature_error, jackknife.error(raw["temperature"])),
    )


def _intervals(
    values: Mapping[str, FloatArray], systematic: Mapping[str, float]
) -> dict[str, Interval]:
    """Intervals by the card's names."""
    found = {}
    for name, each in values.items():
        found[name] = bounded(name, jackknife.interval(each, systematic.get(name, 0.0)))
    if "entropy" in found:
        low, high = found["entropy"]
        if high < _LARGEST_ENTROPY:
            found["entropic_temperature"] = entropic_temperature(low), entropic_temperature(high)
    found.pop("parameters", None)
    return found
