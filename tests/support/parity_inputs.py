"""Inputs that WeightWatcher is said to fail on, and the matrices that are in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from studies.weightwatcher import Answer, Job

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Input:
    """One checkpoint.

    Attributes:
        what: In a few words, for the table.
        path: File or folder.
        matrices: Name of a layer, as the package calls it -> its matrix.
        beside: Layers of WeightWatcher's that are no point of this input.
        given: How WeightWatcher gets it, the most helpful way last.
    """

    what: str
    path: Path
    matrices: dict[str, np.ndarray]
    beside: frozenset[str] = frozenset()
    given: tuple[str, ...] = field(default=("state dict",))

    def jobs(self) -> list[Job]:
        """Returns what to ask WeightWatcher."""
        return [Job((str(self.path),), given=each) for each in self.given]

    def outcome(self, answer: Answer) -> str:
        """Returns what WeightWatcher did, in words."""
        if answer.error:
            return f"raises `{answer.error}`"
        rows = {row["longname"] for row in answer.rows} - self.beside
        return "analyses it" if rows else "leaves it out"


WAYS = {
    "path": "its path",
    "state dict": "what `torch.load` or `load_file` returns",
    "lstm": "a `torch.nn.LSTM` with these weights",
}
"""How WeightWatcher gets a model -> the words of the table."""


def inputs(folder: Path) -> list[Input]:
    """Writes all of them into `folder`."""
    torch.manual_seed(3)
    plain = {"0.weight": torch.randn(24, 16), "2.weight": torch.randn(12, 24)}
    return [
        *_containers(plain, folder),
        _not_a_number(plain, folder),
        _tall(plain, folder),
        _experts(folder),
        _lstm(folder),
    ]


def _containers(plain: State, folder: Path) -> Iterator[Input]:
    held = {name: value.numpy() for name, value in plain.items()}
    single = folder / "single.safetensors"
    save_file(plain, single)
    yield Input("a single `.safetensors` file", single, held, given=("path",))
    other = folder / "unet"
    other.mkdir()
    save_file(plain, other / "diffusion_pytorch_model.safetensors")
    what = "a folder whose weights are not called `model…` or `pytorch_model…`"
    yield Input(what, other, held, given=("path",))
    nested = folder / "nested.pt"
    torch.save({"model": plain, "epoch": 3}, nested)
    ways = ("path", "state dict")
    yield Input("a state dict nested under `model`, `.pt`", nested, held, given=ways)
    legacy = folder / "legacy.bin"
    torch.save(plain, legacy, _use_new_zipfile_serialization=False)
    yield Input("a state dict as torch before 1.6 wrote it, `.bin`", legacy, held, given=ways)


def _not_a_number(plain: State, folder: Path) -> Input:
    path = folder / "nan.safetensors"
    broken = plain["0.weight"].clone()
    broken[3, 5], broken[7, 2] = np.nan, np.inf
    save_file(plain | {"0.weight": broken}, path)
    held = {"0.weight": np.nan_to_num(broken.numpy(), nan=0.0, posinf=0.0)}
    return Input(
        "a NaN and an infinite element", path, held | {"2.weight": plain["2.weight"].numpy()}
    )


def _tall(plain: State, folder: Path) -> Input:
    path = folder / "tall.safetensors"
    tall = torch.randn(50_001, 8)
    save_file(plain | {"tall.weight": tall}, path)
    what = "a matrix with 50,001 rows"
    return Input(what, path, {"tall.weight": tall.numpy()}, frozenset({"0", "2"}))


def _experts(folder: Path) -> Input:
    path = folder / "experts.safetensors"
    prefix = "model.layers.0.mlp.experts"
    fused, down = torch.randn(3, 16, 40), torch.randn(3, 20, 16)
    stored = {"model.embed_tokens.weight": torch.randn(40, 16)}
    save_file(stored | {f"{prefix}.gate_up_proj": fused, f"{prefix}.down_proj": down}, path)
    held = {}
    for expert in range(3):
        held[f"{prefix}.gate_up_proj[{expert}][gate]"] = fused[expert, :, :20].numpy()
        held[f"{prefix}.gate_up_proj[{expert}][up]"] = fused[expert, :, 20:].numpy()
        held[f"{prefix}.down_proj[{expert}]"] = down[expert].numpy()
    what = "experts stacked in three dimensions"
    return Input(what, path, held, frozenset({"model.embed_tokens"}))


def _lstm(folder: Path) -> Input:
    path = folder / "lstm.pt"
    state = torch.nn.LSTM(20, 16).state_dict()
    torch.save(state, path)
    held = {
        f"{name}[{gate}]": part
        for name in ("weight_ih_l0", "weight_hh_l0")
        for gate, part in zip("ifgo", np.split(state[name].numpy(), 4), strict=True)
    }
    return Input("the weights of an LSTM", path, held, given=("state dict", "lstm"))


def without_torch(folder: Path) -> Input:
    """Writes a folder with bfloat16 weights, for where torch is not installed."""
    torch.manual_seed(4)
    path = folder / "bfloat16"
    path.mkdir()
    stored = {name: torch.randn(20, 12).bfloat16() for name in ("0.weight", "2.weight")}
    save_file(stored, path / "model.safetensors")
    held = {name: value.float().numpy() for name, value in stored.items()}
    what = "a folder with a bfloat16 `model.safetensors`, no torch installed, one core"
    return Input(what, path, held, given=("path",))
