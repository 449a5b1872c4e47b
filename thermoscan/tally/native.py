"""Compiled kernels without the compiler: numba makes them once, llvmlite loads them ever after.

Importing numba and unpacking its own cache takes three quarters of a second and 150 MB in every
process; the object code alone loads in a tenth of that. So the first use of a kernel on a machine
compiles it and keeps the object code; later processes never import numba.

They are kept in the folder of `thermoscan.cache`. A file's name is a digest of all that its content
follows from: the kernels' source, the versions of numba and llvmlite, and the processor.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xxhash

from thermoscan.cache import cache_folder

Kernel = Callable[..., None]

_DIGEST_BYTES = 16
_POINTER = ctypes.c_void_p
_INTEGER = ctypes.c_int64
# numba's calling convention: where to put the result and the exception, then the arguments as they
# are.
_PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32,
    _POINTER, _POINTER,
    _POINTER, _INTEGER, _INTEGER, _INTEGER, _INTEGER, _POINTER, _INTEGER,
    _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER,
    _INTEGER,
)  # fmt: skip
_PAIR_PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32,
    _POINTER, _POINTER,
    _POINTER, _POINTER, _INTEGER, _INTEGER, _INTEGER, _INTEGER, _POINTER, _INTEGER, _POINTER,
)  # fmt: skip
_loading = threading.Lock()
_loaded: dict[str, Kernel] = {}


def kernel(name: str) -> Kernel:
    """Returns a compiled kernel, compiling it when the cache has none.

    Its name is one that `thermoscan.tally.kernels.build` takes; its arguments are described there.
    A call lets other threads run.
    """
    found = _loaded.get(name)
    if found is None:
        with _loading:
            found = _loaded.get(name) or _kernel(name)
            _loaded[name] = found
    return found


def _kernel(name: str) -> Kernel:
    llvm = _llvm()
    folder = cache_folder("kernels")
    path = folder / f"{name}-{_fingerprint(llvm)}.o" if folder else None
    stored = _read(path) if path else None
    if stored is None:
        stored = _compile(name)
        if path is not None:
            _write(path, *stored)
    return _load(llvm, _PAIR_PROTOTYPE if name.endswith("-pairs") else _PROTOTYPE, *stored)


@lru_cache(maxsize=1)
def _llvm() -> Any:
    import llvmlite.binding as llvm  # noqa: PLC0415 - 50 MB that the command line's help does not need

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def _fingerprint(llvm: Any) -> str:
    source = Path(__file__).with_name("kernels.py").read_bytes()
    machine = [llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    versions = [version("numba"), version("llvmlite"), sys.platform]
    return xxhash.xxh3_128_hexdigest(source + json.dumps([machine, versions]).encode())


def _compile(name: str) -> tuple[str, bytes]:
    """Returns the kernel's symbol and its object code."""
    message = f"compiling the {name} kernel, once on this machine ..."
    print(message, file=sys.stderr, flush=True)
    from thermoscan.tally.kernels import build  # noqa: PLC0415 - imports numba

    (overload,) = build(name).overloads.values()
    _, _, (code, _) = overload.library.serialize_using_object_code()
    return overload.fndesc.llvm_func_name, code


def _read(path: Path) -> tuple[str, bytes] | None:
    """Returns what `_write` stored; None where there is nothing, or not what was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if xxhash.xxh3_128_digest(body) != digest:
        return None
    symbol, _, code = body.partition(b"\n")
    return symbol.decode(), code


def _write(path: Path, symbol: str, code: bytes) -> None:
    body = symbol.encode() + b"\n" + code
    with contextlib.suppress(OSError):
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(xxhash.xxh3_128_digest(body) + body)
        Path(file.name).replace(path)


def _load(llvm: Any, prototype: Any, symbol: str, code: bytes) -> Kernel:
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    function = prototype(engine.get_function_address(symbol))

    def call(*arguments: int, _engine: Any = engine) -> None:
        # The code lives as long as its engine, which is why the function holds it.
        result, exception = ctypes.c_int64(), ctypes.c_void_p()
        function(ctypes.byref(result), ctypes.byref(exception), *arguments)

    return call
