"""Where a described tensor lies in the file, and which tensors are the same bytes twice.

Takes the tensors that were found, by name, and the bytes of each storage; gives `Tensor`s that
never share a byte, in the order of the state dict. Refuses a tensor that reaches out of its storage
(``tensor-outside-storage``) and a layout in which two indices may share an element
(``tensor-overlapping-strides``: an axis with stride 0, or one whose stride is within the reach of
the others).

A tensor that is all of another one's bytes, in whatever order of axes, is an alias of the one that
was stored first (tied weights). Of tensors that share only some bytes, the one that starts first is
kept, the longest where several start together: a whole rather than its parts. The others are left
out and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from thermoscan.checkpoint import Tensor
from thermoscan.errors import MalformedError
from thermoscan_adapters.torch_values import TensorRef


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of a storage in the file."""

    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of the tensors.

    Attributes:
        tensors: Those with bytes of their own, by offset.
        aliases: Those that are another one's bytes: name -> name of the first.
        overlapping: Those that share some bytes with one that is kept: (name, name of that one).
    """

    tensors: tuple[Tensor, ...]
    aliases: Mapping[str, str]
    overlapping: tuple[tuple[str, str], ...]


def place(found: Iterable[tuple[str, TensorRef]], spans: Mapping[str, Span], file: str) -> Placed:
    """Returns where the tensors lie.

    Args:
        found: Names, each one once, and tensors, in the order in which they were stored.
        spans: The bytes of every storage the tensors refer to.
        file: Name of the file that holds them.

    Raises:
        MalformedError: ``tensor-outside-storage`` or ``tensor-overlapping-strides``.
    """
    placed = [_placed(name, ref, spans[ref.storage.key], file) for name, ref in found]
    tensors: list[Tensor] = []
    aliases: dict[str, str] = {}
    overlapping: list[tuple[str, str]] = []
    kept: Tensor | None = None
    kept_end = 0
    # Sorting is stable: of tensors with the same bytes, the first that was stored comes first.
    for tensor, end in sorted(placed, key=lambda pair: (pair[0].offset, -pair[1])):
        if not tensor.size or kept is None or tensor.offset >= kept_end:
            tensors.append(tensor)
            if tensor.size:
                kept, kept_end = tensor, end
        elif _all_of(kept, kept_end, tensor, end):
            aliases[tensor.name] = kept.name
        else:
            overlapping.append((tensor.name, kept.name))
    names = {tensor.name: index for index, (tensor, _) in enumerate(placed)}
    tensors.sort(key=lambda tensor: names[tensor.name])
    return Placed(tuple(tensors), aliases, tuple(overlapping))


def _all_of(kept: Tensor, kept_end: int, tensor: Tensor, end: int) -> bool:
    """Says whether `tensor` is the very elements of `kept`, in whatever order of axes."""
    same_run = (tensor.offset, end, tensor.dtype) == (kept.offset, kept_end, kept.dtype)
    identical = (tensor.shape, tensor.strides) == (kept.shape, kept.strides)
    dense = tensor.nbytes == kept.nbytes == end - tensor.offset
    return same_run and (identical or dense)


def _placed(name: str, ref: TensorRef, span: Span, file: str) -> tuple[Tensor, int]:
    """Returns the tensor and the offset behind its last byte."""
    itemsize = ref.dtype.itemsize
    reach = sum((n - 1) * step for n, step in zip(ref.shape, ref.strides, strict=True))
    behind = ref.offset + (reach + 1 if ref.size else 0)
    if behind * itemsize > span.nbytes:
        raise MalformedError(
            "tensor-outside-storage",
            f"it needs {behind * itemsize} bytes of a storage of {span.nbytes}",
            tensor=name,
        )
    strides = _strides(name, ref)
    offset = span.offset + ref.offset * itemsize
    tensor = Tensor(name, ref.dtype, ref.shape, file, offset, strides)
    return tensor, span.offset + behind * itemsize


def _strides(name: str, ref: TensorRef) -> tuple[int, ...] | None:
    """Returns the strides, None where they are C-contiguous; 1 along an axis of length 1."""
    if not ref.size:
        return None
    moving = [(step, n) for n, step in zip(ref.shape, ref.strides, strict=True) if n > 1]
    reach = 0
    for step, n in sorted(moving):
        if step <= reach:
            raise MalformedError(
                "tensor-overlapping-strides",
                f"its shape {ref.shape} and strides {ref.strides} use an element more than once",
                tensor=name,
            )
        reach += step * (n - 1)
    expected = 1
    contiguous = True
    for step, n in reversed(moving):
        contiguous = contiguous and step == expected
        expected *= n
    if contiguous:
        return None
    return tuple(step if n > 1 else 1 for n, step in zip(ref.shape, ref.strides, strict=True))
