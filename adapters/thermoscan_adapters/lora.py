"""A LoRA adapter applied to its base, without writing the result anywhere.

Takes an opened base, the adapter's tensors and its configuration; gives a `Checkpoint` that looks
like the merged model: its reader makes ``W + s B A`` of whatever range it is asked for, in the
base's element type. Tensors that the adapter holds whole (``modules_to_save``, biases) take the
place of the base's or are added.

The merged tensors are listed under the adapter's file, at offsets behind its end: bytes below that
are the file's own. Refuses an adapter that does not fit the base: ``adapter-key``,
``adapter-target``, ``adapter-shape``, ``adapter-rank``, ``adapter-dtype``, ``adapter-too-large``.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from thermoscan.alignment import Alignment, align
from thermoscan.checkpoint import ByteReader, Checkpoint, FileRecord, Source, Tensor
from thermoscan.dtypes import DType
from thermoscan.errors import LimitError, MalformedError
from thermoscan.tally.accumulate import bits_of
from thermoscan.tally.geometry import memory_axes
from thermoscan.tally.layout import lies_together, read_elements
from thermoscan.tally.reference import values
from thermoscan_adapters.lora_config import LoraConfig

FloatArray = npt.NDArray[np.float64]

_WRAPPER = "base_model.model."
_FACTORS = {
    ".lora_A.weight": ("linear", 0),
    ".lora_B.weight": ("linear", 1),
    ".lora_embedding_A": ("embedding", 0),
    ".lora_embedding_B": ("embedding", 1),
}
_TWICE = "the adapter holds this weight twice"
_LARGEST_FACTOR = 1 << 26
_HELD = 8
_MERGED = (DType.F64, DType.F32, DType.F16, DType.BF16)


@dataclass(frozen=True, slots=True)
class Adapter:
    """An opened adapter.

    Attributes:
        source: Where it came from.
        file: The record of its weight file.
        tensors: Of that file.
        reader: Reads it.
        config: What it says about itself.
    """

    source: Source
    file: FileRecord
    tensors: Sequence[Tensor]
    reader: ByteReader
    config: LoraConfig


@dataclass(frozen=True, slots=True)
class _Product:
    """``scale · left · right``, to be added to the rows of a tensor as they lie in memory.

    A factor is stored as its tensor, or transposed.
    """

    base: Tensor
    merged: Tensor
    left: tuple[Tensor, bool]
    right: tuple[Tensor, bool]
    scale: float


def apply_lora(base: Checkpoint, adapter: Adapter) -> Checkpoint:
    """Returns the checkpoint that merging the adapter into `base` would give.

    Raises:
        MalformedError: The adapter does not fit the base.
        LimitError: ``adapter-too-large``.
    """
    file = adapter.file.name
    factors, whole = _sort_out(adapter)
    by_name = {tensor.name: tensor for tensor in base.tensors}
    names = align([*(f"{module}.weight" for module, _ in factors), *whole], by_name)
    replaced: dict[str, Tensor] = {}
    products: list[_Product] = []
    offset = adapter.file.size
    for (module, kind), (a, b) in factors.items():
        target = _target(module, by_name, names, file)
        if target.name in replaced:
            raise _unfit("adapter-key", _TWICE, adapter, target.name)
        merged = _merged(target, file, offset)
        products.append(_product(kind, module, target, merged, (a, b), adapter.config))
        replaced[target.name] = merged
        offset += merged.nbytes
    for name, tensor in whole.items():
        bare = names.of_model(name)
        own = bare if bare in by_name else name
        if own in replaced:
            raise _unfit("adapter-key", _TWICE, adapter, own)
        replaced[own] = replace(tensor, name=own)
    kept = [replaced.pop(tensor.name, tensor) for tensor in base.tensors]
    return Checkpoint(
        source=adapter.source,
        tensors=(*kept, *replaced.values()),
        files=(*base.files, adapter.file),
        reader=_MergedReader(base.reader, adapter, products),
        config=base.config,
        components=base.components,
        aliases=base.aliases,
        notes=(
            f"This is a LoRA adapter of {len(products)} matrices, read as merging it into the base "
            "would give it; nothing was written.",
        ),
    )


def _sort_out(
    adapter: Adapter,
) -> tuple[dict[tuple[str, str], tuple[Tensor, Tensor]], dict[str, Tensor]]:
    """Returns the pairs of factors by module and kind, and the tensors that are whole by name."""
    found: dict[tuple[str, str], dict[int, Tensor]] = {}
    whole: dict[str, Tensor] = {}
    for tensor in adapter.tensors:
        if not tensor.name.startswith(_WRAPPER):
            raise _unfit(
                "adapter-key", "its name does not begin as PEFT's do", adapter, tensor.name
            )
        name = tensor.name.removeprefix(_WRAPPER)
        ending = next((end for end in _FACTORS if name.endswith(end)), None)
        if ending is not None:
            kind, place = _FACTORS[ending]
            found.setdefault((name.removesuffix(ending), kind), {})[place] = tensor
        elif "lora_" in name:
            raise _unfit("adapter-key", "it is no factor that is applied", adapter, tensor.name)
        else:
            bare = name.replace(".base_layer.", ".").replace(".modules_to_save.", ".")
            if bare in whole:
                raise _unfit("adapter-key", _TWICE, adapter, bare)
            whole[bare] = tensor
    for (module, _), pair in found.items():
        if len(pair) != 2:
            raise _unfit("adapter-key", "one of its two factors is missing", adapter, module)
    return {key: (pair[0], pair[1]) for key, pair in found.items()}, whole


def _target(module: str, by_name: Mapping[str, Tensor], names: Alignment, file: str) -> Tensor:
    """Returns the base's tensor that a module's weight is."""
    name = f"{module}.weight"
    for candidate in (name, names.of_model(name), f"{names.base}{name}"):
        target = by_name.get(candidate)
        if target is None:
            continue
        if target.dtype not in _MERGED:
            reason = f"the base holds this weight as {target.dtype.label}, which is not merged"
            raise MalformedError("adapter-dtype", reason, file=file, tensor=module)
        return target
    raise MalformedError("adapter-target", "the base has no such weight", file=file, tensor=module)


def _merged(target: Tensor, file: str, offset: int) -> Tensor:
    """Returns the tensor that takes a target's place: in the same order of memory, without gaps."""
    strides: tuple[int, ...] | None = None
    if target.strides is not None:
        steps = dict.fromkeys(range(len(target.shape)), 1)
        step = 1
        for axis in reversed(memory_axes(target)):
            steps[axis] = step
            step *= target.shape[axis]
        strides = tuple(steps[axis] for axis in range(len(target.shape)))
    return replace(target, file=file, offset=offset, strides=strides)


def _product(
    kind: str,
    module: str,
    target: Tensor,
    merged: Tensor,
    factors: tuple[Tensor, Tensor],
    config: LoraConfig,
) -> _Product:
    a, b = factors
    rank = config.rank_of(module)

    def unfit(code: str, reason: str) -> MalformedError:
        return MalformedError(code, reason, file=merged.file, tensor=module)

    if max(a.size, b.size) > _LARGEST_FACTOR:
        reason = f"a factor has more than {_LARGEST_FACTOR} entries"
        raise LimitError("adapter-too-large", reason, file=merged.file, tensor=module)
    if not (a.dtype.is_float and b.dtype.is_float) or len(a.shape) < 2 or len(b.shape) < 2:
        raise unfit("adapter-shape", "its factors are no matrices of floats")
    if a.shape[0] != rank or b.shape[1] != rank:
        found = f"{a.shape[0]} and {b.shape[1]}"
        raise unfit("adapter-rank", f"its factors have rank {found}, the configuration says {rank}")
    outputs, inputs = b.shape[0], math.prod(a.shape[1:])
    upright = kind == "linear" and target.shape == (outputs, *a.shape[1:])
    turned = target.shape == (inputs, outputs)
    if math.prod(b.shape[2:]) != 1 or not (upright or turned):
        raise unfit("adapter-shape", "its factors do not have the shape of the base's weight")
    rows = ((b, False), (a, False))
    columns = ((a, True), (b, True))
    left, right = columns if turned and (config.transposed or not upright) else rows
    axes = memory_axes(target)
    if axes != tuple(range(len(axes))):
        if len(axes) > 2:
            raise unfit("adapter-shape", "the base holds this weight in an order not merged")
        left, right = (right[0], not right[1]), (left[0], not left[1])
    return _Product(target, merged, left, right, config.scale_of(module))


def _unfit(code: str, reason: str, adapter: Adapter, name: str) -> MalformedError:
    return MalformedError(code, reason, file=adapter.file.name, tensor=name)


class _MergedReader:
    """Reads the base, the adapter's file, and behind that file's end the merged tensors."""

    def __init__(self, base: ByteReader, adapter: Adapter, products: Sequence[_Product]) -> None:
        self._base = base
        self._adapter = adapter
        self._products = sorted(products, key=lambda each: each.merged.offset)
        self._offsets = [each.merged.offset for each in self._products]
        self._factor = lru_cache(maxsize=2 * _HELD)(self._read_factor)

    def readinto(self, file: str, offset: int, buffer: memoryview) -> None:
        """Fills `buffer`; see `thermoscan.checkpoint.ByteReader`."""
        if file != self._adapter.file.name:
            self._base.readinto(file, offset, buffer)
        elif offset < self._adapter.file.size:
            self._adapter.reader.readinto(file, offset, buffer)
        else:
            product = self._products[bisect_right(self._offsets, offset) - 1]
            self._merge(product, offset - product.merged.offset, buffer)

    def expect(self, file: str, offset: int, length: int) -> AbstractContextManager[None]:
        """Passes the announcement on to whoever holds these bytes."""
        if file != self._adapter.file.name:
            return self._base.expect(file, offset, length)
        if offset < self._adapter.file.size:
            return self._adapter.reader.expect(file, offset, length)
        product = self._products[bisect_right(self._offsets, offset) - 1]
        if not lies_together(product.base):
            return nullcontext()
        first = product.base.offset + offset - product.merged.offset
        return self._base.expect(product.base.file, first, length)

    def _merge(self, product: _Product, first: int, buffer: memoryview) -> None:
        """Writes the merged tensor's bytes from byte `first` on."""
        dtype = product.base.dtype
        stored = memoryview(bytearray(len(buffer)))
        read_elements(self._base, product.base, first, stored)
        merged = values(bits_of(stored, dtype), dtype)
        begin = first // dtype.itemsize
        left, right = self._factor(product.left), self._factor(product.right)
        columns = right.shape[1]
        rows = slice(begin // columns, -(-(begin + merged.size) // columns))
        # What overflows is what the merged weights would be: infinite, or no number.
        with np.errstate(over="ignore", invalid="ignore"):
            added = (left[rows] @ right).reshape(-1)
            skip = begin - rows.start * columns
            merged += product.scale * added[skip : skip + merged.size]
        buffer[:] = _encoded(merged, dtype)

    def _read_factor(self, factor: tuple[Tensor, bool]) -> FloatArray:
        tensor, turned = factor
        content = memoryview(bytearray(tensor.nbytes))
        read_elements(self._adapter.reader, tensor, 0, content)
        axes = memory_axes(tensor)
        found = values(bits_of(content, tensor.dtype), tensor.dtype)
        logical = found.reshape([tensor.shape[a] for a in axes]).transpose(np.argsort(axes))
        matrix = logical.reshape(tensor.shape[0], -1)
        return matrix.T if turned else matrix

    def close(self) -> None:
        """Lets go of the adapter; the base is its owner's to close."""
        self._adapter.reader.close()


def _encoded(numbers: FloatArray, dtype: DType) -> bytes:
    """Returns values rounded to the nearest of a type, ties to even, as its bytes."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype is DType.F64:
            return numbers.tobytes()
        if dtype is DType.F16:
            return numbers.astype(np.float16).tobytes()
        single = numbers.astype(np.float32)
        if dtype is DType.F32:
            return single.tobytes()
        bits = single.view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> 16
        # A NaN keeps a bit of its own, which rounding could carry away.
        return np.where(np.isnan(single), np.uint32(0x7FC0), rounded).astype(np.uint16).tobytes()
