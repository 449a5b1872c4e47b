"""Torch checkpoints without torch: the weights' names, dtypes, shapes and places in the file.

Takes an opened file in either format of ``torch.save``; gives a `TorchState`, having run no code of
the file and read none of its weights. The road of a file:

1. `torch_zip` or `torch_legacy` opens the container,
2. `torch_pickle` reads its pickle, with the names `torch_globals` allows, into descriptions
   (`torch_rebuild`, `torch_values`),
3. `torch_state` finds the weights among what the checkpoint holds,
4. `torch_layout` places them in the file.

Refuses what any of these refuses, and by name: TorchScript, archives and pickles that are not of
torch, and checkpoints from big-endian machines. There is no fallback to torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thermoscan.checkpoint import Tensor
from thermoscan.errors import LimitError, MalformedError, ThermoscanError, UnsupportedFormatError
from thermoscan.limits import Limits
from thermoscan.text import printable
from thermoscan_adapters.folders import OpenFile
from thermoscan_adapters.torch_layout import Placed, Span, place
from thermoscan_adapters.torch_legacy import read_legacy
from thermoscan_adapters.torch_pickle import Unpickler
from thermoscan_adapters.torch_state import FoundState, find_state
from thermoscan_adapters.torch_stream import PickleStream
from thermoscan_adapters.torch_values import StorageRef
from thermoscan_adapters.torch_zip import Member, read_checked, read_members

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class TorchState:
    """The weights of a torch checkpoint.

    Attributes:
        format: ``"torch-zip"`` or ``"torch-legacy"``.
        tensors: Every tensor of the model with bytes of its own, by offset.
        aliases: Names that share another tensor's storage: alias -> name in `tensors`.
        notes: What was chosen, left out and renamed, as sentences.
    """

    format: str
    tensors: tuple[Tensor, ...]
    aliases: Mapping[str, str]
    notes: tuple[str, ...]


def read_torch(file: OpenFile, limits: Limits) -> TorchState:
    """Returns the weights that `file` holds.

    Raises:
        UnsafeError: ``pickle-code`` or ``pickle-opcode``: reading it with torch could run code.
        MalformedError: The container, the pickle or a tensor breaks the rules.
        LimitError: It is larger than a limit.
        UnsupportedFormatError: ``no-weights``, ``format-torchscript``, ``format-archive``,
            ``format-pickle``, ``torch-protocol``, ``big-endian`` or ``storage-view``.
        ChangedError: The file changed while it was read.
    """
    try:
        return _read(file, limits)
    except ThermoscanError as error:
        if error.file is not None:
            raise
        raise type(error)(error.code, error.reason, file=file.name, tensor=error.tensor) from None


def _read(file: OpenFile, limits: Limits) -> TorchState:
    if file.read_at(0, min(2, file.size)) == b"PK":
        label = "torch-zip"
        root, spans = _read_zip(file, limits)
    else:
        label = "torch-legacy"
        root, spans = read_legacy(file, limits)
    found = find_state(root, limits)
    placed = place(found.tensors, spans, file.name)
    return TorchState(label, placed.tensors, placed.aliases, _notes(found, placed))


def _read_zip(file: OpenFile, limits: Limits) -> tuple[object, dict[str, Span]]:
    """Returns what the archive's pickle describes, and the bytes of each storage by its key."""
    members = read_members(file, limits)
    prefix = _prefix(members)
    if f"{prefix}/byteorder" in members:
        order = b"".join(read_checked(file, members[f"{prefix}/byteorder"]))
        if order != b"little":
            raise UnsupportedFormatError("big-endian", "it was saved on a big-endian machine")
    pickle = members[f"{prefix}/data.pkl"]
    if pickle.size > limits.pickle_bytes:
        raise LimitError(
            "pickle-too-large",
            f"its pickle has {pickle.size} bytes; the limit is {limits.pickle_bytes}",
        )
    for _ in read_checked(file, pickle):
        pass
    stream = PickleStream(file, pickle.offset, pickle.offset + pickle.size, limits.pickle_bytes)
    unpickler = Unpickler(stream, limits)
    root = unpickler.load()
    if stream.position != pickle.offset + pickle.size:
        raise MalformedError("trailing-bytes", "there are bytes behind the end of its pickle")
    refs = unpickler.storages
    return root, {key: _span(members, f"{prefix}/data/{key}", ref) for key, ref in refs.items()}


def _prefix(members: Mapping[str, Member]) -> str:
    """Returns the folder in the archive that everything is in."""
    prefixes = {name.partition("/")[0] for name in members}
    pickles = [name for name in members if name.endswith("/data.pkl") or name == "data.pkl"]
    if not pickles:
        raise UnsupportedFormatError("format-archive", "it is a zip archive, but not one of torch")
    if len(pickles) > 1 or len(prefixes) > 1 or pickles[0].count("/") != 1:
        raise MalformedError("zip-layout", "it has more than one folder or more than one pickle")
    return pickles[0].partition("/")[0]


def _span(members: Mapping[str, Member], name: str, ref: StorageRef) -> Span:
    member = members.get(name)
    if member is None:
        raise MalformedError("storage-missing", f"its storage {printable(ref.key)} is missing")
    if member.size != ref.numel * ref.element.itemsize:
        raise MalformedError(
            "storage-size",
            f"its storage {printable(ref.key)} has {member.size} bytes, not the "
            f"{ref.numel * ref.element.itemsize} of {ref.numel} elements",
        )
    return Span(member.offset, member.size)


def _notes(found: FoundState, placed: Placed) -> tuple[str, ...]:
    reasons: dict[str, list[str]] = {}
    for name, reason in found.unread:
        reasons.setdefault(reason, []).append(name)
    for name, other in placed.overlapping:
        reasons.setdefault("they share bytes with other tensors", []).append(f"{name} with {other}")
    left_out = (f"left out: {_some(names)}: {reason}" for reason, names in reasons.items())
    return (*found.notes, *left_out)


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{printable(name)}'" for name in names[:_SHOWN])
    rest = len(names) - _SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown
