"""The distributions that weights start from: variance and entropy in closed form (theory sections 1 and 3).

Takes a family and its parameters; gives frozen `Initialisation` values. Nothing is guessed here: which layer starts how
is the anatomy's business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Initialisation:
    """The zero-mean distribution that a layer's entries are drawn from.

    Attributes:
        family: ``"normal"``, ``"uniform"`` or ``"truncated normal"``.
        variance: Second moment of an entry, squared weight units.
        entropy: Differential entropy of an entry, nats.
        source: Where it is known from, in words for the card.
    """

    family: str
    variance: float
    entropy: float
    source: str


def normal(std: float, source: str) -> Initialisation:
    """A normal distribution of standard deviation `std`."""
    return Initialisation("normal", std**2, 0.5 * math.log(2 * math.pi * math.e * std**2), source)


def uniform(bound: float, source: str) -> Initialisation:
    """A uniform distribution on ``[-bound, bound]``."""
    return Initialisation("uniform", bound**2 / 3, math.log(2 * bound), source)


def truncated_normal(std: float, cut: float, source: str) -> Initialisation:
    """A normal distribution of standard deviation `std` before truncation at ``±cut·std``."""
    density = math.exp(-(cut**2) / 2) / math.sqrt(2 * math.pi)
    mass = math.erf(cut / math.sqrt(2))
    shrink = 1 - 2 * cut * density / mass
    entropy = math.log(math.sqrt(2 * math.pi * math.e) * std * mass) - cut * density / mass
    return Initialisation("truncated normal", std**2 * shrink, entropy, source)
