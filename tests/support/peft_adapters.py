"""Tiny models with LoRA adapters, and what PEFT itself makes of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

State = dict[str, torch.Tensor]


def bert() -> PreTrainedModel:
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=64, max_position_embeddings=16,
        )
    )  # fmt: skip


def llama() -> PreTrainedModel:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=64,
        )
    )  # fmt: skip


def gpt2() -> PreTrainedModel:
    tokens = {"bos_token_id": 0, "eos_token_id": 0}
    config = GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=60, n_positions=16, **tokens)
    return GPT2LMHeadModel(config)


MODELS = {"bert": bert, "llama": llama, "gpt2": gpt2}


def save(name: str, folder: Path, dtype: torch.dtype = torch.float32, **lora: Any) -> State:
    """Writes a random base and a random adapter of it; returns the state that PEFT merges.

    The base goes to ``folder/base``, the adapter to ``folder/adapter``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what transformers and PEFT deprecate is not ours
        return _save(name, folder, dtype, lora)


def _save(name: str, folder: Path, dtype: torch.dtype, lora: dict[str, Any]) -> State:
    torch.manual_seed(0)
    base = MODELS[name]().to(dtype)
    base.save_pretrained(folder / "base")
    tuned = get_peft_model(base, LoraConfig(init_lora_weights=False, **lora))
    with torch.no_grad():
        for key, value in tuned.named_parameters():
            if value.requires_grad and "lora_" not in key:
                value.add_(torch.randn_like(value) * 0.1)  # what bias= and modules_to_save train
    tuned.save_pretrained(folder / "adapter")
    fresh = MODELS[name]().from_pretrained(folder / "base", dtype=dtype)
    merged = PeftModel.from_pretrained(fresh, folder / "adapter").merge_and_unload()
    return {key: value.detach() for key, value in merged.state_dict().items()}
