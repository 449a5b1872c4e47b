"""The zip container of ``torch.save``: where its members lie, by a strict reader of its own.

Takes an opened file; gives the byte range of every member, having read no weights. Follows
APPNOTE.TXT 6.3.3 (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT) as far as torch
writes it, zip64 included. Refuses

- what is not exactly one archive: an end record that is not the file's last bytes, a directory
  that does not end where the end record starts, several disks (``zip-directory``);
- members that are compressed, encrypted, named twice, or share bytes (``zip-compressed``,
  ``zip-encrypted``, ``zip-duplicate-name``, ``zip-overlap``);
- a member whose own header, or the record behind its data, tells another name, size, flag or
  checksum than the directory (``zip-disagreement``): two readers would see two files;
- more members, or a larger directory, than the limits (``zip-members``,
  ``zip-directory-too-large``).
"""

from __future__ import annotations

import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from thermoscan.errors import LimitError, MalformedError, UnsupportedFormatError
from thermoscan.limits import Limits
from thermoscan.text import printable
from thermoscan_adapters.folders import OpenFile

_END = struct.Struct("<4s4H2IH")
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_DESCRIPTOR = struct.Struct("<4s3I")
_DESCRIPTOR64 = struct.Struct("<4sI2Q")

_U16, _U32 = 0xFFFF, 0xFFFFFFFF
_ZIP64_FIELD = 0x0001
_SIZES_FOLLOW = 1 << 3
_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_CHUNK = 1 << 20
_GAP = 1 << 14
"""Bytes between two headers that are rather read than worth another request."""
_EXTRA = 1 << 7
"""Room for a header's extra fields: torch pads to multiples of 64."""
_PROGRAM = re.compile(rb"^[^/]+/(constants\.pkl$|code/)")


@dataclass(frozen=True, slots=True)
class Member:
    """One stored member of the archive.

    Attributes:
        name: As the directory names it. Hostile text.
        offset: Where in the file its bytes start.
        size: Number of its bytes.
        crc: CRC-32 of its bytes, as the archive claims.
    """

    name: str
    offset: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the directory says of a member."""

    name: bytes
    flags: int
    crc: int
    size: int
    header_offset: int
    compressed: bool


class _Headers:
    """The members' own headers and the records behind their data, read at once."""

    def __init__(self, file: OpenFile, entries: Sequence[_Entry], directory: int) -> None:
        """Takes the entries in the order of the file, and where its directory begins."""
        self._file = file
        ranges: list[tuple[int, int]] = []
        for first, last in (*(_around(entry) for entry in entries), (directory, directory)):
            # A record lies right before the next member's header, or the directory.
            start, stop = max(0, first - _DESCRIPTOR64.size), min(last, directory)
            if ranges and start - ranges[-1][1] <= _GAP and stop - ranges[-1][0] <= _CHUNK:
                start = ranges.pop()[0]
            if start < stop:
                ranges.append((start, stop))
        self._starts = [start for start, _ in ranges]
        self._pieces = file.read_each([(start, stop - start) for start, stop in ranges])

    def read(self, offset: int, length: int) -> bytes:
        """Returns `length` bytes from `offset` on, which must be in the file."""
        index = bisect_right(self._starts, offset) - 1
        if index >= 0:
            at = offset - self._starts[index]
            piece = self._pieces[index][at : at + length]
            if len(piece) == length:
                return piece
        return self._file.read_at(offset, length)


def _around(entry: _Entry) -> tuple[int, int]:
    """Returns where an entry's own header begins, and an offset behind it."""
    return entry.header_offset, entry.header_offset + _LOCAL.size + len(entry.name) + _EXTRA


def read_members(file: OpenFile, limits: Limits) -> dict[str, Member]:
    """Returns the members by name, in the order of the directory.

    Raises:
        MalformedError: See the module's list.
        LimitError: ``zip-members`` or ``zip-directory-too-large``.
        UnsupportedFormatError: ``format-torchscript``.
    """
    count, size, start = _find_directory(file)
    if count > limits.archive_members:
        raise LimitError(
            "zip-members", f"it has {count} members; the limit is {limits.archive_members}"
        )
    if size > limits.header_bytes:
        raise LimitError(
            "zip-directory-too-large",
            f"its directory has {size} bytes; the limit is {limits.header_bytes}",
        )
    entries = list(_entries(file.read_at(start, size), count))
    if any(_PROGRAM.search(entry.name) for entry in entries):
        raise UnsupportedFormatError(
            "format-torchscript", "it is a TorchScript program, which holds code"
        )
    if any(entry.compressed for entry in entries):
        raise MalformedError("zip-compressed", "it is compressed, which torch never does")
    members: dict[str, Member] = {}
    entries.sort(key=lambda entry: entry.header_offset)
    headers = _Headers(file, entries, start)
    free_from = 0
    for entry in entries:
        if entry.header_offset < free_from:
            raise MalformedError("zip-overlap", "two of its members share bytes")
        member, free_from = _locate(headers, entry, start)
        members[member.name] = member
    if len(members) < len(entries):
        raise MalformedError("zip-duplicate-name", "two of its members have the same name")
    return members


def read_checked(file: OpenFile, member: Member) -> Iterator[bytes]:
    """Yields the bytes of `member` in chunks, and makes sure of its checksum after the last one.

    Raises:
        MalformedError: ``zip-checksum``.
    """
    crc = 0
    for start in range(0, member.size, _CHUNK):
        chunk = file.read_at(member.offset + start, min(_CHUNK, member.size - start))
        crc = zlib.crc32(chunk, crc)
        yield chunk
    if crc != member.crc:
        named = printable(member.name)
        raise MalformedError("zip-checksum", f"the checksum of its member {named} is wrong")


def _find_directory(file: OpenFile) -> tuple[int, int, int]:
    """Returns the number of members, the size of the directory and its offset."""
    at = file.size - _END.size
    if at < 0:
        raise _directory("it is too short for an archive")
    magic, disk, first_disk, here, count, size, start, comment = _END.unpack(
        file.read_at(at, _END.size)
    )
    if magic != b"PK\x05\x06" or comment:
        raise _directory("it does not end with the end of an archive")
    if disk or first_disk or here != count:
        raise _directory("it is one part of several")
    locator_at = at - _END64_LOCATOR.size
    if locator_at >= 0:
        locator = _END64_LOCATOR.unpack(file.read_at(locator_at, _END64_LOCATOR.size))
        if locator[0] == b"PK\x06\x07":
            at = locator_at - _END64.size
            if locator[1:] != (0, at, 1):
                raise _directory("its zip64 end record is not where it should be")
            count, size, start = _end64(file, at, (count, size, start))
    if start + size != at:
        raise _directory("its directory is not where it should be")
    return count, size, start


def _end64(file: OpenFile, at: int, short: tuple[int, int, int]) -> tuple[int, int, int]:
    if at < 0:
        raise _directory("its zip64 end record is cut off")
    magic, length, _, _, disk, first_disk, here, count, size, start = _END64.unpack(
        file.read_at(at, _END64.size)
    )
    if magic != b"PK\x06\x06" or length != _END64.size - 12 or disk or first_disk or here != count:
        raise _directory("its zip64 end record is broken")
    for wide, narrow, full in zip((count, size, start), short, (_U16, _U32, _U32), strict=True):
        if narrow not in (full, wide):
            raise _directory("its two end records disagree")
    return count, size, start


def _entries(directory: bytes, count: int) -> Iterator[_Entry]:
    at = 0
    for _ in range(count):
        if at + _CENTRAL.size > len(directory):
            raise _directory("its directory is cut off")
        (magic, _, _, flags, method, _, _, crc, packed, size, *lengths, _, _, offset) = (
            _CENTRAL.unpack_from(directory, at)
        )
        name_length, extra_length, comment_length, disk = lengths
        name_at = at + _CENTRAL.size
        extra_at = name_at + name_length
        at = extra_at + extra_length + comment_length
        if magic != b"PK\x01\x02" or at > len(directory) or disk not in (0, _U16):
            raise _directory("its directory is broken")
        if flags & _ENCRYPTED:
            raise MalformedError("zip-encrypted", "it is encrypted")
        extra = directory[extra_at : extra_at + extra_length]
        size, packed, offset = _widen(extra, (size, packed, offset))
        yield _Entry(
            directory[name_at:extra_at], flags, crc, size, offset, method != 0 or packed != size
        )
    if at != len(directory):
        raise _directory("its directory holds more than its members")


def _widen(extra: bytes, fields: tuple[int, ...]) -> tuple[int, ...]:
    """Returns `fields` with each one that is full replaced by its zip64 value, in order."""
    if _U32 not in fields:
        return fields
    wide = _zip64_field(extra)
    missing = sum(field == _U32 for field in fields)
    if len(wide) < 8 * missing:
        raise _directory("a zip64 size is missing")
    values = iter(struct.unpack_from(f"<{missing}Q", wide))
    return tuple(next(values) if field == _U32 else field for field in fields)


def _zip64_field(extra: bytes) -> bytes:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == _ZIP64_FIELD:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


def _locate(headers: _Headers, entry: _Entry, directory: int) -> tuple[Member, int]:
    """Returns the member of `entry` and the first byte after it, having read its own header."""
    name_at = entry.header_offset + _LOCAL.size
    if name_at + len(entry.name) > directory:
        raise _disagreement(entry)
    head = headers.read(entry.header_offset, _LOCAL.size + len(entry.name))
    magic, _, flags, method, _, _, crc, packed, size, name_length, extra_length = (
        _LOCAL.unpack_from(head)
    )
    same_kind = magic == b"PK\x03\x04" and flags == entry.flags and method == 0
    if not same_kind or name_length != len(entry.name) or head[_LOCAL.size :] != entry.name:
        raise _disagreement(entry)
    offset = name_at + name_length + extra_length
    end = offset + entry.size
    if end > directory:
        raise _disagreement(entry)
    if flags & _SIZES_FOLLOW:
        end += _descriptor_size(headers.read(end, min(_DESCRIPTOR64.size, directory - end)), entry)
        narrow = min(entry.size, _U32)
        expected = {(0, 0, 0), (entry.crc, narrow, narrow)}
    else:
        if _U32 in (packed, size):
            extra = headers.read(offset - extra_length, extra_length)
            size, packed = _widen(extra, (size, packed))
        expected = {(entry.crc, entry.size, entry.size)}
    if (crc, packed, size) not in expected:
        raise _disagreement(entry)
    name = entry.name.decode("utf-8", "surrogateescape")
    return Member(name, offset, entry.size, entry.crc), end


def _descriptor_size(record: bytes, entry: _Entry) -> int:
    """Returns the length of the record behind a member's data, which repeats checksum and sizes."""
    expected = (b"PK\x07\x08", entry.crc, entry.size, entry.size)
    for layout in (_DESCRIPTOR64, _DESCRIPTOR):
        if len(record) >= layout.size and layout.unpack_from(record) == expected:
            return layout.size
    raise _disagreement(entry)


def _directory(reason: str) -> MalformedError:
    return MalformedError("zip-directory", reason)


def _disagreement(entry: _Entry) -> MalformedError:
    named = printable(entry.name.decode("utf-8", "surrogateescape"))
    return MalformedError(
        "zip-disagreement", f"its member {named} and its directory do not tell the same"
    )
