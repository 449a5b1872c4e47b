"""The anatomy held to the models that transformers builds: modules, data flow, draws."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from support import anatomy_page, tiny_models  # noqa: E402 - they need torch
from support.anatomy import tensors_of  # noqa: E402
from support.anatomy_oracle import (  # noqa: E402
    Specimen,
    everything,
    facts,
    judge,
    specimen,
    verdict_on,
)

from thermoscan.anatomy import Anatomy, Layer, Role, dissect  # noqa: E402
from thermoscan.anatomy.catalogue import CATALOGUE  # noqa: E402
from thermoscan.anatomy.conventions import Convention, Switch  # noqa: E402
from thermoscan.anatomy.model import FeedingNorm  # noqa: E402
from thermoscan.theory.initialisation import uniform  # noqa: E402

MODELS = list(everything())
DOCS = Path(__file__).parents[2] / "docs" / "anatomy.md"


@pytest.mark.parametrize(("name", "head"), MODELS)
def test_whatever_the_anatomy_says_is_what_transformers_does(name: str, head: str) -> None:
    verdict = judge(name, head)
    assert verdict.mistakes == []
    assert {"size", "norm", "activation", "role", "initialisation"} <= set(verdict.checked)


@pytest.mark.parametrize(("name", "head"), MODELS)
def test_a_checkpoint_as_it_is_saved_says_the_same(name: str, head: str) -> None:
    """Saved tensors may have other names, and a saved configuration omits what is the default."""
    from transformers.core_model_loading import revert_weight_conversion

    built = specimen(name, head)
    state = built.model.state_dict()
    converted: dict[str, Any] = revert_weight_conversion(built.model, dict(state))
    saved = {key: value.clone() for key, value in converted.items()}
    anatomy = dissect(tensors_of(saved), built.model.config.to_diff_dict())
    assert facts(anatomy, saved) == facts(built.anatomy, state)


def altered(of: Specimen, change: Callable[[Layer], Layer | None]) -> Specimen:
    """A specimen whose anatomy is changed in the first layer that `change` says something of."""
    layers = list(of.anatomy.layers)
    for index, layer in enumerate(layers):
        changed = change(layer)
        if changed is not None:
            layers[index] = changed
            break
    assert tuple(layers) != of.anatomy.layers
    return replace(of, anatomy=replace(of.anatomy, layers=tuple(layers)))


CHANGES: dict[str, Callable[[Layer], Layer | None]] = {
    "norm": lambda ly: replace(ly, norm=None) if ly.norm else None,
    "activation": lambda ly: replace(ly, activation="silu") if ly.activation == "gelu" else None,
    "size": lambda ly: replace(ly, fan_in=7) if ly.role is Role.UP else None,
    "role": lambda ly: replace(ly, role=Role.KEY) if ly.role is Role.QUERY else None,
    "initialisation": lambda ly: replace(ly, initialisation=uniform(0.05, "wrong")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_judge_sees_a_single_mistake(what: str) -> None:
    mistakes = verdict_on(altered(specimen("bert", "Model"), CHANGES[what])).mistakes
    assert [mistake.partition(":")[0] for mistake in mistakes] == [what]


def test_the_judge_sees_a_norm_too_many() -> None:
    wrong = FeedingNorm("encoder.layer.0.output.LayerNorm.weight", None)
    of = altered(
        specimen("bert", "Model"),
        lambda ly: replace(ly, norm=wrong) if ly.role is Role.DOWN else None,
    )
    assert len(verdict_on(of).mistakes) == 1


def test_every_model_type_of_the_catalogue_is_judged_or_shares_its_entry_with_one_that_is() -> None:
    judged = {tiny_models.type_of(name) for name, _ in MODELS}
    entries = [CATALOGUE[model_type] for model_type in judged]
    assert judged <= set(CATALOGUE)
    assert [t for t, entry in CATALOGUE.items() if not any(entry is e for e in entries)] == []
    assert len(judged) >= 40


def cases(entry: Convention | Switch) -> list[Convention]:
    if isinstance(entry, Convention):
        return [entry]
    return [leaf for case in entry.cases.values() for leaf in cases(case)]


@pytest.mark.parametrize("name", tiny_models.TINY)
def test_what_silence_stands_for_is_the_default_of_the_configuration_class(name: str) -> None:
    config = tiny_models.default_configuration(name)
    model_type = tiny_models.type_of(name)
    assert config.model_type == model_type
    entry = CATALOGUE[model_type]
    convention = entry.choose({}) if isinstance(entry, Switch) else entry
    assert convention is not None
    parts = [getattr(config, key) for key in convention.towers.values()] or [config]
    for keys, number in convention.defaults.items():
        for part in parts:
            stated = [getattr(part, key) for key in keys.split("|") if hasattr(part, key)]
            assert set(stated) <= {number}, keys
    stated_tie = getattr(config, "tie_word_embeddings", False)
    assert all(case.tied == stated_tie for case in cases(entry))
    if isinstance(entry, Switch):
        assert getattr(config, entry.key) == entry.default


def test_few_engines_have_an_activation_that_is_not_known() -> None:
    unknown: Counter[tuple[str, str | None]] = Counter()
    engines = 0
    for name, head in MODELS:
        for layer in specimen(name, head).anatomy.layers:
            engines += layer.engine
            if layer.engine and layer.activation is None:
                unknown[name, layer.activation_reason] += 1
    assert set(unknown) == {
        ("gpt_oss", "a gate and an up fused in an order that names do not tell")
    }
    assert engines > 400


def test_gemma_adds_one_to_its_gains_and_llama_does_not() -> None:
    for name, offset in (
        ("gemma", True),
        ("gemma2", True),
        ("gemma3_text", True),
        ("llama", False),
    ):
        model = tiny_models.build(name, tiny_models.TINY[name].heads[-1], device="cpu")
        norm = next(m for p, m in model.named_modules() if p.split(".")[-1] == "norm")
        with torch.no_grad():
            norm.weight.fill_(0.5)
            gain = float(norm(torch.ones(1, 64)).mean())
        assert gain == pytest.approx(1.5 if offset else 0.5, rel=1e-4)
        norms = {layer.norm for layer in dissected(model).layers if layer.norm}
        assert {n.gain_is_offset for n in norms} == {offset}


def dissected(model: Any) -> Anatomy:
    return dissect(tensors_of(model.state_dict()), model.config.to_dict())


def test_a_batch_norm_behind_a_convolution_sets_mean_and_variance_of_what_the_relu_takes() -> None:
    """Gain and bias of the norm against its output on data with the norm's own statistics."""
    of = specimen("resnet", "Model")
    (first,) = [ly for ly in of.anatomy.layers if ly.tensor.startswith("embedder.")]
    assert first.following is not None and first.following.per_unit
    modules = dict(of.model.named_modules())
    convolution = modules[first.tensor.removesuffix(".weight")]
    norm = modules[first.following.gain.removesuffix(".weight")]
    torch.manual_seed(3)
    with torch.no_grad():
        out = convolution(torch.randn(8, 3, 32, 32))
        norm.running_mean.copy_(out.mean((0, 2, 3)))
        norm.running_var.copy_(out.var((0, 2, 3)))
        z = norm(out)
    assert z.mean((0, 2, 3)).numpy() == pytest.approx(norm.bias.detach().numpy(), abs=1e-5)
    assert z.var((0, 2, 3)).numpy() == pytest.approx(norm.weight.detach().numpy() ** 2, rel=1e-3)


def test_the_table_in_the_documentation_is_what_was_judged(pytestconfig: pytest.Config) -> None:
    table = f"<!-- judged -->\n{anatomy_page.table()}\n<!-- /judged -->"
    text = DOCS.read_text()
    current = re.sub("<!-- judged -->.*<!-- /judged -->", lambda _: table, text, flags=re.DOTALL)
    if pytestconfig.getoption("--update-goldens"):
        DOCS.write_text(current)
    assert current == DOCS.read_text()
