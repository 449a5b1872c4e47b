"""Checkpoints of several components: what is opened, what is passed over, and hostile indexes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from support.diffusion_models import (
    INDEX,
    UNET,
    VAE,
    drawn,
    names_of,
    unet_shapes,
    vae_shapes,
    write_component,
    write_index,
)
from support.safetensors_files import write_raw, write_sharded, write_tensors

from thermoscan.checkpoint import Checkpoint, OpenOptions
from thermoscan.errors import (
    LimitError,
    MalformedError,
    SourceError,
    ThermoscanError,
    UnsafeError,
)
from thermoscan.limits import Limits
from thermoscan_adapters.disk import DiskAdapter

WEIGHTS = "diffusion_pytorch_model.safetensors"
LEFT_OUT = "Components that cannot be scanned were left out"


def open_path(path: Path, file: str | None = None, **limits: int) -> Checkpoint:
    return DiskAdapter().open(str(path), OpenOptions(file=file, limits=Limits(**limits)))


def refusal(path: Path, **limits: int) -> ThermoscanError:
    with pytest.raises(ThermoscanError) as caught:
        open_path(path, **limits)
    assert str(caught.value).isprintable()
    return caught.value


def statuses(checkpoint: Checkpoint) -> dict[str, tuple[str, str | None]]:
    return {record.name: (record.status, record.code) for record in checkpoint.files}


def index_of(*components: str, **more: Any) -> dict[str, Any]:
    """An index that names these components."""
    named = {name: ["diffusers", "AutoencoderKL"] for name in components}
    return {"_class_name": "TinyPipeline", **named, **more}


def write_small(folder: Path, *components: str) -> Path:
    """Writes a pipeline whose components hold two small tensors each."""
    write_index(folder, index_of(*components))
    for name in components:
        write_tensors(folder / name / WEIGHTS, "conv.weight", "conv.bias")
    return folder


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A UNet and an autoencoder as diffusers saves them; the text encoder has only a folder."""
    folder = tmp_path / "pipeline"
    write_index(folder, {**INDEX, "text_encoder": [None, None]})
    write_component(folder / "unet", UNET, drawn(unet_shapes()))
    write_component(folder / "vae", VAE, drawn(vae_shapes()))
    for name, file in (("scheduler", "scheduler_config"), ("tokenizer", "tokenizer_config")):
        (folder / name).mkdir()
        (folder / name / f"{file}.json").write_text("{}")
    return folder


def test_every_component_with_weights_is_opened_under_its_name(pipeline: Path) -> None:
    checkpoint = open_path(pipeline)
    expected = {*names_of(unet_shapes(), "unet"), *names_of(vae_shapes(), "vae")}
    assert {tensor.name for tensor in checkpoint.tensors} == expected
    shapes = {tensor.name: tensor.shape for tensor in checkpoint.tensors}
    assert shapes["unet.conv_in.weight"] == (32, 4, 3, 3)
    assert statuses(checkpoint) == {
        f"unet/{WEIGHTS}": ("scanned", None),
        f"vae/{WEIGHTS}": ("scanned", None),
    }
    assert checkpoint.components == {"unet": UNET, "vae": VAE}
    assert checkpoint.config is not None
    assert checkpoint.config["_class_name"] == "StableDiffusionPipeline"
    assert checkpoint.notes == ()


def test_the_bytes_of_a_tensor_are_those_of_its_components_file(pipeline: Path) -> None:
    checkpoint = open_path(pipeline)
    for component in ("unet", "vae"):
        stored = load_file(pipeline / component / WEIGHTS)
        for tensor in checkpoint.tensors:
            if checkpoint.component_of(tensor.name) == component:
                buffer = bytearray(tensor.nbytes)
                checkpoint.reader.readinto(tensor.file, tensor.offset, memoryview(buffer))
                assert bytes(buffer) == stored[tensor.name.partition(".")[2]].tobytes()


def test_a_component_alone_is_an_ordinary_model(pipeline: Path) -> None:
    for checkpoint in (open_path(pipeline / "vae"), open_path(pipeline, file="vae")):
        assert {tensor.name for tensor in checkpoint.tensors} == set(vae_shapes())
        assert (checkpoint.components, checkpoint.config) == ({}, VAE)


def test_sharded_components_and_variants_beside_them_are_told_apart(tmp_path: Path) -> None:
    write_index(tmp_path, index_of("transformer", "vae"))
    names = ("a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors")
    write_sharded(tmp_path / "transformer", {names[0]: ("x",), names[1]: ("y", "z")})
    home = tmp_path / "transformer"
    (home / "model.safetensors.index.json").rename(home / f"{WEIGHTS}.index.json")
    write_tensors(home / "diffusion_pytorch_model.fp16.safetensors", "x", "y", "z")
    write_tensors(tmp_path / "vae" / WEIGHTS, "w")
    write_tensors(tmp_path / "vae" / "diffusion_pytorch_model.non_ema.safetensors", "w")
    checkpoint = open_path(tmp_path)
    assert [tensor.name for tensor in checkpoint.tensors] == [
        *("transformer.x", "transformer.y", "transformer.z", "vae.w")
    ]
    assert statuses(checkpoint) == {
        **{f"transformer/{name}": ("scanned", None) for name in names},
        f"vae/{WEIGHTS}": ("scanned", None),
        "transformer/diffusion_pytorch_model.fp16.safetensors": ("skipped", "not-chosen"),
        "vae/diffusion_pytorch_model.non_ema.safetensors": ("skipped", "not-chosen"),
    }
    (note,) = checkpoint.notes
    assert f"transformer/{WEIGHTS}.index.json, vae/{WEIGHTS}" in note


def test_a_variant_alone_is_taken(tmp_path: Path) -> None:
    write_index(tmp_path, index_of("unet"))
    write_tensors(tmp_path / "unet" / "diffusion_pytorch_model.fp16.safetensors", "w")
    checkpoint = open_path(tmp_path)
    assert [record.name for record in checkpoint.files] == [
        "unet/diffusion_pytorch_model.fp16.safetensors"
    ]
    assert checkpoint.notes == ()


def test_the_whole_model_in_a_single_file_beside_is_recorded_and_not_scanned(
    pipeline: Path,
) -> None:
    write_tensors(pipeline / "v1-5-pruned.safetensors", "w")
    write_tensors(pipeline / "unet_ema" / WEIGHTS, "w")
    checkpoint = open_path(pipeline)
    records = {record.name: record for record in checkpoint.files}
    single = records["v1-5-pruned.safetensors"]
    assert (single.status, single.code) == ("skipped", "not-chosen")
    assert single.reason == "the components that model_index.json names were scanned instead"
    assert records[f"unet_ema/{WEIGHTS}"].reason == "it lies in a sub-folder; --file names it"
    assert checkpoint.notes == (
        "The folder holds other weights too; the components of model_index.json were chosen.",
        "Weights in sub-folders were not scanned, of which --file names one: unet_ema.",
    )


def test_components_that_should_have_weights_and_have_none_are_told(pipeline: Path) -> None:
    shutil.rmtree(pipeline / "vae")
    (pipeline / "image_encoder").mkdir()
    (pipeline / "image_encoder" / "config.json").write_text("{}")
    write_index(pipeline, {**INDEX, "image_encoder": ["transformers", "CLIPVisionModel"]})
    checkpoint = open_path(pipeline)
    found = {record.name: record for record in checkpoint.files if record.status == "skipped"}
    assert {name: (each.code, each.reason) for name, each in found.items()} == {
        "text_encoder/": ("component-incomplete", "model_index.json names it, and it is not there"),
        "vae/": ("component-incomplete", "model_index.json names it, and it is not there"),
        "image_encoder/": ("component-incomplete", "it has a configuration and no weights"),
    }
    (note,) = checkpoint.notes
    assert note.endswith(": text_encoder, vae, image_encoder.")


def break_header(file: Path) -> None:
    write_raw(file, b"{}", b"x")


def break_by_link(file: Path) -> None:
    outside = file.parents[2] / "outside.safetensors"
    write_tensors(outside, "w")
    file.unlink()
    file.symlink_to(outside)


def break_format(file: Path) -> None:
    file.write_bytes(b"GGUF" + bytes(60))


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (break_header, "header-trailing-bytes"),
        (break_by_link, "link-outside"),
        (break_format, "format-gguf"),
    ],
)
def test_a_component_that_is_refused_leaves_the_others(
    tmp_path: Path, damage: Any, code: str
) -> None:
    folder = write_small(tmp_path / "p", "unet", "vae")
    damage(folder / "unet" / WEIGHTS)
    checkpoint = open_path(folder)
    assert {checkpoint.component_of(tensor.name) for tensor in checkpoint.tensors} == {"vae"}
    assert list(checkpoint.components) == ["vae"]
    assert statuses(checkpoint)[f"unet/{WEIGHTS}"] == ("refused", code)
    (note,) = checkpoint.notes
    assert note.startswith(LEFT_OUT) and note.endswith(": unet.")


def test_a_component_of_several_checkpoints_is_refused_by_its_folder(tmp_path: Path) -> None:
    folder = write_small(tmp_path, "unet", "vae")
    (folder / "unet" / WEIGHTS).rename(folder / "unet" / "a.safetensors")
    write_tensors(folder / "unet" / "b.safetensors", "w")
    checkpoint = open_path(folder)
    assert statuses(checkpoint)["unet/"] == ("refused", "several-checkpoints")


def test_a_components_folder_that_is_a_link_outwards_is_refused(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "p", "unet", "vae")
    shutil.move(folder / "unet", tmp_path / "elsewhere")
    (folder / "unet").symlink_to(tmp_path / "elsewhere")
    checkpoint = open_path(folder)
    assert statuses(checkpoint)["unet/"] == ("refused", "link-outside")
    assert [tensor.name for tensor in checkpoint.tensors] == ["vae.conv.bias", "vae.conv.weight"]


def test_where_nothing_is_left_the_first_refusal_is_the_error(tmp_path: Path) -> None:
    folder = write_small(tmp_path, "unet", "vae")
    for name in ("unet", "vae"):
        break_header(folder / name / WEIGHTS)
    error = refusal(folder)
    assert (type(error), error.code) == (MalformedError, "header-trailing-bytes")
    assert error.file == f"unet/{WEIGHTS}"


def test_a_pipeline_without_any_weights_says_so(tmp_path: Path) -> None:
    write_index(tmp_path, index_of("unet"))
    error = refusal(tmp_path)
    assert (type(error).__name__, error.code) == ("SourceNotFoundError", "no-weights")


def test_a_broken_configuration_of_a_component_is_a_note_with_its_name(tmp_path: Path) -> None:
    folder = write_small(tmp_path, "unet", "vae")
    (folder / "unet" / "config.json").write_text("{")
    (folder / "vae" / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    checkpoint = open_path(folder)
    assert checkpoint.components == {"unet": None, "vae": {"_class_name": "AutoencoderKL"}}
    (note,) = checkpoint.notes
    assert note.startswith("unet/config.json was not used: ")


@pytest.mark.parametrize(
    "name",
    [
        *("..", ".", "", "../unet", "unet/../..", "a/b", "/etc", "a\\b", "C:", "a.b", "un et"),
        *("unet\n", "ünet", "\x1b[31m", "x" * 65, "~", "-x"),
    ],
)
def test_a_component_whose_name_is_no_plain_word_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_small(tmp_path / "p", "vae")
    write_tensors(tmp_path / "unet" / WEIGHTS, "secret")
    write_index(folder, index_of(name, "vae"))
    error = refusal(folder)
    assert (type(error), error.code, error.file) == (
        UnsafeError,
        "component-name",
        "model_index.json",
    )


HOSTILE: Mapping[str, tuple[bytes, str]] = {
    "not JSON": (b"{", "model-index-syntax"),
    "not UTF-8": (b"\xff\xfe{}", "model-index-not-utf8"),
    "a list": (b'["unet"]', "model-index-not-object"),
    "a key twice": (b'{"vae": ["a", "b"], "vae": ["a", "c"]}', "model-index-duplicate-key"),
    "deep": (b'{"vae": ' + b"[" * 100 + b"]" * 100 + b"}", "model-index-nesting"),
    "long": (b'{"vae": ["a", "b"]' + b" " * 2000 + b"}", "model-index-too-long"),
    "many": (
        json.dumps(index_of(*(f"c{k}" for k in range(65)))).encode(),
        "model-index-too-many-components",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_index_is_refused_by_its_code(tmp_path: Path, kind: str) -> None:
    content, code = HOSTILE[kind]
    folder = write_small(tmp_path, "vae")
    (folder / "model_index.json").write_bytes(content)
    limit = {"config_bytes": 1000} if kind == "long" else {}
    error = refusal(folder, **limit)
    assert (error.code, error.file) == (code, "model_index.json")


@pytest.mark.parametrize(
    "setting", [True, None, 7, "vae", [], ["vae"], ["a", "b", "c"], ["a", None], [1, 2], {"a": "b"}]
)
def test_what_is_no_pair_of_library_and_class_is_a_setting(tmp_path: Path, setting: Any) -> None:
    folder = write_small(tmp_path, "vae")
    write_tensors(folder / "unet" / WEIGHTS, "w")
    write_index(folder, {**index_of("vae"), "unet": setting, "../evil": setting})
    assert list(open_path(folder).components) == ["vae"]


def test_limits_hold_over_all_components_together(tmp_path: Path) -> None:
    folder = write_small(tmp_path, "a", "b", "c")
    assert len(open_path(folder, tensors=6, shards=3, components=3).tensors) == 6
    for limit, code in (
        ({"tensors": 5}, "model-index-too-many-tensors"),
        ({"shards": 2}, "model-index-too-many-shards"),
        ({"components": 2}, "model-index-too-many-components"),
    ):
        error = refusal(folder, **limit)
        assert (type(error), error.code) == (LimitError, code)


def test_a_link_to_nothing_is_a_refusal_and_not_an_absence(tmp_path: Path) -> None:
    folder = write_small(tmp_path, "unet", "vae")
    (folder / "unet" / WEIGHTS).unlink()
    (folder / "unet" / WEIGHTS).symlink_to("gone")
    assert statuses(open_path(folder))[f"unet/{WEIGHTS}"] == ("refused", "file-not-found")


def test_a_torch_component_is_read_and_its_notes_name_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    folder = write_small(tmp_path, "vae")
    write_index(folder, index_of("safety_checker", "vae"))
    (folder / "safety_checker").mkdir()
    state = {"model": {"w.weight": torch.ones(3, 2)}, "optimizer": {"state": {}}}
    torch.save(state, folder / "safety_checker" / "pytorch_model.bin")
    checkpoint = open_path(folder)
    assert checkpoint.tensors[0].name == "safety_checker.w.weight"
    assert checkpoint.notes and all(
        note.startswith("safety_checker: ") for note in checkpoint.notes
    )


def test_a_pipeline_of_a_foreign_format_is_refused_by_its_name(tmp_path: Path) -> None:
    write_index(tmp_path, index_of("vae"))
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "model.gguf").write_bytes(b"GGUF" + bytes(60))
    error = refusal(tmp_path)
    assert isinstance(error, SourceError)
    assert (error.code, error.file) == ("format-gguf", "vae/model.gguf")
