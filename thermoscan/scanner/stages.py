"""Estimates each layer's stage of the heat engine from its weights alone (theory section 4).

A unit's pre-activation is taken as normal: its variance is ``Σ_i (w_ji γ_i)²`` and its mean ``Σ_i
w_ji β_i + b_j``, with the gain γ and bias β of the norm that feeds the layer, or unit-energy inputs
of zero mean where none does. A recurrent hidden matrix adds to the pre-activation of its input
matrix. Where a norm stands between a layer and its activation, it sets mean and variance itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermoscan.anatomy.model import FollowingNorm, Layer
from thermoscan.scanner.vectors import Vectors
from thermoscan.tally.record import Units
from thermoscan.theory.activations import activation
from thermoscan.theory.engine import Stage, stage
from thermoscan.theory.entropy import FloatArray, IntArray

NOT_AN_ENGINE = "no activation follows it"
JOINED = "counted in the stage of the matrix whose pre-activation it adds to"
BIAS_UNREAD = (
    "its bias, or the norm behind it, does not fit its shape or holds values that are not finite"
)
NOT_FINITE = "its weights give no finite pre-activation"
NO_WHOLE_UNITS = "a sample of its bytes holds no unit whole"
OTHER_UNITS = "a sample does not hold the same units of the matrices that add into them"
UNSAMPLED = (NO_WHOLE_UNITS, OTHER_UNITS)
"""Reasons why only a scan of every byte could estimate a stage."""


def no_stage(layer: Layer) -> str | None:
    """Says why a layer has no stage whatever its weights are; None where it may have one."""
    if layer.joins:
        return JOINED
    if not layer.engine:
        return NOT_AN_ENGINE
    if layer.activation is None:
        return layer.activation_reason or "its activation is not known"
    return None


@dataclass(frozen=True, slots=True)
class PreActivation:
    """Mean and variance of every unit's pre-activation, float64 ``(units,)``."""

    mean: FloatArray
    variance: FloatArray

    def join(self, other: PreActivation) -> PreActivation:
        """Returns the pre-activation of two matrices that add into the same units."""
        return PreActivation(self.mean + other.mean, self.variance + other.variance)


def pre_activation(
    layer: Layer, units: Units, vectors: Vectors, some: IntArray | None = None
) -> PreActivation | None:
    """Returns a layer's own pre-activation; None where its bias or norm cannot be used.

    Args:
        layer: The layer.
        units: Sums over the inputs of all its units.
        vectors: Where its bias, and the norm behind it, are read.
        some: The units to return, ``(some,)``; None for all of them.
    """
    mean = np.zeros(units.energy.size) if units.shifted is None else units.shifted
    variance = units.energy if units.gained is None else units.gained
    if layer.bias is not None:
        bias = vectors.values(layer.bias.tensor)
        if (
            bias is None
            or bias.size < layer.bias.stop
            or layer.bias.stop - layer.bias.start != mean.size
        ):
            return None
        mean = mean + bias[layer.bias.start : layer.bias.stop]
    if some is None:
        some = np.arange(mean.size)
    at = PreActivation(mean[some], variance[some])
    if layer.following is None:
        return at
    gain = vectors.values(layer.following.gain)
    bias = vectors.values(layer.following.bias) if layer.following.bias else np.zeros(mean.size)
    if gain is None or bias is None or not gain.size == bias.size == mean.size:
        return None
    return _normalised(at, layer.following, gain[some], bias[some])


def _normalised(
    at: PreActivation, norm: FollowingNorm, gain: FloatArray, shift: FloatArray
) -> PreActivation | None:
    """What a norm behind a layer makes of its output; None where that has no energy."""
    if norm.per_unit:
        return PreActivation(shift, np.square(gain))
    return normalised(at, gain, shift, norm.groups)


def normalised(
    at: PreActivation, gain: FloatArray, shift: FloatArray, groups: int
) -> PreActivation | None:
    """Brings each of several groups of units to zero mean and unit variance, then scales them.

    Args:
        at: Before the norm.
        gain: Of every unit.
        shift: Of every unit.
        groups: Runs of equal length that are normalised each by itself; 1 for a layer norm.

    Returns:
        The pre-activation behind the norm; None where a group has no energy.
    """
    means, variances = (each.reshape(groups, -1) for each in (at.mean, at.variance))
    centred = means - np.mean(means, axis=1, keepdims=True)
    energy = np.mean(variances + np.square(centred), axis=1, keepdims=True)
    if not np.all(energy > 0):
        return None
    scale = gain.reshape(groups, -1) / np.sqrt(energy)
    return PreActivation(shift + (scale * centred).ravel(), (np.square(scale) * variances).ravel())


def estimate(name: str, at: PreActivation) -> Stage | None:
    """Returns the stage that a layer with this activation makes; None where it is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = stage(activation(name), at.mean, at.variance)
    return found if np.isfinite(found.heat) and np.isfinite(found.work) else None
