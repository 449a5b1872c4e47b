"""Reads a tensor's elements in memory order, also where gaps lie between them."""

from __future__ import annotations

import math

import numpy as np

from thermoscan.checkpoint import ByteReader, Tensor
from thermoscan.tally.geometry import memory_axes
from thermoscan.theory.entropy import IntArray

_WORTH_A_SPAN = 8
_SPARE_BYTES = 1 << 16


def read_elements(reader: ByteReader, tensor: Tensor, first: int, buffer: memoryview) -> None:
    """Fills `buffer` with the tensor's bytes from byte `first` on, in memory order, gaps left out.

    Raises:
        ChangedError: The file is shorter than it was, or is not the same file any more.
    """
    if lies_together(tensor):
        reader.readinto(tensor.file, tensor.offset + first, buffer)
        return
    run = _run_elements(tensor)
    itemsize = tensor.dtype.itemsize
    begin, end = first // itemsize, (first + len(buffer)) // itemsize
    runs = np.arange(begin // run, -(-end // run))
    places = _run_places(tensor, runs, run)
    skip, keep = begin - runs[0] * run, end - begin
    span = int(places[-1] + run - places[0]) * itemsize
    if span <= _WORTH_A_SPAN * len(buffer) + _SPARE_BYTES:
        stored = np.empty(span, np.uint8)
        reader.readinto(tensor.file, tensor.offset + int(places[0]) * itemsize, stored.data)
        elements = stored.reshape(-1, itemsize)
        gathered = elements[(places - places[0])[:, None] + np.arange(run)].reshape(-1, itemsize)
    else:
        gathered = np.empty((len(runs) * run, itemsize), np.uint8)
        for index, place in enumerate(places):
            target = gathered[index * run : (index + 1) * run].reshape(-1)
            reader.readinto(tensor.file, tensor.offset + int(place) * itemsize, target.data)
    np.frombuffer(buffer, np.uint8)[:] = gathered[skip : skip + keep].reshape(-1)


def lies_together(tensor: Tensor) -> bool:
    """Says whether the tensor's elements follow each other without a gap, in memory order."""
    return _run_elements(tensor) == tensor.size


def _run_elements(tensor: Tensor) -> int:
    """The number of elements that follow each other without a gap, in memory order."""
    if tensor.strides is None:
        return tensor.size
    run = 1
    for axis in reversed(memory_axes(tensor)):
        if tensor.shape[axis] == 1:
            continue
        if tensor.strides[axis] != run:
            break
        run *= tensor.shape[axis]
    return run


def _run_places(tensor: Tensor, runs: IntArray, run: int) -> IntArray:
    """The element offset at which each run begins, relative to the tensor's first element."""
    strides = tensor.strides or ()
    axes = memory_axes(tensor)
    outer, inner = [], 1
    for axis in reversed(axes):
        if inner == run:
            outer.append(axis)
        else:
            inner *= tensor.shape[axis]
    outer.reverse()
    shape = [tensor.shape[a] for a in outer]
    index = np.unravel_index(np.minimum(runs, math.prod(shape) - 1), shape)
    return np.asarray(sum(i * strides[a] for i, a in zip(index, outer, strict=True)))
