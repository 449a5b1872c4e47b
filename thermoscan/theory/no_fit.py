"""What a fit returns where there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoFit:
    """No distribution could be fitted; `reason` is a short sentence without names or numbers."""

    reason: str
