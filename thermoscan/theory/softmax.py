"""Softmax cross-entropy under normal logits, without drawing any: one integral for K classes.

Theory section 2. With g_k independent standard Gumbel variables, ``max_k (z_k + g_k)`` is
distributed as ``ln Σ exp(z_k) + g``, and class k attains the maximum with probability p_k. So the
K-fold expectation over independent logits becomes an integral over the maximum u alone: with G_k
the distribution function of ``z_k + g_k``, M = Π G_k that of the maximum, and r_k = G_k'/G_k,

    E[ln Σ exp z]      = ∫ u M Σ r_k du - γ
    E[p_k]             = ∫ M r_k du
    E[Σ p_k (1 - p_k)] = ∫ M ((Σ r_k)² - Σ r_k²) du

Every integrand is analytic and vanishes at both ends, for which the trapezoidal rule converges
exponentially.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from thermoscan.theory.gaussian import Array, normal_cdf

Counts = NDArray[np.intp]

_EULER = 0.5772156649015329

#: Between these a standard Gumbel variable lies but for 1e-16 below and 1e-13 above.
_GUMBEL_LOW, _GUMBEL_HIGH = -3.6, 30.0
_NORMAL_REACH = 8.0

#: Steps in units of the scale on which an integrand varies; halving them changes 1e-9 at most.
_INNER_STEP = 0.4
_OUTER_STEP = 0.25

#: From this deviation on the logits are the wide part of ``z + g``, and g is integrated over.
_WIDE = 1.0

_LEAST = 1e-300
_BLOCK_ELEMENTS = 200_000


def expect_cross_entropy(mean: Array, std: Array, targets: Array) -> tuple[Array, Array]:
    """Returns the expected loss and virial of softmax cross-entropy.

    Args:
        mean: Means of the independent normal logits, shape (N, K).
        std: Their deviations, the same for all classes, shape (N,), not negative.
        targets: Class of each sample, 0 to K - 1, shape (N,).

    Returns:
        ``E[ln Σ exp(z_k) - z_y]`` in nats, and ``E[Σ z_k ∂loss/∂z_k]``, which is
        ``Σ (μ_k - μ_y) E[p_k] + s² E[Σ p_k (1 - p_k)]``; shape (N,) each. Within 1e-7 of
        ``1 + s`` (relative, where the means are all equal).

    >>> loss, virial = expect_cross_entropy(np.zeros((1, 4)), np.zeros(1), np.zeros(1, int))
    >>> float(loss[0].round(9)) == round(math.log(4), 9), float(virial[0])
    (True, 0.0)
    """
    centred = mean - np.take_along_axis(mean, targets.astype(np.intp)[:, None], axis=1)
    # Classes that share their mean in every sample, as all do at initialisation, are one column.
    columns, counts = np.unique(centred, axis=1, return_counts=True)
    energy, virial = np.empty(std.shape), np.empty(std.shape)
    for rows in _blocks(std, columns, counts):
        energy[rows], virial[rows] = _integrate(columns[rows], counts, std[rows])
    return energy, virial


def expected_maximum(classes: int) -> float:
    """Returns the expectation of the largest of so many standard normal variables.

    >>> round(expected_maximum(2) * math.sqrt(math.pi), 9)
    1.0
    """
    nodes = np.arange(-2 * _NORMAL_REACH, 2 * _NORMAL_REACH, 0.05)
    density = np.exp(-0.5 * nodes**2) / math.sqrt(2 * math.pi)
    return float(0.05 * np.sum(nodes * classes * density * normal_cdf(nodes) ** (classes - 1)))


def _integrate(mean: Array, counts: Counts, std: Array) -> tuple[Array, Array]:
    """Loss and virial of samples that lie all below or all above `_WIDE`.

    Args:
        mean: Means less that of the target's class, a column per distinct class, shape (n, C).
        counts: Classes that share each column, shape (C,).
        std: Shape (n,).
    """
    nodes, step = _maximum_nodes(mean, int(counts.sum()), std)
    distribution, density = _shifted_gumbel(nodes[:, None, :] - mean[:, :, None], std)
    # Below 1e-300 the product M is nothing, whatever the ratio is.
    np.maximum(distribution, _LEAST, out=distribution)
    ratio = density / distribution
    weights = step[:, None] * np.exp(np.einsum("ncu,c->nu", np.log(distribution), counts))
    total = np.einsum("ncu,c->nu", ratio, counts)
    pairs = total**2 - np.einsum("ncu,c->nu", ratio**2, counts)
    moved = np.einsum("ncu,c,nc->nu", ratio, counts, mean)
    energy = (weights * total * nodes).sum(axis=1) - _EULER
    return energy, (weights * (moved + std[:, None] ** 2 * pairs)).sum(axis=1)


def _maximum_nodes(mean: Array, classes: int, std: Array) -> tuple[Array, Array]:
    """Nodes over what the maximum covers, shape (n, nodes), and their distance, shape (n,)."""
    top = mean.max(axis=1)
    low = top + _GUMBEL_LOW - _NORMAL_REACH * std
    logarithm = math.log(classes)
    width = top + _GUMBEL_HIGH + logarithm + (_NORMAL_REACH + math.sqrt(2 * logarithm)) * std - low
    # The largest of many normal variables varies that much less than one of them.
    scale = np.hypot(1, std / math.sqrt(1 + 2 * logarithm))
    number = math.ceil(np.max(width / (_OUTER_STEP * scale)))
    step = width / number
    return low[:, None] + step[:, None] * np.arange(number + 1), step


def _shifted_gumbel(u: Array, std: Array) -> tuple[Array, Array]:
    """Distribution function and density of ``std·Z + g`` at `u`, shape (n, classes, nodes).

    The wide one of the two variables is kept inside: seen from the other, it is smooth.
    """
    std = std[:, None, None, None]
    if std.flat[0] < _WIDE:
        z = np.arange(-_NORMAL_REACH, _NORMAL_REACH + _INNER_STEP, _INNER_STEP)
        weights = np.exp(-0.5 * z**2)
        weights /= weights.sum()
        rate = np.exp(std * z - u[..., None])
        inside = np.exp(-rate)
        rate *= inside
        return inside @ weights, rate @ weights
    g = np.arange(_GUMBEL_LOW, _GUMBEL_HIGH, _INNER_STEP)
    weights = np.exp(-g - np.exp(-g))
    weights /= weights.sum()
    t = (u[..., None] - g) / std
    density = np.exp(-0.5 * t**2) / (std * math.sqrt(2 * math.pi))
    return normal_cdf(t) @ weights, density @ weights


def _blocks(std: Array, columns: Array, counts: Counts) -> Iterator[NDArray[np.intp]]:
    """Yields row numbers whose temporaries stay small, narrow samples and wide ones apart."""
    inner = (_GUMBEL_HIGH - _GUMBEL_LOW) / _INNER_STEP
    outer = (_GUMBEL_HIGH - _GUMBEL_LOW + math.log(counts.sum())) / _OUTER_STEP
    height = max(int(_BLOCK_ELEMENTS / (inner * outer * columns.shape[1])), 1)
    for rows in (np.flatnonzero(std < _WIDE), np.flatnonzero(std >= _WIDE)):
        for start in range(0, rows.size, height):
            yield rows[start : start + height]
