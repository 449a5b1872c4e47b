"""What a torch pickle may describe: storages, tensors, and things that are named but never built.

These are plain values. None of them holds weights, imports a class or calls anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from thermoscan.dtypes import DType


@dataclass(frozen=True, slots=True)
class Element:
    """An element type as torch names it.

    Attributes:
        label: torch's name, such as ``"float32"``.
        itemsize: Bytes of one element, which is needed even to step over what is not read.
        dtype: The type it is read as; None for one that is not read (quantised, complex128, ...).
    """

    label: str
    itemsize: int
    dtype: DType | None


@dataclass(frozen=True, slots=True)
class Global:
    """A name of the allow-list as it stands on the unpickler's stack: a name and nothing more."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class StorageRef:
    """A storage that the pickle refers to: a run of elements kept outside the pickle.

    Attributes:
        key: Its name among the file's storages. Hostile text.
        element: Element type; bytes (``uint8``) for an untyped storage.
        numel: Number of elements, as the pickle claims.
        location: The device it was saved from, such as ``"cuda:0"``. Hostile text.
    """

    key: str
    element: Element
    numel: int
    location: str


@dataclass(frozen=True, slots=True, eq=False)
class TensorRef:
    """A view of a storage. Whether it lies inside the storage is not checked yet.

    Attributes:
        storage: Where its elements are.
        dtype: Element type, which may differ from the storage's if that one is untyped.
        offset: Elements before its first one.
        shape: Length of each axis, none negative.
        strides: Steps in elements along each axis, none negative; as many as `shape` has.
    """

    storage: StorageRef
    dtype: DType
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class UnreadTensor:
    """A tensor of a kind that is not read.

    Attributes:
        reason: Why, as a phrase that follows "left out:".
    """

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Unknown:
    """Stands for a value that is of no interest and was never built. Two are never equal.

    Attributes:
        what: The class it names (``"argparse.Namespace"``), or the sort of value it was.
    """

    what: str
