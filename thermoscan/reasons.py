"""Reasons for the values that a card cannot give."""

from __future__ import annotations

import math

OVERFLOW = "out of the range of floating-point numbers"


class Reasons(dict[str, str]):
    """Reasons for missing values, gathered while the values are looked at."""

    def value(self, name: str, value: float | None, reason: str) -> float | None:
        """Returns a finite `value`; else None, for which `reason` (or overflow) is kept."""
        if value is not None and math.isfinite(value):
            return value
        self[name] = reason if value is None else OVERFLOW
        return None
