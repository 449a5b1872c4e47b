"""Checkpoints of several components: each is dissected by itself, one anatomy holds them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from support import tiny_models
from support.anatomy import tensor, tensors_of

from thermoscan.anatomy import Anatomy, Assumptions, Role, anatomy_of, dissect
from thermoscan.anatomy import components as joining
from thermoscan.checkpoint import Checkpoint, Source, Tensor
from thermoscan.errors import LimitError, ProbeError
from thermoscan.plugins import runner_for


class NoReader:
    """Anatomy reads no weights."""

    def readinto(self, file: str, offset: int, buffer: memoryview) -> None:
        raise AssertionError("no weights are read")

    def expect(self, file: str, offset: int, length: int) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Part:
    """A component as it is in a folder of its own."""

    tensors: list[Tensor]
    config: Mapping[str, Any] | None


def part(name: str, head: str, **sizes: Any) -> Part:
    model = tiny_models.build(name, head, **sizes)
    return Part(tensors_of(model.state_dict()), model.config.to_dict())


def together(parts: Mapping[str, Part], config: Mapping[str, Any] | None = None) -> Checkpoint:
    """A checkpoint of these components."""
    return Checkpoint(
        source=Source("pipeline", None, "disk"),
        tensors=tuple(
            replace(each, name=f"{name}.{each.name}")
            for name, one in parts.items()
            for each in one.tensors
        ),
        files=(),
        reader=NoReader(),
        config=config,
        components={name: one.config for name, one in parts.items()},
    )


def names_in(value: object) -> Iterator[str]:
    """Every name of a tensor that an anatomy mentions."""
    if is_dataclass(value):
        for each in fields(value):
            if each.name in {"tensor", "gain", "bias"} and isinstance(
                name := getattr(value, each.name), str
            ):
                yield name
            else:
                yield from names_in(getattr(value, each.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from names_in(item)
    elif isinstance(value, dict):
        yield from (name for pair in value.items() for name in pair)


PARTS = {
    "text_encoder": lambda: part("bert", "ForMaskedLM"),
    "decoder": lambda: part("gpt2", "ForCausalLM"),
    "image_encoder": lambda: part("wav2vec2", "Model"),
    "mixture": lambda: part("deepseek_v2", "ForCausalLM"),
}


@pytest.fixture(scope="module")
def parts() -> dict[str, Part]:
    return {name: build() for name, build in PARTS.items()}


@pytest.fixture(scope="module")
def whole(parts: dict[str, Part]) -> Anatomy:
    return anatomy_of(together(parts, {"_class_name": "ManyModelsPipeline"}))


def test_every_component_is_what_it_is_alone(parts: dict[str, Part], whole: Anatomy) -> None:
    alone = {name: dissect(one.tensors, one.config) for name, one in parts.items()}
    for what in ("role", "shape", "fan_in", "depth", "activation", "engine", "initialisation"):
        assert [getattr(layer, what) for layer in whole.layers] == [
            getattr(layer, what) for one in alone.values() for layer in one.layers
        ]
    for what in ("norm", "following", "bias", "joins"):
        assert [getattr(layer, what) is None for layer in whole.layers] == [
            getattr(layer, what) is None for one in alone.values() for layer in one.layers
        ]
    assert [layer.name for layer in whole.layers] == [
        f"{name}.{layer.name}" for name, one in alone.items() for layer in one.layers
    ]
    roles = {layer.role for layer in whole.layers if layer.name.startswith("decoder.")}
    assert {Role.QUERY, Role.UP, Role.DOWN, Role.EMBEDDING} <= roles


def test_every_name_that_is_mentioned_is_a_stored_one(
    parts: dict[str, Part], whole: Anatomy
) -> None:
    stored = {each.name for each in together(parts).tensors}
    mentioned = set(names_in(whole))
    assert mentioned <= stored
    assert stored == {
        name for name in mentioned if any(name.startswith(f"{part}.") for part in parts)
    }


def test_every_tensor_is_in_exactly_one_part(parts: dict[str, Part], whole: Anatomy) -> None:
    in_layers = {layer.tensor for layer in whole.layers}
    aside = [each.tensor for each in (*whole.recorded, *whole.not_analysed)]
    places = [*in_layers, *aside, *whole.tied]
    assert sorted(places) == sorted(each.name for each in together(parts).tensors)


def test_the_architecture_is_that_of_the_whole(whole: Anatomy) -> None:
    assert whole.architecture == "ManyModelsPipeline"


def test_a_note_says_which_components_it_is_about(whole: Anatomy) -> None:
    starts = [note for note in whole.notes if "start" in note]
    assert [note.partition(":")[0] for note in starts] == list(PARTS)
    assert "for 'bert'" in starts[0] and "for 'gpt2'" in starts[1]
    stated = anatomy_of(
        together({"one": Part([], None), "two": Part([], None), "three": Part([], None)})
    )
    assert stated.notes == ()


def test_a_note_about_several_components_is_said_once() -> None:
    plain = Part([tensor("0.weight", 4, 3), tensor("0.bias", 4)], None)
    checkpoint = together({"one": plain, "two": plain})
    notes = anatomy_of(checkpoint, Assumptions.stated("relu")).notes
    assert [note.partition(":")[0] for note in notes] == ["one, two", "one, two"]
    assert {layer.activation for layer in anatomy_of(checkpoint, Assumptions("relu")).layers} == {
        "relu"
    }


def test_aliases_stay_in_their_component() -> None:
    one = Part([tensor("lm_head.weight", 9, 4)], None)
    checkpoint = replace(
        together({"a": one, "b": one}), aliases={"a.embed_tokens.weight": "a.lm_head.weight"}
    )
    found = anatomy_of(checkpoint)
    assert found.tied == {"a.embed_tokens.weight": "a.lm_head.weight"}
    assert [layer.role for layer in found.layers] == [Role.EMBEDDING, Role.HEAD]


def test_a_tensor_beside_the_components_is_dissected_too() -> None:
    checkpoint = together({"a": Part([tensor("fc.weight", 9, 4)], None)})
    more = replace(checkpoint, tensors=(*checkpoint.tensors, tensor("b.fc.weight", 4, 4)))
    assert [layer.name for layer in anatomy_of(more).layers] == ["a.fc.weight", "b.fc.weight"]


def test_the_limit_of_layers_holds_over_all_components(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Part([tensor(f"{k}.weight", 4, 4) for k in range(6)], None)
    monkeypatch.setattr(joining, "MOST_LAYERS", 12)
    assert len(anatomy_of(together({"a": one, "b": one})).layers) == 12
    with pytest.raises(LimitError) as caught:
        anatomy_of(together({"a": one, "b": one, "c": one}))
    assert caught.value.code == "too-many-layers"


def test_nothing_runs_several_components_and_the_error_says_what_to_do() -> None:
    one = part("bert", "Model")
    checkpoint = together({"a": one}, {"model_type": "bert", "_class_name": "Pipeline"})
    with pytest.raises(ProbeError, match="name the folder of one of them") as caught:
        runner_for(checkpoint)
    assert caught.value.code == "no-runner"
