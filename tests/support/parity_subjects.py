"""Checkpoints that both WeightWatcher and the package take the spectra of.

`live` are small and analysed by both whenever the tests run. `RECORDED` are published ones that
WeightWatcher needs half a minute for: its rows are kept in ``tests/core/goldens/weightwatcher``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from support.wheels import path_of

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Subject:
    """One model.

    Attributes:
        name: For the table.
        what: In a few words.
        scanned: What the package scans.
        watched: The state dict that WeightWatcher gets.
    """

    name: str
    what: str
    scanned: Path
    watched: Path


RECORDED: Mapping[str, tuple[str, str]] = {
    "minilm": ("MiniLM, as published", "model.safetensors"),
    "crepe-full": ("CREPE, full size, as published", ""),
}
"""Name -> what it is, and its file inside what is scanned."""


def recorded(name: str) -> Subject:
    """Returns one of `RECORDED`."""
    what, file = RECORDED[name]
    return Subject(name, what, path_of(name), path_of(name) / file)


def live(folder: Path) -> list[Subject]:
    """Writes the small ones into `folder`, and returns them."""
    tiny = path_of("crepe-tiny")
    made: dict[str, tuple[str, Callable[[], Tensors]]] = {
        "mlp": ("an MLP 64-48-32-10 trained on scikit-learn's digits", lambda: _mlp(10)),
        "embedding": ("a table of 3000 by 48 with heavy tails", _embedding),
        "edges": ("small, rank-deficient, tiny, constant and zero matrices", _edges),
    }
    subjects = [Subject("crepe-tiny", "CREPE, tiny size, as published", tiny, tiny)]
    for name, (what, tensors) in made.items():
        path = folder / f"{name}.safetensors"
        save_file(tensors(), path)
        subjects.append(Subject(name, what, path, path))
    return [*subjects, _narrow(folder), *_gpt2(folder)]


def earlier_mlp(folder: Path) -> Path:
    """Writes the MLP of `live` as it was in the midst of its training, and returns its path."""
    path = folder / "earlier.safetensors"
    save_file(_mlp(6), path)
    return path


def _mlp(epochs: int) -> Tensors:
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    inputs, labels = load_digits(return_X_y=True)
    model = MLPClassifier((48, 32), learning_rate_init=0.01, random_state=0)
    for _ in range(epochs):
        model.partial_fit(inputs / 16, labels, classes=range(10))
    return {
        f"{index}.weight": np.ascontiguousarray(each.T, dtype=np.float32)
        for index, each in enumerate(model.coefs_)
    }


def _embedding() -> Tensors:
    values = np.random.default_rng(1).standard_t(3, (3000, 48)) * 0.1
    return {"embeddings.weight": values.astype(np.float32)}


def _narrow(folder: Path) -> Subject:
    """The same table in a type that numpy has not."""
    import torch
    from safetensors.torch import save_file as save_torch

    path = folder / "bfloat16.safetensors"
    save_torch({k: torch.from_numpy(v).bfloat16() for k, v in _embedding().items()}, path)
    return Subject("bfloat16", "the same table as bfloat16", path, path)


def _edges() -> Tensors:
    draw = np.random.default_rng(2)
    few_channels = draw.standard_normal((20, 2)) @ draw.standard_normal((3, 3, 2, 16))
    tensors = {
        "low_rank.weight": draw.integers(-4, 5, (60, 12)) @ draw.integers(-4, 5, (12, 40)),
        "graded.weight": np.eye(40, 60) * np.logspace(0, -12, 40)[:, None],
        "few.weight": draw.standard_normal((9, 30)),
        "fifteen.weight": draw.standard_t(2, (15, 50)),
        "too_few.weight": draw.standard_normal((5, 30)),
        "wide_kernel.weight": draw.standard_normal((6, 11, 2, 2)),
        "odd_kernel.weight": draw.standard_normal((6, 11, 3, 3)),
        "one_channel.weight": draw.standard_normal((12, 1, 3, 4)),
        "few_channels.weight": few_channels,
        "low_rank_kernel.weight": few_channels.transpose(2, 3, 0, 1),
        "tiny.weight": draw.standard_normal((30, 20)) * 1e-4,
        "constant.weight": np.full((20, 30), 0.5),
        "zero.weight": np.zeros((16, 24)),
    }
    # Single precision: WeightWatcher rounds anything else to it before it looks.
    return {name: np.ascontiguousarray(each, dtype=np.float32) for name, each in tensors.items()}


def _gpt2(folder: Path) -> list[Subject]:
    """A GPT-2 as drawn; its fused projections as three matrices each, and as one."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"n_embd": 256, "n_layer": 4, "n_head": 4, "vocab_size": 600, "n_positions": 96}
    config = GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
    path = folder / "gpt2"
    GPT2LMHeadModel(config).save_pretrained(path)
    stored = load_file(path / "model.safetensors")
    split, fused = {}, {}
    for name, value in stored.items():
        if name.endswith("c_attn.weight"):
            fused[f"fused.{len(fused)}.weight"] = value
            thirds = zip(("query", "key", "value"), np.split(value, 3, axis=1), strict=True)
            split |= {f"{name}[{part}].weight": third.copy() for part, third in thirds}
        else:
            split[name] = value
    paths = [folder / "gpt2-split.safetensors", folder / "gpt2-fused.safetensors"]
    for each, tensors in zip(paths, (split, fused), strict=True):
        save_file(tensors, each)
    return [
        Subject("gpt2", "a GPT-2 as drawn: query, key and value apart", path, paths[0]),
        Subject("gpt2-fused", "its fused projections whole", paths[1], paths[1]),
    ]
