"""Torch files of at most 64 MB that ask for gigabytes or minutes: refused within 2 s and 300 MB.

Each is read in a process of its own, whose processor time and peak memory are measured.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.torch_files import (
    Part,
    archive,
    call,
    checkpoint,
    legacy,
    mapping,
    name,
    pickle_of,
    storage,
    tensor,
    text,
    tuple_of,
    vector,
    write,
    zip_of,
)

MEASURE = """
import json, resource, sys, time
from pathlib import Path
from thermoscan.errors import ThermoscanError
from thermoscan.limits import Limits
from thermoscan_adapters.files import find_file
from thermoscan_adapters.torch_format import read_torch

resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 2_000_000_000))
path = Path(sys.argv[1])
started = time.process_time()
try:
    code = len(read_torch(find_file(path.parent, path.name), Limits()).tensors)
except ThermoscanError as error:
    code = error.code
seconds = time.process_time() - started
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
megabytes = int(status["VmHWM"].split()[0]) / 1000
print(json.dumps({"code": code, "seconds": seconds, "megabytes": megabytes}))
"""

FULL = 60_000_000
"""Nearly as many bytes as the limit on a pickle lets through."""


def filled(instructions: bytes, size: int = 24_000_000) -> bytes:
    """A pickle of `size` bytes; most instructions exhaust what may be unpacked long before."""
    return zip_of(instructions * (size // len(instructions)))


def put(index: int) -> bytes:
    return b"r" + struct.pack("<I", index)


def get(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def doubling(depth: int, leaf: bytes) -> bytes:
    """A dict of two references to a dict of two references to ... `leaf`."""
    value = leaf + put(0)
    for level in range(depth):
        value = value + b"0" + mapping({"a": get(level), "b": get(level)}) + put(level + 1)
    return value


def in_each_other(count: int) -> bytes:
    """Dicts that all hold each other, and one of them a tensor, entered from two sides."""
    made = b"".join(b"}" + put(i) + b"0" for i in range(count))
    filling = b"".join(
        get(i) + b"(" + b"".join(text(str(j)) + get(j) for j in reversed(range(count))) + b"u0"
        for i in range(1, count)
    )
    first = get(0) + b"(" + text("w") + vector()
    first += b"".join(text(str(j)) + get(j) for j in range(count)) + b"u0"
    return made + filling + first + tuple_of(get(1), get(0), vector())


def shared_and_wide(parents: int, children: int) -> bytes:
    """A dict of many tensors that many dicts hold."""
    one = vector() + put(0) + b"0"
    wide = b"}(" + b"".join(text(str(n)) + get(0) for n in range(children)) + b"u" + put(1) + b"0"
    return one + wide + b"}(" + b"".join(text(str(n)) + get(1) for n in range(parents)) + b"u"


def rebuilt_mapping(pairs: int, times: int) -> bytes:
    """OrderedDict called again and again with the same long list of pairs."""
    made = b"](" + b"".join(tuple_of(text(str(n)), b"N") for n in range(pairs)) + b"e"
    arguments = made + b"\x85" + put(0) + b"0" + name("collections.OrderedDict") + put(1) + b"0"
    return arguments + b"(" + (get(1) + get(0) + b"R") * times + b"t"


def deep_key() -> bytes:
    """A dict whose key is a tuple in a tuple in a tuple: hashing it overflows the C stack."""
    return b"}" + b")" + b"\x85" * 400_000 + b"Ns"


def empty_members(count: int) -> bytes:
    return archive(
        [*checkpoint(pickle_of(b"N")), *(Part(f"archive/{n}", b"") for n in range(count))]
    )


BOMBS: dict[str, tuple[Callable[[], bytes], object]] = {
    "lists": (lambda: filled(b"]", FULL), "pickle-expands"),
    "dicts": (lambda: filled(b"}"), "pickle-expands"),
    "marks": (lambda: filled(b"("), "pickle-expands"),
    "integers": (lambda: filled(b"J\xff\xff\xff\x7f"), "pickle-expands"),
    "long integers": (lambda: filled(b"\x8a\x10" + b"\x7f" * 16), "pickle-expands"),
    "floats": (lambda: filled(b"G" + b"\x3f" * 8), "pickle-expands"),
    "names": (lambda: filled(name("torch.Size")), "pickle-expands"),
    "memo": (lambda: filled(b"N\x94"), "pickle-expands"),
    "nothing at all": (lambda: filled(b"N0"), "pickle-expands"),
    "short wide texts": (lambda: filled(text("a" * 1000 + "\U0001f600")), "pickle-expands"),
    "one wide text": (lambda: zip_of(text("a" * FULL + "\U0001f600")), "no-weights"),
    "one integer": (lambda: zip_of(b"\x8b" + struct.pack("<i", FULL) + bytes(FULL)), "no-weights"),
    "nested lists": (lambda: filled(b"]("), "pickle-expands"),
    "list in list": (lambda: zip_of(b"]" * 500_000 + b"a" * 499_999), "pickle-nesting"),
    "tuple in tuple": (lambda: zip_of(b")" + b"\x85" * 700_000), "pickle-nesting"),
    "key in key": (lambda: zip_of(deep_key()), "no-weights"),
    "mapping made again": (lambda: zip_of(rebuilt_mapping(50_000, 5_000)), "pickle-expands"),
    "objects": (lambda: filled(name("argparse.Namespace") + b")\x81"), "pickle-expands"),
    "tensors": (lambda: zip_of(b"](" + vector() * 300_000 + b"e"), "pickle-expands"),
    "names doubling": (lambda: zip_of(doubling(60, vector())), "tensors"),
    "nothing doubling": (lambda: zip_of(doubling(60, b"N")), "no-weights"),
    "in each other": (lambda: zip_of(in_each_other(60)), "tensors"),
    "shared and wide": (lambda: zip_of(shared_and_wide(100_000, 100_000)), "tensors"),
    "stride 0": (
        lambda: zip_of(mapping({"w": tensor(storage("0", 2), (2**40,), (0,))})),
        "tensor-overlapping-strides",
    ),
    "members": (lambda: empty_members(300_000), "zip-members"),
    "members within the limit": (lambda: empty_members(99_000), "no-weights"),
    "legacy lists": (lambda: legacy(b"]" * FULL), "pickle-expands"),
    "legacy text": (lambda: legacy(text("a" * (FULL + FULL // 4))), "pickle-too-large"),
    "legacy memo": (lambda: legacy(b"Nr\xff\xff\xff\xff"), "pickle-structure"),
    "legacy length": (lambda: legacy(b"\x8e" + struct.pack("<Q", 2**62)), "pickle-truncated"),
    "legacy enum": (lambda: legacy(call("collections.OrderedDict") * 2_000_000), "pickle-expands"),
}


@pytest.mark.parametrize(("make", "verdict"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_without_going_off(
    make: Callable[[], bytes], verdict: object, tmp_path: Path
) -> None:
    path = write(tmp_path / "model.pt", make())
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    measured = json.loads(run.stdout)
    print(measured)
    assert measured["code"] == verdict
    assert measured["megabytes"] < 300
