"""Whether wide values would fit a narrower type, and how few distinct values there are.

Looked for only as long as it can still be true: for ordinary weights, a few hundred elements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermoscan.dtypes import DType
from thermoscan.tally.accumulate import Bits

MANY_LEVELS = 1024
RUN = 64
"""Consecutive elements, at most a row of most layers, within which repeats are looked for."""

_FIRST_LOOK = 2048
_NARROWER = {DType.F32: ("BF16", "F16"), DType.F64: ("F32",)}


@dataclass(frozen=True, slots=True)
class Witness:
    """What can still be said of all elements seen so far.

    Attributes:
        fits: Labels of narrower types that hold every value seen exactly.
        levels: The distinct bit patterns seen; None once there are more than `MANY_LEVELS`.
        sampled: Elements that are not zero among the first `_FIRST_LOOK`, cut into runs of `RUN`.
        repeated: Those of them that repeat another one of their run.
    """

    fits: frozenset[str]
    levels: frozenset[int] | None
    sampled: int = 0
    repeated: int = 0

    def see(self, bits: Bits) -> Witness:
        """Returns the witness after more elements of a 32- or 64-bit float."""
        fits = frozenset(label for label in self.fits if _fits(bits, label))
        sampled, repeated = (self.sampled, self.repeated) if self.sampled else _repeats(bits)
        return Witness(fits, _levels(self.levels, bits), sampled, repeated)

    def merge(self, other: Witness) -> Witness:
        """Returns the witness of both parts together."""
        levels = None
        if self.levels is not None and other.levels is not None:
            both = self.levels | other.levels
            levels = both if len(both) <= MANY_LEVELS else None
        return Witness(
            self.fits & other.fits,
            levels,
            self.sampled + other.sampled,
            self.repeated + other.repeated,
        )


def new_witness(dtype: DType) -> Witness:
    """Returns the witness of no elements."""
    return Witness(frozenset(_NARROWER.get(dtype, ())), frozenset())


def _fits(bits: Bits, label: str) -> bool:
    return _all_fit(bits[:64], label) and _all_fit(bits, label)


def _all_fit(bits: Bits, label: str) -> bool:
    if label == "BF16":
        return not bool(np.bitwise_or.reduce(bits, initial=0) & 0xFFFF)
    wide = bits.view(np.float32 if bits.itemsize == 4 else np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = wide.astype(np.float16 if label == "F16" else np.float32)
    return bool(np.array_equal(narrow.astype(wide.dtype), wide, equal_nan=True))


def _levels(levels: frozenset[int] | None, bits: Bits) -> frozenset[int] | None:
    for part in (bits[:_FIRST_LOOK], bits[_FIRST_LOOK:]):
        if levels is None:
            return None
        # np.unique would import numpy.ma, which takes longer than a small checkpoint.
        ordered = np.sort(part)
        distinct = ordered[np.append(True, ordered[1:] != ordered[:-1])[: ordered.size]]
        if len(distinct) > MANY_LEVELS:
            return None
        levels = levels | frozenset(distinct.tolist())
        if len(levels) > MANY_LEVELS:
            return None
    return levels


def _repeats(bits: Bits) -> tuple[int, int]:
    """Counts, in the first runs, elements that are not zero and those that repeat another one."""
    whole = min(bits.size, _FIRST_LOOK) // RUN * RUN
    runs = np.sort(bits[:whole].reshape(-1, RUN), axis=1)
    sign = 1 << (8 * bits.itemsize - 1)
    present = (runs & runs.dtype.type(sign - 1)) != 0
    repeats = present[:, 1:] & (runs[:, 1:] == runs[:, :-1])
    return int(present.sum()), int(repeats.sum())
