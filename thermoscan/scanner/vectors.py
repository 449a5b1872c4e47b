"""Reads the vectors that a layer's figures need ahead of the pass: gains and biases.

The bytes are kept and served again when the pass comes by, so that every byte is still read once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import numpy as np

from thermoscan.anatomy.model import FeedingNorm, Layer
from thermoscan.checkpoint import ByteReader, Tensor
from thermoscan.tally.accumulate import bits_of
from thermoscan.tally.ahead import AT_ONCE
from thermoscan.tally.geometry import Weights
from thermoscan.tally.layout import read_elements
from thermoscan.tally.reference import values
from thermoscan.tally.stream import Block, expecting, near
from thermoscan.theory.entropy import FloatArray

LARGEST = 1 << 22
"""Elements above which a vector is not read ahead: no real norm or bias is near it."""


class Vectors:
    """Vectors by tensor name, and a reader of the checkpoint that does not read them again."""

    def __init__(self, tensors: Mapping[str, Tensor], reader: ByteReader) -> None:
        self._tensors = tensors
        self._reader = reader
        self._content: dict[str, bytearray] = {}
        self._places: dict[tuple[str, int], bytearray] = {}

    def read_ahead(self, names: Collection[str]) -> None:
        """Reads these vectors at once: a network answers many requests as soon as one."""
        tensors = [self._tensors[name] for name in names if name in self._tensors]
        tensors.sort(key=lambda tensor: (tensor.file, tensor.offset))
        runs: list[list[Tensor]] = []
        for tensor in tensors:
            before = runs[-1][-1] if runs else None
            if (
                before is not None
                and before.file == tensor.file
                and near(before.offset + before.nbytes, tensor.offset)
            ):
                runs[-1].append(tensor)
            else:
                runs.append([tensor])
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self._read_run, runs):
                pass

    def _read_run(self, run: Sequence[Tensor]) -> None:
        """Reads vectors that are neighbours."""
        blocks = [(tensor, Block(at, 0, tensor.nbytes)) for at, tensor in enumerate(run)]
        with expecting(self._reader, blocks):
            for tensor in run:
                self.values(tensor.name)

    @property
    def names(self) -> frozenset[str]:
        """Names of the tensors whose bytes are known by now."""
        return frozenset(self._content)

    def values(self, name: str) -> FloatArray | None:
        """Returns a float vector as float64; None where it is none, too large, or not finite."""
        tensor = self._tensors.get(name)
        if tensor is None or not tensor.dtype.is_float or len(tensor.shape) != 1:
            return None
        if tensor.size > LARGEST:
            return None
        if name not in self._content:
            content = bytearray(tensor.nbytes)
            read_elements(self._reader, tensor, 0, memoryview(content))
            self._content[name] = content
            if tensor.strides is None:
                self._places[tensor.file, tensor.offset] = content
        vector = values(bits_of(memoryview(self._content[name]), tensor.dtype), tensor.dtype)
        return vector if np.isfinite(vector).all() else None

    def readinto(self, file: str, offset: int, buffer: memoryview) -> None:
        """Fills `buffer` like the reader below, without reading a known vector again."""
        known = self._places.get((file, offset))
        if known is not None and len(known) == len(buffer):
            buffer[:] = known
        else:
            self._reader.readinto(file, offset, buffer)

    def expect(self, file: str, offset: int, length: int) -> AbstractContextManager[None]:
        """Passes the announcement on to the reader below."""
        return self._reader.expect(file, offset, length)

    def close(self) -> None:
        """Lets go of the reader below."""
        self._reader.close()


def names_of(layers: Sequence[Layer]) -> list[str]:
    """Returns the names of the vectors that the figures of these layers need, each once."""
    joined = {layer.joins for layer in layers}
    found: list[str | None] = []
    for layer in layers:
        if layer.norm is not None:
            found += [layer.norm.gain, layer.norm.bias]
        if layer.bias is not None and (layer.engine or layer.joins or layer.name in joined):
            found.append(layer.bias.tensor)
        if layer.following is not None:
            found += [layer.following.gain, layer.following.bias]
    return list(dict.fromkeys(name for name in found if name))


def input_weights(
    layers: Sequence[Layer], vectors: Vectors, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Weights]:
    """Returns gain and shift per input feature, by layer name, for the layers that a norm feeds.

    Args:
        layers: All layers.
        vectors: Where gains and biases are read.
        shapes: Shape of each stored tensor by name.
    """
    found: dict[str, Weights] = {}
    for layer in layers:
        if layer.norm is None:
            continue
        features = _features(layer, shapes[layer.tensor])
        weights = _norm_weights(layer.norm, vectors, features)
        if weights is not None:
            found[layer.name] = weights
    return found


def _features(layer: Layer, shape: tuple[int, ...]) -> int:
    first = 1 if layer.group is not None else 0
    return next(size for axis, size in enumerate(shape) if axis >= first and axis != layer.out_axis)


def _norm_weights(norm: FeedingNorm, vectors: Vectors, features: int) -> Weights | None:
    gain = vectors.values(norm.gain) if norm.gain else np.ones(features)
    shift = vectors.values(norm.bias) if norm.bias else np.zeros(features)
    if gain is None or shift is None or gain.size != features or shift.size != features:
        return None
    if norm.gain_is_offset:
        gain = 1 + gain
    return gain.astype(np.float32), shift.astype(np.float32)
