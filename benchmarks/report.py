"""Rows of figures with their targets, as a terminal's table and as pages of ``docs``."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

_COLUMNS = ("", "measured", "target", "met", "how")

_HEADERS = {
    "benchmarks.md": """# Benchmarks

Written by `make bench`, which anyone can run. `make bench RIVALS=1` also installs the other tools
and measures them. Rates are compared within one run, the two sides taking turns; a ratio is the
median over the rounds. The checkpoints are made on first use (12 GB, in the system's temporary
folder or where `THERMOSCAN_BENCH_DIR` says). The scripts are in `benchmarks/`. Pages of their own
have [spectra](benchmarks-spectra.md), [batches](benchmarks-batch.md),
[scans of a hub](benchmarks-remote.md) and [scaling](scaling.md).

""",
    "benchmarks-batch.md": """# Benchmarks of batches

Written by `make bench`, or `make bench-batch` for this page alone. Rates are compared within one
run, the sides taking turns; a ratio is the median over the rounds. The models are made on first use
(23 GB, in the system's temporary folder or where `THERMOSCAN_BENCH_DIR` says). The others are
[here](benchmarks.md); what a cluster makes of it is [there](scaling.md).

""",
    "scaling.md": """# Scaling

Written by `make bench-scaling`. The first three tables are measured, on one machine. The others are
extrapolated: computed from them, from assumptions that they state, by the model in
`benchmarks/scaling/model.py`. [Batches](batch.md) are what runs here, on [a cluster](cluster.md) or
on one machine.

""",
    "benchmarks-remote.md": """# Benchmarks of remote scans

Written by `make bench`, or `make bench-remote` for this page alone. Rates are compared within one
run, the sides taking turns; a ratio is the median over the rounds. The others are
[here](benchmarks.md).

""",
    "benchmarks-spectra.md": """# Benchmarks of spectra

Written by `make bench-spectra`, which installs WeightWatcher 0.7.7 and takes a quarter of an hour,
most of it WeightWatcher's. The sides take turns in one run; a ratio is the median over the rounds.
The weights of MiniLM are real, those of the others random. The others are [here](benchmarks.md).

""",
    "catalogue-figures.md": """# Figures of a large catalogue

Written by `make bench-catalogue`, which takes about half an hour and 10 GB in the system's
temporary folder. What the tables are is said [here](catalogue.md).

""",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: at least, or at most, a limit."""

    limit: float
    at_most: bool = False

    def met(self, figure: float) -> bool:
        """Says whether a figure keeps to it."""
        return figure <= self.limit if self.at_most else figure >= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        what: What was measured.
        figure: The number.
        unit: What follows the number; empty for a ratio.
        target: What it should be; None for a figure given for orientation.
        how: The figures it came from, in plain words.
    """

    what: str
    figure: float
    unit: str = ""
    target: Target | None = None
    how: str = ""

    def cells(self) -> tuple[str, ...]:
        """Returns what the table shows, in the order of its columns."""
        if self.target is None:
            return (self.what, self._number(self.figure), "", "", self.how)
        word = "at most" if self.target.at_most else "at least"
        met = "yes" if self.target.met(self.figure) else "no"
        return (
            self.what,
            self._number(self.figure),
            f"{word} {self._number(self.target.limit)}",
            met,
            self.how,
        )

    def _number(self, value: float) -> str:
        digits = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
        return f"{digits} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Section:
    """One question and its figures; no rows where it was not asked, for the reason in `about`."""

    title: str
    about: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Figures of several columns: what it is about, the columns' names, the lines."""

    title: str
    about: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def table(sections: Sequence[Section]) -> str:
    """Returns all rows as plain text in columns."""
    lines: list[tuple[str, ...]] = [_COLUMNS]
    for section in sections:
        lines += [(section.title.upper(), "", "", "", ""), *(row.cells() for row in section.rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def page(name: str, sections: Sequence[Section | Matrix]) -> str:
    """Returns the page of the documentation that has this name."""
    return _HEADERS[name] + _facts(machine()) + "".join(_part(section) for section in sections)


def machine() -> Mapping[str, str]:
    """Returns what the figures depend on: processor, system, versions, day. No paths or hosts."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ("thermoscan", "numpy", "numba", "llvmlite")
    return {
        "date": date.today().isoformat(),
        "processor": f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory",
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        "load": f"{os.getloadavg()[2]:.1f} on average over the last quarter of an hour",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _facts(facts: Mapping[str, str]) -> str:
    return "".join(f"- {name}: {value}\n" for name, value in facts.items())


def _part(section: Section | Matrix) -> str:
    if isinstance(section, Matrix):
        columns, lines = section.columns, section.lines
    else:
        columns, lines = _COLUMNS, tuple(row.cells() for row in section.rows)
    text = f"\n## {section.title}\n\n{section.about}\n"
    if lines:
        rule = ["---"] * len(columns)
        text += "\n" + "".join(f"| {' | '.join(line)} |\n" for line in [columns, rule, *lines])
    return text
