"""Temperatures of linear systems by drawn parameters, and beside them those of the theory.

Nothing here shares code with the theory but its answers: parameters are drawn, losses and their
derivatives are written out, and the standard errors are those of the draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermoscan.theory.initialisation import Initialisation, normal, uniform
from thermoscan.theory.linear import LinearState, linear_data, linear_state
from thermoscan.theory.linear_states import initial_state
from thermoscan.theory.losses import LOSSES, loss

Array = NDArray[np.float64]

CLASSES = 5
SAMPLES = 60
SCALES = (0.1, 1.0, 10.0)
GEOMETRIES = ("isotropic", "anisotropic", "low rank", "sparse")

_KINDS = {"normal": ("normal",), "uniform": ("uniform",), "mixed": ("normal", "uniform")}
"""Name of an initialisation -> families that features take turns in, of the same variance."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One comparison: `off` is theory / draws - 1, `error` the standard error of the draws."""

    geometry: str
    start: str
    loss: str
    features: int
    scale: float
    theory: float
    off: float
    error: float
    effective: float | None


def inputs_of(geometry: str, features: int, rng: np.random.Generator) -> Array:
    """Returns inputs, shape (N, d), whose mean squared length is 1."""
    x = rng.normal(size=(SAMPLES, features))
    rotation = np.linalg.qr(rng.normal(size=(features, features)))[0]
    if geometry == "anisotropic":
        x = (x / np.arange(1, features + 1)) @ rotation
    elif geometry == "low rank":
        x = x[:, : min(4, features)] @ rotation[: min(4, features)]
    elif geometry == "sparse":
        keep = rng.permuted(np.tile(np.arange(features) < 2, (SAMPLES, 1)), axis=1)
        x = np.where(keep, x, 0.0)
    result: Array = x / np.sqrt((x**2).sum(axis=1).mean())
    return result


def targets_of(name: str, rng: np.random.Generator) -> Array:
    """Returns targets for a loss, shape (N,)."""
    if name == "softmax":
        return rng.integers(0, CLASSES, SAMPLES).astype(float)
    return rng.choice([-1.0, 1.0], SAMPLES) if name == "bce" else rng.normal(size=SAMPLES)


def virials(name: str, z: Array, y: Array) -> Array:
    """Returns the mean of z·∂loss/∂z over the samples, for outputs (draws, classes, N)."""
    if name == "softmax":
        shifted = np.exp(z - z.max(axis=1, keepdims=True))
        mean = (shifted * z).sum(axis=1) / shifted.sum(axis=1)
        own = np.take_along_axis(z, y.astype(int)[None, None, :], axis=1)[:, 0]
        softened: Array = (mean - own).mean(axis=1)
        return softened
    z = z[:, 0]
    if name == "mse":
        slope = 2 * (z - y)
    elif name == "mae":
        slope = np.sign(z - y)
    else:
        slope = -y * 0.5 * (1 - np.tanh(0.5 * y * z))
    averaged: Array = (z * slope).mean(axis=1)
    return averaged


def cells(widths: Sequence[int], draws: int) -> Iterator[Cell]:
    """Yields every comparison: geometries, initialisations, losses and scales at these widths."""
    for features in widths:
        for geometry in GEOMETRIES:
            for start in _KINDS:
                rng = np.random.default_rng([features, *geometry.encode(), *start.encode()])
                x = inputs_of(geometry, features, rng)
                starts = _turns(start, features, 1.0)
                z = _draw(starts, draws, rng) @ x.T
                variance = (x**2).sum(axis=1)
                for name in LOSSES:
                    y = targets_of(name, rng)
                    for scale in SCALES:
                        yield _compare(geometry, start, name, scale, x, y, z, variance)


def _compare(
    geometry: str,
    start: str,
    name: str,
    scale: float,
    x: Array,
    y: Array,
    z: Array,
    variance: Array,
) -> Cell:
    classes = CLASSES if name == "softmax" else 1
    outputs = scale * z.reshape(-1, classes, SAMPLES)
    rest = (virials(name, outputs, y) + virials(name, -outputs, y)) / 2
    if name != "mse":
        known = (outputs**2).mean(axis=(1, 2)) - scale**2 * variance.mean()
        rest -= (rest * known).sum() / (known**2).sum() * known
    measured = rest.mean() / (classes * x.shape[1])
    state = initial(start, x, y, name, scale)
    return Cell(
        geometry, start, name, x.shape[1], scale, state.temperature,
        state.temperature / measured - 1,
        float(rest.std() / math.sqrt(rest.size) / abs(rest.mean())),
        state.effective_features,
    )  # fmt: skip


def initial(start: str, x: Array, y: Array, name: str, scale: float) -> LinearState:
    """Returns what the theory says of the state at an initialisation, on inputs x and targets y."""
    asked = loss(name)
    state = initial_state(_turns(start, x.shape[1], scale), CLASSES if asked.has_classes else None)
    return linear_state(state, linear_data(x, y, asked), asked)


def _turns(start: str, features: int, scale: float) -> list[Initialisation]:
    made = [
        normal(scale, "study") if family == "normal" else uniform(scale * math.sqrt(3), "study")
        for family in _KINDS[start]
    ]
    return [made[index % len(made)] for index in range(features)]


def _draw(starts: Sequence[Initialisation], draws: int, rng: np.random.Generator) -> Array:
    bound = math.sqrt(3)
    columns = [
        rng.normal(size=draws) if each.family == "normal" else rng.uniform(-bound, bound, draws)
        for each in starts
    ]
    return np.stack(columns, axis=1)
