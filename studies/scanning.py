"""Scans tensors that a study made or changed, by way of a file, as a scan would see them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file

import thermoscan
from thermoscan.card import Card
from thermoscan.options import ScanOptions

if TYPE_CHECKING:
    import torch


def scan_tensors(tensors: Mapping[str, torch.Tensor], options: ScanOptions | None = None) -> Card:
    """Returns the card of a checkpoint that holds these tensors."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        save_file({name: each.contiguous() for name, each in tensors.items()}, file)
        return thermoscan.scan(str(file), options)
