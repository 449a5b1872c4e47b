"""Four losses of a linear system, and what they are on average over normal outputs.

Theory section 2. Takes the name of a loss; gives the frozen `Loss`: what its targets must be, the
expectation of the loss and of its virial ``z·ℓ'(z)`` under ``z ~ N(μ, s²)``, which by Stein's lemma
is ``μ E[ℓ'] + s² E[ℓ'']``, and the two limits of the latter at μ = 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thermoscan.errors import OptionError
from thermoscan.theory.gaussian import Array, normal_cdf
from thermoscan.theory.logistic import expect_logistic
from thermoscan.theory.softmax import expect_cross_entropy, expected_maximum

Expectation = Callable[[Array, Array, Array], tuple[Array, Array]]
Limit = Callable[[Array, int], Array]

_LEAST = 1e-300
_MOST_CLASSES = 10_000
#: Deviations beyond which a normal distribution has nothing in float64.
_NOTHING_BEYOND = 40.0


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss ``ℓ(z, y)`` of the output z of a linear system; nats where it is a cross-entropy.

    Attributes:
        name: How it is asked for.
        title: Its name in words.
        expect: Takes means, deviations and targets of normal outputs; gives ``E[ℓ]`` and
            ``E[z·ℓ']`` of each sample. Means have shape (N,), those of softmax (N, K).
        quadratic: True where both depend on the first two moments of z alone, so that they hold for
            outputs that are not normal too.
        small: What ``E[z·ℓ']`` tends to at mean 0 as s → 0, from s and the number of classes; None
            where it has no such limit, or the limit is 0 beyond all powers of s.
        large: The same as s → ∞.
    """

    name: str
    title: str
    expect: Expectation
    quadratic: bool = False
    small: Limit | None = None
    large: Limit | None = None

    @property
    def has_classes(self) -> bool:
        """True where there is an output for every class."""
        return self.name == "softmax"

    def check(self, targets: Array) -> None:
        """Makes sure that `targets`, finite numbers, are such as the loss has a meaning for.

        Raises:
            OptionError: ``data-labels``.
        """
        if self.name == "bce" and not np.isin(targets, (-1, 1)).all():
            raise OptionError("data-labels", "a target of binary cross-entropy is -1 or 1")
        whole = (targets >= 0) & (targets == np.floor(targets)) & (targets < _MOST_CLASSES)
        if self.has_classes and not whole.all():
            raise OptionError(
                "data-labels",
                f"a target of softmax cross-entropy is a class: 0, 1, 2, ... {_MOST_CLASSES - 1}",
            )


def loss(name: str) -> Loss:
    """Returns the loss of this name.

    Raises:
        OptionError: ``loss-unknown``.

    >>> loss("mae").title
    'mean absolute error'
    """
    if name not in _LOSSES:
        raise OptionError("loss-unknown", f"'{name}' is no loss: write {', '.join(LOSSES)}")
    return _LOSSES[name]


def _squared_error(mean: Array, std: Array, targets: Array) -> tuple[Array, Array]:
    off = mean - targets
    return off**2 + std**2, 2 * (mean * off + std**2)


def _absolute_error(mean: Array, std: Array, targets: Array) -> tuple[Array, Array]:
    off = mean - targets
    with np.errstate(over="ignore"):
        t = np.clip(off / np.maximum(std, _LEAST), -_NOTHING_BEYOND, _NOTHING_BEYOND)
    # s² E[ℓ''] = s² · 2 · the density at y, since the slope jumps by 2 there.
    jump = std * math.sqrt(2 / math.pi) * np.exp(-0.5 * t**2)
    # E[ℓ'] = P(z > y) - P(z < y), where each of the two is the smaller tail it is accurate.
    slope = np.sign(t) * (1 - 2 * normal_cdf(-np.abs(t)))
    return jump + off * slope, jump + mean * slope


def _binary_cross_entropy(mean: Array, std: Array, targets: Array) -> tuple[Array, Array]:
    # ℓ = softplus(v) of the negative margin v = -y·z, so that z·ℓ' = v·sigmoid(v).
    v = -targets * mean
    energy, slope, curvature = expect_logistic(v, std)
    return energy, v * slope + std**2 * curvature


_LOSSES = {
    each.name: each
    for each in (
        Loss("mse", "mean squared error", _squared_error, quadratic=True),
        Loss(
            "mae",
            "mean absolute error",
            _absolute_error,
            large=lambda s, _: s * math.sqrt(2 / math.pi),
        ),
        Loss(
            "bce",
            "binary cross-entropy",
            _binary_cross_entropy,
            small=lambda s, _: s**2 / 4,
            large=lambda s, _: s / math.sqrt(2 * math.pi),
        ),
        Loss(
            "softmax",
            "softmax cross-entropy",
            expect_cross_entropy,
            small=lambda s, classes: s**2 * (1 - 1 / classes),
            large=lambda s, classes: s * expected_maximum(classes),
        ),
    )
}

#: The names that `loss` knows.
LOSSES: tuple[str, ...] = tuple(_LOSSES)
