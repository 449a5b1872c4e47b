"""A network as a heat engine: heat absorbed, work handed on, efficiency, type (theory section 4).

Takes the mean and variance of every unit's pre-activation, taken as normal, and the activation;
gives frozen `Stage` values, and the `NetworkEngine` that they make together. Where means and
variances come from, estimated or measured, is the caller's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from thermoscan.theory.activations import Activation
from thermoscan.theory.gaussian import Array, expect_pieces
from thermoscan.theory.quadrature import WIDE, expect_by_sides, expect_local, expect_narrow

MIXED = "mixed"

#: Share of the work that a type must do for the network to be of that type. Below it, what the
#: other types do is no detail any more, and the network is called mixed.
PREVAILING_SHARE = 0.9

#: A deviation below this part of the mean changes the response by less than float64 resolves.
_POINT = 1e-8


@dataclass(frozen=True, slots=True)
class Stage:
    """One layer with its activation, as a stage of the engine.

    Attributes:
        type: Of its activation.
        heat: ``Q = Σ_j E[z_j²]``, squared pre-activation units.
        work: ``W = Σ_j E[(φ(z_j) - φ(0))²]``, the same units.
    """

    type: str
    heat: float
    work: float

    @property
    def efficiency(self) -> float | None:
        """``W / Q``; None where no heat is absorbed."""
        return _ratio(self.work, self.heat)


@dataclass(frozen=True, slots=True)
class NetworkEngine:
    """Several stages together.

    Attributes:
        type: The type that does at least `PREVAILING_SHARE` of the work, ``"mixed"`` where none
            does, None where no work is done.
        heat: Sum over the stages.
        work: Sum over the stages.
        shares: Type -> its share of the work, for the types that occur; empty without work.
    """

    type: str | None
    heat: float
    work: float
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def efficiency(self) -> float | None:
        """``ΣW / ΣQ``, not a mean of ratios; None where no heat is absorbed."""
        return _ratio(self.work, self.heat)


def response(activation: Activation, mean: Array, variance: Array) -> Array:
    """Returns ``E[(φ(z) - φ(0))²]`` of every unit, with ``z ~ N(mean, variance)``.

    Args:
        activation: φ.
        mean: Shape (units,).
        variance: Shape (units,), not negative; a unit of variance 0 is always at its mean.

    Returns:
        Shape (units,). Within 1e-6 relative for means within 3 of zero or within 3 deviations of
        it, and variances from 1e-4 to 1e4; NaN for a unit whose mean or variance is not finite.

    >>> from thermoscan.theory.activations import activation
    >>> response(activation("relu"), np.array([-2.0, 3.0]), np.array([0.0, 0.0]))
    array([0., 9.])
    """
    mean, variance = np.broadcast_arrays(np.float64(mean), np.float64(variance))
    std = np.sqrt(variance)
    finite = np.isfinite(mean) & np.isfinite(std)
    spread = finite & (std > _POINT * np.abs(mean))
    result = np.full(mean.shape, math.nan)
    point = finite & ~spread
    result[point] = activation.squared_rise(mean[point])
    result[spread] = _response_of_spread_units(activation, mean[spread], std[spread])
    # In a far tail nothing is left but rounding, which may be negative.
    np.maximum(result, 0.0, out=result)
    return result


def _response_of_spread_units(activation: Activation, mean: Array, std: Array) -> Array:
    if activation.exact:
        return expect_pieces(activation.pieces, mean, std)
    if not activation.pieces:
        return expect_by_sides(activation.squared_rise, mean, std)
    wide = std >= WIDE
    result = np.empty_like(mean)
    result[~wide] = expect_narrow(activation.squared_rise, mean[~wide], std[~wide])
    mean, std = mean[wide], std[wide]
    tails = expect_pieces(activation.pieces, mean, std)
    result[wide] = tails + expect_local(activation.excess, mean, std)
    return result


def stage(activation: Activation, mean: Array, variance: Array) -> Stage:
    """Returns the stage that a layer's units make.

    Args:
        activation: Applied to every unit.
        mean: Of the pre-activations, shape (units,).
        variance: Of the pre-activations, shape (units,), not negative.

    Returns:
        Its heat and work; NaN where a mean or variance is not finite.

    >>> from thermoscan.theory.activations import activation
    >>> stage(activation("relu"), np.array([-2.0, 1.0]), np.array([0.0, 0.0]))
    Stage(type='non-saturating', heat=5.0, work=1.0)
    """
    heat = float(np.sum(np.square(mean) + variance))
    return Stage(activation.type, heat, float(np.sum(response(activation, mean, variance))))


def network(stages: Sequence[Stage]) -> NetworkEngine:
    """Returns the engine that several stages make: sums of heat and work, and whose work it is.

    >>> network([Stage("saturating", 2.0, 0.1), Stage("non-saturating", 8.0, 3.9)]).type
    'non-saturating'
    """
    heat = math.fsum(each.heat for each in stages)
    work = math.fsum(each.work for each in stages)
    if not work > 0:
        return NetworkEngine(None, heat, work)
    shares = {
        kind: math.fsum(each.work for each in stages if each.type == kind) / work
        for kind in sorted({each.type for each in stages})
    }
    kind, share = max(shares.items(), key=lambda item: item[1])
    return NetworkEngine(kind if share >= PREVAILING_SHARE else MIXED, heat, work, shares)


def carnot_bound(reduced_temperatures: Sequence[float]) -> float | None:
    """Returns ``1 - τ_cold/τ_hot`` over the engine's layers; None without a layer above zero.

    >>> carnot_bound([1.0, 4.0, 2.0])
    0.75
    """
    hot = max(reduced_temperatures, default=0.0)
    return 1 - min(reduced_temperatures) / hot if hot > 0 else None


def _ratio(work: float, heat: float) -> float | None:
    return work / heat if heat > 0 else None
