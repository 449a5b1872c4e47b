"""A profile as a small picture: one letter per part of the model, and the path that letters draw.

``assets/index.js`` draws the same path from the same letters; a test in a browser holds the two
together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from thermoscan_reports.numbers import shown

LEVELS = 24
LEAST_RATIO = 4.0
"""Ratio of temperatures that fills the height at least: less is no structure to look at."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_FLOOR = 1e-12


def levels_of(profile: Iterable[float]) -> str:
    """Returns a letter per value, on a logarithmic scale from 0 at the top; a dot for a NaN.

    >>> levels_of([1.0, 4.0, math.nan, 2.0]), levels_of([2.0, 2.1])
    ('n0.c', 'cb')
    """
    heights = [math.log(max(value, _FLOOR)) for value in profile]
    known = [height for height in heights if not math.isnan(height)]
    if not known:
        return ""
    span = max(max(known) - min(known), math.log(LEAST_RATIO))
    top = (max(known) + min(known) + span) / 2
    return "".join(
        "." if math.isnan(height) else _DIGITS[round((LEVELS - 1) * (top - height) / span)]
        for height in heights
    )


def path_of(levels: str) -> str:
    """Returns the steps through `levels` as SVG path commands, a unit of width to each.

    >>> path_of("n0.c")
    'M0 23h1V0h1M3 12h1'
    """
    steps = []
    for place, letter in enumerate(levels):
        if letter != ".":
            joined = place and levels[place - 1] != "."
            steps.append(f"{'V' if joined else f'M{place} '}{_DIGITS.index(letter)}h1")
    return "".join(steps)


def span_of(profile: Iterable[float]) -> str:
    """Returns the range of a profile in words; empty where it has no value."""
    known = [value for value in profile if not math.isnan(value)]
    return f"τ {shown(min(known))} to {shown(max(known))}" if known else ""
