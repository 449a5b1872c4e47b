"""Runs the benchmarks: ``python -m benchmarks [SECTION ...] [--small]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import batch, catalogue, remote, report, rivals, spectra, startup, tally, whole
from benchmarks.report import Row, Section
from benchmarks.scale import FULL, SMALL, Scale

DOCUMENTATION = Path(__file__).parents[1] / "docs"

_TITLES: dict[str, tuple[str, str, Callable[[Scale], Iterator[Row]]]] = {
    "tally": ("The pass over the bytes", tally.__doc__ or "", tally.measure),
    "whole": ("A whole scan", whole.__doc__ or "", whole.measure),
    "startup": ("Small things", startup.__doc__ or "", startup.measure),
    "rivals": ("Other tools", rivals.__doc__ or "", rivals.measure),
    "batch": ("Many models", batch.__doc__ or "", batch.measure),
    "remote": ("Scans by range", remote.__doc__ or "", remote.measure),
    "spectra": ("Spectra", spectra.__doc__ or "", spectra.measure),
    "catalogue-sqlite": ("SQLite", catalogue.__doc__ or "", catalogue.measure_sqlite),
    "catalogue-postgresql": (
        "PostgreSQL",
        "The same, on a server on this machine with the settings that it comes with.",
        catalogue.measure_postgresql,
    ),
}
_APART = frozenset({"spectra", "catalogue-sqlite", "catalogue-postgresql"})
"""Sections that are only measured where they are named."""
_PAGES = {
    "benchmarks.md": ("tally", "whole", "startup", "rivals"),
    "benchmarks-batch.md": ("batch",),
    "benchmarks-remote.md": ("remote",),
    "benchmarks-spectra.md": ("spectra",),
    "catalogue-figures.md": ("catalogue-sqlite", "catalogue-postgresql"),
}
"""Page -> its sections. A page is of one run, so that its figures belong together."""
_NOT_INSTALLED = (
    "Not measured in this run: the other tools are not installed (`make bench RIVALS=1` does it)."
)


def main(arguments: Sequence[str] | None = None, documentation: Path = DOCUMENTATION) -> None:
    """Measures, prints the table, and writes each page that was measured whole at full scale."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="SECTION",
        help=f"of {', '.join(_TITLES)}; all but {', '.join(sorted(_APART))} if none",
    )
    parser.add_argument(
        "--small", action="store_true", help="tiny sizes, to see that everything runs"
    )
    options = parser.parse_args(arguments)
    unknown = set(options.sections) - set(_TITLES)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    scale = SMALL if options.small else FULL
    usual = [name for name in _TITLES if name not in _APART]
    sections = {name: _section(name, scale) for name in options.sections or usual}
    print(report.table(list(sections.values())))
    for page, names in _PAGES.items():
        if sections.keys() >= set(names) and scale is FULL:
            text = report.page(page, [sections[name] for name in names])
            (documentation / page).write_text(text, encoding="utf-8")


def _section(name: str, scale: Scale) -> Section:
    title, about, measure = _TITLES[name]
    if name == "rivals" and not rivals.installed():
        return Section(title, _NOT_INSTALLED, ())
    print(f"{title} ...", file=sys.stderr, flush=True)
    rows = []
    for row in measure(scale):
        print("  " + "  ".join(row.cells()), file=sys.stderr, flush=True)
        rows.append(row)
    return Section(title, about.strip(), tuple(rows))


if __name__ == "__main__":
    main()
