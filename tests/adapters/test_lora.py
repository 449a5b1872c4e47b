"""An adapter opened on its base is the model that PEFT merges; what does not fit is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.peft_adapters import State, save

from thermoscan.checkpoint import Checkpoint, OpenOptions, Tensor
from thermoscan.errors import ThermoscanError
from thermoscan.tally.accumulate import bits_of
from thermoscan.tally.geometry import memory_axes
from thermoscan.tally.layout import read_elements
from thermoscan.tally.reference import values
from thermoscan_adapters.disk import DiskAdapter

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("llama", {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"]}),
    "root scale": (
        "llama",
        {"r": 4, "lora_alpha": 8, "target_modules": ["k_proj"], "use_rslora": True},
    ),
    "patterns": (
        "bert",
        {
            "r": 4, "lora_alpha": 8, "target_modules": ["query", "value"],
            "rank_pattern": {"layer.1.attention.self.query": 2}, "alpha_pattern": {"value": 3},
        },
    ),
    "embedding": ("bert", {"r": 3, "target_modules": ["word_embeddings", "query"]}),
    "square convolution": (
        "gpt2",
        {"r": 4, "target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True},
    ),
    "biases of its layers": ("bert", {"r": 2, "target_modules": ["query"], "bias": "lora_only"}),
    "all biases": ("bert", {"r": 2, "target_modules": ["key"], "bias": "all"}),
    "saved modules": (
        "bert",
        {"r": 2, "target_modules": ["query"], "modules_to_save": ["classifier"]},
    ),
}  # fmt: skip


def opened(folder: Path, base: str = "base") -> tuple[Checkpoint, Checkpoint]:
    before = DiskAdapter().open(str(folder / base), OpenOptions())
    return before, DiskAdapter().open(str(folder / "adapter"), OpenOptions(base=before))


def read(checkpoint: Checkpoint, tensor: Tensor, step: int = 1 << 12) -> np.ndarray[Any, Any]:
    """Reads a tensor in steps that do not end where rows do."""
    content = bytearray(tensor.nbytes)
    step = step // tensor.dtype.itemsize * tensor.dtype.itemsize
    for first in range(0, tensor.nbytes, step):
        part = memoryview(content)[first : first + step]
        read_elements(checkpoint.reader, tensor, first, part)
    found = values(bits_of(memoryview(content), tensor.dtype), tensor.dtype)
    axes = memory_axes(tensor)
    return found.reshape([tensor.shape[a] for a in axes]).transpose(np.argsort(axes))


def assert_merged(checkpoint: Checkpoint, expected: State, relative: float) -> None:
    assert {tensor.name for tensor in checkpoint.tensors} <= expected.keys()
    for tensor in checkpoint.tensors:
        wanted = expected[tensor.name].double().numpy()
        np.testing.assert_allclose(
            read(checkpoint, tensor, 1000), wanted, rtol=relative, atol=relative * 0.1
        )


@pytest.mark.parametrize("case", CASES)
def test_an_adapter_reads_as_the_model_that_peft_merges(case: str, tmp_path: Path) -> None:
    name, lora = CASES[case]
    expected = save(name, tmp_path, **lora)
    before, merged = opened(tmp_path)
    assert_merged(merged, expected, 1e-5)
    unchanged = load_file(tmp_path / "base" / "model.safetensors")
    changed = [key for key in unchanged if not torch.equal(unchanged[key], expected[key])]
    assert changed  # PEFT did change something, so that agreeing with it says something
    assert [t.name for t in merged.tensors] == [t.name for t in before.tensors]


def test_a_bfloat16_base_stays_bfloat16(tmp_path: Path) -> None:
    expected = save("llama", tmp_path, torch.bfloat16, r=4, target_modules=["q_proj"])
    _, merged = opened(tmp_path)
    assert {tensor.dtype.label for tensor in merged.tensors} == {"BF16"}
    assert_merged(merged, expected, 2**-7)  # PEFT rounds the product first, then the sum


def test_a_base_without_the_prefix_of_the_head_is_found(tmp_path: Path) -> None:
    expected = save("bert", tmp_path, r=2, target_modules=["query"])
    state = load_file(tmp_path / "base" / "model.safetensors")
    (tmp_path / "bare").mkdir()
    bare = {k.removeprefix("bert."): v for k, v in state.items() if k.startswith("bert.")}
    save_file(bare, tmp_path / "bare" / "model.safetensors")
    _, merged = opened(tmp_path, "bare")
    assert_merged(merged, {k.removeprefix("bert."): v for k, v in expected.items()}, 1e-5)


def test_a_transposed_base_in_a_torch_file_is_merged_too(tmp_path: Path) -> None:
    expected = save("llama", tmp_path, r=4, target_modules=["q_proj", "down_proj"])
    state = load_file(tmp_path / "base" / "model.safetensors")
    turned = {k: v.T.contiguous().T if v.ndim == 2 else v for k, v in state.items()}
    (tmp_path / "turned").mkdir()
    torch.save(turned, tmp_path / "turned" / "pytorch_model.bin")
    _, merged = opened(tmp_path, "turned")
    assert_merged(merged, expected, 1e-5)


def test_an_adapter_alone_says_what_to_do(tmp_path: Path) -> None:
    save("llama", tmp_path, r=2, target_modules=["q_proj"])
    with pytest.raises(ThermoscanError, match="thermoscan compare BASE ADAPTER") as error:
        DiskAdapter().open(str(tmp_path / "adapter"), OpenOptions())
    assert error.value.code == "adapter-alone"


@pytest.mark.parametrize("factor", [math.inf, 1e300])
def test_factors_out_of_range_make_weights_that_are_not_finite(
    factor: float, tmp_path: Path
) -> None:
    save("llama", tmp_path, r=2, target_modules=["q_proj"])
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({k: v.double() * factor for k, v in load_file(weights).items()}, weights)
    _, merged = opened(tmp_path)
    changed = [t for t in merged.tensors if t.name.endswith("q_proj.weight")]
    assert changed
    for tensor in changed:
        assert not np.isfinite(read(merged, tensor)).all()


Edit = Callable[[dict[str, Any], State], None]


def setting(**fields: Any) -> Edit:
    return lambda config, _: config.update(fields)


def change_first(change: Callable[[torch.Tensor], torch.Tensor], ending: str) -> Edit:
    def edit(_: dict[str, Any], state: State) -> None:
        key = next(key for key in state if key.endswith(ending))
        state[key] = change(state[key]).contiguous()

    return edit


def rename(old: str, new: str) -> Edit:
    def edit(_: dict[str, Any], state: State) -> None:
        for key in list(state):
            state[key.replace(old, new)] = state.pop(key)

    return edit


def drop_first(ending: str) -> Edit:
    def edit(_: dict[str, Any], state: State) -> None:
        del state[next(key for key in state if key.endswith(ending))]

    return edit


def repeat_first(ending: str, name: str) -> Edit:
    """Holds a tensor of the first factor's shape under a name of its module's."""

    def edit(_: dict[str, Any], state: State) -> None:
        key = next(key for key in state if key.endswith(ending))
        for each in name.split():
            state[key.replace(ending, each)] = torch.zeros_like(state[key])

    return edit


HOSTILE: dict[str, tuple[Edit, str]] = {
    "another kind": (setting(peft_type="IA3"), "adapter-type"),
    "no kind": (setting(peft_type=None), "adapter-type"),
    "a hostile kind": (setting(peft_type={"\x1b[31m": 1}), "adapter-type"),
    "DoRA": (setting(use_dora=True), "adapter-variant"),
    "PiSSA": (setting(init_lora_weights="pissa_niter_4"), "adapter-variant"),
    "replicated layers": (setting(layer_replication=[[0, 2]]), "adapter-variant"),
    "NaN alpha": (setting(lora_alpha=float("nan")), "adapter-config-number"),
    "no alpha": (setting(lora_alpha=None), "adapter-config"),
    "huge rank": (setting(r=10**12), "adapter-config"),
    "true rank": (setting(r=True), "adapter-config"),
    "rank zero": (setting(r=0), "adapter-config"),
    "another rank": (setting(r=3), "adapter-rank"),
    "a pattern that could run for years": (setting(rank_pattern={"(a+)+$": 2}), "adapter-config"),
    "a list of patterns": (setting(alpha_pattern=[1]), "adapter-config"),
    "wrong shape": (change_first(lambda a: a[:, :-1], "lora_A.weight"), "adapter-shape"),
    "wrong rank": (change_first(lambda a: a[:1], "lora_A.weight"), "adapter-rank"),
    "a vector": (change_first(lambda a: a[:, 0], "lora_B.weight"), "adapter-shape"),
    "an absent target": (rename("q_proj", "z_proj"), "adapter-target"),
    "a factor without its partner": (drop_first("lora_B.weight"), "adapter-key"),
    "other names": (rename("base_model.model.", ""), "adapter-key"),
    "a product for a weight that it holds whole": (
        repeat_first("lora_B.weight", "weight"), "adapter-key"
    ),
    "two products for one weight": (
        repeat_first("lora_A.weight", "lora_embedding_A lora_embedding_B"), "adapter-key"
    ),
    "one weight under two names": (
        repeat_first("q_proj.lora_A.weight", "o_proj.weight o_proj.base_layer.weight"),
        "adapter-key",
    ),
    "a magnitude": (rename("lora_A.weight", "lora_magnitude_vector"), "adapter-key"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_an_adapter_that_does_not_fit_is_refused_by_its_code(case: str, tmp_path: Path) -> None:
    save("llama", tmp_path, r=2, target_modules=["q_proj"])
    edit, code = HOSTILE[case]
    config_file, weights = (
        tmp_path / "adapter" / name for name in ("adapter_config.json", "adapter_model.safetensors")
    )
    config, state = json.loads(config_file.read_text()), load_file(weights)
    edit(config, state)
    config_file.write_text(json.dumps(config))
    save_file(state, weights)
    with pytest.raises(ThermoscanError) as error:
        opened(tmp_path)
    assert error.value.code == code
    assert "\x1b" not in str(error.value)
