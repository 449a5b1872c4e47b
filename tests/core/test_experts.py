"""Experts beside each other: constructed mixtures with known temperatures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import save_file
from scipy import stats

import thermoscan
from thermoscan.card import Card, ExpertSpread
from thermoscan.card_io import missing_reasons

Array = npt.NDArray[np.float32]
SCALES = (0.02, 0.03, 0.05, 0.01)


def card_of(tensors: dict[str, Array], folder: Path, **config: object) -> Card:
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "mixtral", **config}))
    return thermoscan.scan(str(folder))


def by_name(card: Card) -> dict[str, ExpertSpread]:
    assert missing_reasons(card) == []
    return {each.name: each for each in card.experts}


def drawn(*shape: int, seed: int, laplace: bool = False) -> Array:
    generator = np.random.default_rng(seed)
    values = generator.laplace(size=shape) if laplace else generator.normal(size=shape)
    return values.astype(np.float32)


def numbered(block: int, seed: int = 0) -> dict[str, Array]:
    """Four experts stored one by one, each with a scale of its own."""
    prefix = f"model.layers.{block}.block_sparse_moe.experts"
    return {
        f"{prefix}.{expert}.{word}.weight": scale * drawn(*shape, seed=seed + 3 * expert + at)
        for expert, scale in enumerate(SCALES)
        for at, (word, shape) in enumerate((("w1", (48, 32)), ("w2", (32, 48)), ("w3", (48, 32))))
    }


def test_experts_stored_one_by_one_are_set_beside_each_other_in_their_block(tmp_path: Path) -> None:
    tensors = {**numbered(0), **numbered(11, seed=50)}
    found = by_name(card_of(tensors, tmp_path))
    assert len(found) == 6
    prefix = "model.layers.11.block_sparse_moe.experts"
    gate = found[f"{prefix}.*.w1.weight"]
    heats = [
        float(np.mean(np.square(tensors[f"{prefix}.{e}.w1.weight"], dtype=float))) for e in range(4)
    ]
    assert (gate.role, gate.depth, gate.experts) == ("mlp gate", 11, 4)
    assert gate.reduced_temperature == pytest.approx(32 * np.mean(heats), rel=1e-6)
    assert gate.temperature_spread == pytest.approx(
        np.std(heats, ddof=1) / np.mean(heats), rel=1e-6
    )
    assert (gate.coldest, gate.hottest) == (f"{prefix}.3.w1.weight", f"{prefix}.2.w1.weight")
    assert found[f"{prefix}.*.w2.weight"].role == "mlp down"


def test_stacked_experts_are_set_beside_each_other_part_by_part(tmp_path: Path) -> None:
    stem = "model.layers.3.mlp.experts"
    scales = np.array(SCALES, np.float32)[:, None, None]
    up, down = drawn(4, 96, 32, seed=1) * scales, drawn(4, 32, 48, seed=2)
    found = by_name(card_of({f"{stem}.gate_up_proj": up, f"{stem}.down_proj": down}, tmp_path))
    assert set(found) == {
        f"{stem}.gate_up_proj[*][gate]",
        f"{stem}.gate_up_proj[*][up]",
        f"{stem}.down_proj[*]",
    }
    gate = found[f"{stem}.gate_up_proj[*][gate]"]
    heats = np.square(up[:, :48], dtype=float).mean((1, 2))
    assert gate.temperature_spread == pytest.approx(heats.std(ddof=1) / heats.mean(), rel=1e-6)
    assert gate.hottest == f"{stem}.gate_up_proj[2][gate]"
    assert gate.depth == 3


def test_experts_that_are_draws_from_one_distribution_differ_by_sampling_alone(
    tmp_path: Path,
) -> None:
    """T of n normal entries has the relative deviation √(2/n); of 64 of them, its own by chi²."""
    n = 48 * 32
    stacked = drawn(64, 32, 48, seed=5)
    (found,) = by_name(card_of({"layers.0.mlp.experts.down_proj": stacked}, tmp_path)).values()
    assert found.sampling_spread == pytest.approx(np.sqrt(2 / n), rel=0.05)
    assert found.temperature_spread is not None and found.sampling_spread is not None
    ratio = (found.temperature_spread / found.sampling_spread) ** 2
    assert stats.chi2.ppf(0.001, 63) < 63 * ratio < stats.chi2.ppf(0.999, 63)


def test_the_spread_of_orders_is_that_of_the_experts_shapes(tmp_path: Path) -> None:
    """Two Gaussian experts and two of Laplace's law, whose order is ½ ln(2πe·2) - 1 - ln 2."""
    laplace = 0.5 * np.log(4 * np.pi * np.e) - 1 - np.log(2)
    stacked = np.stack([drawn(256, 256, seed=k, laplace=k > 1) for k in range(4)])
    (found,) = by_name(card_of({"layers.0.mlp.experts.down_proj": stacked}, tmp_path)).values()
    assert found.order_spread == pytest.approx(np.std([0, 0, laplace, laplace], ddof=1), abs=0.004)


def test_an_expert_without_degrees_of_freedom_is_counted_and_left_out(tmp_path: Path) -> None:
    stacked = drawn(2, 32, 48, seed=5)
    stacked[1] = 0
    (found,) = by_name(card_of({"experts.down_proj": stacked}, tmp_path)).values()
    assert found.experts == 2
    assert found.reduced_temperature == pytest.approx(
        48 * np.mean(np.square(stacked[0], dtype=float))
    )
    assert found.reasons["temperature_spread"] == "fewer than two of its experts have one"
    assert found.reasons["depth"] == "its name gives no block"
    assert found.coldest == found.hottest == "experts.down_proj[0]"


def test_experts_without_any_have_reasons(tmp_path: Path) -> None:
    (found,) = by_name(
        card_of({"experts.down_proj": np.zeros((2, 4, 4), np.float32)}, tmp_path)
    ).values()
    assert found.coldest is None and found.reduced_temperature is None


def test_experts_of_enormous_values_have_a_spread_like_any(tmp_path: Path) -> None:
    stacked = drawn(3, 32, 48, seed=5).astype(np.float64)
    plain = np.square(stacked).mean((1, 2))
    save_file({"experts.down_proj": stacked * 1e70}, tmp_path / "model.safetensors")
    (found,) = by_name(thermoscan.scan(str(tmp_path))).values()
    assert found.temperature_spread == pytest.approx(plain.std(ddof=1) / plain.mean(), rel=1e-6)


def test_a_dense_model_and_a_lone_expert_have_no_spread(tmp_path: Path) -> None:
    tensors = {
        "layers.0.mlp.up_proj.weight": drawn(8, 4, seed=1),
        "layers.0.mlp.experts.0.up_proj.weight": drawn(8, 4, seed=2),
    }
    assert card_of(tensors, tmp_path).experts == ()


def test_an_expert_is_hot_against_its_own_mixture_however_hot_others_are(tmp_path: Path) -> None:
    """Blocks whose scales differ by ten hide one expert that is five times its peers."""
    tensors = {
        f"layers.{block}.mlp.experts.{expert}.down_proj.weight": scale
        * drawn(32, 48, seed=9 * block + expert)
        for block, scale in enumerate((0.01, 0.1, 1.0, 0.03))
        for expert in range(8)
    }
    hot = "layers.0.mlp.experts.5.down_proj.weight"
    tensors[hot] *= 5
    findings = [
        each for each in card_of(tensors, tmp_path).findings if each.code in ("hot", "cold")
    ]
    assert [(each.code, each.layer) for each in findings] == [("hot", hot)]
    assert "the 8 experts of its mixture" in findings[0].message
