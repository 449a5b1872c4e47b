"""thermoscan tells what state a checkpoint is in, from its weights, without running it.

Architecture, which is also the order of the work::

    source  -> Checkpoint -> Anatomy    -> Tally     -> State      -> Findings -> Card -> reports
    disk,      lazy          roles, norms, one pass of  T, J, T*,    what a       JSON, HTML,
    hub        tensors       activations   the bytes    η per layer  person needs SVG, terminal

===================  ============================================================================
`errors`, `limits`   the one error tree; the bounds beyond which a checkpoint is refused
`checkpoint`         what an adapter gives: tensors that say where their bytes are
`anatomy`            what each tensor is, from names, shapes and the configuration
`tally`              the one pass: histograms, moments, unit energies, digests (compiled kernels)
`alignment`          names that two checkpoints have in common
`theory`             pure functions: entropy, temperature, order, transitions, the heat engine
`findings`           what a person should know
`scanner`            the road itself, and the card it ends in
`probe`              the same model run on data, and what that measures of its layers (needs torch)
`card`, `card_io`    the published record and its JSON
`attaching`          a report put into a model card, and nothing else of that changed
`batch`              many models: found, scanned by workers that may die, kept
`catalogue`          the database of models, scans, layers and findings, and questions to it
`writing`            files that are whole or absent, folders that any name may have
`cli`                the command line, which alone composes the core with adapters and reporters
===================  ============================================================================

Adapters (``thermoscan_adapters``) and reporters (``thermoscan_reports``) are found by entry point;
the core imports neither. Every noun above is a frozen value, every arrow a function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thermoscan._version import __version__

if TYPE_CHECKING:
    from thermoscan.card import Card
    from thermoscan.errors import ThermoscanError
    from thermoscan.options import ScanOptions
    from thermoscan.scanner import compare, scan

__all__ = ["Card", "ScanOptions", "ThermoscanError", "__version__", "compare", "scan"]

_HOMES = {
    "Card": "thermoscan.card",
    "ScanOptions": "thermoscan.options",
    "ThermoscanError": "thermoscan.errors",
    "compare": "thermoscan.scanner",
    "scan": "thermoscan.scanner",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for: the command's help needs no numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'thermoscan' has no attribute '{name}'")
    import importlib  # noqa: PLC0415 - only needed here

    return getattr(importlib.import_module(_HOMES[name]), name)
