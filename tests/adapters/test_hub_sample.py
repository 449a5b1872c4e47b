"""A sample of a model on a hub: the card that its folder gives, by the plan's ranges alone."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from support.loopback_hub import LoopbackHub

import thermoscan
from thermoscan.checkpoint import OpenOptions
from thermoscan.options import SampleSize, ScanOptions
from thermoscan.scanner import survey
from thermoscan_adapters.hub import HubAdapter

CONFIG = b'{"model_type": "bert", "hidden_act": "gelu"}'
OPTIONS = ScanOptions(sample=SampleSize(share=0.1), seed=5)


def test_a_sample_of_a_hub_is_the_sample_of_its_files_by_range(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    tensors = {
        f"encoder.layer.{depth}.{name}.weight": 0.02 * torch.randn(shape, generator=random)
        for depth in range(2)
        for name, shape in (("intermediate.dense", (1024, 512)), ("output.dense", (512, 1024)))
    }
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_bytes(CONFIG)
    on_disk = thermoscan.scan(str(folder), OPTIONS)
    with LoopbackHub() as hub:
        weights = (folder / "model.safetensors").read_bytes()
        hub.add("org/model", {"model.safetensors": weights, "config.json": CONFIG})
        with HubAdapter(hub.endpoint, tmp_path / "cache").open("org/model", OpenOptions()) as model:
            _, card = survey(model, OPTIONS, lambda _done, _total: None)
        ranges = [re.fullmatch(r"bytes=(\d+)-(\d+)", each.headers.get("range", ""))
                  for each in hub.requests if each.method == "GET"]  # fmt: skip
    assert card.layers == on_disk.layers and card.summary == on_disk.summary
    assert card.sampling == on_disk.sampling and card.sampling is not None
    (file,) = card.model.files
    assert file.digest is not None and file.digest.algorithm == "sha256"
    asked = sum(int(each[2]) + 1 - int(each[1]) for each in ranges if each)
    assert card.sampling.bytes_read <= asked < card.sampling.bytes_read + 200_000
