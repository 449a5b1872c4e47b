"""The container that ``torch.save`` wrote before version 1.6, and still writes on request.

Takes an opened file; gives the object it describes and where its storages lie. The file is five
pickles (a magic number, a protocol version, what the machine was, the object, the keys of its
storages) and then, for each key, the number of elements as a 64-bit integer and the elements
(``_legacy_save`` in torch/serialization.py). Refuses

- a pickle that is something else (``format-pickle``), another protocol (``torch-protocol``), a
  big-endian machine (``big-endian``);
- keys that are not exactly the storages the object refers to (``storage-missing``);
- lengths that differ from what the object claims (``storage-size``), and bytes that are missing or
  left over (``storage-outside``, ``trailing-bytes``).
"""

from __future__ import annotations

from collections.abc import Mapping

from thermoscan.errors import MalformedError, UnsupportedFormatError
from thermoscan.limits import Limits
from thermoscan.text import printable
from thermoscan_adapters.folders import OpenFile
from thermoscan_adapters.torch_layout import Span
from thermoscan_adapters.torch_pickle import Unpickler
from thermoscan_adapters.torch_stream import PickleStream
from thermoscan_adapters.torch_values import StorageRef

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def read_legacy(file: OpenFile, limits: Limits) -> tuple[object, dict[str, Span]]:
    """Returns what the pickle describes, and the bytes of each storage by its key.

    Raises:
        CheckpointError: See the module's list and `torch_pickle`.
        UnsupportedFormatError: ``format-pickle``, ``torch-protocol`` or ``big-endian``.
    """
    stream = PickleStream(file, 0, file.size, limits.pickle_bytes)
    if Unpickler(stream, limits).load() != _MAGIC:
        raise UnsupportedFormatError(
            "format-pickle", "it is a pickle, but not one of torch; only those are read"
        )
    protocol = Unpickler(stream, limits).load()
    if protocol != _PROTOCOL:
        raise UnsupportedFormatError(
            "torch-protocol", "it is of a protocol of torch not known here"
        )
    machine = Unpickler(stream, limits).load()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise UnsupportedFormatError("big-endian", "it was saved on a big-endian machine")
    unpickler = Unpickler(stream, limits)
    root = unpickler.load()
    keys = Unpickler(stream, limits).load()
    return root, _spans(file, stream.position, keys, unpickler.storages)


def _spans(
    file: OpenFile, at: int, keys: object, storages: Mapping[str, StorageRef]
) -> dict[str, Span]:
    spans: dict[str, Span] = {}
    for key in keys if isinstance(keys, list) else ():
        ref = storages.get(key) if isinstance(key, str) else None
        if ref is None or ref.key in spans:
            raise MalformedError("storage-missing", "its list of storages is wrong")
        span = Span(at + 8, ref.numel * ref.element.itemsize)
        at = span.offset + span.nbytes
        if at > file.size:
            raise _outside(ref)
        spans[ref.key] = span
    counts = file.read_each([(span.offset - 8, 8) for span in spans.values()])
    for key, count in zip(spans, counts, strict=True):
        numel, expected = int.from_bytes(count, "little", signed=True), storages[key].numel
        if numel != expected:
            raise MalformedError(
                "storage-size",
                f"its storage {printable(key)} has {numel} elements, not {expected}",
            )
    if len(spans) != len(storages):
        raise MalformedError("storage-missing", "its list of storages is incomplete")
    if at != file.size:
        raise MalformedError("trailing-bytes", f"it has {file.size - at} bytes too many")
    return spans


def _outside(ref: StorageRef) -> MalformedError:
    return MalformedError(
        "storage-outside", f"its storage {printable(ref.key)} ends behind the end of the file"
    )
