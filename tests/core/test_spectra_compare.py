"""Spectra beside those of the base, held to numpy's singular values of both."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from scipy.spatial.distance import jensenshannon
from support.peft_adapters import save as save_adapter

import thermoscan
from thermoscan.card import Card
from thermoscan.card_io import from_json, missing_reasons, to_json
from thermoscan.card_spectra import LayerSpectra, SpectralChange, Spectrum
from thermoscan.cli.main import cli
from thermoscan.errors import OptionError
from thermoscan.options import ScanOptions, SpectraOptions
from thermoscan.spectra import gram

State = Mapping[str, torch.Tensor]
WITH_SPECTRA = ScanOptions(spectra=SpectraOptions())


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    # A spectrum of some width, so that power laws and ranks move.
    scales = 2.0 ** -(torch.arange(shape[1]).reshape(-1, *[1] * (len(shape) - 2)) / 8)
    return (torch.randn(*shape, generator=generator) * scales).float()


def write(path: Path, state: State, config: Mapping[str, object] | None = None) -> Path:
    path.mkdir(parents=True)
    save_file(
        {name: value.clone().contiguous() for name, value in state.items()}, path / "a.safetensors"
    )
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    return path


def compared(base: Path, model: Path, options: ScanOptions = WITH_SPECTRA) -> Card:
    card = thermoscan.compare(str(base), str(model), options)
    assert missing_reasons(card) == []
    assert missing_reasons(from_json(to_json(card))) == []
    return card


def pair(folder: Path, base: State, model: State, options: ScanOptions = WITH_SPECTRA) -> Card:
    return compared(write(folder / "base", base), write(folder / "model", model), options)


def spectra_of(card: Card, name: str) -> LayerSpectra:
    (found,) = (layer.spectra for layer in card.layers if layer.name == name)
    assert found is not None
    return found


def change_of(spectrum: Spectrum | None) -> SpectralChange:
    assert spectrum is not None and spectrum.change is not None
    return spectrum.change


def singular(weight: torch.Tensor) -> np.ndarray:
    return np.linalg.svd(weight.double().numpy(), compute_uv=False)


def alignment(one: torch.Tensor, zero: torch.Tensor) -> float:
    """As WeightWatcher's `matrix_distance` has it."""
    a, b = one.double().numpy(), zero.double().numpy()
    norms = np.linalg.norm(a.T @ a) * np.linalg.norm(b @ b.T)
    return float(np.linalg.norm(a.T @ b) / math.sqrt(norms))


def entropy_rank(values: np.ndarray) -> float:
    shares = values / values.sum()
    return math.exp(-(shares * np.log(shares)).sum())


def held_to_numpy(change: SpectralChange, now: torch.Tensor, before: torch.Tensor) -> None:
    s1, s0 = singular(now), singular(before)
    expected = np.linalg.norm(s1 - s0) / np.linalg.norm(s0)
    assert change.distance == pytest.approx(expected, rel=1e-9)
    assert change.jensen_shannon == pytest.approx(jensenshannon(s1**2, s0**2), rel=1e-7)
    stable = [(s**2).sum() / s[0] ** 2 for s in (s1, s0)]
    assert change.stable_rank == pytest.approx(stable[0] - stable[1], rel=1e-7, abs=1e-12)
    effective = [entropy_rank(s**2) for s in (s1, s0)]
    assert change.effective_rank == pytest.approx(effective[0] - effective[1], rel=1e-7, abs=1e-11)


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (50, 50)])
def test_a_layer_is_beside_that_of_its_base(tmp_path: Path, shape: tuple[int, int]) -> None:
    before = drawn(*shape)
    now = before + 0.2 * drawn(*shape, seed=1)
    card = pair(tmp_path, {"a.weight": before}, {"a.weight": now})
    change = change_of(spectra_of(card, "a.weight").matrix)
    held_to_numpy(change, now, before)
    assert change.alignment == pytest.approx(alignment(now, before), rel=1e-9)
    own = [
        thermoscan.scan(str(tmp_path / which), WITH_SPECTRA).layers[0].spectra
        for which in ("model", "base")
    ]
    alphas = [each.matrix.tail.alpha for each in own]  # type: ignore[union-attr]
    assert change.alpha == alphas[0] - alphas[1]


def test_blocks_of_both_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram, "BLOCK_ELEMENTS", (100, 100))
    shapes = {"tall.weight": (70, 30), "wide.weight": (30, 70), "kernel.weight": (20, 30, 2, 1)}
    before = {name: drawn(*shape) for name, shape in shapes.items()}
    now = {name: before[name] + 0.1 * drawn(*shape, seed=2) for name, shape in shapes.items()}
    card = pair(tmp_path, before, now)
    for name in ("tall.weight", "wide.weight"):
        change = change_of(spectra_of(card, name).matrix)
        assert change.alignment == pytest.approx(alignment(now[name], before[name]), rel=1e-9)
    slices = change_of(spectra_of(card, "kernel.weight").slices)
    pairs = zip(now["kernel.weight"].unbind(2), before["kernel.weight"].unbind(2), strict=True)
    expected = np.mean([alignment(a[..., 0].T, b[..., 0].T) for a, b in pairs])
    assert slices.alignment == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", [(24, 40, 3, 3), (40, 24, 3, 3), (24, 8, 1, 2), (40, 24, 1, 1)])
def test_a_kernel_is_beside_that_of_its_base(tmp_path: Path, shape: tuple[int, ...]) -> None:
    before = drawn(*shape)
    now = before + 0.2 * drawn(*shape, seed=1)
    card = pair(tmp_path, {"conv.weight": before}, {"conv.weight": now})
    spectra = spectra_of(card, "conv.weight")
    unfolded = change_of(spectra.matrix)
    held_to_numpy(unfolded, now.flatten(1), before.flatten(1))
    assert unfolded.alignment == pytest.approx(alignment(now.flatten(1), before.flatten(1)))
    slices = change_of(spectra.slices)
    places = [
        (now[:, :, i, j], before[:, :, i, j]) for i in range(shape[2]) for j in range(shape[3])
    ]
    s1, s0 = (np.sort(np.concatenate([singular(each[k]) for each in places])) for k in (0, 1))
    assert slices.distance == pytest.approx(np.linalg.norm(s1 - s0) / np.linalg.norm(s0), rel=1e-9)
    # WeightWatcher puts the longer side of a slice first, and takes the mean over slices.
    turned = [(a, b) if shape[0] >= shape[1] else (a.T, b.T) for a, b in places]
    assert slices.alignment == pytest.approx(np.mean([alignment(a, b) for a, b in turned]))


def test_the_distance_of_spectra_is_never_above_that_of_weights(tmp_path: Path) -> None:
    before = {f"layers.{k}.weight": drawn(40, 50 - 7 * k, seed=k) for k in range(3)}
    before["conv.weight"] = drawn(20, 12, 3, 3)
    now = {
        name: each + 10.0 ** -(k + 1) * drawn(*each.shape, seed=9)
        for k, (name, each) in enumerate(before.items())
    }
    for layer in pair(tmp_path, before, now).layers:
        assert layer.spectra is not None and layer.change is not None
        for spectrum in (layer.spectra.matrix, layer.spectra.slices):
            if spectrum is not None:
                distance = change_of(spectrum).distance
                assert distance is not None and layer.change.distance is not None
                assert 0 < distance < layer.change.distance


def test_a_rotation_changes_no_spectrum_and_a_scale_changes_only_its_size(tmp_path: Path) -> None:
    before = drawn(40, 60).double()
    turn = torch.linalg.qr(torch.randn(40, 40, generator=torch.Generator().manual_seed(3)).double())
    rotated, scaled = turn.Q @ before, 1.5 * before
    card = pair(
        tmp_path,
        {"a.weight": before, "b.weight": before},
        {"a.weight": rotated, "b.weight": scaled},
    )
    turned = change_of(spectra_of(card, "a.weight").matrix)
    assert turned.distance == pytest.approx(0, abs=1e-7)
    assert turned.alpha == pytest.approx(0, abs=1e-6)
    assert turned.alignment is not None and turned.alignment < 0.9
    larger = change_of(spectra_of(card, "b.weight").matrix)
    assert larger.distance == pytest.approx(0.5, rel=1e-9)
    assert larger.alignment == pytest.approx(1.0, rel=1e-12)
    assert larger.jensen_shannon == pytest.approx(0, abs=1e-7)
    assert (larger.stable_rank, larger.effective_rank) == pytest.approx((0, 0), abs=1e-10)


def test_the_same_weights_have_no_change(tmp_path: Path) -> None:
    same = {"a.weight": drawn(30, 40), "conv.weight": drawn(12, 10, 3, 3)}
    for layer in pair(tmp_path, same, same).layers:
        assert layer.spectra is not None
        for spectrum in (layer.spectra.matrix, layer.spectra.slices):
            if spectrum is not None:
                change = change_of(spectrum)
                assert (change.distance, change.jensen_shannon, change.alpha) == (0, 0, 0)
                assert change.alignment == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_an_adapter_is_beside_its_base_as_the_merged_model(tmp_path: Path, name: str) -> None:
    target = {"llama": ["q_proj", "down_proj"], "gpt2": ["c_attn", "c_fc"]}[name]
    merged = save_adapter(name, tmp_path, r=4, lora_alpha=16, target_modules=target)
    base = load_file(tmp_path / "base" / "model.safetensors")
    card = compared(tmp_path / "base", tmp_path / "adapter")
    moved = 0
    for layer in card.layers:
        assert layer.spectra is not None and layer.change is not None
        change = change_of(layer.spectra.matrix)
        if layer.name not in base or layer.change.status == "same":
            continue
        moved += 1
        now, before = merged[layer.name], base[layer.name]
        s1, s0 = singular(now), singular(before)
        expected = np.linalg.norm(s1 - s0) / np.linalg.norm(s0)
        assert change.distance == pytest.approx(expected, rel=1e-5)
        # As stored: the inputs of GPT-2's layers come first.
        assert change.alignment == pytest.approx(alignment(now, before), rel=1e-6)
    assert moved >= 2


def test_a_prefix_of_one_of_them_does_not_matter(tmp_path: Path) -> None:
    names = [f"layers.{k}.weight" for k in range(3)]
    before = {name: drawn(30, 40, seed=k) for k, name in enumerate(names)}
    now = {f"bert.{name}": 2 * each for name, each in before.items()}
    card = pair(tmp_path, before, now)
    for layer in card.layers:
        assert layer.spectra is not None
        assert change_of(layer.spectra.matrix).distance == pytest.approx(1.0, rel=1e-9)


def test_what_has_no_counterpart_says_why(tmp_path: Path) -> None:
    base = {"a.weight": drawn(30, 40), "b.weight": drawn(30, 40)}
    card = pair(tmp_path, base, {**base, "b.weight": drawn(32, 40), "c.weight": drawn(30, 40)})
    reasons = {
        name: spectrum.reasons.get("change")
        for name in ("a.weight", "b.weight", "c.weight")
        if (spectrum := spectra_of(card, name).matrix)
    }
    assert reasons == {
        "a.weight": None,
        "b.weight": "the base's layer has another shape",
        "c.weight": "the base checkpoint has no such layer",
    }


def test_layers_of_zeros_have_reasons(tmp_path: Path) -> None:
    some, none = drawn(30, 40), torch.zeros(30, 40)
    base = {"a.weight": none, "b.weight": some}
    card = pair(tmp_path, base, {"a.weight": some, "b.weight": none})
    from_none = change_of(spectra_of(card, "a.weight").matrix)
    zero = "all of its eigenvalues are zero"
    assert from_none.distance is None
    for name in ("distance", "jensen_shannon", "alignment", "stable_rank", "effective_rank"):
        assert from_none.reasons[name] == f"in the base checkpoint: {zero}"
    assert from_none.reasons["alpha"].startswith("in the base checkpoint: fewer than two")
    to_none = change_of(spectra_of(card, "b.weight").matrix)
    assert to_none.distance == pytest.approx(1.0, rel=1e-12)
    for name in ("jensen_shannon", "alignment", "stable_rank", "effective_rank"):
        assert to_none.reasons[name] == zero
    assert to_none.reasons["alpha"].startswith("fewer than two")


def test_a_base_out_of_range_says_so(tmp_path: Path) -> None:
    some = drawn(30, 40).double()
    card = pair(tmp_path, {"a.weight": some * 1e200}, {"a.weight": some})
    spectrum = spectra_of(card, "a.weight").matrix
    assert spectrum is not None and spectrum.change is None
    assert spectrum.reasons["change"].startswith("in the base checkpoint: the squares")


@pytest.mark.parametrize("which", ["base", "model"])
def test_what_is_not_finite_in_either_says_so(tmp_path: Path, which: str) -> None:
    states = {name: {"a.weight": drawn(30, 40)} for name in ("base", "model")}
    states[which]["a.weight"][3, 4] = math.nan
    spectrum = spectra_of(pair(tmp_path, states["base"], states["model"]), "a.weight").matrix
    assert spectrum is not None and spectrum.change is None
    assert spectrum.reasons["change"] == "entries of the layer or of the base's are not finite"


def test_a_distance_of_hundreds_of_orders_of_magnitude_is_a_number(tmp_path: Path) -> None:
    before = drawn(30, 40).double() * 1e-110
    card = pair(tmp_path, {"a.weight": before}, {"a.weight": 1e200 * before})
    change = change_of(spectra_of(card, "a.weight").matrix)
    assert change.distance == pytest.approx(1e200, rel=1e-9)


@pytest.mark.parametrize("scale", [1e100, 1e-100])
def test_squares_of_eigenvalues_out_of_range_leave_the_rest(tmp_path: Path, scale: float) -> None:
    before = drawn(30, 40).double() * scale
    card = pair(tmp_path, {"a.weight": before}, {"a.weight": 2 * before})
    change = change_of(spectra_of(card, "a.weight").matrix)
    assert change.distance == pytest.approx(1.0, rel=1e-9)
    assert change.alignment is None
    assert change.reasons["alignment"] == "out of the range of floating-point numbers"


def kernel_file(path: Path, kernel: torch.Tensor) -> Path:
    path.mkdir()
    torch.save({"conv.weight": kernel}, path / "pytorch_model.bin")
    return path


def test_a_kernel_that_lies_in_another_order_says_so(tmp_path: Path) -> None:
    kernel = drawn(12, 10, 3, 3)
    base = kernel_file(tmp_path / "base", kernel.to(memory_format=torch.channels_last))
    spectra = spectra_of(compared(base, kernel_file(tmp_path / "model", kernel)), "conv.weight")
    for spectrum in (spectra.matrix, spectra.slices):
        assert spectrum is not None
        reason = "the kernel of the base's layer lies in another order in memory"
        assert spectrum.reasons["change"] == reason


def test_transposed_storage_leaves_out_the_alignment_where_it_must(tmp_path: Path) -> None:
    def file(name: str, **state: torch.Tensor) -> Path:
        (tmp_path / name).mkdir()
        torch.save({f"{key}.weight": each for key, each in state.items()}, tmp_path / name / "a.pt")
        return tmp_path / name

    tall, wide = drawn(60, 40), drawn(40, 60)
    model = file("model", tall=2 * tall, wide=2 * wide)
    base = file("base", tall=tall.T.contiguous().T, wide=wide.T.contiguous().T)
    card = compared(base, model)
    for name in ("tall.weight", "wide.weight"):
        change = change_of(spectra_of(card, name).matrix)
        assert change.distance == pytest.approx(1.0, rel=1e-9)
        assert change.alignment == pytest.approx(1.0, rel=1e-9)
    # The model's inputs are outermost: blocks of them are not blocks of the base's.
    turned = change_of(spectra_of(compared(model, base), "wide.weight").matrix)
    assert turned.distance == pytest.approx(0.5, rel=1e-9)
    assert turned.alignment is None
    assert turned.reasons["alignment"] == "the base's layer lies in another order in memory"


def test_of_a_sampled_side_both_have_the_same_rows(tmp_path: Path) -> None:
    before = drawn(64, 80)
    options = ScanOptions(spectra=SpectraOptions(max_side=20, seed=5))
    card = pair(tmp_path, {"a.weight": before}, {"a.weight": 3 * before}, options)
    spectrum = spectra_of(card, "a.weight").matrix
    assert spectrum is not None and spectrum.sampled == 64
    assert change_of(spectrum).distance == pytest.approx(2.0, rel=1e-6)
    assert change_of(spectrum).alignment == pytest.approx(1.0, rel=1e-12)


def test_the_command_takes_the_options_of_a_scan(tmp_path: Path) -> None:
    before = drawn(64, 80)
    base = write(tmp_path / "base", {"a.weight": before})
    model = write(tmp_path / "model", {"a.weight": 2 * before})
    out = tmp_path / "card.json"
    arguments = ["compare", str(base), str(model), "--json", str(out)]
    asked = ["--spectra", "--max-side", "30", "--shuffle"]
    result = CliRunner().invoke(cli, [*arguments, *asked])
    assert result.exit_code == 0, result.output
    card = from_json(out.read_text())
    assert card.spectra is not None and card.spectra.max_side == 30
    spectrum = spectra_of(card, "a.weight").matrix
    assert spectrum is not None and spectrum.shuffled is not None
    assert change_of(spectrum).distance == pytest.approx(1.0, rel=1e-9)
    refused = CliRunner().invoke(cli, [*arguments, "--shuffle"])
    assert isinstance(refused.exception, OptionError)
    assert refused.exception.code == "without-spectra"


def test_without_asking_there_are_no_spectra(tmp_path: Path) -> None:
    state = {"a.weight": drawn(30, 40)}
    card = pair(tmp_path, state, state, ScanOptions())
    assert card.spectra is None and card.layers[0].spectra is None
