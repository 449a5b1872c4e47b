"""Measures a checkpoint on disk the way a scan does, and names what was found."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file

from thermoscan.checkpoint import OpenOptions
from thermoscan.findings import find
from thermoscan.options import ScanOptions
from thermoscan.scanner import survey
from thermoscan.scanner.measurement import Measurement
from thermoscan_adapters.disk import DiskAdapter

Found = tuple[str, str, str | None]
"""Severity, code and layer of a finding."""


def measured(path: Path, options: ScanOptions | None = None) -> Measurement:
    """Returns the measurement of the checkpoint at `path`."""
    with DiskAdapter().open(str(path), OpenOptions()) as checkpoint:
        return survey(checkpoint, options or ScanOptions(), lambda _done, _total: None)[0]


def measured_copy(
    state: Mapping[str, torch.Tensor],
    config: Path | None = None,
    options: ScanOptions | None = None,
) -> Measurement:
    """Returns the measurement of these tensors, with the configuration of the folder `config`.

    They are written to a folder that is gone afterwards, because pytest keeps its own.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        save_file(dict(state), folder / "model.safetensors")
        if config is not None:
            shutil.copy(config / "config.json", folder)
        return measured(folder, options)


def found_in(measurement: Measurement) -> list[Found]:
    """Returns severity, code and layer of every finding, in their order."""
    return [(each.severity, each.code, each.layer) for each in find(measurement)]
