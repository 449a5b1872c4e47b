"""Pipelines, named files and URLs of files on a hub, read as they are from a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hub_clients import adapter_of, contents
from support.loopback_hub import LoopbackHub
from support.safetensors_files import write_tensors

from thermoscan.checkpoint import Adapter, OpenOptions
from thermoscan.errors import LimitError, OptionError, SourceError
from thermoscan.options import ScanOptions
from thermoscan.plugins import adapter_for
from thermoscan.scanner import survey
from thermoscan_adapters.disk import DiskAdapter
from thermoscan_adapters.hub import HubAdapter

WEIGHTS = "diffusion_pytorch_model.safetensors"
INDEX = {
    "_class_name": "TinyPipeline",
    "scheduler": ["diffusers", "DDIMScheduler"],
    "unet": ["diffusers", "UNet2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def adapter(hub: LoopbackHub, tmp_path: Path) -> HubAdapter:
    return adapter_of(hub, tmp_path / "cache")


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A folder as it is pushed."""
    root = tmp_path / "pipeline"
    for name, tensors in (("unet", ("a.weight", "b.weight")), ("vae", ("a.weight",))):
        write_tensors(root / name / WEIGHTS, *tensors)
        (root / name / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    write_tensors(root / "unet" / "diffusion_pytorch_model.fp16.safetensors", "half.weight")
    (root / "scheduler").mkdir()
    (root / "scheduler" / "scheduler_config.json").write_text("{}")
    (root / "model_index.json").write_text(json.dumps(INDEX))
    return root


def files_in(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("download", [False, True])
def test_a_pipeline_on_the_hub_is_what_it_is_on_disk(
    hub: LoopbackHub, adapter: HubAdapter, pipeline: Path, download: bool
) -> None:
    hub.add("org/name", files_in(pipeline))
    remote = adapter.open("org/name", OpenOptions(download=download))
    local = adapter_for(str(pipeline)).open(str(pipeline), OpenOptions())
    assert remote.components == local.components != {}
    assert remote.tensors == local.tensors
    assert contents(remote) == contents(local)
    assert remote.notes == local.notes
    assert [(each.name, each.status, each.code) for each in remote.files] == [
        (each.name, each.status, each.code) for each in local.files
    ]
    assert {each.name for each in remote.files if each.sha256 is not None} >= {f"vae/{WEIGHTS}"}


def test_a_cache_that_lacks_a_component_is_no_pipeline(
    hub: LoopbackHub, adapter: HubAdapter, pipeline: Path
) -> None:
    """Somebody downloaded the autoencoder alone."""
    from huggingface_hub import HfApi

    hub.add("org/name", files_in(pipeline))
    api = HfApi(hub.endpoint)
    cache = pipeline.parent / "cache"
    api.snapshot_download(
        "org/name", cache_dir=cache, allow_patterns=["vae/*", "unet/config.json", "*.json"]
    )
    checkpoint = adapter.open("org/name", OpenOptions())
    assert list(checkpoint.components) == ["unet", "vae"]
    api.snapshot_download("org/name", cache_dir=cache)
    hub.requests.clear()
    assert list(adapter.open("org/name", OpenOptions()).components) == ["unet", "vae"]
    assert hub.requests == []


@pytest.mark.parametrize(
    ("source", "file", "tensors"),
    [
        ("org/name", "unet", {"a.weight", "b.weight"}),
        ("org/name", f"vae/{WEIGHTS}", {"a.weight"}),
        ("hf://org/name/unet", None, {"a.weight", "b.weight"}),
        ("hf://org/name@main/vae", None, {"a.weight"}),
        (
            "{hub}/org/name/blob/main/unet/diffusion_pytorch_model.fp16.safetensors",
            None,
            {"half.weight"},
        ),
        (f"{{hub}}/org/name/resolve/main/vae/{WEIGHTS}?download=true", None, {"a.weight"}),
        ("{hub}/org/name/tree/main/vae", "vae", {"a.weight"}),
    ],
)
def test_a_file_or_folder_of_a_repository_may_be_named(
    hub: LoopbackHub,
    adapter: HubAdapter,
    pipeline: Path,
    source: str,
    file: str | None,
    tensors: set[str],
) -> None:
    hub.add("org/name", files_in(pipeline))
    source = source.format(hub=hub.endpoint)
    assert isinstance(adapter_for(source), HubAdapter)
    checkpoint = adapter.open(source, OpenOptions(file=file))
    assert {tensor.name for tensor in checkpoint.tensors} == tensors
    assert checkpoint.source.id == "org/name"
    assert checkpoint.config == {"_class_name": "AutoencoderKL"}
    assert checkpoint.components == {}


@pytest.mark.parametrize(
    ("source", "file", "code"),
    [
        ("org/name", "gone.safetensors", "file-not-found"),
        ("hf://org/name/gone.safetensors", None, "file-not-found"),
        ("hf://org/name/../etc/passwd", None, "file-outside"),
        ("org/name", "../etc/passwd", "file-outside"),
        ("org/name", "model_index.json", "file-not-weights"),
        ("hf://org/name/unet", "vae", "file-twice"),
        ("hf://datasets/org/name/x.safetensors", None, "hub-not-a-model"),
    ],
)
def test_a_name_of_no_weights_is_refused(
    hub: LoopbackHub, adapter: HubAdapter, pipeline: Path, source: str, file: str | None, code: str
) -> None:
    hub.add("org/name", files_in(pipeline))
    with pytest.raises((SourceError, OptionError)) as caught:
        adapter.open(source, OpenOptions(file=file))
    assert caught.value.code == code
    if code == "file-not-found":
        assert caught.value.reason.endswith("weights are in unet, vae")


def test_small_files_beside_the_weights_are_those_of_their_sub_folder(
    hub: LoopbackHub, adapter: HubAdapter, pipeline: Path
) -> None:
    (pipeline / "vocab.txt").write_text("of the whole")
    (pipeline / "vae" / "vocab.txt").write_text("of the part")
    hub.add("org/name", files_in(pipeline))
    openers: list[tuple[str, Adapter]] = [
        ("hf://org/name/vae", adapter),
        (str(pipeline), DiskAdapter()),
    ]
    for source, opener in openers:
        options = OpenOptions(file=None if source.startswith("hf:") else "vae")
        checkpoint = opener.open(source, options)
        folder = opener.beside(source, checkpoint, ("vocab.txt", "gone.txt"), 100)
        assert (folder / "vocab.txt").read_text() == "of the part"
        with pytest.raises(LimitError) as caught:
            opener.beside(source, checkpoint, ("vocab.txt",), 5)
        assert caught.value.code == "file-too-long"


def test_the_card_of_a_url_is_that_of_the_file(
    hub: LoopbackHub, adapter: HubAdapter, pipeline: Path
) -> None:
    hub.add("org/name", files_in(pipeline))
    url = f"{hub.endpoint}/org/name/blob/main/vae/{WEIGHTS}"
    with adapter.open(url, OpenOptions()) as checkpoint:
        _, card = survey(checkpoint, ScanOptions(), lambda _done, _total: None)
    assert card.model.id == "org/name"
    assert [file.name for file in card.model.files] == [f"vae/{WEIGHTS}"]
    assert card.model.architecture == "AutoencoderKL"
