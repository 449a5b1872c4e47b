"""Safetensors files for tests: valid ones by the safetensors library, broken ones byte by byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file


def write_raw(path: Path, header: bytes | Mapping[str, Any], data: bytes = b"") -> Path:
    """Writes a file with this header, as bytes or as what JSON makes of it, and these bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(dtype: object, shape: object, begin: object, end: object) -> dict[str, object]:
    """Returns the description of one tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write_tensors(path: Path, *names: str, rows: int = 2) -> Path:
    """Writes a valid file of small float32 tensors with these names."""
    rng = np.random.default_rng(len(names))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: rng.standard_normal((rows, 3), dtype=np.float32) for name in names}, path)
    return path


def write_sharded(
    folder: Path, shards: Mapping[str, tuple[str, ...]], **metadata: object
) -> dict[str, Any]:
    """Writes shards of small tensors and their index; returns the index as it was written."""
    weight_map = {}
    for shard, names in shards.items():
        write_tensors(folder / shard, *names)
        weight_map.update(dict.fromkeys(names, shard))
    index = {"metadata": metadata, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return index
