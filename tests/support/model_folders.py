"""Folders that hold tiny random models of transformers, with a tokenizer of single characters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from support.tiny_models import TINY, build

_SPECIAL = ("[PAD]", "[UNK]", "[MASK]", "[EOS]")
_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?()"


def write_tokenizer(folder: Path, mask: bool = True) -> None:
    """Writes a tokenizer whose tokens are characters; at most 76 of them."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: index for index, token in enumerate([*_SPECIAL, *_CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    more = {"mask_token": "[MASK]"} if mask else {}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]", **more
    ).save_pretrained(folder)


def write_model(
    folder: Path, model_type: str, head: str, seed: int = 0, dtype: str = "float32", **sizes: Any
) -> torch.nn.Module:
    """Writes a random model of a type in `support.tiny_models.TINY`, and its tokenizer."""
    torch.manual_seed(seed)
    experts = {"num_experts_per_tok": 2} if "moe" in model_type or model_type == "mixtral" else {}
    model = build(model_type, head, "cpu", **{**experts, **sizes}).to(getattr(torch, dtype))
    return save(model, folder, TINY[model_type].inputs == "pixels")


def save(model: Any, folder: Path, pictures: bool = False) -> torch.nn.Module:
    """Saves a model of transformers, and a tokenizer beside it unless it takes pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    if not pictures:
        write_tokenizer(folder)
    saved: torch.nn.Module = model.eval()
    return saved


def edit_config(folder: Path, **changes: Any) -> None:
    """Changes keys of a model's ``config.json``; None takes a key away."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: each for key, each in config.items() if each is not None}))
