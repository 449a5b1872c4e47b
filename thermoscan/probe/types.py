"""The element types of checkpoints as torch has them."""

from __future__ import annotations

import torch

from thermoscan.dtypes import DType

TORCH_TYPES = {
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
"""Those that torch computes with."""

DTYPES = {found: dtype for dtype, found in TORCH_TYPES.items()}
