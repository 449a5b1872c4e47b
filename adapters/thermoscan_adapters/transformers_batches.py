"""Texts and pictures as batches without padding, each small enough for the memory there is.

Inputs of one length stand together, so that no position of a batch is empty and every mean is over
real positions only. Random choices hang on the seed and the input's place in the data, not on the
batch.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

MASKED_SHARE = 0.15
"""Share of the tokens of a text that are masked (https://arxiv.org/abs/1810.04805)."""

IGNORED = -100
"""Label of a position at which no loss is taken."""

PIXELS_AT_ONCE = 32 * 3 * 224 * 224
"""Numbers in a batch of pictures; one that does not fit is halved."""

_MOST_POSITIONS = 8_192
_SHARE_OF_MEMORY = 4
_MOST_BYTES = 2 << 30

Row = Mapping[str, torch.Tensor]
"""One example, without the axis of examples; the first tensor is what the model reads."""


def batches(rows: Sequence[Row], positions: int) -> list[dict[str, torch.Tensor]]:
    """Stacks rows of the same shape, as many as make at most `positions`, or one.

    Args:
        rows: The examples. A text's positions are its tokens; a picture's are its pixels.
        positions: In a batch.
    """
    groups: dict[tuple[int, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(next(iter(row.values())).shape), []).append(row)
    made = []
    for shape, group in sorted(groups.items()):
        step = max(1, positions // math.prod(shape))
        for start in range(0, len(group), step):
            part = group[start : start + step]
            made.append({name: torch.stack([row[name] for row in part]) for name in part[0]})
    return made


def masked(
    ids: Sequence[int], special: frozenset[int], mask: int, generator: np.random.Generator
) -> tuple[list[int], list[int]] | None:
    """Masks a seeded share of a text's tokens, at least one.

    Returns:
        The text with the masks, and the labels; None for a text of special tokens only.
    """
    places = [index for index, each in enumerate(ids) if each not in special]
    if not places:
        return None
    count = max(1, round(MASKED_SHARE * len(places)))
    chosen = set(generator.choice(places, count, replace=False).tolist())
    hidden = [mask if index in chosen else each for index, each in enumerate(ids)]
    return hidden, [each if index in chosen else IGNORED for index, each in enumerate(ids)]


def positions_at_once(config: Any, length: int, device: str) -> int:
    """Returns how many tokens to run at once: what a quarter of the free memory holds, at most.

    Counts the logits four times and each layer's activations as a transformer has them, attention
    included, all in float32. It is an estimate; a batch that does not fit after all is halved.
    """
    inner = config.get_text_config()
    width = int(getattr(inner, "hidden_size", 0) or 1024)
    layers = int(getattr(inner, "num_hidden_layers", 0) or 12)
    heads = int(getattr(inner, "num_attention_heads", 0) or 16)
    words = int(getattr(inner, "vocab_size", 0) or 0)
    each = 4 * (4 * words + layers * (40 * width + 4 * heads * length))
    budget = min(free_bytes(device) // _SHARE_OF_MEMORY, _MOST_BYTES)
    return max(1, min(_MOST_POSITIONS, budget // each))


def free_bytes(device: str) -> int:
    """Returns how much memory is free, or there at all where the system does not say."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info()[0])
    try:
        stated = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:  # not Linux
        stated = None
    if stated:
        return int(stated[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def generators(seed: int) -> Iterator[np.random.Generator]:
    """Yields a generator for each example in turn."""
    index = 0
    while True:
        yield np.random.default_rng([seed, index])
        index += 1
