"""The tensors of an opened checkpoint as torch tensors, read by the reader that validated them.

No file is handed to another library: what runs is what was scanned, and nothing is unpickled.
"""

from __future__ import annotations

import torch

from thermoscan.checkpoint import Checkpoint, Tensor
from thermoscan.dtypes import DType
from thermoscan.tally.geometry import memory_axes
from thermoscan.tally.layout import read_elements

_TYPES = {
    DType.F64: torch.float64,
    DType.F32: torch.float32,
    DType.F16: torch.float16,
    DType.BF16: torch.bfloat16,
    DType.F8_E4M3: torch.float8_e4m3fn,
    DType.F8_E5M2: torch.float8_e5m2,
    DType.I64: torch.int64,
    DType.I32: torch.int32,
    DType.I16: torch.int16,
    DType.I8: torch.int8,
    DType.U8: torch.uint8,
    DType.BOOL: torch.bool,
    DType.C64: torch.complex64,
}


def state_of(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """Returns every stored tensor of a type that torch computes with, and every alias, by name.

    Raises:
        ChangedError: The checkpoint was cut short or replaced since it was opened.
    """
    state = {
        tensor.name: _read(checkpoint, tensor)
        for tensor in checkpoint.tensors
        if tensor.dtype in _TYPES
    }
    aliases = {alias: state[name] for alias, name in checkpoint.aliases.items() if name in state}
    return {**aliases, **state}


def _read(checkpoint: Checkpoint, tensor: Tensor) -> torch.Tensor:
    content = torch.empty(tensor.nbytes, dtype=torch.uint8)
    if tensor.nbytes:
        read_elements(checkpoint.reader, tensor, 0, content.numpy().data)
    axes = memory_axes(tensor)
    stored = content.view(_TYPES[tensor.dtype]).reshape([tensor.shape[axis] for axis in axes])
    return stored.permute([axes.index(axis) for axis in range(len(axes))])
