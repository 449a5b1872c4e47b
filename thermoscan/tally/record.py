"""What one pass over a layer's bytes yields. Elementwise figures leave non-finite values out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from thermoscan.theory.entropy import Entropy, Histogram

FloatArray = npt.NDArray[np.float64]


class Column(IntEnum):
    """Columns of the moments that a kernel of a 32- or 64-bit float accumulates about a pivot."""

    COUNT = 0
    PIVOT = 1
    SUM = 2
    SQUARES = 3
    CUBES = 4
    QUARTICS = 5
    MINIMUM = 6
    MAXIMUM = 7
    ZEROS = 8
    NAN = 9
    POSITIVE_INFINITY = 10
    NEGATIVE_INFINITY = 11


class PairColumn(IntEnum):
    """Columns of the sums over pairs (w₁, w₀) of which both are finite; EQUAL is over all pairs."""

    COUNT = 0
    EQUAL = 1
    PRODUCT = 2
    SQUARE = 3
    BASE_SQUARE = 4
    DIFFERENCE_SQUARE = 5
    GAINED_SQUARE = 6


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and sums of central powers of the finite elements of a part of a tensor.

    Attributes:
        count: Number of finite elements.
        mean: Their mean; 0 where there are none.
        m2: Sum of ``(w - mean)²``.
        m3: Sum of ``(w - mean)³``.
        m4: Sum of ``(w - mean)⁴``.
        minimum: The least of them; +inf where there are none.
        maximum: The greatest of them; -inf where there are none.
    """

    count: int
    mean: float
    m2: float
    m3: float
    m4: float
    minimum: float
    maximum: float

    @property
    def second(self) -> float:
        """``<w²>``, the second raw moment; 0 where there are no elements."""
        return self.m2 / self.count + self.mean * self.mean if self.count else 0.0

    @property
    def fourth(self) -> float:
        """``<w⁴>``, the fourth raw moment; 0 where there are no elements."""
        if not self.count:
            return 0.0
        c2, c3, c4 = (m / self.count for m in (self.m2, self.m3, self.m4))
        square = self.mean * self.mean  # a product overflows to infinity, a power raises
        return c4 + 4 * self.mean * c3 + 6 * square * c2 + square * square

    @property
    def variance(self) -> float:
        """The central second moment; 0 where there are no elements."""
        return self.m2 / self.count if self.count else 0.0

    @property
    def kurtosis(self) -> float | None:
        """Central fourth moment over squared variance, 3 for a Gaussian; None without spread."""
        if not self.count or self.m2 * self.m2 <= 0:
            return None
        return self.count * self.m4 / (self.m2 * self.m2)

    def weighed(self, weight: float) -> Moments:
        """Returns the moments with every element counted so many times."""
        sums = {name: weight * getattr(self, name) for name in ("count", "m2", "m3", "m4")}
        return replace(self, **sums)

    def merge(self, other: Moments) -> Moments:
        """Returns the moments of both parts together (Pébay, SAND2008-6212, eq. 2.1 to 2.6)."""
        if not other.count:
            return self
        if not self.count:
            return other
        na, nb = self.count, other.count
        n = na + nb
        delta = other.mean - self.mean
        square = delta * delta  # a product overflows to infinity, a power raises
        m2 = self.m2 + other.m2 + square * na * nb / n
        m3 = (
            self.m3
            + other.m3
            + square * delta * na * nb * (na - nb) / n**2
            + 3 * delta * (na * other.m2 - nb * self.m2) / n
        )
        m4 = (
            self.m4
            + other.m4
            + square * square * na * nb * (na**2 - na * nb + nb**2) / n**3
            + 6 * square * (na**2 * other.m2 + nb**2 * self.m2) / n**2
            + 4 * delta * (na * other.m3 - nb * self.m3) / n
        )
        return Moments(
            count=n,
            mean=self.mean + delta * nb / n,
            m2=m2,
            m3=m3,
            m4=m4,
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
        )


NO_MOMENTS = Moments(0, 0.0, 0.0, 0.0, 0.0, float("inf"), float("-inf"))


@dataclass(frozen=True, slots=True)
class Units:
    """Sums over the inputs of each output unit, float64 arrays of shape (units,).

    Attributes:
        energy: ``Σ_i w_ji²``.
        gained: ``Σ_i (w_ji γ_i)²`` with the gain of the norm that feeds the layer; None where there
            is no norm.
        shifted: ``Σ_i w_ji β_i`` with that norm's bias; None where there is no norm.
    """

    energy: FloatArray
    gained: FloatArray | None = None
    shifted: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """One layer after its pass.

    Attributes:
        count: All elements, non-finite ones included.
        nan: Elements that are NaN.
        infinite: Elements that are plus or minus infinity.
        zeros: Elements stored as exact zeros.
        atom: The part of `zeros` that the element type's spacing does not explain: a sparse layer's
            holes.
        moments: Of the finite elements, zeros included.
        histogram: Of the finite elements that are not in the atom; None where there are none, or
            the layer is not thermal.
        entropy: Of the same; None where `entropy_reason` says
            why.
        bits: Discrete entropy in bits per parameter; for 32- and 64-bit floats an upper bound,
            whose trailing bits count in full.
        levels: Number of distinct values, where it was counted; None where there are many.
        repeats: Of a sample of the elements that are not zero, the share that repeats another one
            of 64 consecutive ones, which shows rows that were quantised, each with its own scale;
            None where it was not looked for.
        at_extremes: Elements in the two outermost cells.
        near_extremes: Expected number there, from the cells beside them.
        fits: Labels of narrower element types that hold every value exactly.
        units: Sums per output unit.
    """

    count: int
    nan: int
    infinite: int
    zeros: int
    atom: int
    moments: Moments
    histogram: Histogram | None
    entropy: Entropy | None
    entropy_reason: str | None
    bits: float
    levels: int | None
    repeats: float | None
    at_extremes: int
    near_extremes: float
    fits: tuple[str, ...]
    units: Units

    @property
    def degrees(self) -> int:
        """Degrees of freedom: the finite elements that are not in the atom (theory section 3)."""
        return self.moments.count - self.atom

    @property
    def temperature(self) -> float | None:
        """``<w²>`` over the degrees of freedom; None where there are none."""
        return self.moments.second * self.moments.count / self.degrees if self.degrees else None
