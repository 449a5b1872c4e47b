"""Layers are found in the running model by name or by content, and never wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.measuring import measured
from support.model_folders import write_model
from torch import nn

from thermoscan.probe import matching
from thermoscan.probe.matching import Matching, match
from thermoscan.scanner.measurement import Measurement


def matched(model: nn.Module, measurement: Measurement, prefix: str = "") -> Matching:
    found = match(measurement, model, prefix)
    assert_true_places(found, model, measurement)
    return found


def assert_true_places(found: Matching, model: nn.Module, measurement: Measurement) -> None:
    """Every place holds as many numbers as its layer, and their mean square is the scan's."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    states = {each.layer.name: each for each in measurement.layers}
    for place in found.places:
        entries = place.of(parameters[place.parameter].detach())
        state = states[place.layer.name].state
        assert entries.numel() == states[place.layer.name].tally.count
        assert state is not None
        # a degree of freedom is an entry that is not zero
        energy = float(entries.double().square().sum() / entries.ne(0).sum())
        assert energy == pytest.approx(state.temperature, rel=1e-6)


@pytest.mark.parametrize(
    ("model_type", "head"),
    [
        ("gpt2", "ForCausalLM"),  # transposed weights, a tied head
        ("phi3", "ForCausalLM"),  # fused projections
        ("mixtral", "ForCausalLM"),  # one tensor for each expert; stacked and fused when running
        ("qwen3_moe", "ForCausalLM"),
        ("vit", "ForImageClassification"),  # renamed when running
        ("bert", "ForMaskedLM"),
    ],
)
def test_every_layer_of_a_model_of_transformers_is_found(
    tmp_path: Path, model_type: str, head: str
) -> None:
    model = write_model(tmp_path, model_type, head)
    found = matched(model, measured(tmp_path))
    assert not found.unmatched
    assert len({(p.parameter, p.group, p.start, p.stop) for p in found.places}) == len(found.places)


def test_the_prefix_of_the_base_model_may_come_or_go(tmp_path: Path) -> None:
    model: Any = write_model(tmp_path, "bert", "ForMaskedLM")
    whole = measured(tmp_path)
    base = matched(model.bert, whole, "bert")
    assert set(base.unmatched) == {"cls.predictions.transform.dense.weight"}
    assert len(base.places) == len(whole.layers) - 1
    state = {
        k.removeprefix("bert."): v for k, v in load_file(tmp_path / "model.safetensors").items()
    }
    save_file(state, tmp_path / "model.safetensors")
    assert not matched(model, measured(tmp_path), "bert").unmatched


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_a_model_that_runs_in_another_type_is_compared_in_the_stored_one(
    tmp_path: Path, dtype: str
) -> None:
    model = write_model(tmp_path, "llama", "ForCausalLM", dtype=dtype)
    wide = torch.float64 if dtype == "float64" else torch.float32
    assert not matched(model.to(wide), measured(tmp_path)).unmatched


def test_other_numbers_under_the_same_name_are_no_match(tmp_path: Path) -> None:
    model = write_model(tmp_path, "llama", "ForCausalLM")
    with torch.no_grad():
        weight = model.get_parameter("model.layers.0.mlp.down_proj.weight")
        weight[3, 4] = weight[3, 4].nextafter(torch.tensor(1.0))
    found = matched(model, measured(tmp_path))
    assert found.unmatched == {"model.layers.0.mlp.down_proj.weight": matching.NOT_RUNNING}


class Pair(nn.Module):
    """Two matrices under names of the caller's."""

    def __init__(self, **weights: torch.Tensor) -> None:
        super().__init__()
        for name, value in weights.items():
            self.register_parameter(name, nn.Parameter(value))


def scanned(folder: Path, **weights: torch.Tensor) -> Measurement:
    save_file({f"{k}.weight": v.contiguous() for k, v in weights.items()}, folder / "m.safetensors")
    return measured(folder / "m.safetensors")


def test_a_matrix_of_another_name_is_found_by_its_numbers_also_transposed(
    tmp_path: Path,
) -> None:
    a, b = torch.randn(6, 9), torch.randn(5, 7)
    found = matched(Pair(x=a, y=b.T.contiguous()), scanned(tmp_path, a=a, b=b))
    places = {each.layer.name: each for each in found.places}
    assert (places["a.weight"].parameter, places["a.weight"].out_axis) == ("x", 0)
    assert (places["b.weight"].parameter, places["b.weight"].out_axis) == ("y", 1)


def test_numbers_in_two_places_are_matched_to_neither(tmp_path: Path) -> None:
    a = torch.randn(6, 9)
    found = matched(Pair(x=a, y=a.clone()), scanned(tmp_path, a=a))
    assert found.unmatched == {"a.weight": matching.SEVERAL}


def test_one_running_weight_is_one_layer(tmp_path: Path) -> None:
    a = torch.randn(6, 9)
    model = nn.ModuleDict({"a": nn.Linear(9, 6, bias=False), "b": nn.Linear(9, 6, bias=False)})
    model["a"].weight = model["b"].weight = nn.Parameter(a)
    found = matched(model, scanned(tmp_path, a=a, b=a.clone()))
    assert [each.layer.name for each in found.places] == ["a.weight"]
    assert found.unmatched == {"b.weight": matching.SHARED}


def test_experts_that_are_stored_one_by_one_are_found_in_a_stack(tmp_path: Path) -> None:
    gates, ups = torch.randn(3, 4, 8), torch.randn(3, 4, 8)
    stack = torch.cat([gates, ups], dim=1)
    stored = {f"g{k}": gates[k] for k in range(3)} | {f"u{k}": ups[k] for k in range(3)}
    found = matched(Pair(x=stack), scanned(tmp_path, **stored))
    places = {each.layer.name: each for each in found.places}
    assert [(places[f"u{k}.weight"].group, places[f"u{k}.weight"].start) for k in range(3)] == [
        (k, 4) for k in range(3)
    ]
    assert not found.unmatched


def test_halves_along_the_inputs_are_left_out(tmp_path: Path) -> None:
    a, b = torch.randn(2, 6, 9)
    found = matched(Pair(x=torch.cat([a, b], dim=1)[None]), scanned(tmp_path, a=a))
    assert found.unmatched == {"a.weight": matching.SPLIT_INPUTS}


def test_a_torch_file_whose_tensors_are_transposed_views_is_read_as_it_is_meant(
    tmp_path: Path,
) -> None:
    a = torch.randn(9, 6).T  # strides (1, 6)
    torch.save({"a.weight": a}, tmp_path / "m.pth")
    model = nn.ModuleDict({"a": nn.Linear(9, 6, bias=False)})
    model["a"].weight = nn.Parameter(a.contiguous())
    assert not matched(model, measured(tmp_path / "m.pth")).unmatched
