"""Which of the things in a checkpoint are taken for the weights."""

from __future__ import annotations

import argparse
from collections import OrderedDict, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.torch_files import read, vector, write, zip_of
from torch import nn

from thermoscan.errors import LimitError, MalformedError, ThermoscanError, UnsupportedFormatError
from thermoscan.limits import Limits

MODEL = {"fc.weight": torch.ones(3, 2), "fc.bias": torch.ones(3)}
SMALL = {"fc.weight": torch.ones(2)}


def adam_state() -> dict[str, Any]:
    model = nn.Linear(20, 20)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 20)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def names_of(value: object, tmp_path: Path) -> list[str]:
    path = tmp_path / "model.pt"
    torch.save(value, path)
    return sorted(tensor.name for tensor in read(path).tensors)


def notes_of(value: object, tmp_path: Path) -> tuple[str, ...]:
    path = tmp_path / "model.pt"
    torch.save(value, path)
    return read(path).notes


@pytest.mark.parametrize(
    "key",
    [
        *("state_dict", "model", "model_state_dict", "module", "net", "params", "ema"),
        *("State_Dict", "something_else"),
    ],
)
def test_the_model_is_found_under_its_key_beside_a_larger_optimizer(
    key: str, tmp_path: Path
) -> None:
    saved = {"epoch": 3, "optimizer": adam_state(), key: MODEL, "loss": 0.5}
    assert names_of(saved, tmp_path) == ["fc.bias", "fc.weight"]


def test_an_optimizer_is_known_by_its_form_under_any_name(tmp_path: Path) -> None:
    assert names_of({"a": adam_state(), "b": MODEL}, tmp_path) == ["fc.bias", "fc.weight"]


def test_lightning_checkpoints_give_their_state_dict(tmp_path: Path) -> None:
    saved = {
        "epoch": 1,
        "pytorch-lightning_version": "2.0.0",
        "state_dict": {"model." + name: weight for name, weight in MODEL.items()},
        "optimizer_states": [adam_state()],
        "lr_schedulers": [{"last_epoch": 1, "factor": torch.ones(1)}],
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.ones(())}},
        "hyper_parameters": {"lr": 0.1, "weights": torch.ones(100)},
    }
    assert names_of(saved, tmp_path) == ["model.fc.bias", "model.fc.weight"]
    (where, left_out) = notes_of(saved, tmp_path)
    assert where == "the weights are its entry 'state_dict'"
    assert left_out == (
        "left out as not the model's weights: 'optimizer_states' (6 tensors), "
        "'lr_schedulers' (1 tensor), 'callbacks' (1 tensor), 'hyper_parameters' (1 tensor)"
    )


def test_the_model_is_preferred_to_its_moving_average(tmp_path: Path) -> None:
    average = {name: 0 * weight for name, weight in MODEL.items()}
    notes = notes_of({"ema": average, "model": MODEL}, tmp_path)
    assert notes[0] == "the weights are its entry 'model'"
    assert notes[1] == "left out as not the model's weights: 'ema' (2 tensors)"


def test_a_small_entry_called_model_does_not_hide_a_larger_one(tmp_path: Path) -> None:
    names = names_of({"model": SMALL, "backbone": MODEL}, tmp_path)
    assert names == ["backbone.fc.bias", "backbone.fc.weight", "model.fc.weight"]


def test_modules_saved_side_by_side_are_one_model(tmp_path: Path) -> None:
    saved = {"encoder": MODEL, "decoder": SMALL, "optim": adam_state()}
    names = names_of(saved, tmp_path)
    assert names == ["decoder.fc.weight", "encoder.fc.bias", "encoder.fc.weight"]


def test_a_flat_state_dict_keeps_a_tensor_whatever_its_name(tmp_path: Path) -> None:
    flat = {"model": torch.ones(2), "optimizer_scale": torch.ones(1), "history": torch.ones(1)}
    assert names_of(flat, tmp_path) == ["history", "model", "optimizer_scale"]
    assert notes_of(flat, tmp_path) == ()


def test_the_metadata_of_a_state_dict_is_no_weight(tmp_path: Path) -> None:
    model = nn.BatchNorm1d(4)
    assert hasattr(model.state_dict(), "_metadata")
    assert names_of(model.state_dict(), tmp_path) == sorted(model.state_dict())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.ones(3), ["0"]),
        ([torch.ones(3), torch.ones(2)], ["0", "1"]),
        ((torch.ones(3), "x", torch.ones(2)), ["0", "2"]),
        ({0: torch.ones(3), 1: torch.ones(2)}, ["0", "1"]),
        ([MODEL], ["fc.bias", "fc.weight"]),
        ({"layers": [SMALL, SMALL.copy()], "n": 2}, ["0.fc.weight"]),
    ],
    ids=["tensor", "list", "tuple", "integers", "list of one model", "list of layers"],
)
def test_lists_and_lone_tensors_are_numbered(
    value: object, expected: list[str], tmp_path: Path
) -> None:
    assert names_of(value, tmp_path) == expected


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_a_wrapper_around_every_name_is_taken_off_and_told(prefix: str, tmp_path: Path) -> None:
    saved = {prefix + name: weight for name, weight in MODEL.items()}
    assert names_of(saved, tmp_path) == ["fc.bias", "fc.weight"]
    assert notes_of(saved, tmp_path) == (f"the prefix '{prefix}' was taken off every name",)


def test_a_wrapper_around_some_names_stays(tmp_path: Path) -> None:
    saved = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert names_of(saved, tmp_path) == ["b", "module.a"]


def test_what_trainers_keep_beside_the_weights_is_swallowed(tmp_path: Path) -> None:
    saved = {
        "args": argparse.Namespace(lr=0.1, path=Path("x"), nested=argparse.Namespace(a=1)),
        "best": np.float32(1.5),
        "curve": np.arange(2000.0),
        "counts": defaultdict(list, {"a": [1]}),
        "when": datetime(2020, 1, 1),
        "shape": torch.Size([2, 3]),
        "device": torch.device("cuda:1"),
        "dtype": torch.float16,
        "version": torch.__version__,
        "sets": {1, frozenset({2})},
        "text": "x" * 100_000,
        "seed": 2**63 + 7,
        "huge": 10**500,
        "raw": b"\x00\xff" * 1000,
        "complex": 1j,
        "rng_state": torch.get_rng_state(),
        "model": OrderedDict(MODEL),
    }
    assert names_of(saved, tmp_path) == ["fc.bias", "fc.weight"]


@pytest.mark.parametrize("protocol", [2, 4])
def test_tokens_of_frameworks_are_swallowed_without_importing_them(
    protocol: int, tmp_path: Path
) -> None:
    from support.torch_files import mapping, name, text

    config = name("omegaconf.dictconfig.DictConfig") + b")\x81" + mapping({"a": text("b")}) + b"b"
    content = zip_of(mapping({"cfg": config, "model": mapping({"w": vector()})}))
    path = write(tmp_path / "model.ckpt", content)
    assert [tensor.name for tensor in read(path).tensors] == ["w"]


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"epoch": 3},
        adam_state(),
        {"optimizer": adam_state()},
        [],
        "text",
        {"a": torch.ones(1, device="meta")},
    ],
    ids=["empty", "epoch", "optimizer", "optimizer inside", "list", "text", "meta"],
)
def test_a_checkpoint_without_weights_is_refused_as_such(value: object, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        names_of(value, tmp_path)
    assert caught.value.code == "no-weights"


def test_a_dict_that_holds_itself_is_survived(tmp_path: Path) -> None:
    saved: dict[str, Any] = {"model": dict(MODEL)}
    saved["self"] = saved
    saved["model"]["parent"] = saved
    saved["model"]["model"] = saved["model"]
    assert names_of(saved, tmp_path) == ["fc.bias", "fc.weight"]


def test_two_tensors_of_the_same_name_are_refused(tmp_path: Path) -> None:
    saved = {"a": {"b": torch.ones(1)}, "a.b": torch.ones(2)}
    with pytest.raises(MalformedError) as caught:
        names_of(saved, tmp_path)
    assert (caught.value.code, caught.value.tensor) == ("tensor-duplicate-name", "a.b")


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"w": torch.ones(1), "v": torch.ones(1)}
    for _ in range(depth):
        value = {"a": value, "b": torch.ones(1)}
    return value


def long_joined_name() -> dict[str, Any]:
    return {"a" * 600: {"b" * 600: torch.ones(1), "c": torch.ones(1)}, "d": torch.ones(1)}


@pytest.mark.parametrize(
    ("value", "limits", "code"),
    [
        (nested(70), Limits(), "pickle-nesting"),
        ({"x" * 2000: torch.ones(1)}, Limits(), "tensor-name"),
        (long_joined_name(), Limits(), "tensor-name"),
        ({str(n): torch.ones(1) for n in range(11)}, Limits(tensors=10), "tensors"),
        (torch.ones((1,) * 9), Limits(), "tensor-dimensions"),
    ],
    ids=["nesting", "name", "joined name", "tensors", "dimensions"],
)
def test_what_is_beyond_a_limit_is_refused_by_its_name(
    value: object, limits: Limits, code: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    torch.save(value, path)
    with pytest.raises(LimitError) as caught:
        read(path, limits)
    assert (caught.value.code, caught.value.file) == (code, "model.pt")


def test_a_nesting_just_within_the_limit_is_read(tmp_path: Path) -> None:
    assert len(names_of(nested(60), tmp_path)) == 62


def test_hostile_names_stay_as_they_are_and_are_shown_printable(tmp_path: Path) -> None:
    name = "\x1b[31m<script>\u202e/../\ud800"
    path = tmp_path / "model.pt"
    torch.save({name: torch.ones(2)}, path)
    (tensor,) = read(path).tensors
    assert tensor.name == name
    torch.save({name: torch.ones(1).expand(2)}, path)
    with pytest.raises(ThermoscanError) as caught:
        read(path)
    assert str(caught.value).isprintable()
