"""A checkpoint in memory: arrays of any element type as a reader that counts what is read."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch

from thermoscan.checkpoint import Tensor
from thermoscan.dtypes import DType

TORCH_TYPES = {
    DType.F64: torch.float64,
    DType.F32: torch.float32,
    DType.F16: torch.float16,
    DType.BF16: torch.bfloat16,
    DType.F8_E4M3: torch.float8_e4m3fn,
    DType.F8_E5M2: torch.float8_e5m2,
}
FLOATS = tuple(TORCH_TYPES)


class MemoryReader:
    """Serves bytes from memory and remembers how often each byte was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.reads: Counter[tuple[int, int]] = Counter()

    def readinto(self, file: str, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.content[offset : offset + len(buffer)]
        self.reads[offset, len(buffer)] += 1

    def expect(self, file: str, offset: int, length: int) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        pass


class EndlessReader:
    """The same block over and over: a checkpoint of any size without its memory."""

    def __init__(self, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.block = generator.integers(0, 2**16, 1 << 20, dtype=np.uint16).view(np.uint8)

    def readinto(self, file: str, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.block[: len(buffer)].data

    def expect(self, file: str, offset: int, length: int) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        pass


def encode(values: torch.Tensor, dtype: DType) -> tuple[bytes, torch.Tensor]:
    """Returns the bytes of `values` rounded to `dtype`, and the rounded values as float64."""
    rounded = values.to(TORCH_TYPES[dtype])
    return rounded.view(torch.uint8).numpy().tobytes(), rounded.to(torch.float64)


def random_values(*shape: int, seed: int = 0, scale: float = 0.02) -> torch.Tensor:
    """Returns normal values, float32."""
    generator = np.random.default_rng(seed)
    return torch.from_numpy((generator.standard_normal(shape) * scale).astype(np.float32))


def stored(
    content: bytes, dtype: DType, shape: tuple[int, ...], **more: object
) -> tuple[Tensor, MemoryReader]:
    """Returns a tensor whose bytes are all of `content`, and the reader that serves it."""
    return Tensor("w", dtype, shape, "memory", 0, **more), MemoryReader(content)  # type: ignore[arg-type]
