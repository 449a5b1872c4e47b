"""What a person should know about a measured checkpoint (docs/findings.md lists every kind).

A detector is a pure function from a `Measurement` to sightings; each module holds one idea's
detectors with their thresholds and words, and `find` puts them together.
"""

from __future__ import annotations

from thermoscan.findings.gather import find, not_looked_for

__all__ = ["find", "not_looked_for"]
