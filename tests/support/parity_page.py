"""The tables of docs/weightwatcher.md, out of what the comparison saw."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from support.parity import ABSENT, COLUMNS, EXCEPTIONS, NAMES, UNEQUAL, Verdict

from thermoscan.card_spectra import (
    Bulk,
    PowerLaw,
    ShuffledSpectrum,
    SpectralChange,
    SpectralNull,
    Spectrum,
    TruncatedPowerLaw,
)


@dataclass(frozen=True)
class Failure:
    """An input that WeightWatcher does not analyse.

    Attributes:
        what: The input.
        given: How WeightWatcher got it.
        outcome: What it did.
        ours: The spectra that the package gives.
    """

    what: str
    given: str
    outcome: str
    ours: str


def subject_table(subjects: Sequence[tuple[str, str, int]]) -> str:
    """Returns the table of what was compared: names, what they are, and how many layers."""
    lines = ["| model | what it is | layers |", "|---|---|---|"]
    lines += [f"| {name} | {what} | {layers} |" for name, what, layers in subjects]
    return "\n".join(lines)


def equal_table(verdicts: Sequence[Verdict]) -> str:
    """Returns the table of what both have, with the exceptions below it."""
    lines = ["| WeightWatcher | here | equal | largest difference seen |", "|---|---|---|---|"]
    for each in verdicts:
        equal = "yes" if not each.marks else f"yes, but: {', '.join(each.marks)}"
        seen = f"{each.largest:.0e}" if each.largest else "0"
        theirs = f"`{each.column.theirs}`"
        theirs += f", with `{each.column.asked}`" if each.column.asked else ""
        lines.append(f"| {theirs} | {_code(each.column.ours)} | {equal} | {seen} |")
    lines += [f"| `{theirs}` | {ours} | names the layer | |" for theirs, ours in NAMES.items()]
    lines.append("")
    lines += [f"- **{mark}**: {each.reason}." for mark, each in EXCEPTIONS.items()]
    return "\n".join(lines)


def other_table(seen: Mapping[str, tuple[float, float | None]]) -> str:
    """Returns the table of what WeightWatcher gives on request.

    Args:
        seen: Name of a column of `UNEQUAL` -> both figures for one layer.
    """
    lines = [
        "| WeightWatcher | asked for by | here | why not equal | seen on one layer |",
        "|---|---|---|---|---|",
    ]
    for name, other in UNEQUAL.items():
        figures = " and ".join("none" if each is None else f"{each:.3g}" for each in seen[name])
        ours = _code(other.ours.ours)
        lines.append(f"| `{name}` | `{other.asked}` | {ours} | {other.why} | {figures} |")
    lines += [f"| `{name}` | `{asked}` | none | not computed | |" for name, asked in ABSENT.items()]
    return "\n".join(lines)


def ours_alone() -> str:
    """Returns the fields of a spectrum that WeightWatcher has nothing for."""
    used = {each.ours for each in COLUMNS} | {each.ours.ours for each in UNEQUAL.values()}
    used |= {"bulk.temperature", "change.alignment"}  # of sigma_mp, and of distances by CKA
    parts = {
        "": Spectrum,
        "tail.": PowerLaw,
        "truncated.": TruncatedPowerLaw,
        "bulk.": Bulk,
        "null.": SpectralNull,
        "shuffled.": ShuffledSpectrum,
        "change.": SpectralChange,
    }
    apart = {"reasons", *(name.removesuffix(".") for name in parts)}
    names = [
        f"`{prefix}{field.name}`"
        for prefix, kind in parts.items()
        for field in fields(kind)
        if field.name not in apart and prefix + field.name not in used
    ]
    return ", ".join(names)


def failure_table(failures: Sequence[Failure]) -> str:
    """Returns the table of inputs that WeightWatcher does not analyse."""
    lines = ["| input | given as | WeightWatcher | thermoscan |", "|---|---|---|---|"]
    lines += [f"| {f.what} | {f.given} | {f.outcome} | {f.ours} |" for f in failures]
    return "\n".join(lines)


def without_figures(table: str) -> str:
    """Returns the table without its last column where that holds what one run saw."""
    if " seen" not in table.splitlines()[0]:
        return table
    return re.sub(r"^(\|.*\|)[^|\n]*\|$", r"\1", table, flags=re.MULTILINE)


def _code(ours: str) -> str:
    return f"`{ours}`" if re.fullmatch(r"[a-z_.]+", ours) else ours
