"""The command line: ``thermoscan``, and ``hf thermoscan`` as an extension of the hub's own.

`main` is the entry point. Only this package composes the core with adapters and reporters. Modules
here import nothing heavy at the top: ``--help`` must not wait for numpy.
"""

from thermoscan.cli.main import main

__all__ = ["main"]
