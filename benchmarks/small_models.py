"""Many small models of mixed formats, as a folder of models holds them: made once and kept.

The formats take turns: safetensors of float32, bfloat16 and float16, torch's archive of float32,
torch's former pickle of float32. Sizes are spread evenly over the logarithm between two bounds.
Weights are normal with deviation 0.02, in square matrices with a bias each.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data
from benchmarks.scale import Scale

FORMATS = ("F32", "BF16", "F16", "torch", "torch-legacy")
_DEVIATION = 0.02


def small_models(scale: Scale) -> Path:
    """Returns a folder that holds `scale.small_models` models, each in a folder ``org/NAME``."""
    least, most = scale.model_bytes
    path = data.cache_folder() / f"models-{scale.small_models}-{least}-{most}-{scale.model_width}"
    return data.once(path, lambda part: _write_all(part, scale))


def _write_all(folder: Path, scale: Scale) -> None:
    least, most = scale.model_bytes
    for number, size in enumerate(np.geomspace(least, most, scale.small_models)):
        # Every format has small and large ones, and neighbours differ in both.
        home = folder / "org" / f"model-{(number * 7919) % scale.small_models:04d}"
        home.mkdir(parents=True)
        _write(home, FORMATS[number % len(FORMATS)], int(size), scale.model_width, number)


def _write(home: Path, form: str, size: int, width: int, seed: int) -> None:
    itemsize = data.itemsize(form) if form in {"BF16", "F16"} else 4
    layers = max(1, round(size / (itemsize * width * (width + 1))))
    normal = np.random.default_rng(seed).standard_normal((layers, width + 1, width), np.float32)
    normal *= np.float32(_DEVIATION)
    if form.startswith("torch"):
        # By name, so that a type checker needs no torch.
        torch: Any = importlib.import_module("torch")
        state = {
            name: torch.from_numpy(values.copy())
            for k, layer in enumerate(normal)
            for name, values in ((f"{k}.weight", layer[:-1]), (f"{k}.bias", layer[-1]))
        }
        torch.save(
            state,
            home / "pytorch_model.bin",
            _use_new_zipfile_serialization=form == "torch",
        )
        return
    header: dict[str, object] = {}
    end = 0
    for k in range(layers):
        for name, shape in ((f"{k}.weight", [width, width]), (f"{k}.bias", [width])):
            begin, end = end, end + int(np.prod(shape)) * itemsize
            header[name] = {"dtype": form, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    content = data.encode(normal, form)
    (home / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + content)
