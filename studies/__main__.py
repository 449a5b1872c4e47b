"""Runs the studies: ``python -m studies [NAME ...] [--small] [--out FOLDER]``.

A study is a module of this package, named in `STUDIES`, with a function ``run(small) -> Study``;
`small` asks for sizes that show in seconds that everything runs.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from studies.report import Study, write

FOLDER = Path(__file__).parents[1] / "docs" / "studies"

STUDIES: tuple[str, ...] = (
    "linear",
    "training_complexity",
    "training_path",
    "real_checkpoints",
    "efficiency",
    "sampling",
    "random_spectra",
)
"""Names of the studies' modules, in the order to read them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the studies that are asked for, all of them if none, and writes their pages."""
    parser = argparse.ArgumentParser(prog="python -m studies")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--small", action="store_true", help="tiny sizes; needs --out")
    parser.add_argument("--out", type=Path, help="folder for the pages  [default: docs/studies]")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(STUDIES)
    if unknown:
        parser.error(f"no such study: {', '.join(sorted(unknown))}")
    if options.small and options.out is None:
        parser.error("--small writes no documentation: say --out")
    for name in options.names or STUDIES:
        started = time.monotonic()
        print(f"{name} ...", file=sys.stderr, flush=True)
        study: Study = importlib.import_module(f"studies.{name}").run(options.small)
        page = write(study, name, options.out or FOLDER, f"make studies STUDY={name}")
        print(f"{page} ({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
