"""Torch checkpoints for tests: read by the package, read by torch as the oracle, built by hand.

The builders write what torch would never write. `pickle_of` assembles pickle instructions,
`archive` a stored zip whose headers can be made to lie, `legacy` the format of before torch 1.6.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thermoscan.checkpoint import Tensor
from thermoscan.limits import Limits
from thermoscan_adapters.files import find_file
from thermoscan_adapters.torch_format import TorchState, read_torch

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def read(path: Path, limits: Limits | None = None) -> TorchState:
    """Returns what the package says of the checkpoint at `path`."""
    return read_torch(find_file(path.parent, path.name), limits or Limits())


def write(path: Path, content: bytes) -> Path:
    """Writes `content` and returns `path`."""
    path.write_bytes(content)
    return path


def stored_bytes(path: Path, tensor: Tensor) -> bytes:
    """Returns the elements of `tensor` in C order, read with numpy from where it says they are."""
    itemsize = tensor.dtype.itemsize
    strides = None
    if tensor.strides is not None:
        strides = tuple(step * itemsize for step in tensor.strides)
    raw = np.memmap(path, mode="r", dtype=np.uint8)
    array = np.ndarray(
        tensor.shape, f"V{itemsize}", buffer=raw, offset=tensor.offset, strides=strides
    )
    return array.tobytes()


def torch_bytes(tensor: torch.Tensor) -> bytes:
    """Returns the elements of `tensor` in C order, as torch has them."""
    flat = tensor.detach().resolve_conj().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


# -- pickles ---------------------------------------------------------------------------------------


def text(value: str) -> bytes:
    """BINUNICODE."""
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value: int) -> bytes:
    """LONG1, or BININT1 where it fits."""
    if 0 <= value < 256:
        return b"K" + bytes([value])
    raw = pickle.encode_long(value)
    return b"\x8a" + bytes([len(raw)]) + raw


def name(dotted: str) -> bytes:
    """GLOBAL."""
    module, _, attribute = dotted.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def tuple_of(*items: bytes) -> bytes:
    """MARK, the items, TUPLE."""
    return b"(" + b"".join(items) + b"t"


def integers(*values: int) -> bytes:
    """A tuple of integers."""
    return tuple_of(*(integer(value) for value in values))


def mapping(items: Mapping[str, bytes]) -> bytes:
    """A dict of texts to instructions that leave a value."""
    body = b"".join(text(key) + value for key, value in items.items())
    return b"}(" + body + b"u"


def call(function: str, *arguments: bytes) -> bytes:
    """GLOBAL, the arguments, REDUCE."""
    return name(function) + tuple_of(*arguments) + b"R"


def storage(key: str, numel: int, cls: str = "torch.FloatStorage", *more: bytes) -> bytes:
    """A persistent id and BINPERSID."""
    parts = (text("storage"), name(cls), text(key), text("cpu"), integer(numel))
    return tuple_of(*parts, *more) + b"Q"


def tensor(source: bytes, shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> bytes:
    """A tensor as torch 0.4 and later pickles it."""
    hooks = call("collections.OrderedDict")
    parts = (source, integer(offset), integers(*shape), integers(*strides), b"\x89", hooks)
    return call("torch._utils._rebuild_tensor_v2", *parts)


def vector(key: str = "0", numel: int = 2) -> bytes:
    """A tensor that is all of the storage `key`."""
    return tensor(storage(key, numel), (numel,), (1,))


def pickle_of(value: bytes) -> bytes:
    """PROTO 2, the instructions, STOP."""
    return b"\x80\x02" + value + b"."


# -- zip -------------------------------------------------------------------------------------------


@dataclass
class Part:
    """One member of a zip. `central` and `local` override what its two headers say."""

    name: str
    data: bytes
    central: dict[str, Any] = field(default_factory=dict)
    local: dict[str, Any] = field(default_factory=dict)


def checkpoint(content: bytes, storages: Mapping[str, bytes] | None = None) -> list[Part]:
    """The members of a torch checkpoint with this pickle; by default one storage of two floats."""
    stored = {"0": bytes(8)} if storages is None else storages
    data = [Part(f"archive/data/{key}", raw) for key, raw in stored.items()]
    return [Part("archive/data.pkl", content), *data, Part("archive/version", b"3\n")]


def archive(parts: Sequence[Part], **end: Any) -> bytes:
    """A zip of stored members. `end` overrides the fields of the end record."""
    body = bytearray()
    directory = bytearray()
    for part in parts:
        raw_name = part.name.encode("utf-8", "surrogateescape")
        size = len(part.data)
        told = {"flags": 0, "method": 0, "crc": zlib.crc32(part.data), "name": raw_name}
        told |= {"packed": size, "size": size, "offset": len(body)}
        here = {**told, **part.local}
        there = {**told, **part.central}
        body += _local_header(here) + part.data
        directory += _central_header(there)
    fields: dict[str, Any] = {"count": len(parts), "here": len(parts), "disk": 0, "comment": b""}
    fields |= {"size": len(directory), "start": len(body)} | end
    return bytes(body + directory) + _end_record(fields)


def _local_header(told: Mapping[str, Any]) -> bytes:
    sizes = (told["crc"], told["packed"], told["size"], len(told["name"]), 0)
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, told["flags"], told["method"], 0, 0, *sizes)
    return head + bytes(told["name"])


def _central_header(told: Mapping[str, Any]) -> bytes:
    kind = (20, 20, told["flags"], told["method"], 0, 0)
    sizes = (told["crc"], told["packed"], told["size"], len(told["name"]))
    rest = (0, 0, 0, 0, 0, told["offset"])
    return struct.pack("<4s6H3I5H2I", b"PK\1\2", *kind, *sizes, *rest) + bytes(told["name"])


def _end_record(fields: Mapping[str, Any]) -> bytes:
    if fields["count"] > 0xFFFF:  # zip64: the wide record, its locator, and a full narrow one
        at = fields["start"] + fields["size"]
        wide = (fields["count"], fields["count"], fields["size"], fields["start"])
        record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, *wide)
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
        narrow = {**fields, "count": 0xFFFF, "here": 0xFFFF}
        return record + locator + _end_record(narrow)
    counts = (fields["disk"], fields["disk"], fields["here"], fields["count"])
    where = (fields["size"], fields["start"], len(fields["comment"]))
    return struct.pack("<4s4H2IH", b"PK\5\6", *counts, *where) + bytes(fields["comment"])


def zip_of(value: bytes, storages: Mapping[str, bytes] | None = None) -> bytes:
    """A torch zip checkpoint whose pickle leaves `value`."""
    return archive(checkpoint(pickle_of(value), storages))


# -- legacy ----------------------------------------------------------------------------------------


def legacy(
    value: bytes,
    storages: Mapping[str, bytes] | None = None,
    *,
    keys: Sequence[str] | None = None,
    little_endian: bool = True,
    protocol: int = 1001,
) -> bytes:
    """A checkpoint of before torch 1.6, with storages of four-byte elements."""
    stored = {"0": bytes(8)} if storages is None else storages
    machine = {"protocol_version": protocol, "little_endian": little_endian, "type_sizes": {}}
    heads = b"".join(pickle.dumps(head, 2) for head in (LEGACY_MAGIC, protocol, machine))
    listed = pickle.dumps(list(stored) if keys is None else list(keys), 2)
    data = b"".join(struct.pack("<q", len(raw) // 4) + raw for raw in stored.values())
    return heads + pickle_of(value) + listed + data
