"""The names that a torch checkpoint's pickle may mention, and what each of them becomes.

A pickle is a program, and its names are the functions it would call. Here nothing is imported and
nothing is called, whatever it says; the list decides only what is told about the file. The rule: a
name is on the list if a training script writes it into a checkpoint *beside* plain data, and
building it cannot run anything but a known constructor of a data type. Every other name is code,
and a file that mentions one anywhere is refused, with the name. So a whole model saved by
``torch.save(model)``, ``training_args.bin``, and an attack are refused alike.

- Storages, dtypes and tensor builders become descriptions (`torch_rebuild`).
- Mappings become dicts, because weights may be inside.
- The rest (`_DATA_CLASSES`) become `Unknown`, which swallows whatever the pickle puts into it.
"""

from __future__ import annotations

from thermoscan.dtypes import DType
from thermoscan.errors import UnsafeError
from thermoscan.text import printable
from thermoscan_adapters.torch_values import Element, Global

ELEMENTS = {
    element.label: element
    for element in (
        Element("float64", 8, DType.F64),
        Element("float32", 4, DType.F32),
        Element("float16", 2, DType.F16),
        Element("bfloat16", 2, DType.BF16),
        Element("float8_e4m3fn", 1, DType.F8_E4M3),
        Element("float8_e5m2", 1, DType.F8_E5M2),
        Element("int64", 8, DType.I64),
        Element("int32", 4, DType.I32),
        Element("int16", 2, DType.I16),
        Element("int8", 1, DType.I8),
        Element("uint64", 8, DType.U64),
        Element("uint32", 4, DType.U32),
        Element("uint16", 2, DType.U16),
        Element("uint8", 1, DType.U8),
        Element("bool", 1, DType.BOOL),
        Element("complex64", 8, DType.C64),
        Element("complex128", 16, None),
        Element("complex32", 4, None),
        Element("float8_e4m3fnuz", 1, None),
        Element("float8_e5m2fnuz", 1, None),
        Element("float8_e8m0fnu", 1, None),
        Element("float4_e2m1fn_x2", 1, None),
        Element("qint8", 1, None),
        Element("quint8", 1, None),
        Element("qint32", 4, None),
        Element("quint4x2", 1, None),
        Element("quint2x4", 1, None),
    )
}
"""torch's dtypes by name: https://docs.pytorch.org/docs/stable/tensor_attributes.html."""

_TYPED_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}

STORAGES: dict[tuple[str, str], Element] = {
    **{("torch", name): ELEMENTS[label] for name, label in _TYPED_STORAGES.items()},
    **{("torch.cuda", name): ELEMENTS[label] for name, label in _TYPED_STORAGES.items()},
    ("torch.storage", "UntypedStorage"): ELEMENTS["uint8"],
    ("torch.storage", "_UntypedStorage"): ELEMENTS["uint8"],
}
"""Storage classes and what their elements are; an untyped storage counts in bytes."""

MAPPINGS = frozenset(
    {
        ("builtins", "dict"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("collections", "Counter"),
    }
)
"""Classes that become a dict."""

TENSOR_CLASSES = frozenset(
    {
        ("torch", "Tensor"),
        ("torch.nn.parameter", "Parameter"),
        ("torch.nn.parameter", "Buffer"),
    }
)
"""Classes of tensors, named as an argument of a builder."""

TENSOR_BUILDERS = frozenset(
    {
        *(
            ("torch._utils", name)
            for name in (
                "_rebuild_tensor",
                "_rebuild_tensor_v2",
                "_rebuild_tensor_v3",
                "_rebuild_parameter",
                "_rebuild_parameter_with_state",
                "_rebuild_qtensor",
                "_rebuild_sparse_tensor",
                "_rebuild_sparse_csr_tensor",
                "_rebuild_meta_tensor_no_storage",
                "_rebuild_nested_tensor",
                "_rebuild_wrapper_subclass",
                "_rebuild_device_tensor_from_numpy",
                "_rebuild_device_tensor_from_cpu_tensor",
                "_rebuild_xla_tensor",
            )
        ),
        ("torch._tensor", "_rebuild_from_type_v2"),
        ("torch._tensor", "_rebuild_from_type"),
        ("torch.tensor", "_rebuild_from_type"),
    }
)
"""Functions by which torch pickles a tensor (torch/_utils.py, torch/_tensor.py)."""

SIZE = ("torch", "Size")
"""torch's tuple of axis lengths, which becomes a tuple."""

_DATA_CLASSES: dict[str, tuple[str, ...]] = {
    # Python's own data types.
    "_codecs": ("encode",),
    "argparse": ("Namespace",),
    "builtins": (
        *("bool", "bytearray", "bytes", "complex", "float", "frozenset", "int", "list", "object"),
        *("range", "set", "slice", "str", "tuple"),
    ),
    "collections": ("deque",),
    "copyreg": ("_reconstructor",),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "pathlib": (
        *("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    ),
    "pathlib._local": ("Path", "PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "types": ("SimpleNamespace",),
    "typing": ("Any", "Dict", "List", "Optional", "Tuple", "Union"),
    "uuid": ("UUID",),
    # Arrays and scalars of numpy: losses, learning rates, states of random generators.
    "numpy": (
        *("bool_", "dtype", "float16", "float32", "float64", "int16", "int32", "int64", "int8"),
        *("ndarray", "uint16", "uint32", "uint64", "uint8"),
    ),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy.dtypes": (
        *("BoolDType", "Float16DType", "Float32DType", "Float64DType", "Int16DType"),
        *("Int32DType", "Int64DType", "Int8DType", "UInt16DType", "UInt32DType", "UInt64DType"),
        *("UInt8DType",),
    ),
    # torch's descriptions of tensors.
    "torch": (
        *("device", "layout", "memory_format", "per_channel_affine", "per_channel_symmetric"),
        *("per_channel_affine_float_qparams", "per_tensor_affine", "per_tensor_symmetric"),
    ),
    "torch.serialization": ("_get_layout",),
    "torch.torch_version": ("TorchVersion",),
    # What training frameworks keep their settings in.
    "addict.addict": ("Dict",),
    "easydict": ("EasyDict",),
    "lightning.fabric.utilities.data": ("AttributeDict",),
    "lightning_fabric.utilities.data": ("AttributeDict",),
    "mmengine.config.config": ("ConfigDict",),
    "mmengine.logging.history_buffer": ("HistoryBuffer",),
    "munch": ("Munch",),
    "omegaconf.base": ("ContainerMetadata", "Metadata"),
    "omegaconf.dictconfig": ("DictConfig",),
    "omegaconf.listconfig": ("ListConfig",),
    "omegaconf.nodes": (
        *("AnyNode", "BooleanNode", "BytesNode", "EnumNode", "FloatNode", "IntegerNode"),
        *("PathNode", "StringNode"),
    ),
    "pytorch_lightning.callbacks.early_stopping": ("EarlyStopping",),
    "pytorch_lightning.callbacks.model_checkpoint": ("ModelCheckpoint",),
    "pytorch_lightning.utilities.parsing": ("AttributeDict",),
    "yacs.config": ("CfgNode",),
}
"""Known data types that become `Unknown`, by module."""

_ALLOWED = frozenset(
    {
        *STORAGES,
        *MAPPINGS,
        *TENSOR_CLASSES,
        *TENSOR_BUILDERS,
        SIZE,
        *(("torch", label) for label in ELEMENTS),
        *((module, name) for module, names in _DATA_CLASSES.items() for name in names),
    }
)

_PYTHON_2_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}


def allowed(module: str, name: str) -> Global:
    """Returns the name as a value for the unpickler's stack, if it is on the list.

    Raises:
        UnsafeError: ``pickle-code``: the name is not on the list.
    """
    module = _PYTHON_2_MODULES.get(module, module)
    if (module, name) not in _ALLOWED:
        named = printable(f"{module}.{name}")
        raise UnsafeError(
            "pickle-code",
            f"its pickle names {named}, which could run code; save the state dict alone",
        )
    return Global(module, name)
