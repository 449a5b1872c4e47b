"""The anatomy held to the models that transformers builds: modules, data flow, draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.anatomy import FAMILIES, build, configuration, tensors_of

from thermoscan.anatomy import Anatomy, Layer, Role, dissect
from thermoscan.anatomy.families import CONVENTIONS
from thermoscan.theory.activations import activation, canonical

if TYPE_CHECKING:
    from transformers import PreTrainedModel

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

CAUSAL = (
    *("gpt2", "gpt_neox", "llama", "mistral", "phi3", "qwen2", "qwen3", "gemma", "gemma2"),
    *("mixtral", "qwen2_moe", "qwen3_moe"),
)
MODELS = [
    *((model_type, "Model") for model_type in FAMILIES),
    *((model_type, "ForCausalLM") for model_type in CAUSAL),
    *(
        (model_type, head)
        for model_type in ("bert", "roberta", "distilbert")
        for head in ("ForMaskedLM", "ForSequenceClassification", "ForTokenClassification")
    ),
    ("bert", "ForPreTraining"),
    ("gpt2", "ForSequenceClassification"),
    ("llama", "ForSequenceClassification"),
    ("vit", "ForImageClassification"),
]
DENSE = [(t, h) for t, h in MODELS if t not in ("mixtral", "qwen2_moe", "qwen3_moe")]


def dissected(model: PreTrainedModel) -> Anatomy:
    return dissect(tensors_of(model.state_dict()), model.config.to_dict())


def by_module(anatomy: Anatomy) -> dict[str, list[Layer]]:
    grouped: dict[str, list[Layer]] = {}
    for layer in anatomy.layers:
        grouped.setdefault(layer.tensor.removesuffix(".weight"), []).append(layer)
    return grouped


def outputs_and_inputs(module: Any) -> tuple[int, int, int] | None:
    """(outputs, inputs, output axis) as the module's own attributes state them."""
    if isinstance(module, torch.nn.Linear):
        return module.out_features, module.in_features, 0
    if isinstance(module, torch.nn.Conv2d):
        kernel = module.kernel_size[0] * module.kernel_size[1]
        return module.out_channels, module.in_channels * kernel, 0
    if type(module).__name__ == "Conv1D":
        return module.nf, module.nx, 1
    return None


@pytest.mark.parametrize(("model_type", "head"), MODELS)
def test_every_matrix_has_the_size_and_orientation_of_its_module(
    model_type: str, head: str
) -> None:
    model = build(model_type, head)
    anatomy = dissected(model)
    grouped = by_module(anatomy)
    for path, module in model.named_modules():
        sizes = outputs_and_inputs(module)
        if sizes is None or f"{path}.weight" in anatomy.tied:
            continue
        layers = grouped[path]
        assert (
            sum(layer.shape[0] for layer in layers),
            {layer.shape[1] for layer in layers},
            {layer.out_axis for layer in layers},
        ) == (sizes[0], {sizes[1]}, {sizes[2]}), path
        assert {layer.fan_in for layer in layers} == {sizes[1]}, path
        has_bias = module.bias is not None
        assert all((layer.bias is not None) == has_bias for layer in layers), path


@pytest.mark.parametrize(("model_type", "head"), MODELS)
def test_embeddings_are_tables_and_only_norms_are_norms(model_type: str, head: str) -> None:
    model = build(model_type, head)
    anatomy = dissected(model)
    tables = {layer.tensor for layer in anatomy.layers if layer.role is Role.EMBEDDING}
    norms = {r.tensor for r in anatomy.recorded if r.role is Role.NORM}
    modules = list(model.named_modules())
    expected_tables = {f"{p}.weight" for p, m in modules if isinstance(m, torch.nn.Embedding)}
    expected_norms = {
        f"{p}.{name}"
        for p, m in modules
        if "Norm" in type(m).__name__
        for name, _ in m.named_parameters()
    }
    if model_type == "vit":
        expected_tables.add(
            next(n for n in model.state_dict() if n.endswith("position_embeddings"))
        )
    assert tables == expected_tables
    assert norms == expected_norms
    assert all(layer.fan_in == 1 for layer in anatomy.layers if layer.role is Role.EMBEDDING)


@pytest.mark.parametrize(("model_type", "head"), MODELS)
def test_a_declared_tie_is_the_one_that_transformers_makes(model_type: str, head: str) -> None:
    model = build(model_type, head)
    state = model.state_dict()
    keys = getattr(model, "_tied_weights_keys", None) or {}
    tied = getattr(model.config, "tie_word_embeddings", False)
    expected = {
        name: source for name, source in keys.items() if tied and len(state[name].shape) == 2
    }
    assert dissected(model).tied == expected


def run_with_record(model: PreTrainedModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """Runs a model once; returns every leaf module's first input and output by path."""
    seen_in: dict[str, Any] = {}
    seen_out: dict[str, Any] = {}

    def record(path: str) -> Any:
        def hook(_: Any, inputs: tuple[Any, ...], output: Any) -> None:
            if inputs and isinstance(output, torch.Tensor):
                seen_in[path], seen_out[path] = inputs[0], output

        return hook

    for path, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(record(path))
    torch.manual_seed(1)
    with torch.no_grad():
        if model.config.model_type == "vit":
            model(pixel_values=torch.randn(1, 3, 32, 32))
        else:
            model(input_ids=torch.randint(1, 100, (1, 7)))
    return seen_in, seen_out


def shaken(model_type: str, head: str) -> PreTrainedModel:
    """A model whose every vector is random, so that no two tensors are equal by chance."""
    model = build(model_type, head, device="cpu").eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def same(a: Any, b: Any) -> bool:
    """Whether `a` is `b`, or the part of it that belongs to one token, as a pooler reads it."""
    a, b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    if a.shape[-1] != b.shape[-1] or a.shape[0] > b.shape[0]:
        return False
    return any(torch.equal(a, b[i : i + len(a)]) for i in range(len(b) - len(a) + 1))


@pytest.mark.parametrize(("model_type", "head"), DENSE)
def test_the_feeding_norm_is_the_one_whose_output_flows_in(model_type: str, head: str) -> None:
    model = shaken(model_type, head)
    inputs, outputs = run_with_record(model)
    modules = dict(model.named_modules())
    norms = {p: out for p, out in outputs.items() if "Norm" in type(modules[p]).__name__}
    for path, layers in by_module(dissected(model)).items():
        if path not in inputs or outputs_and_inputs(modules[path]) is None:
            continue
        sources = [norm for norm, out in norms.items() if same(inputs[path], out)]
        expected = {f"{norm}.weight" for norm in sources} or {None}
        found = {layer.norm.gain if layer.norm else None for layer in layers}
        assert found == expected, path


@pytest.mark.parametrize(("model_type", "head"), DENSE)
def test_engines_are_the_layers_whose_output_an_activation_takes(
    model_type: str, head: str
) -> None:
    model = shaken(model_type, head)
    inputs, outputs = run_with_record(model)
    modules = dict(model.named_modules())
    weightless = {
        p: modules[p]
        for p in inputs
        if not list(modules[p].parameters())
        and not isinstance(modules[p], torch.nn.Dropout)
        and canonical(type(modules[p]).__name__.removesuffix("Activation")) != "identity"
    }
    z = torch.linspace(-3, 3, 25, dtype=torch.float64)
    for path, layers in by_module(dissected(model)).items():
        if path not in outputs or outputs_and_inputs(modules[path]) is None:
            continue
        for layer in layers:
            out = outputs[path][..., layer.start : layer.stop]
            followers = [m for p, m in weightless.items() if torch.equal(inputs[p], out)]
            if layer.activation is None:
                assert layer.activation_reason
                continue
            assert layer.engine == bool(followers), layer.name
            for follower in followers:
                ours = activation(layer.activation)(z.numpy())
                assert ours == pytest.approx(follower(z).numpy(), abs=1e-9), layer.name


def test_the_activations_that_are_not_known_are_few_and_named() -> None:
    unknown = {
        (model_type, head, layer.name)
        for model_type, head in DENSE
        for layer in dissected(build(model_type, head)).layers
        if layer.activation is None
    }
    assert unknown == {
        ("roberta", "ForMaskedLM", "lm_head.dense.weight"),
        ("roberta", "ForSequenceClassification", "classifier.dense.weight"),
        ("distilbert", "ForSequenceClassification", "pre_classifier.weight"),
    }


def test_gemma_adds_one_to_its_gains_and_llama_does_not() -> None:
    for model_type, offset in (("gemma", True), ("gemma2", True), ("llama", False)):
        model = build(model_type, "Model", device="cpu")
        norm = dict(model.named_modules())["norm"]
        with torch.no_grad():
            norm.weight.fill_(0.5)
            gain = float(norm(torch.ones(1, 64)).mean())
        assert gain == pytest.approx(1.5 if offset else 0.5, rel=1e-4)
        norms = {layer.norm for layer in dissected(model).layers if layer.norm}
        assert {n.gain_is_offset for n in norms} == {offset}


@pytest.mark.parametrize("model_type", [t for t in FAMILIES if t != "vit"])
@pytest.mark.parametrize("init", [0.02, 0.05])
def test_the_initialisation_is_the_one_that_transformers_draws(
    model_type: str, init: float
) -> None:
    head = "ForCausalLM" if model_type in CAUSAL else "Model"
    check_draws(build_wide(model_type, head, init))


@pytest.mark.parametrize("head", ["Model", "ForImageClassification"])
def test_vit_draws_its_positions_from_a_cut_normal_distribution(head: str) -> None:
    model = build_wide("vit", head, 1.0)
    check_draws(model)
    families = {
        layer.initialisation.family
        for layer in dissected(model).layers
        if layer.initialisation and layer.role is Role.EMBEDDING
    }
    assert families == {"truncated normal"}


def build_wide(model_type: str, head: str, init: float) -> PreTrainedModel:
    torch.manual_seed(0)
    return build(model_type, head, device="cpu", initializer_range=init, vocab_size=2000)


def check_draws(model: PreTrainedModel) -> None:
    """Compares each layer's stated variance and shape with the real draw's."""
    state = {name: value.double() for name, value in model.state_dict().items()}
    anatomy = dissected(model)
    assert anatomy.layers
    for layer in anatomy.layers:
        start = layer.initialisation
        assert start is not None, (layer.name, layer.initialisation_reason)
        values = state[layer.tensor]
        if layer.group is not None:
            values = values[layer.group]
        axis = layer.out_axis - (layer.group is not None)
        values = values.narrow(axis, layer.start, layer.stop - layer.start)
        if layer.role is Role.EMBEDDING:
            values = values[..., values.abs().amax(-1) > 0, :]
        variance = float(values.square().mean())
        tolerance = max(0.05, 5 * (2 / values.numel()) ** 0.5)
        assert variance == pytest.approx(start.variance, rel=tolerance), layer.name
        kurtosis = float(values.pow(4).mean()) / variance**2
        cut = start.family == "truncated normal" and start.variance > 0.5
        expected, spread = (2.36 if cut else 3.0), 8 * (24 / values.numel()) ** 0.5
        assert kurtosis == pytest.approx(expected, abs=0.1 + spread), layer.name


def test_conventions_are_the_defaults_of_the_configuration_classes() -> None:
    for model_type, convention in CONVENTIONS.items():
        config = configuration(model_type)
        keys = ("hidden_activation", "hidden_act", "activation_function", "activation")
        stated = next(getattr(config, key) for key in keys if getattr(config, key, None))
        assert canonical(stated) == canonical(convention.activation), model_type
        assert getattr(config, "tie_word_embeddings", False) == convention.tied, model_type
        assert config.initializer_range == 0.02
        sparse = {"model_type": model_type}
        tensors = tensors_of(build(model_type, "Model").state_dict())
        stated_engines, silent_engines = (
            [(layer.name, layer.activation) for layer in dissect(tensors, c).layers if layer.engine]
            for c in (config.to_dict(), sparse)
        )
        assert silent_engines == stated_engines
