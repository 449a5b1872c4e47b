"""What a file is, told from its content and never from its name.

Takes an `OpenFile`; gives one of the formats that are read, ``safetensors``, ``torch-zip`` and
``torch-legacy``, or raises an error that names the format and says what to do instead. A verdict
here is no validation: the reader of the format does that, and trusts nothing found here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from thermoscan.errors import SourceError, ThermoscanError, UnsupportedFormatError
from thermoscan_adapters.folders import OpenFile

_HEAD_BYTES = 512
_TAIL_BYTES = 1 << 17
# An entry of a zip's central directory up to its name: APPNOTE.TXT, section 4.3.12.
_ZIP_ENTRY = re.compile(rb"PK\x01\x02.{24}(..).{16}", re.DOTALL)
# PROTO 2, LONG1 of ten bytes: torch's magic number 0x1950a86a20f9469cfc6c.
_TORCH_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
_ONNX = re.compile(rb"\x08[\x03-\x1f][\x12\x1a\x22\x28\x32\x3a\x42]")
_MSGPACK_MAP = re.compile(rb"([\x81-\x8f]|\xde..|\xdf....)[\xa1-\xbf\xd9]", re.DOTALL)
_SAVE_AS = "save the weights as safetensors"


@dataclass(frozen=True, slots=True)
class Unread:
    """A format that is recognised and not read: the code of the refusal, its name, what to do."""

    code: str
    name: str
    advice: str


_TORCHSCRIPT = Unread("torchscript", "a TorchScript program", f"{_SAVE_AS} from its state_dict()")
_NPZ = Unread("numpy", "a NumPy archive", _SAVE_AS)
_KERAS = Unread("keras", "a Keras archive", "save the weights as safetensors with KerasHub")
_ZIP = Unread("archive", "a zip archive", "unpack it and name the checkpoint inside")
_TENSORFLOW = Unread("tensorflow", "a TensorFlow model", "convert it to a PyTorch checkpoint")
_ONNX_MODEL = Unread("onnx", "an ONNX model", "scan the checkpoint it was exported from")
_FLAX = Unread("flax", "a Flax msgpack checkpoint", _SAVE_AS)
_PICKLE = Unread("pickle", "a Python pickle, which can run code", _SAVE_AS)
_UNKNOWN = Unread("unknown", "of no format that is known here", "name a checkpoint")

# Formats told by fixed bytes at a fixed place. "Keras" 2 writes HDF5.
_MAGIC = (
    (0, b"GGUF", Unread("gguf", "a GGUF model", "scan the checkpoint it was converted from")),
    (0, b"\x89HDF\r\n\x1a\n", Unread("hdf5", "an HDF5 or Keras file", _SAVE_AS)),
    (0, b"\x93NUMPY", Unread("numpy", "a NumPy array", _SAVE_AS)),
    (4, b"TFL3", Unread("tensorflow", "a TensorFlow Lite model", "scan what it was made from")),
    (0, b"\x08\x01\x12", _TENSORFLOW),
    (257, b"ustar", Unread("archive", "a tar archive", _ZIP.advice)),
    (0, b"\x1f\x8b", Unread("archive", "a gzip archive", _ZIP.advice)),
    (0, b"BZh", Unread("archive", "a bzip2 archive", _ZIP.advice)),
    (0, b"\xfd7zXZ\x00", Unread("archive", "an xz archive", _ZIP.advice)),
    (0, b"\x28\xb5\x2f\xfd", Unread("archive", "a zstd archive", _ZIP.advice)),
    (0, b"7z\xbc\xaf\x27\x1c", Unread("archive", "a 7z archive", _ZIP.advice)),
    (0, b"Rar!\x1a\x07", Unread("archive", "a rar archive", _ZIP.advice)),
)


def identify(file: OpenFile) -> str:
    """Returns ``"safetensors"``, ``"torch-zip"`` or ``"torch-legacy"``.

    Raises:
        UnsupportedFormatError: ``format-`` and the code of an `Unread`.
        SourceError: ``file-empty``, ``git-lfs-pointer`` or ``html-page``: nothing was downloaded.
        ChangedError: The file changed meanwhile.
    """
    head = file.read_at(0, min(_HEAD_BYTES, file.size))
    if _is_safetensors(head, file.size):
        return "safetensors"
    if head.startswith(_TORCH_LEGACY):
        return "torch-legacy"
    if head.startswith(b"PK\x03\x04"):
        unread = _zip_kind(file, head)
        if unread is None:
            return "torch-zip"
        raise _refusal(unread, file)
    raise _not_a_download(head, file) or _refusal(_by_content(head, file), file)


def _is_safetensors(head: bytes, size: int) -> bool:
    """Says whether `head` is a plausible length and then a brace, or JSON's white space."""
    if head[8:9] == b"{":
        return True
    fits = int.from_bytes(head[:8], "little") <= size - 8
    return len(head) > 8 and fits and head[8:].lstrip(b" \t\r\n\xef\xbb\xbf").startswith(b"{")


def _not_a_download(head: bytes, file: OpenFile) -> SourceError | None:
    if not head:
        return SourceError("file-empty", "it is empty; download it again", file=file.name)
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        return SourceError(
            "git-lfs-pointer",
            "it is a Git LFS pointer, not the file itself; run `git lfs pull`",
            file=file.name,
        )
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return SourceError(
            "html-page", "it is a web page, not weights; download it again", file=file.name
        )
    return None


def _by_content(head: bytes, file: OpenFile) -> Unread:
    for offset, magic, unread in _MAGIC:
        if head.startswith(magic, offset):
            return unread
    if _ONNX.match(head):
        return _ONNX_MODEL
    if head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return _PICKLE
    if _MSGPACK_MAP.match(head):
        return _FLAX
    if file.size >= 48 and file.read_at(file.size - 8, 8) == b"\x57\xfb\x80\x8b\x24\x75\x47\xdb":
        return _TENSORFLOW  # the index of a TensorFlow checkpoint is a LevelDB table
    return _UNKNOWN


def _zip_kind(file: OpenFile, head: bytes) -> Unread | None:
    """Returns what a zip file is; None for a torch checkpoint."""
    start = max(0, file.size - _TAIL_BYTES)
    names = list(_zip_names(file.read_at(start, file.size - start)))
    if any(name.endswith(b"/constants.pkl") or b"/code/" in name for name in names):
        return _TORCHSCRIPT
    # Of more than some 1,000 members only the last are seen; torch writes data.pkl first.
    if any(name.endswith(b"/data.pkl") for name in names) or b"/data.pkl" in head:
        return None
    if any(name.endswith(b".npy") for name in names):
        return _NPZ
    if b"model.weights.h5" in names:
        return _KERAS
    return _ZIP


def _zip_names(tail: bytes) -> Iterator[bytes]:
    for entry in _ZIP_ENTRY.finditer(tail):
        yield tail[entry.end() : entry.end() + int.from_bytes(entry[1], "little")]


def _refusal(unread: Unread, file: OpenFile) -> ThermoscanError:
    reason = f"it is {unread.name}, which is not read; {unread.advice}"
    return UnsupportedFormatError(f"format-{unread.code}", reason, file=file.name)
