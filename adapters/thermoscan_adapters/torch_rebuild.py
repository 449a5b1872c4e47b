"""What the calls in a torch pickle mean: each becomes a description, none is made.

Takes an allow-listed name with its arguments, or a persistent id; gives a `TensorRef`, an
`UnreadTensor` with the reason, a dict, a tuple or `Unknown`. Arguments that torch would not write
are refused with ``pickle-structure``, lengths beyond the limits with ``tensor-too-large`` or
``tensor-dimensions``.
"""

from __future__ import annotations

import math

from thermoscan.errors import LimitError, MalformedError, UnsafeError, UnsupportedFormatError
from thermoscan.limits import Limits
from thermoscan_adapters.torch_globals import (
    ELEMENTS,
    MAPPINGS,
    SIZE,
    STORAGES,
    TENSOR_BUILDERS,
    TENSOR_CLASSES,
)
from thermoscan_adapters.torch_values import (
    Element,
    Global,
    StorageRef,
    TensorRef,
    Unknown,
    UnreadTensor,
)

_VIEW_ARGUMENTS = {
    # How many arguments each builder of a plain tensor takes, and where a dtype and lazy bits are.
    "_rebuild_tensor": (4, 4),
    "_rebuild_tensor_v2": (6, 7),
    "_rebuild_tensor_v3": (7, 8),
}
_PARAMETERS = frozenset({"_rebuild_parameter", "_rebuild_parameter_with_state"})
_FROM_TYPE = frozenset({"_rebuild_from_type", "_rebuild_from_type_v2"})
_UNREAD = {
    "_rebuild_qtensor": "quantized tensors of torch are not read",
    "_rebuild_sparse_tensor": "sparse tensors are not read",
    "_rebuild_sparse_csr_tensor": "sparse tensors are not read",
    "_rebuild_meta_tensor_no_storage": "it is on the meta device and has no values",
    "_rebuild_nested_tensor": "nested tensors are not read",
    "_rebuild_wrapper_subclass": "it is of a tensor subclass that is not read",
    "_rebuild_device_tensor_from_numpy": "it was saved through numpy from another device",
    "_rebuild_device_tensor_from_cpu_tensor": "it was saved as a copy from another device",
    "_rebuild_xla_tensor": "it was saved through numpy from another device",
}


def call(function: object, arguments: object, limits: Limits) -> object:
    """Returns what calling `function` with `arguments` would describe.

    Raises:
        UnsafeError: ``pickle-code``: `function` is not a name but something that was computed.
        MalformedError: ``pickle-structure``.
        LimitError: ``tensor-dimensions`` or ``tensor-too-large``.
    """
    if not isinstance(function, Global):
        raise UnsafeError("pickle-code", "its pickle calls something that has no name")
    if not isinstance(arguments, tuple):
        raise _nonsense("the arguments of a call are not a tuple")
    named = (function.module, function.name)
    if named in TENSOR_BUILDERS:
        return _tensor(function.name, arguments, limits)
    if named in MAPPINGS:
        return _mapping(arguments)
    if named == SIZE and len(arguments) == 1 and isinstance(arguments[0], tuple):
        return arguments[0]
    if named in TENSOR_CLASSES:
        return UnreadTensor("it was saved by its class, as torch did before version 0.4")
    return Unknown(str(function))


def storage(persistent_id: object, limits: Limits) -> StorageRef:
    """Returns the storage that a persistent id describes.

    Args:
        persistent_id: ``("storage", class, key, location, numel)``; the non-zip format adds the
            description of a view, which torch always leaves empty.
        limits: Bounds on the number of elements.

    Raises:
        MalformedError: ``pickle-structure``.
        UnsupportedFormatError: ``storage-view``.
    """
    if not isinstance(persistent_id, tuple) or len(persistent_id) not in (5, 6):
        raise _nonsense("a reference to a storage has not the parts it should")
    kind, cls, key, location, numel = persistent_id[:5]
    if kind != "storage" or not isinstance(cls, Global):
        raise _nonsense("a reference to a storage has not the parts it should")
    element = STORAGES.get((cls.module, cls.name))
    if element is None or not isinstance(key, str) or not isinstance(location, str):
        raise _nonsense("a reference to a storage has not the parts it should")
    if persistent_id[5:] not in ((), (None,)):
        raise UnsupportedFormatError(
            "storage-view", "it stores views of storages, as torch did before version 0.4"
        )
    return StorageRef(key, element, _length(numel, limits), location)


def _tensor(name: str, arguments: tuple[object, ...], limits: Limits) -> TensorRef | UnreadTensor:
    if name in _UNREAD:
        return UnreadTensor(_UNREAD[name])
    if name in _FROM_TYPE:
        return _from_type(arguments, limits)
    if name in _PARAMETERS:
        data = arguments[0] if arguments else None
        if isinstance(data, (TensorRef, UnreadTensor)):
            return data
        raise _nonsense("a parameter holds no tensor")
    return _view(name, arguments, limits)


def _from_type(arguments: tuple[object, ...], limits: Limits) -> TensorRef | UnreadTensor:
    """A tensor with attributes: (builder, class, arguments of the builder, attributes)."""
    builder = arguments[0] if len(arguments) == 4 else None
    if isinstance(builder, Global):
        inner = arguments[2]
        named = (builder.module, builder.name)
        if named in TENSOR_BUILDERS and builder.name not in _FROM_TYPE and isinstance(inner, tuple):
            return _tensor(builder.name, inner, limits)
    raise _nonsense("a tensor with attributes has not the parts it should")


def _view(name: str, arguments: tuple[object, ...], limits: Limits) -> TensorRef | UnreadTensor:
    plain, with_bits = _VIEW_ARGUMENTS[name]
    if len(arguments) not in (plain, with_bits):
        raise _nonsense("a tensor has not the parts it should")
    source, offset, shape, strides = arguments[:4]
    if not isinstance(source, StorageRef):
        raise _nonsense("a tensor has no storage")
    element = source.element if name != "_rebuild_tensor_v3" else _element(arguments[6])
    if len(arguments) > plain and arguments[plain]:
        return UnreadTensor("its conjugate or negative bit is set")
    if element.dtype is None:
        return UnreadTensor(f"its dtype {element.label} is not read")
    lengths, steps = _axes(shape, strides, limits)
    if math.prod(lengths) * element.itemsize > limits.integer:
        raise LimitError("tensor-too-large", f"a tensor has more bytes than {limits.integer}")
    return TensorRef(source, element.dtype, _length(offset, limits), lengths, steps)


def _axes(
    shape: object, strides: object, limits: Limits
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise _nonsense("the shape or the strides of a tensor are not a tuple")
    if len(shape) != len(strides):
        raise _nonsense("a tensor has not as many strides as axes")
    if len(shape) > limits.dimensions:
        raise LimitError(
            "tensor-dimensions",
            f"a tensor has {len(shape)} dimensions; the limit is {limits.dimensions}",
        )
    lengths = tuple(_length(length, limits) for length in shape)
    steps = tuple(_length(step, limits) for step in strides)
    return lengths, steps


def _element(dtype: object) -> Element:
    if isinstance(dtype, Global) and dtype.module == "torch" and dtype.name in ELEMENTS:
        return ELEMENTS[dtype.name]
    raise _nonsense("the dtype of a tensor is not one")


def _mapping(arguments: tuple[object, ...]) -> dict[object, object]:
    """An empty dict, or what Python 2 wrote: the pairs as a list of two-element lists."""
    built: dict[object, object] = {}
    pairs = arguments[0] if arguments else None
    for pair in pairs if isinstance(pairs, list) else ():
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise _nonsense("a mapping is not built of pairs")
        built[mapping_key(pair[0])] = pair[1]
    return built


def mapping_key(key: object) -> object:
    """Returns `key` where it is safe to hash, else an `Unknown` that is equal to nothing.

    Hashing a nested tuple recurses without a guard, and huge integers can be made to collide.
    """
    if key is None or isinstance(key, (str, float, Unknown)):
        return key
    if isinstance(key, int) and abs(key) < 2**64:
        return key
    return Unknown("key")


def _length(value: object, limits: Limits) -> int:
    """Returns `value` as a length, a stride or an offset: an integer, not negative, not huge."""
    if type(value) is not int or value < 0:
        raise _nonsense("a length, stride or offset is not a natural number")
    if value > limits.integer:
        raise LimitError("tensor-too-large", f"a length is more than {limits.integer}")
    return value


def _nonsense(what: str) -> MalformedError:
    return MalformedError("pickle-structure", what)
