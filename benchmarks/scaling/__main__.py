"""Measures, computes, writes the page: ``python -m benchmarks.scaling [--small]``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.scale import FULL, SMALL
from benchmarks.scaling import far, here, keeping
from benchmarks.scaling.tables import Prices, tables

DOCUMENTATION = Path(__file__).parents[2] / "docs"


def main(arguments: Sequence[str] | None = None, documentation: Path = DOCUMENTATION) -> None:
    """Writes ``scaling.md``, or prints it where sizes are tiny."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("--small", action="store_true", help="tiny sizes, printed only")
    parser.add_argument("--cpu-hour", type=float, default=1.0, help="price of an hour of a core")
    parser.add_argument("--terabyte", type=float, default=1.0, help="price of 1 TB transferred")
    options = parser.parse_args(arguments)
    scale = SMALL if options.small else FULL
    near = here.measure(scale)
    kept = keeping.measure(scale, near.typical)
    remote = far.measure(scale, near, kept)
    sections = [near.section, kept.section, remote.section]
    computed = tables(remote.works, Prices(options.cpu_hour, options.terabyte))
    text = report.page("scaling.md", [*sections, *computed])
    if options.small:
        print(text)
    else:
        (documentation / "scaling.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
