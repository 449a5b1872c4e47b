"""The losses: a sum over positions, nats, each by the model's own head or a stand-in for one.

Every function here is a `thermoscan.probe.measure.Objective` but for its first arguments.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from thermoscan.probe.measure import Batch, Loss
from thermoscan_adapters.transformers_batches import IGNORED
from thermoscan_adapters.transformers_quiet import mapped

_FAILED = ("model-failed", "the model cannot be run on this data")


def causal(model: Any, batch: Batch) -> Loss:
    """Every token from those before it."""
    ids = batch["input_ids"]
    with mapped(*_FAILED):
        logits = model(**_inputs(ids), use_cache=False).logits
    return _entropy(logits[:, :-1], ids[:, 1:])


def masked(model: Any, batch: Batch) -> Loss:
    """The masked tokens from the others."""
    with mapped(*_FAILED):
        logits = model(**_inputs(batch["input_ids"])).logits
    return _entropy(logits, batch["labels"])


def sequences(model: Any, batch: Batch) -> Loss:
    """The text from itself."""
    ids = batch["input_ids"]
    with mapped(*_FAILED):
        logits = model(**_inputs(ids), labels=ids, use_cache=False).logits
    return _entropy(logits, ids)


def classes(model: Any, batch: Batch) -> Loss:
    """The label from the text or the picture."""
    inputs = {name: each for name, each in batch.items() if name != "labels"}
    if "input_ids" in inputs:
        inputs = _inputs(inputs["input_ids"])
    with mapped(*_FAILED):
        logits = model(**inputs).logits
    return _entropy(logits, batch["labels"])


def table_masked(model: Any, batch: Batch) -> Loss:
    """The masked tokens, by the product of the last hidden state and the table of embeddings."""
    labels = batch["labels"]
    with mapped(*_FAILED):
        hidden = model(**_inputs(batch["input_ids"])).last_hidden_state
        chosen = labels != IGNORED
        logits = hidden[chosen] @ model.get_input_embeddings().weight.T
    return _entropy(logits, labels[chosen])


def table_causal(model: Any, batch: Batch) -> Loss:
    """Every token from those before it, by the product with the table of embeddings."""
    ids = batch["input_ids"]
    with mapped(*_FAILED):
        hidden = model(**_inputs(ids), use_cache=False).last_hidden_state
        logits = hidden[:, :-1] @ model.get_input_embeddings().weight.T
    return _entropy(logits, ids[:, 1:])


@torch.no_grad()
def forward_only(model: Any, batch: Batch) -> Loss:
    """Nothing: the model is run, and no loss taken."""
    first = next(iter(batch.values()))
    inputs = {name: each for name, each in batch.items() if name != "labels"}
    if "input_ids" in inputs:
        inputs = _inputs(inputs["input_ids"])
        if model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = first
    with mapped(*_FAILED):
        model(**inputs)
    return Loss(None, first.numel() if "input_ids" in batch else len(first))


def _inputs(ids: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _entropy(logits: torch.Tensor, labels: torch.Tensor) -> Loss:
    """The summed cross-entropy over the positions that have a label."""
    flat = labels.reshape(-1)
    total = functional.cross_entropy(
        logits.reshape(len(flat), -1), flat, ignore_index=IGNORED, reduction="sum"
    )
    return Loss(total, int((flat != IGNORED).sum()))
