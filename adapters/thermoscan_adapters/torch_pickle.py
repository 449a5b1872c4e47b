"""An unpickler that cannot run code: a machine of its own for the instructions torch writes.

Takes a `PickleStream`; gives plain dicts, lists, tuples, strings and numbers, and the descriptions
of `torch_values`. It knows the binary instructions of pickle protocols 2 to 5
(https://docs.python.org/3/library/pickletools.html) except those that reach outside of the pickle.
It refuses

- a name that is not on the list of `torch_globals` (``pickle-code``), wherever it stands;
- every other instruction, such as text instructions, extensions and out-of-band buffers
  (``pickle-opcode``);
- a pickle that ends early, or whose instructions make no sense (``pickle-truncated``,
  ``pickle-structure``);
- one that unpacks to more than the limit (``pickle-expands``): each instruction and each value
  is charged about what it occupies, so that the limit bounds memory and time alike.

Values that no state dict is made of (bytes, sets, texts and integers longer than any name or size)
are stepped over and become `Unknown`.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Final

from thermoscan.errors import LimitError, MalformedError, UnsafeError
from thermoscan.limits import Limits
from thermoscan_adapters.torch_globals import MAPPINGS, allowed
from thermoscan_adapters.torch_rebuild import call, mapping_key, storage
from thermoscan_adapters.torch_stream import PickleStream
from thermoscan_adapters.torch_values import Global, StorageRef, Unknown

LONG_TEXT: Final = Unknown("text longer than any name")
"""Stands for every text that is longer than the limit on names."""

_BYTES: Final = Unknown("bytes")
_SET: Final = Unknown("set")
_LONG_INTEGER: Final = Unknown("integer longer than 16 bytes")

# What is charged, in bytes: an instruction with its slots on the stack and in the memo, a number, a
# container with its header, an entry of a dict, a description. Near CPython's own sizes.
_STEP, _NUMBER, _CONTAINER, _ENTRY, _DESCRIPTION = 20, 32, 64, 100, 192

_PROTO, _STOP = 0x80, 0x2E
_INTEGER, _FLOAT = struct.Struct("<i"), struct.Struct(">d")


class Unpickler:
    """Reads one pickle.

    Attributes:
        storages: Every storage the pickle referred to, by key.
    """

    def __init__(self, stream: PickleStream, limits: Limits) -> None:
        self.storages: dict[str, StorageRef] = {}
        self._stream = stream
        self._limits = limits
        self._budget = limits.pickle_bytes
        self._stack: list[object] = []
        self._marked: list[list[object]] = []
        self._memo: list[object] = []

    def load(self) -> object:
        """Reads up to and including the pickle's STOP and returns the value it leaves.

        Raises:
            UnsafeError: ``pickle-code`` or ``pickle-opcode``.
            MalformedError: ``pickle-truncated`` or ``pickle-structure``.
            LimitError: ``pickle-too-large``, ``pickle-expands``, or a limit on tensors.
        """
        next_byte = self._stream.byte
        try:
            while (opcode := next_byte()) != _STOP:
                self._budget -= _STEP
                if self._budget < 0:
                    raise self._expands()
                instruction = _INSTRUCTIONS.get(opcode)
                if instruction is None:
                    raise UnsafeError(
                        "pickle-opcode",
                        f"its pickle uses the instruction 0x{opcode:02x}, which torch never writes",
                    )
                instruction(self)
            value = self._stack.pop()
        except IndexError:
            raise _nonsense("an instruction of the pickle finds nothing to work on") from None
        if self._stack or self._marked:
            raise _nonsense("the pickle leaves more than one value")
        return value

    # -- helpers ---------------------------------------------------------------------------------

    def _spend(self, cost: int) -> None:
        self._budget -= cost
        if self._budget < 0:
            raise self._expands()

    def _expands(self) -> LimitError:
        limit = self._limits.pickle_bytes
        return LimitError("pickle-expands", f"its pickle unpacks to more than {limit} bytes")

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _push_sized(self, value: object, cost: int) -> None:
        """Pushes a small value; the next instruction finds out whether the budget is used up."""
        self._budget -= cost
        self._stack.append(value)

    def _pop_to_mark(self) -> list[object]:
        items = self._stack
        self._stack = self._marked.pop()
        return items

    def _size(self, width: int) -> int:
        return int.from_bytes(self._stream.take(width), "little")

    # -- numbers and texts -----------------------------------------------------------------------

    def _integer(self, count: int) -> None:
        if count > 16:
            self._stream.skip(count)
            self._push(_LONG_INTEGER)
        else:
            self._push_sized(
                int.from_bytes(self._stream.take(count), "little", signed=True), _NUMBER
            )

    def _float(self) -> None:
        self._push_sized(_FLOAT.unpack(self._stream.take(8))[0], _NUMBER)

    def _text(self, width: int) -> None:
        count = self._size(width)
        if count > self._limits.name_bytes:
            self._stream.skip(count)
            self._push(LONG_TEXT)
            return
        try:
            text = self._stream.take(count).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise _nonsense("a text in the pickle is not UTF-8") from None
        self._push_sized(text, sys.getsizeof(text))

    def _python2_text(self, width: int) -> None:
        """Python 2's str: a text, or bytes where it is not ASCII."""
        count = self._size(width)
        if count > self._limits.name_bytes:
            self._stream.skip(count)
            self._push(LONG_TEXT)
            return
        raw = self._stream.take(count)
        if raw.isascii():
            self._push_sized(raw.decode("ascii"), sys.getsizeof(raw))
        else:
            self._push(_BYTES)

    def _bytes(self, width: int) -> None:
        self._stream.skip(self._size(width))
        self._push(_BYTES)

    # -- containers ------------------------------------------------------------------------------

    def _mark(self) -> None:
        self._budget -= _CONTAINER
        self._marked.append(self._stack)
        self._stack = []

    def _tuple(self) -> None:
        items = self._pop_to_mark()
        self._push_sized(tuple(items), _CONTAINER)

    def _short_tuple(self, count: int) -> None:
        items = [self._stack.pop() for _ in range(count)]
        self._push_sized(tuple(reversed(items)), _CONTAINER)

    def _frozenset(self) -> None:
        self._pop_to_mark()
        self._push(_SET)

    def _append(self) -> None:
        item = self._stack.pop()
        self._extend([item])

    def _extend(self, items: list[object]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Unknown):
            raise _nonsense("something is appended to what is not a list")

    def _set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def _set(self, items: list[object]) -> None:
        target = self._stack[-1]
        if len(items) % 2:
            raise _nonsense("a key has no value")
        if isinstance(target, dict):
            self._spend(_ENTRY * (len(items) // 2))
            for key, value in zip(items[::2], items[1::2], strict=True):
                target[mapping_key(key)] = value
        elif not isinstance(target, Unknown):
            raise _nonsense("an item is set in what is not a mapping")

    # -- the memo --------------------------------------------------------------------------------

    def _put(self, index: int) -> None:
        """Remembers the top of the stack. Picklers count up, so a gap is refused, not allocated."""
        if index > len(self._memo):
            raise _nonsense("the pickle's memo has a gap")
        if index == len(self._memo):
            self._memo.append(self._stack[-1])
        else:
            self._memo[index] = self._stack[-1]

    # -- names and calls -------------------------------------------------------------------------

    def _global(self) -> None:
        module, name = self._stream.line(), self._stream.line()
        self._push_name(module.decode("utf-8", "replace"), name.decode("utf-8", "replace"))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise UnsafeError("pickle-code", "its pickle computes the name of what it calls")
        self._push_name(module, name)

    def _instance(self) -> None:
        """Names a class and calls it at once: refused, by that name where it is not on the list."""
        self._global()
        raise UnsafeError(
            "pickle-opcode", "its pickle uses the instruction INST, which is obsolete"
        )

    def _push_name(self, module: str, name: str) -> None:
        self._push_sized(allowed(module, name), _DESCRIPTION)

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._spend(_DESCRIPTION)
        if isinstance(arguments, tuple) and arguments and isinstance(arguments[0], list):
            self._spend(_ENTRY * len(arguments[0]))
        self._push(call(function, arguments, self._limits))

    def _new_object(self, extra: int) -> None:
        for _ in range(extra):
            self._stack.pop()
        cls = self._stack.pop()
        if not isinstance(cls, Global):
            raise UnsafeError("pickle-code", "its pickle makes an object of a class without a name")
        is_mapping = (cls.module, cls.name) in MAPPINGS
        made: dict[object, object] | Unknown = {} if is_mapping else Unknown(str(cls))
        self._push_sized(made, _DESCRIPTION)

    def _build(self) -> None:
        """Attributes of an object: those of a mapping (``_metadata``) hold no weights."""
        self._stack.pop()
        if not isinstance(self._stack[-1], (dict, Unknown)):
            raise _nonsense("attributes are set on what has none")

    def _persistent(self) -> None:
        ref = storage(self._stack.pop(), self._limits)
        known = self.storages.setdefault(ref.key, ref)
        if (known.element, known.numel) != (ref.element, ref.numel):
            raise MalformedError("storage-conflict", "two references to one storage disagree")
        if known is ref:
            self._spend(_DESCRIPTION)
        self._push(known)

    # -- bookkeeping of the format ---------------------------------------------------------------

    def _protocol(self) -> None:
        version = self._stream.byte()
        if not 2 <= version <= 5:
            raise _nonsense(f"its pickle is of protocol {version}; 2 to 5 are known")

    def _frame(self) -> None:
        self._stream.require(self._size(8))

    def _pop(self) -> None:
        self._stack.pop()


_INSTRUCTIONS: Final[dict[int, Callable[[Unpickler], object]]] = {
    _PROTO: Unpickler._protocol,
    0x95: Unpickler._frame,
    # Constants and numbers.
    ord("N"): lambda u: u._push(None),
    0x88: lambda u: u._push(True),
    0x89: lambda u: u._push(False),
    ord("J"): lambda u: u._push_sized(_INTEGER.unpack(u._stream.take(4))[0], _NUMBER),
    ord("K"): lambda u: u._push(u._stream.byte()),
    ord("M"): lambda u: u._push_sized(u._size(2), _NUMBER),
    0x8A: lambda u: u._integer(u._stream.byte()),
    0x8B: lambda u: u._integer(u._size(4)),
    ord("G"): Unpickler._float,
    # Texts and bytes.
    ord("X"): lambda u: u._text(4),
    0x8C: lambda u: u._text(1),
    0x8D: lambda u: u._text(8),
    ord("T"): lambda u: u._python2_text(4),
    ord("U"): lambda u: u._python2_text(1),
    ord("B"): lambda u: u._bytes(4),
    ord("C"): lambda u: u._bytes(1),
    0x8E: lambda u: u._bytes(8),
    0x96: lambda u: u._bytes(8),
    # Containers.
    ord("("): Unpickler._mark,
    ord("0"): Unpickler._pop,
    ord("1"): Unpickler._pop_to_mark,
    ord(")"): lambda u: u._push(()),
    ord("t"): Unpickler._tuple,
    0x85: lambda u: u._short_tuple(1),
    0x86: lambda u: u._short_tuple(2),
    0x87: lambda u: u._short_tuple(3),
    ord("]"): lambda u: u._push_sized([], _CONTAINER),
    ord("a"): Unpickler._append,
    ord("e"): lambda u: u._extend(u._pop_to_mark()),
    ord("}"): lambda u: u._push_sized({}, _CONTAINER),
    ord("s"): Unpickler._set_item,
    ord("u"): lambda u: u._set(u._pop_to_mark()),
    0x8F: lambda u: u._push(_SET),
    0x90: lambda u: u._extend(u._pop_to_mark()),
    0x91: Unpickler._frozenset,
    # The memo.
    ord("q"): lambda u: u._put(u._stream.byte()),
    ord("r"): lambda u: u._put(u._size(4)),
    0x94: lambda u: u._put(len(u._memo)),
    ord("h"): lambda u: u._push(u._memo[u._stream.byte()]),
    ord("j"): lambda u: u._push(u._memo[u._size(4)]),
    # Names and calls.
    ord("c"): Unpickler._global,
    0x93: Unpickler._stack_global,
    ord("i"): Unpickler._instance,
    ord("R"): Unpickler._reduce,
    0x81: lambda u: u._new_object(1),
    0x92: lambda u: u._new_object(2),
    ord("b"): Unpickler._build,
    ord("Q"): Unpickler._persistent,
}
"""Instructions by their byte; a lambda hands over the width of the instruction's argument."""


def _nonsense(what: str) -> MalformedError:
    return MalformedError("pickle-structure", what)
