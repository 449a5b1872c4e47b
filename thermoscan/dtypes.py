"""The element types that checkpoints hold, named as safetensors names them.

Floats are scanned; integers and booleans are recorded (they are indices, masks, counters or
quantised codes, which have no energy of their own); what is not in this table is refused by the
adapter that meets it.
"""

from __future__ import annotations

from enum import Enum


class DType(Enum):
    """An element type: its safetensors name and its size in bytes."""

    F64 = ("F64", 8, True)
    F32 = ("F32", 4, True)
    F16 = ("F16", 2, True)
    BF16 = ("BF16", 2, True)
    F8_E4M3 = ("F8_E4M3", 1, True)
    F8_E5M2 = ("F8_E5M2", 1, True)
    I64 = ("I64", 8, False)
    I32 = ("I32", 4, False)
    I16 = ("I16", 2, False)
    I8 = ("I8", 1, False)
    U64 = ("U64", 8, False)
    U32 = ("U32", 4, False)
    U16 = ("U16", 2, False)
    U8 = ("U8", 1, False)
    BOOL = ("BOOL", 1, False)
    C64 = ("C64", 8, False)

    def __init__(self, label: str, itemsize: int, is_float: bool) -> None:
        self.label = label
        self.itemsize = itemsize
        self.is_float = is_float

    def __repr__(self) -> str:
        return f"DType.{self.label}"
