"""Which file of a folder is the checkpoint: the order of preference, and when not to choose."""

from __future__ import annotations

import pytest

from thermoscan.errors import SourceError, SourceNotFoundError
from thermoscan_adapters.selection import choose, indexed_format, looks_like_weights

SAFE, SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
DIFFUSION = "diffusion_pytorch_model.safetensors"
TORCH, TORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([TORCH, TORCH_INDEX, SAFE, SAFE_INDEX], SAFE_INDEX),
        ([TORCH, TORCH_INDEX, SAFE], SAFE),
        ([TORCH, TORCH_INDEX], TORCH_INDEX),
        ([TORCH, "a.bin", "b.safetensors"], TORCH),
        ([SAFE, "model.fp16.safetensors", "a.onnx", "README.md"], SAFE),
        (["a.safetensors", "b.bin", "c.pt", "d.onnx"], "a.safetensors"),
        (["A.SAFETENSORS", "b.bin"], "A.SAFETENSORS"),
        (["x.safetensors.index.json", "x-1.safetensors"], "x.safetensors.index.json"),
        (["a.PT", "config.json"], "a.PT"),
        (["a.ckpt", "training_args.bin", "optimizer.pt", "rng_state_0.pth"], "a.ckpt"),
        (["a.pth.tar"], "a.pth.tar"),
        (["a.gguf", "README.md"], "a.gguf"),
        ([DIFFUSION, f"{DIFFUSION}.index.json", "a.safetensors"], f"{DIFFUSION}.index.json"),
        ([DIFFUSION, TORCH, "diffusion_pytorch_model.bin"], DIFFUSION),
        ([SAFE, DIFFUSION], SAFE),
        (["diffusion_pytorch_model.bin", "x.bin"], "diffusion_pytorch_model.bin"),
    ],
)
def test_the_most_trusted_standard_name_wins(names: list[str], chosen: str) -> None:
    assert choose(names, "m") == chosen == choose(names[::-1], "m")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["a.safetensors", "a.fp16.safetensors"], "a.safetensors"),
        (["a.safetensors", "a.non_ema.safetensors", "a.bf16.safetensors"], "a.safetensors"),
        (["a.bin", "a.fp16.bin", "a.safetensors.md"], "a.bin"),
        (["a.fp16.safetensors"], "a.fp16.safetensors"),
        (["model.fp16.safetensors", "pytorch_model.bin"], "pytorch_model.bin"),
        (
            ["x.safetensors.index.fp16.json", "x.fp16-1.safetensors", "x.fp16-2.safetensors"],
            "x.safetensors.index.fp16.json",
        ),
        (
            ["x.safetensors.index.fp16.json", "x.safetensors.index.json"],
            "x.safetensors.index.json",
        ),
        ([f"{DIFFUSION}.index.fp16.json", DIFFUSION], DIFFUSION),
    ],
)
def test_a_variant_gives_way_to_what_it_is_a_variant_of(names: list[str], chosen: str) -> None:
    assert choose(names, "m") == chosen == choose(names[::-1], "m")


@pytest.mark.parametrize(
    "names",
    [
        ["a.fp16.safetensors", "a.fp32.safetensors"],
        ["a.safetensors", "a.fp16.safetensors", "b.safetensors"],
        ["v1.5.safetensors", "v1.safetensors"],
        ["a.safetensors", "a.lora.safetensors"],
        ["a.safetensors", "b.fp16.safetensors"],
    ],
)
def test_what_only_looks_like_a_variant_is_not_chosen_between(names: list[str]) -> None:
    with pytest.raises(SourceError, match="--file") as caught:
        choose(names, "m")
    assert caught.value.code == "several-checkpoints"


@pytest.mark.parametrize(
    "names",
    [
        ["a.safetensors", "b.safetensors"],
        ["a.pt", "b.pth"],
        ["a.onnx", "b.gguf"],
        ["a.safetensors.index.json", "b.safetensors.index.json"],
    ],
)
def test_several_checkpoints_are_listed_and_none_is_chosen(names: list[str]) -> None:
    with pytest.raises(SourceError, match=f"{names[0]}, {names[1]}") as caught:
        choose(names, "m")
    assert (caught.value.code, caught.value.file) == ("several-checkpoints", "m")


def test_a_long_list_of_hostile_names_stays_short_and_printable() -> None:
    with pytest.raises(SourceError) as caught:
        choose([f"\x1b[31m{i:03}{'x' * 300}.pt" for i in range(200)], "m")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert "and 192 more" in str(caught.value)


@pytest.mark.parametrize("names", [[], ["README.md", "config.json"], ["training_args.bin"]])
def test_a_folder_without_weights_says_so(names: list[str]) -> None:
    with pytest.raises(SourceNotFoundError) as caught:
        choose(names, "m")
    assert caught.value.code == "no-weights"


def test_indexes_and_weights_are_known_by_their_suffixes() -> None:
    assert indexed_format(SAFE_INDEX) == "safetensors"
    assert indexed_format(TORCH_INDEX) == "torch"
    assert indexed_format("model.safetensors.index.fp16.json") == "safetensors"
    assert indexed_format("model.safetensors.index.a.b.json") is None
    assert indexed_format(SAFE) is indexed_format("a.index.json") is None
    assert looks_like_weights("A.SafeTensors")
    assert not any(looks_like_weights(name) for name in ("a.json", "bin", "a.txt", SAFE_INDEX))
