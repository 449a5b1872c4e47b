"""The tensors of an opened checkpoint as torch tensors, read by the reader that validated them.

No file is handed to another library: what runs is what was scanned, and nothing is unpickled.
"""

from __future__ import annotations

import torch

from thermoscan.checkpoint import Checkpoint, Tensor
from thermoscan.probe.types import TORCH_TYPES
from thermoscan.tally.geometry import memory_axes
from thermoscan.tally.layout import read_elements


def state_of(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """Returns every stored tensor of a type that torch computes with, and every alias, by name.

    Raises:
        ChangedError: The checkpoint was cut short or replaced since it was opened.
    """
    state = {
        tensor.name: _read(checkpoint, tensor)
        for tensor in checkpoint.tensors
        if tensor.dtype in TORCH_TYPES
    }
    aliases = {alias: state[name] for alias, name in checkpoint.aliases.items() if name in state}
    return {**aliases, **state}


def _read(checkpoint: Checkpoint, tensor: Tensor) -> torch.Tensor:
    content = torch.empty(tensor.nbytes, dtype=torch.uint8)
    if tensor.nbytes:
        read_elements(checkpoint.reader, tensor, 0, content.numpy().data)
    axes = memory_axes(tensor)
    stored = content.view(TORCH_TYPES[tensor.dtype]).reshape([tensor.shape[axis] for axis in axes])
    return stored.permute([axes.index(axis) for axis in range(len(axes))])
