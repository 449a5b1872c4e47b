"""Valid checkpoints with random damage: refused by an error of the tree or read in bounds.

The checkpoint that is damaged names a function of a module that no file has; if anything tried to
import it, another error would surface.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.torch_files import (
    Part,
    archive,
    call,
    checkpoint,
    legacy,
    mapping,
    pickle_of,
    read,
    storage,
    tensor,
    text,
    vector,
    write,
)

from thermoscan.errors import ThermoscanError

CANARY = call("thermoscan_canary.fire", text("/tmp"))
VALID = mapping(
    {
        "epoch": text("3"),
        "optimizer": mapping({"state": b"}", "param_groups": b"]"}),
        "state_dict": mapping(
            {"a": vector(), "b": tensor(storage("1", 6), (2, 3), (1, 2)), "c": vector()}
        ),
    }
)
STORED = {"0": bytes(8), "1": bytes(range(24))}

# Bytes that mean something to a pickle or a zip are tried more often than others.
TELLING = st.sampled_from(b"()]}.0123RQbcehijqrstuX\x81\x85\x86\x87\x8a\x8e\x93\x94\x95PK\x00\xff")
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 4),
        st.lists(TELLING | st.integers(0, 255), max_size=6).map(bytes),
    ),
    min_size=1,
    max_size=6,
)
Edits = list[tuple[float, int, bytes]]
FUZZ = settings(
    max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def damaged(content: bytes, edits: Edits) -> bytes:
    """Replaces, at each place, so many bytes with others."""
    for place, removed, inserted in edits:
        at = int(place * len(content))
        content = content[:at] + inserted + content[at + removed :]
    return content


def check(content: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "model.pt", content)
    modules = set(sys.modules)
    try:
        state = read(path)
    except ThermoscanError as error:
        assert error.file == "model.pt"
        assert str(error).isprintable()
    else:
        for found in state.tensors:
            steps = found.strides or (0,) * len(found.shape)
            reach = sum((n - 1) * step for n, step in zip(found.shape, steps, strict=True))
            needed = found.nbytes if found.strides is None else (reach + 1) * found.dtype.itemsize
            assert 0 <= found.offset <= found.offset + needed <= len(content)
    assert set(sys.modules) == modules


def valid_files() -> dict[str, bytes]:
    saved: dict[str, bytes] = {
        "built zip": archive(checkpoint(pickle_of(VALID), STORED)),
        "built legacy": legacy(VALID, STORED),
    }
    for protocol, zipped in ((2, True), (4, True), (2, False)):
        buffer = io.BytesIO()
        state = torch.nn.BatchNorm1d(3).state_dict()
        torch.save(
            {"model": state, "step": 1},
            buffer,
            pickle_protocol=protocol,
            _use_new_zipfile_serialization=zipped,
        )
        saved[f"torch {protocol} {zipped}"] = buffer.getvalue()
    return saved


FILES = valid_files()


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_the_files_are_valid_before_they_are_damaged(content: bytes, tmp_path: Path) -> None:
    assert read(write(tmp_path / "model.pt", content)).tensors


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
@FUZZ
@given(edits=EDITS)
def test_a_damaged_file_is_refused_or_read_in_bounds(
    content: bytes, edits: Edits, tmp_path: Path
) -> None:
    check(damaged(content, edits), tmp_path)


@FUZZ
@given(edits=EDITS)
def test_a_damaged_pickle_in_a_sound_zip_is_refused_or_read_in_bounds(
    edits: Edits, tmp_path: Path
) -> None:
    check(archive(checkpoint(damaged(pickle_of(VALID), edits), STORED)), tmp_path)


@FUZZ
@given(edits=EDITS, after=st.booleans())
def test_damage_never_makes_code_run(edits: Edits, after: bool, tmp_path: Path) -> None:
    value = VALID + b"0" + CANARY if after else CANARY + b"0" + VALID
    check(archive(checkpoint(damaged(pickle_of(value), edits), STORED)), tmp_path)


@FUZZ
@given(content=st.binary(max_size=200), head=st.sampled_from([b"", b"PK\3\4", b"\x80\x02"]))
def test_any_bytes_at_all_are_refused(content: bytes, head: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "model.pt", head + content)
    with pytest.raises(ThermoscanError):
        read(path)


FIELDS = st.dictionaries(
    st.sampled_from(["flags", "method", "crc", "packed", "size"]),
    st.integers(0, 9) | st.sampled_from([0xFFFF]),
    max_size=2,
)


@FUZZ
@given(central=FIELDS, local=FIELDS, which=st.integers(0, 3))
def test_headers_that_tell_anything_are_refused_or_read_in_bounds(
    central: dict[str, int], local: dict[str, int], which: int, tmp_path: Path
) -> None:
    parts = checkpoint(pickle_of(VALID), STORED)
    parts[which] = Part(parts[which].name, parts[which].data, central, local)
    check(archive(parts), tmp_path)
