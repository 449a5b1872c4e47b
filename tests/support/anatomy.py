"""Names and shapes of real modules and real checkpoints, as the anatomy takes them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thermoscan.checkpoint import Tensor
from thermoscan.dtypes import DType

_DTYPES = {
    "torch.float32": DType.F32,
    "torch.float16": DType.F16,
    "torch.bfloat16": DType.BF16,
    "torch.int64": DType.I64,
    "torch.uint8": DType.U8,
    "torch.bool": DType.BOOL,
}


def tensor(name: str, *shape: int, dtype: DType = DType.F32) -> Tensor:
    """A stored tensor of which only name, shape and dtype matter."""
    return Tensor(name, dtype, shape, "file", 0)


def tensors_of(state: Mapping[str, Any]) -> list[Tensor]:
    """The tensors of a torch state dict."""
    return [
        tensor(name, *value.shape, dtype=_DTYPES[str(value.dtype)])
        for name, value in state.items()
        if hasattr(value, "shape")
    ]


def tensors_in_safetensors(path: Path) -> list[Tensor]:
    """The tensors that a safetensors file's header lists, in stored order."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    entries = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    return [tensor(name, *e["shape"], dtype=DType[e["dtype"]]) for name, e in entries]


def tensors_in_torch_file(path: Path, *inside: str) -> list[Tensor]:
    """The tensors of a state dict that torch saved, under the keys `inside`."""
    import torch

    state: Any = torch.load(path, map_location="cpu", weights_only=True)
    for key in inside:
        state = state[key]
    return tensors_of(state)
