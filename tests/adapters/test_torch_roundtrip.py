"""What torch saves is found again: every dtype, layout, format and pickle protocol."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.torch_files import read, stored_bytes, torch_bytes
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from thermoscan.errors import MalformedError

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.complex64: "C64",
}
LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "contiguous": lambda base: base,
    "transposed": lambda base: base.permute(3, 1, 0, 2),
    "channels last": lambda base: base.contiguous(memory_format=torch.channels_last),
    "sliced view": lambda base: base[1:, ::2, :, 1:3],
    "row of a larger one": lambda base: base[1],
    "empty": lambda base: base[:0],
    "scalar": lambda base: base[1, 2, 3, 0],
    "axis of length one": lambda base: base[:, :1].transpose(0, 1),
}


def values(dtype: torch.dtype) -> torch.Tensor:
    """2 x 3 x 4 x 5 distinct bit patterns, as far as the dtype has so many."""
    raw = torch.arange(120 * dtype.itemsize, dtype=torch.uint8)
    if dtype is torch.bool:
        raw = raw % 2
    return raw.view(dtype).reshape(2, 3, 4, 5)


def save(value: object, path: Path, *, legacy: bool = False, protocol: int = 2) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy, pickle_protocol=protocol)
    return path


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_tensor_is_found_with_its_bytes(
    dtype: torch.dtype, layout: str, legacy: bool, tmp_path: Path
) -> None:
    tensor = LAYOUTS[layout](values(dtype))
    path = save({"w": tensor}, tmp_path / "model.pt", legacy=legacy)
    (found,) = read(path).tensors
    assert (found.name, found.dtype.label, found.shape) == ("w", DTYPES[dtype], tuple(tensor.shape))
    assert (found.strides is None) == (tensor.is_contiguous())
    if tensor.numel():
        assert stored_bytes(path, found) == torch_bytes(tensor)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_binary_pickle_protocol_is_read(protocol: int, legacy: bool, tmp_path: Path) -> None:
    model = nn.LSTM(3, 4, num_layers=2)
    path = save(model.state_dict(), tmp_path / "m.pt", legacy=legacy, protocol=protocol)
    found = {tensor.name: stored_bytes(path, tensor) for tensor in read(path).tensors}
    assert found == {name: torch_bytes(weight) for name, weight in model.state_dict().items()}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_slices_of_one_storage_are_tensors_of_their_own(legacy: bool, tmp_path: Path) -> None:
    flat = torch.arange(30.0)
    parts = {"a": flat[:10].reshape(2, 5), "b": flat[10:12], "c": flat[12:]}
    path = save(parts, tmp_path / "m.pt", legacy=legacy)
    state = read(path)
    assert {t.name: stored_bytes(path, t) for t in state.tensors} == {
        name: torch_bytes(part) for name, part in parts.items()
    }
    assert not state.aliases
    assert not state.notes


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_tied_weights_are_aliases_of_the_first_that_was_stored(
    legacy: bool, tmp_path: Path
) -> None:
    embedding = torch.arange(6.0).reshape(2, 3)
    tied = {
        "embedding": embedding,
        "head": embedding,
        "turned": embedding.t(),
        "other": torch.ones(1),
    }
    state = read(save(tied, tmp_path / "m.pt", legacy=legacy))
    assert {tensor.name for tensor in state.tensors} == {"embedding", "other"}
    assert state.aliases == {"head": "embedding", "turned": "embedding"}


def test_of_overlapping_views_the_whole_is_kept_and_the_part_is_named(tmp_path: Path) -> None:
    whole = torch.arange(8.0)
    state = read(save({"part": whole[:3], "whole": whole, "end": whole[5:]}, tmp_path / "m.pt"))
    assert [tensor.name for tensor in state.tensors] == ["whole"]
    assert state.notes == (
        "left out: 'part with whole', 'end with whole': they share bytes with other tensors",
    )


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "expanded",
    [torch.ones(1).expand(5), torch.ones(3, 1).expand(3, 2), torch.ones(9).unfold(0, 4, 2)],
    ids=["scalar", "column", "windows"],
)
def test_a_layout_that_uses_an_element_twice_is_refused(
    expanded: torch.Tensor, legacy: bool, tmp_path: Path
) -> None:
    path = save({"fine": torch.ones(2), "mask": expanded}, tmp_path / "m.pt", legacy=legacy)
    with pytest.raises(MalformedError) as caught:
        read(path)
    assert (caught.value.code, caught.value.tensor) == ("tensor-overlapping-strides", "mask")
    assert caught.value.file == "m.pt"


def test_an_expanded_axis_of_length_one_is_no_overlap(tmp_path: Path) -> None:
    positions = torch.arange(7).expand((1, -1))
    path = save({"position_ids": positions}, tmp_path / "m.pt")
    (found,) = read(path).tensors
    assert (found.shape, found.strides) == ((1, 7), None)
    assert stored_bytes(path, found) == torch_bytes(positions)


def test_parameters_and_tensors_with_attributes_are_tensors(tmp_path: Path) -> None:
    parameter = nn.Parameter(torch.arange(3.0))
    marked = nn.Parameter(torch.arange(4.0))
    marked.note = "x"
    tagged = torch.arange(5.0)
    tagged.note = {"a": 1}
    saved = {"parameter": parameter, "marked": marked, "tagged": tagged}
    path = save(saved, tmp_path / "m.pt")
    assert {t.name: stored_bytes(path, t) for t in read(path).tensors} == {
        name: torch_bytes(tensor) for name, tensor in saved.items()
    }


@pytest.mark.filterwarnings("ignore")  # torch calls its own sparse and nested tensors beta
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: torch.eye(3).to_sparse(), "sparse tensors are not read"),
        (lambda: torch.eye(3).to_sparse_csr(), "sparse tensors are not read"),
        (
            lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            "quantized tensors of torch are not read",
        ),
        (
            lambda: torch.quantize_per_channel(
                torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.quint8
            ),
            "quantized tensors of torch are not read",
        ),
        (lambda: torch.ones(2, device="meta"), "it is on the meta device and has no values"),
        (
            lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
            "nested tensors are not read",
        ),
        (
            lambda: torch.ones(2, dtype=torch.complex64).conj(),
            "its conjugate or negative bit is set",
        ),
        (lambda: torch.ones(2, dtype=torch.complex128), "its dtype complex128 is not read"),
        (
            lambda: torch.ones(2).to(torch.float8_e4m3fnuz),
            "its dtype float8_e4m3fnuz is not read",
        ),
    ],
    ids=["coo", "csr", "quantized", "channels", "meta", "nested", "conj", "complex128", "fnuz"],
)
def test_a_tensor_of_a_kind_that_is_not_read_is_named_and_the_rest_is_scanned(
    make: Callable[[], torch.Tensor], reason: str, tmp_path: Path
) -> None:
    state = read(save({"mask": make(), "weight": torch.ones(2, 2)}, tmp_path / "m.pt"))
    assert [tensor.name for tensor in state.tensors] == ["weight"]
    assert state.notes == (f"left out: 'mask': {reason}",)


def test_python_2_wrote_ordered_dicts_as_lists_of_pairs(tmp_path: Path) -> None:
    class Old(OrderedDict[str, torch.Tensor]):
        def __reduce__(self) -> tuple[object, ...]:
            return OrderedDict, ([[key, value] for key, value in self.items()],)

    saved = Old(first=torch.ones(2), second=torch.zeros(3))
    path = save(saved, tmp_path / "m.pt", legacy=True)
    assert {t.name: stored_bytes(path, t) for t in read(path).tensors} == {
        name: torch_bytes(tensor) for name, tensor in saved.items()
    }


def test_a_storage_of_more_than_four_gigabytes_is_found_by_its_zip64_sizes(
    tmp_path: Path,
) -> None:
    large, small = torch.empty(1_100_000_000), torch.ones(3)
    path = tmp_path / "large.pt"
    with torch.serialization.skip_data():
        torch.save({"large": large, "small": small}, path)
    found = {tensor.name: tensor for tensor in read(path).tensors}
    with FakeTensorMode():  # torch then reads no weights, but notes where they are
        oracle = torch.load(path, weights_only=True)
    places = {name: t.untyped_storage()._checkpoint_offset for name, t in oracle.items()}
    assert {name: tensor.offset for name, tensor in found.items()} == places
    assert found["small"].offset > 2**32
