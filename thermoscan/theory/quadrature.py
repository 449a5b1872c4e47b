"""Numerical expectations under a normal distribution, one rule for each kind of function and width.

Takes a function and one mean and one deviation per unit; gives one expectation per unit. No rule
serves all: Gauss-Hermite fails where the distribution is wide against the function's own scale,
which is of the order of 1 here, and where the function has a kink.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from thermoscan.theory.gaussian import Array

Function = Callable[[Array], Array]

#: The least deviation for `expect_local`, and the largest for `expect_narrow`.
WIDE = 0.7

_NARROW_NODES = 28
_NODES_PER_SIDE = 36

#: Where a local function has vanished: the slowest decay is exp(-|z|), sigmoid's and SiLU's.
_LOCAL_REACH = 30.0

#: Deviations on either side of the mean that are integrated over. Beyond lies a share of 1e-7 or
#: less, for a rectifier whose mean is three deviations below zero.
_REACH = 7.0

#: Units handled at once, so that the temporaries stay in the processor's cache.
_BLOCK = 64


def expect_narrow(function: Function, mean: Array, std: Array) -> Array:
    """Returns E[f(z)], z ~ N(mean, std²), by Gauss-Hermite.

    Args:
        function: f, analytic on the real line, no steeper than tanh², elementwise on any shape.
        mean: Shape (units,).
        std: Shape (units,), positive, at most `WIDE`.

    Returns:
        Shape (units,); within 2e-7 relative.
    """

    def rule(mean: Array, std: Array) -> Array:
        result: Array = function(mean[:, None] + std[:, None] * _HERMITE) @ _HERMITE_WEIGHTS
        return result

    return _in_blocks(rule, mean, std)


def expect_local(function: Function, mean: Array, std: Array) -> Array:
    """Returns E[g(z)], z ~ N(mean, std²), of a g that vanishes away from zero.

    The nodes lie where g is, the same for all units, so that g is evaluated once: Gauss-Legendre on
    each side of zero in ``ln(1 + |z|)``.

    Args:
        function: g, analytic on either side of zero, falling like exp(-|z|) or faster, elementwise.
        mean: Shape (units,).
        std: Shape (units,), at least `WIDE`.

    Returns:
        Shape (units,).
    """
    height = math.log1p(_LOCAL_REACH)
    distance = np.expm1(height * _NODES)
    nodes = np.concatenate([distance, -distance])
    weights = np.tile(_WEIGHTS * height * (distance + 1), 2) / math.sqrt(2 * math.pi)
    weighted = weights * function(nodes)

    def rule(mean: Array, std: Array) -> Array:
        t = (nodes - mean[:, None]) * (math.sqrt(0.5) / std)[:, None]
        t *= -t
        result: Array = (np.exp(t, out=t) @ weighted) / std
        return result

    return _in_blocks(rule, mean, std)


def expect_by_sides(function: Function, mean: Array, std: Array) -> Array:
    """Returns E[f(z)], z ~ N(mean, std²), of an f that may have a kink at zero, at any width.

    Gauss-Legendre on each side of zero in ``v = ln(1 + |z|)``, over what the distribution covers.
    In v both scales that matter, that of f near zero and that of the distribution, however wide,
    are of the order of 1. Dividing by the rule's own total makes constants exact.

    Args:
        function: f, analytic on either side of zero, of at most polynomial growth, elementwise.
        mean: Shape (units,).
        std: Shape (units,), positive, and not so small that mean + std is mean.

    Returns:
        Shape (units,); within 2e-7 relative for |mean| up to 3 deviations, std up to 100.
    """

    def rule(mean: Array, std: Array) -> Array:
        # Axes are (side, unit, node); side 0 is z > 0, side 1 is z < 0.
        toward = np.stack([mean, -mean])
        low = np.log1p(np.maximum(toward - _REACH * std, 0))
        width = np.log1p(np.maximum(toward + _REACH * std, 0)) - low
        distance = np.expm1(low[..., None] + width[..., None] * _NODES)
        t = (distance - toward[..., None]) / std[:, None]
        density = np.exp(-0.5 * t * t) * (distance + 1)
        total = (density @ _WEIGHTS) * width
        np.negative(distance[1], out=distance[1])
        weighted = ((density * function(distance)) @ _WEIGHTS) * width
        result: Array = weighted.sum(axis=0) / total.sum(axis=0)
        return result

    return _in_blocks(rule, mean, std)


def _in_blocks(rule: Callable[[Array, Array], Array], mean: Array, std: Array) -> Array:
    result = np.empty_like(mean)
    for start in range(0, mean.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        result[block] = rule(mean[block], std[block])
    return result


def _hermite() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NARROW_NODES)
    return nodes, weights / weights.sum()


def _legendre() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES_PER_SIDE)
    return (nodes + 1) / 2, weights / 2


#: Standard normal deviates and their weights; places in 0..1 and theirs.
_HERMITE, _HERMITE_WEIGHTS = _hermite()
_NODES, _WEIGHTS = _legendre()
