"""Names and shapes of real modules and real checkpoints, as the anatomy takes them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thermoscan.checkpoint import Tensor
from thermoscan.dtypes import DType

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

_DTYPES = {
    "torch.float32": DType.F32,
    "torch.float16": DType.F16,
    "torch.bfloat16": DType.BF16,
    "torch.int64": DType.I64,
    "torch.uint8": DType.U8,
    "torch.bool": DType.BOOL,
}


def tensor(name: str, *shape: int, dtype: DType = DType.F32) -> Tensor:
    """A stored tensor of which only name, shape and dtype matter."""
    return Tensor(name, dtype, shape, "file", 0)


def tensors_of(state: Mapping[str, Any]) -> list[Tensor]:
    """The tensors of a torch state dict."""
    return [
        tensor(name, *value.shape, dtype=_DTYPES[str(value.dtype)])
        for name, value in state.items()
        if hasattr(value, "shape")
    ]


def tensors_in_safetensors(path: Path) -> list[Tensor]:
    """The tensors that a safetensors file's header lists, in stored order."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    entries = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    return [tensor(name, *e["shape"], dtype=DType[e["dtype"]]) for name, e in entries]


def tensors_in_torch_file(path: Path, *inside: str) -> list[Tensor]:
    """The tensors of a state dict that torch saved, under the keys `inside`."""
    import torch

    state: Any = torch.load(path, map_location="cpu", weights_only=True)
    for key in inside:
        state = state[key]
    return tensors_of(state)


_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
    "pad_token_id": 0,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2, "head_dim": 16}
_EXPERTS = {**_GROUPED, "moe_intermediate_size": 32}

#: Model type -> (prefix of its classes, sizes).
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", _SIZES),
    "roberta": ("Roberta", {**_SIZES, "max_position_embeddings": 64}),
    "distilbert": (
        "DistilBert",
        {"dim": 64, "hidden_dim": 96, "n_layers": 2, "n_heads": 4, "vocab_size": 100},
    ),
    "gpt2": (
        "GPT2",
        {
            "n_embd": 64,
            "n_layer": 2,
            "n_head": 4,
            "vocab_size": 100,
            "bos_token_id": 0,
            "eos_token_id": 0,
            "pad_token_id": 0,
        },
    ),
    "gpt_neox": ("GPTNeoX", {**_SIZES, "eos_token_id": 0}),
    "llama": ("Llama", _GROUPED),
    "mistral": ("Mistral", _GROUPED),
    "phi3": ("Phi3", {**_GROUPED, "eos_token_id": 0}),
    "qwen2": ("Qwen2", _GROUPED),
    "qwen3": ("Qwen3", _GROUPED),
    "gemma": ("Gemma", _GROUPED),
    "gemma2": ("Gemma2", _GROUPED),
    "vit": ("ViT", {**_SIZES, "image_size": 32, "patch_size": 8}),
    "mixtral": ("Mixtral", {**_GROUPED, "num_local_experts": 3}),
    "qwen2_moe": (
        "Qwen2Moe",
        {**_EXPERTS, "num_experts": 3, "shared_expert_intermediate_size": 48},
    ),
    "qwen3_moe": ("Qwen3Moe", {**_EXPERTS, "num_experts": 3}),
}


def configuration(model_type: str, **overrides: Any) -> PreTrainedConfig:
    """The configuration of a tiny model of this type."""
    import transformers

    prefix, sizes = FAMILIES[model_type]
    made: PreTrainedConfig = getattr(transformers, f"{prefix}Config")(**{**sizes, **overrides})
    return made


def build(model_type: str, head: str, device: str = "meta", **overrides: Any) -> PreTrainedModel:
    """A tiny model of this type; `head` ends the name of its class ("Model", "ForCausalLM")."""
    import torch
    import transformers

    prefix, _ = FAMILIES[model_type]
    ending = {"gpt2": {"ForCausalLM": "LMHeadModel"}}.get(model_type, {}).get(head, head)
    cls: Callable[[PreTrainedConfig], PreTrainedModel]
    cls = getattr(transformers, prefix + ending)
    with torch.device(device):
        return cls(configuration(model_type, **overrides))


def modules_of(model: PreTrainedModel) -> dict[str, torch.nn.Module]:
    """A model's modules by path."""
    return dict(model.named_modules())
