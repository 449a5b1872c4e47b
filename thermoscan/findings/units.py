"""Output units that carry next to none of their layer's energy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from thermoscan.anatomy.model import Role
from thermoscan.findings.kinds import INFO, WARNING, Kind, Sighting
from thermoscan.findings.values import varies

if TYPE_CHECKING:
    from thermoscan.scanner.measurement import Measurement

ENTRIES = 4
"""Entries per unit below which chance makes units dead; with 4 normal ones it does 2 in 10⁸."""

PADDING_ROWS = 1
"""Rows that an embedding may leave empty: the padding token's."""

DEAD_UNITS = Kind(
    "dead-units",
    WARNING,
    "These units hardly see their input, so that their output is their bias: they were pruned, or "
    "decayed because no gradient reached them. Where most units are listed, the few others carry "
    "the layer.",
    "They can be removed without a change of the output; if they were not pruned, look at the "
    "learning rate and the initialisation of this layer.",
)
UNUSED_ROWS = Kind(
    "unused-rows",
    INFO,
    "These rows of the table are next to zero against the others: tokens that never occurred in "
    "training, or rows that pad the table to a round size.",
    "Check that the tokenizer never yields these tokens.",
)


def dead_units(measurement: Measurement) -> Iterator[Sighting]:
    """Finds units with less than a ten-thousandth of their layer's mean energy per unit."""
    for each in measurement.layers:
        spread = each.spread
        if spread is None:
            continue
        if each.state is None or not each.state.temperature or not varies(each.tally):
            continue
        if each.tally.count < ENTRIES * spread.units:
            continue
        table = each.layer.role is Role.EMBEDDING
        if spread.dead > (PADDING_ROWS if table else 0):
            noun = "rows" if table else "units"
            yield Sighting(
                UNUSED_ROWS if table else DEAD_UNITS,
                each.layer.name,
                f"{spread.dead:,} of {spread.units:,} {noun} have less than a ten-thousandth of "
                f"the mean energy; exactly zero: {spread.silent:,}",
                extent=spread.dead / spread.units,
                evidence={"dead": spread.dead, "zero": spread.silent, "units": spread.units},
            )
