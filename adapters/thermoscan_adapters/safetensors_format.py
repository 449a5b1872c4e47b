"""The header of a safetensors file, validated by rules of our own and read by offset.

Takes an `OpenFile`; gives its tensors in the order of their bytes. Follows the description of the
format at https://github.com/huggingface/safetensors#format and is stricter than the library where
that lets two readers disagree. The rules, with the code of the error that breaking each raises:

The file
    holds the eight bytes of the header's length                       ``header-too-short``
    and as many bytes more as that length says,                        ``header-past-end``
    which is at most ``Limits.header_bytes``.                          ``header-too-long``
The header
    starts with ``{``,                                                 ``header-start``
    is UTF-8,                                                          ``header-not-utf8``
    is JSON after RFC 8259: one object, no comments,                   ``header-syntax``
    with no key twice, at any level,                                   ``header-duplicate-key``
    followed by nothing but spaces;                                    ``header-padding``
    holds at most ``Limits.tensors`` tensors,                          ``header-too-many-tensors``
    names of at most ``Limits.name_bytes`` bytes of UTF-8,             ``header-name-too-long``
    none with half of a surrogate pair,                                ``header-name``
    and a ``__metadata__`` that maps strings to strings, if any.       ``header-metadata``
A tensor's entry
    is one flat object of at most 4,096 characters                     ``header-entry``
    with exactly the keys dtype, shape and data_offsets,               ``header-entry-keys``
    a dtype that is a string                                           ``header-dtype``
    which the format knows                                             ``header-dtype-unknown``
    and which can be scanned;                                          ``dtype-not-read``
    a shape that is a list                                             ``header-shape``
    of at most ``Limits.dimensions`` numbers,                          ``header-dimensions``
    whose product stays within ``Limits.integer``;                     ``header-shape-overflow``
    data_offsets that are a list of two numbers                        ``header-offsets``
    in ascending order                                                 ``header-offsets-reversed``
    as far apart as shape and dtype say.                               ``header-offsets-length``
    All numbers are integers from 0 to ``Limits.integer``,             ``header-number``
    not floats, not booleans, not signed.
The tensors' bytes, in the order of their offsets,
    do not overlap,                                                    ``header-overlap``
    leave no hole,                                                     ``header-hole``
    do not go past the end of the file,                                ``header-data-past-end``
    and end at its end.                                                ``header-trailing-bytes``
"""

from __future__ import annotations

import json
from typing import Any

from thermoscan.checkpoint import Tensor
from thermoscan.dtypes import DType
from thermoscan.errors import LimitError, MalformedError, UnsupportedFormatError
from thermoscan.limits import Limits
from thermoscan.text import shorten_middle
from thermoscan_adapters.folders import OpenFile
from thermoscan_adapters.strict_json import (
    JsonError,
    decode_utf8,
    decoder,
    json_errors,
    read_members,
    read_string,
)

_LENGTH_BYTES = 8
_ENTRY_CHARACTERS = 4096
_ENTRY_KEYS = {"dtype", "shape", "data_offsets"}
_DTYPES = {dtype.label: dtype for dtype in DType}
# Element types of the format that have no place in `DType`, as of safetensors 0.8.
_NOT_READ = frozenset({"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})


def read_safetensors(file: OpenFile, limits: Limits) -> tuple[Tensor, ...]:
    """Returns the tensors of `file` in the order of their bytes; none is read.

    Raises:
        MalformedError: A rule of the module docstring is broken.
        LimitError: One of its limits is.
        UnsupportedFormatError: ``dtype-not-read``.
        ChangedError: The file changed meanwhile.
    """
    length = _header_length(file, limits)
    header = file.read_at(_LENGTH_BYTES, length)
    if not header.startswith(b"{"):
        raise MalformedError("header-start", "its header does not start with {", file=file.name)
    reader = _HeaderReader(file.name, limits, data_start=_LENGTH_BYTES + length)
    # A look ahead, so that a header of a million tensors is refused before 200,000 are read.
    reader.check_count(header.count(b'"data_offsets"'))
    with json_errors("header", file.name):
        text = decode_utf8(header)
        del header
        end = read_members(text, 0, lambda key, at: reader.read_member(text, key, at))
        if text[end:].strip(" "):
            raise JsonError("padding", "something other than spaces follows its header")
    reader.tensors.sort(key=lambda tensor: (tensor.offset, tensor.nbytes))
    _check_layout(file, reader.tensors, reader.data_start)
    return tuple(reader.tensors)


def _header_length(file: OpenFile, limits: Limits) -> int:
    if file.size < _LENGTH_BYTES:
        raise MalformedError(
            "header-too-short",
            f"it has {file.size} bytes, less than a header's length",
            file=file.name,
        )
    length = int.from_bytes(file.read_at(0, _LENGTH_BYTES), "little")
    if length > file.size - _LENGTH_BYTES:
        raise MalformedError(
            "header-past-end",
            f"its header of {length} bytes does not fit into the file, which has {file.size} bytes",
            file=file.name,
        )
    if length > limits.header_bytes:
        raise LimitError(
            "header-too-long",
            f"its header has {length} bytes, more than the limit of {limits.header_bytes}",
            file=file.name,
        )
    return length


class _HeaderReader:
    """Collects the tensors of one header, a member at a time, and refuses what breaks a rule."""

    def __init__(self, file: str, limits: Limits, data_start: int) -> None:
        self.tensors: list[Tensor] = []
        self.data_start = data_start
        self._file = file
        self._limits = limits
        self._names: set[str] = set()
        self._decoder = decoder(self._number)

    def read_member(self, text: str, name: str, position: int) -> int:
        """Reads the value of the key `name` at ``text[position]``; returns the index behind it."""
        if name in self._names:
            raise JsonError("duplicate-key", f"'{shorten_middle(name, 80)}' is given twice")
        self._names.add(name)
        if name == "__metadata__":
            return self._read_metadata(text, position)
        self._check_name(name)
        self.check_count(len(self.tensors) + 1)
        end = text.find("}", position, position + _ENTRY_CHARACTERS) + 1
        if not text.startswith("{", position) or not end:
            raise self._refuse("entry", "it is not described by one short, flat object", name)
        self.tensors.append(self._tensor(name, self._entry(text[position:end], name)))
        return end

    def check_count(self, tensors: int) -> None:
        """Raises `LimitError` where `tensors` are too many."""
        if tensors > self._limits.tensors:
            raise LimitError(
                "header-too-many-tensors",
                f"it holds more tensors than the limit of {self._limits.tensors}",
                file=self._file,
            )

    def _read_metadata(self, text: str, position: int) -> int:
        keys: set[str] = set()

        def read_value(key: str, at: int) -> int:
            if key in keys:
                raise JsonError("duplicate-key", f"'{shorten_middle(key, 80)}' is given twice")
            if len(keys) == self._limits.tensors or not text.startswith('"', at):
                raise JsonError("metadata", "its metadata do not map strings to strings")
            keys.add(key)
            return read_string(text, at)[1]

        if not text.startswith("{", position):
            raise JsonError("metadata", "its metadata do not map strings to strings")
        return read_members(text, position, read_value)

    def _check_name(self, name: str) -> None:
        try:
            size = len(name.encode("utf-8"))
        except UnicodeEncodeError:
            raise JsonError("name", "a tensor's name holds half of a surrogate pair") from None
        if size > self._limits.name_bytes:
            raise LimitError(
                "header-name-too-long",
                f"the name has {size} bytes, more than the limit of {self._limits.name_bytes}",
                file=self._file,
                tensor=name,
            )

    def _entry(self, text: str, name: str) -> dict[str, Any]:
        try:
            entry: dict[str, Any] = self._decoder.decode(text)
        except JsonError as error:
            raise self._refuse(error.reason, error.message, name) from None
        except json.JSONDecodeError:
            raise self._refuse("syntax", "its description is not valid JSON", name) from None
        if entry.keys() != _ENTRY_KEYS:
            reason = "its description has other keys than dtype, shape and data_offsets"
            raise self._refuse("entry-keys", reason, name)
        return entry

    def _tensor(self, name: str, entry: dict[str, Any]) -> Tensor:
        dtype = self._dtype(name, entry["dtype"])
        shape = self._shape(name, entry["shape"])
        begin, end = self._offsets(name, entry["data_offsets"])
        tensor = Tensor(name, dtype, shape, self._file, self.data_start + begin)
        if tensor.nbytes != end - begin:
            reason = f"shape and dtype make {tensor.nbytes} bytes, its offsets {end - begin}"
            raise self._refuse("offsets-length", reason, name)
        return tensor

    def _dtype(self, name: str, label: object) -> DType:
        if not isinstance(label, str):
            raise self._refuse("dtype", "its dtype is not a string", name)
        if label in _NOT_READ:
            raise UnsupportedFormatError(
                "dtype-not-read", f"element type {label} is not read", file=self._file, tensor=name
            )
        if label not in _DTYPES:
            reason = f"element type '{shorten_middle(label, 40)}' is not known"
            raise self._refuse("dtype-unknown", reason, name)
        return _DTYPES[label]

    def _shape(self, name: str, shape: object) -> tuple[int, ...]:
        if not isinstance(shape, list):
            raise self._refuse("shape", "its shape is not a list", name)
        if len(shape) > self._limits.dimensions:
            raise LimitError(
                "header-dimensions",
                f"it has {len(shape)} dimensions, more than the limit of {self._limits.dimensions}",
                file=self._file,
                tensor=name,
            )
        size = 1
        for length in shape:
            size *= self._natural(name, length)
            if size > self._limits.integer:
                raise self._refuse("shape-overflow", "its shape has too many elements", name)
        return tuple(shape)

    def _offsets(self, name: str, offsets: object) -> tuple[int, int]:
        if not isinstance(offsets, list) or len(offsets) != 2:
            raise self._refuse("offsets", "its offsets are not a list of two numbers", name)
        begin, end = (self._natural(name, offset) for offset in offsets)
        if begin > end:
            raise self._refuse("offsets-reversed", f"it ends at {end}, before {begin}", name)
        return begin, end

    def _natural(self, name: str, value: object) -> int:
        if type(value) is not int:  # a boolean is an int to Python
            raise self._refuse("number", "a shape or offset is not an integer", name)
        return value

    def _number(self, literal: str) -> int:
        # At most 19 digits are converted: longer ones would take quadratic time. "-0" has a sign.
        if len(literal) <= 19 and literal[0] != "-":
            value = int(literal)
            if value <= self._limits.integer:
                return value
        raise JsonError("number", f"an integer is not between 0 and {self._limits.integer}")

    def _refuse(self, reason: str, message: str, name: str) -> MalformedError:
        return MalformedError(f"header-{reason}", message, file=self._file, tensor=name)


def _check_layout(file: OpenFile, tensors: list[Tensor], data_start: int) -> None:
    """Makes sure that `tensors`, sorted, cover the bytes from `data_start` to the end just once."""
    position = data_start
    for tensor in tensors:
        end = tensor.offset + tensor.nbytes
        if tensor.offset < position:
            code, reason = "header-overlap", "its bytes overlap another tensor's"
        elif tensor.offset > position:
            gap = tensor.offset - position
            code, reason = "header-hole", f"{gap} bytes before it belong to no tensor"
        elif end > file.size:
            code = "header-data-past-end"
            reason = f"it ends at byte {end}, but the file has {file.size}: it was cut short"
        else:
            position = end
            continue
        raise MalformedError(code, reason, file=file.name, tensor=tensor.name)
    if position != file.size:
        raise MalformedError(
            "header-trailing-bytes",
            f"{file.size - position} bytes at its end belong to no tensor",
            file=file.name,
        )
