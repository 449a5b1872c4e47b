"""A pipeline from its folder to its card: scanned, compared, named in part, and not run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

pytest.importorskip("torch")
pytest.importorskip("transformers")

from support.diffusion_models import (
    UNET,
    drawn,
    unet_shapes,
    vae_shapes,
    write_component,
    write_pipeline,
)
from support.measuring import found_in, measured

import thermoscan
from thermoscan.card import Card
from thermoscan.card_io import from_json, missing_reasons
from thermoscan.cli.main import cli
from thermoscan.errors import OptionError, ProbeError, SourceNotFoundError
from thermoscan.options import ScanOptions
from thermoscan.probe.road import probe

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("made") / "pipeline")


@pytest.fixture(scope="module")
def card(pipeline: Path) -> Card:
    return thermoscan.scan(str(pipeline))


def test_one_card_holds_every_layer_of_every_component(pipeline: Path, card: Card) -> None:
    assert missing_reasons(card) == []
    assert card.model.architecture == "StableDiffusionPipeline"
    assert [file.name for file in card.model.files] == [
        *("text_encoder/model.safetensors", f"unet/{WEIGHTS}", f"vae/{WEIGHTS}")
    ]
    sizes = [
        sum(int(np.prod(s)) for s in shapes().values()) for shapes in (unet_shapes, vae_shapes)
    ]
    text = load_file(pipeline / "text_encoder" / "model.safetensors")
    assert card.model.parameters == sum(sizes) + sum(each.size for each in text.values())
    alone = {
        name: thermoscan.scan(str(pipeline), ScanOptions(file=name))
        for name in ("text_encoder", "unet", "vae")
    }
    assert [layer.name for layer in card.layers] == [
        f"{name}.{layer.name}" for name, each in alone.items() for layer in each.layers
    ]
    for ours, theirs in zip(
        card.layers, (ly for c in alone.values() for ly in c.layers), strict=True
    ):
        assert (ours.role, ours.depth, ours.digest) == (theirs.role, theirs.depth, theirs.digest)
        assert (ours.temperature, ours.order) == (theirs.temperature, theirs.order)
        assert ours.initialisation == theirs.initialisation
        assert ours.engine == theirs.engine
        assert ours.transition_temperature == theirs.transition_temperature


def test_each_component_has_its_own_activations(card: Card) -> None:
    found: dict[str, set[str | None]] = {}
    for layer in card.layers:
        if layer.engine:
            found.setdefault(layer.name.partition(".")[0], set()).add(layer.engine.activation)
    assert found == {"text_encoder": {"quick_gelu"}, "unet": {"silu", "gelu"}, "vae": {"silu"}}


def test_notes_say_which_component_they_are_about(card: Card) -> None:
    started = {note.partition(":")[0]: note for note in card.notes if "to have started" in note}
    assert set(started) == {"text_encoder", "unet", "vae"}
    assert "as diffusers draws them for 'UNet2DConditionModel'" in started["unet"]
    assert "as transformers draws them for 'clip_text_model'" in started["text_encoder"]


def test_a_layer_that_stands_out_is_compared_with_its_own_component(tmp_path: Path) -> None:
    """One hot component is no outlier among the layers of the other: each has peers of its own."""
    folder = write_pipeline(tmp_path / "hot")
    hot = {name: each * 5 for name, each in drawn(vae_shapes(), 1).items()}
    save_file(hot, folder / "vae" / WEIGHTS)
    assert not [found for found in found_in(measured(folder)) if found[1] in {"hot", "cold"}]
    unet = drawn(unet_shapes())
    unet["mid_block.resnets.0.conv1.weight"] *= 5
    save_file(unet, folder / "unet" / WEIGHTS)
    named = [layer for _, code, layer in found_in(measured(folder)) if code == "hot"]
    assert named == ["unet.mid_block.resnets.0.conv1.weight"]


def test_a_fine_tune_of_one_component_leaves_the_others_the_same(
    pipeline: Path, tmp_path: Path
) -> None:
    tuned = write_pipeline(tmp_path / "tuned")
    rng = np.random.default_rng(9)
    unet = {
        name: each + (0.1 * each.std() * rng.standard_normal(each.shape)).astype(np.float32)
        for name, each in drawn(unet_shapes()).items()
    }
    save_file(unet, tuned / "unet" / WEIGHTS)
    card = thermoscan.compare(str(pipeline), str(tuned))
    assert missing_reasons(card) == []
    assert card.comparison is not None
    statuses = {"unet": set(), "vae": set(), "text_encoder": set()}  # type: dict[str, set[str]]
    for layer in card.layers:
        assert layer.change is not None
        statuses[layer.name.partition(".")[0]].add(layer.change.status)
    assert statuses == {"unet": {"changed"}, "vae": {"same"}, "text_encoder": {"same"}}
    assert card.comparison.removed == ()
    assert card.comparison.verdict == "fine-tune"


def test_a_component_is_compared_with_that_of_a_pipeline_by_its_names(
    pipeline: Path, tmp_path: Path
) -> None:
    """The names of a lone UNet lack the prefix that the pipeline gives them."""
    write_component(tmp_path, UNET, drawn(unet_shapes()))
    card = thermoscan.compare(str(pipeline), str(tmp_path))
    assert card.comparison is not None
    assert {layer.change.status for layer in card.layers if layer.change} == {"same"}
    assert card.model.architecture == "UNet2DConditionModel"
    assert {name.partition(".")[0] for name in card.comparison.removed} == {"text_encoder", "vae"}


def test_a_component_without_configuration_takes_that_of_the_base(
    pipeline: Path, tmp_path: Path
) -> None:
    tuned = write_pipeline(tmp_path / "tuned")
    (tuned / "unet" / "config.json").unlink()
    plain = thermoscan.scan(str(tuned))
    card = thermoscan.compare(str(pipeline), str(tuned))
    engines = {ly.name for ly in card.layers if ly.engine and ly.engine.activation == "silu"}
    assert any(name.startswith("unet.") for name in engines)
    assert not any(
        ly.engine and ly.engine.activation == "silu" and ly.name.startswith("unet.")
        for ly in plain.layers
    )
    assert any("configuration beside the base was used" in note for note in card.notes)


def test_a_pipeline_is_not_run_and_the_error_says_what_is(pipeline: Path) -> None:
    with pytest.raises(ProbeError, match="name the folder of one of them"):
        probe(str(pipeline))


def test_the_command_scans_the_file_that_is_named(pipeline: Path, tmp_path: Path) -> None:
    arguments = ["scan", str(pipeline), "--json", "-", "--out", str(tmp_path), "--file"]
    run = CliRunner().invoke(cli, [*arguments, f"unet/{WEIGHTS}"])
    assert run.exit_code == 0
    assert from_json(run.stdout).model.architecture == "UNet2DConditionModel"
    refused = CliRunner().invoke(cli, [*arguments, "unet/gone.bin"])
    assert isinstance(refused.exception, SourceNotFoundError)
    assert refused.exception.reason.endswith("weights are in text_encoder, unet, vae")


def test_a_comparison_takes_no_file_of_the_base(pipeline: Path) -> None:
    options = ScanOptions(file="unet")
    card = thermoscan.compare(str(pipeline), str(pipeline), options)
    assert {layer.name.partition(".")[0] for layer in card.layers} >= {"down_blocks", "mid_block"}
    assert card.comparison is not None and card.comparison.removed
    with pytest.raises(OptionError):
        thermoscan.scan(str(pipeline), ScanOptions(file="../x"))
