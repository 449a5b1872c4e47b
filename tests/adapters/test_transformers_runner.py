"""Models of transformers, run on data: what is asked of them, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.loopback_hub import LoopbackHub
from support.model_folders import edit_config, save, write_model, write_tokenizer
from torch.nn import functional

from thermoscan.card import Card, ProbeRun
from thermoscan.card_io import missing_reasons
from thermoscan.checkpoint import OpenOptions
from thermoscan.errors import ThermoscanError
from thermoscan.options import ProbeOptions
from thermoscan.probe.road import probe
from thermoscan_adapters.hub import HubAdapter
from thermoscan_adapters.sample import sample_texts, synthetic_pictures
from thermoscan_adapters.transformers_batches import batches, masked
from thermoscan_adapters.transformers_runner import TransformersRunner

TEXTS = ["the kettle sings", "rain on the roof", "a loaf, please", "hm", "why do clocks tick?"] * 2


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small wait for threads longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def jsonl(folder: Path, texts: list[str] = TEXTS, labels: list[Any] | None = None) -> str:
    path = folder / "data.jsonl"
    rows = [{"text": text} for text in texts]
    if labels:
        rows = [{**row, "label": label} for row, label in zip(rows, labels, strict=True)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def run(folder: Path, data: str | None = None, **more: Any) -> Card:
    card = probe(str(folder), ProbeOptions(data=data, **{"inputs": 12, **more}))
    assert missing_reasons(card) == []
    assert card.probe is not None
    return card


def measured(card: Card) -> ProbeRun:
    assert card.probe is not None
    return card.probe.run


def refusal(folder: Path, data: str | None = None) -> ThermoscanError:
    with pytest.raises(ThermoscanError) as caught:
        probe(str(folder), ProbeOptions(data=data, inputs=4))
    return caught.value


def encoded(folder: Path, texts: list[str]) -> list[torch.Tensor]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [torch.tensor([tokenizer(text)["input_ids"]]) for text in texts]


@pytest.mark.parametrize("model_type", ["gpt2", "llama", "mixtral"])
def test_a_causal_model_has_the_loss_that_the_library_takes(
    tmp_path: Path, model_type: str
) -> None:
    model: Any = write_model(tmp_path / "m", model_type, "ForCausalLM")
    found = run(tmp_path / "m", jsonl(tmp_path))
    assert found.probe is not None
    assert found.probe.objective == "causal language modelling"
    inputs = encoded(tmp_path / "m", TEXTS)
    with torch.no_grad():
        means = [float(model(ids, labels=ids).loss) * (ids.numel() - 1) for ids in inputs]
    positions = sum(ids.numel() - 1 for ids in inputs)
    assert measured(found).positions == positions
    assert measured(found).inputs == len(TEXTS)
    assert measured(found).loss == pytest.approx(sum(means) / positions, rel=1e-5)
    assert all(each.probe is not None for each in found.layers)


def test_a_configuration_that_asks_for_tuples_changes_nothing(tmp_path: Path) -> None:
    write_model(tmp_path / "m", "gpt2", "ForCausalLM")
    before = run(tmp_path / "m", jsonl(tmp_path))
    edit_config(tmp_path / "m", return_dict=False)
    assert run(tmp_path / "m", jsonl(tmp_path)).probe == before.probe


def test_its_temperatures_are_those_of_autograd_on_the_padded_batch(tmp_path: Path) -> None:
    model: Any = write_model(tmp_path / "m", "llama", "ForCausalLM")
    found = run(tmp_path / "m", jsonl(tmp_path))
    inputs = encoded(tmp_path / "m", TEXTS)
    length = max(ids.numel() for ids in inputs)
    ids = torch.cat([functional.pad(each, (0, length - each.numel())) for each in inputs])
    mask = torch.cat([functional.pad(torch.ones_like(i), (0, length - i.numel())) for i in inputs])
    model(ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss.backward()
    for layer in found.layers:
        weight = model.get_parameter(layer.name)
        expected = float((weight * weight.grad).sum().detach()) / weight.numel()
        assert layer.probe is not None
        assert layer.probe.temperature == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_a_masked_model_is_scored_on_a_seeded_share_of_its_tokens(tmp_path: Path) -> None:
    write_model(tmp_path / "m", "bert", "ForMaskedLM")
    data = jsonl(tmp_path)
    found = run(tmp_path / "m", data)
    assert found.probe is not None
    assert found.probe.objective == "masked language modelling"
    counts = [max(1, round(0.15 * len(text))) for text in TEXTS]
    assert measured(found).positions == sum(counts)
    assert measured(found).loss == pytest.approx(math.log(100), rel=0.1)
    assert measured(run(tmp_path / "m", data)) == measured(found)
    assert measured(run(tmp_path / "m", data, seed=1)).loss != measured(found).loss


def test_masks_stand_on_tokens_that_are_not_special() -> None:
    ids = [1, *range(10, 50), 2]
    found = masked(ids, frozenset({1, 2}), 99, np.random.default_rng(0))
    assert found is not None
    hidden, labels = found
    places = [index for index, each in enumerate(hidden) if each == 99]
    assert len(places) == 6
    assert [labels[index] for index in places] == [ids[index] for index in places]
    assert all(label == -100 for index, label in enumerate(labels) if index not in places)
    assert masked([1, 2], frozenset({1, 2}), 99, np.random.default_rng(0)) is None


def test_batches_hold_inputs_of_one_length_and_no_padding() -> None:
    rows = [{"input_ids": torch.arange(n)} for n in (3, 5, 3, 3, 8, 5)]
    found = [tuple(each["input_ids"].shape) for each in batches(rows, 7)]
    assert found == [(2, 3), (1, 3), (1, 5), (1, 5), (1, 8)]


def test_a_base_encoder_is_scored_against_its_own_table_and_says_so(tmp_path: Path) -> None:
    model: Any = write_model(tmp_path / "m", "bert", "Model")
    found = run(tmp_path / "m", jsonl(tmp_path))
    assert found.probe is not None
    assert found.probe.objective == "masked reconstruction (stand-in)"
    assert any("lacks the weights of a head" in note for note in found.notes)
    assert any("stand-in" in note for note in found.notes)
    pooler = next(each for each in found.layers if each.name == "pooler.dense.weight")
    assert pooler.probe is not None
    assert pooler.probe.temperature is None
    assert pooler.probe.efficiency is not None
    # the same by hand, with the same masks
    special = frozenset({0, 1, 2, 3})
    total, count = 0.0, 0
    for index, ids in enumerate(encoded(tmp_path / "m", TEXTS)):
        generator = np.random.default_rng([0, index])
        hidden, labels = masked(ids[0].tolist(), special, 2, generator) or ([], [])
        with torch.no_grad():
            states = model(torch.tensor([hidden])).last_hidden_state[0]
            scores = states @ model.embeddings.word_embeddings.weight.T
            at = [k for k, label in enumerate(labels) if label != -100]
            wanted = torch.tensor(labels)[at]
            total += float(functional.cross_entropy(scores[at], wanted, reduction="sum"))
        count += len(at)
    assert measured(found).loss == pytest.approx(total / count, rel=1e-5)


def test_a_base_decoder_is_scored_likewise(tmp_path: Path) -> None:
    write_model(tmp_path / "m", "llama", "Model")
    found = run(tmp_path / "m", jsonl(tmp_path))
    assert found.probe is not None
    assert found.probe.objective == "next-token reconstruction (stand-in)"


def test_a_base_model_whose_head_is_its_table_has_its_own_objective(tmp_path: Path) -> None:
    write_model(tmp_path / "m", "gpt2", "Model")
    found = run(tmp_path / "m", jsonl(tmp_path))
    assert found.probe is not None
    assert found.probe.objective == "causal language modelling"


def test_a_classifier_needs_labels(tmp_path: Path) -> None:
    names = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
    model: Any = write_model(tmp_path / "m", "bert", "ForSequenceClassification", **names)
    labels = ["good", "bad", "1", "0", "good"] * 2
    found = run(tmp_path / "m", jsonl(tmp_path, labels=labels))
    assert found.probe is not None
    assert found.probe.objective == "text classification"
    wanted = [1, 0, 1, 0, 1] * 2
    with torch.no_grad():
        losses = [
            float(functional.cross_entropy(model(ids).logits, torch.tensor([label])))
            for ids, label in zip(encoded(tmp_path / "m", TEXTS), wanted, strict=True)
        ]
    assert measured(found).loss == pytest.approx(np.mean(losses), rel=1e-5)
    # the reference data has no labels: it was run all the same
    assert found.probe.reference is not None
    assert found.probe.reference.loss is None
    assert found.probe.reference.efficiency is not None
    found = run(tmp_path / "m", jsonl(tmp_path))
    assert measured(found).reasons["loss"] == "the model classifies, and the data has no labels"
    error = refusal(tmp_path / "m", jsonl(tmp_path, labels=["ugly"] * 10))
    assert error.code == "label-unknown"
    assert "ugly" in error.reason


def t5(**sizes: Any) -> Any:
    from transformers import T5Config

    given = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, **sizes}
    return T5Config(vocab_size=100, decoder_start_token_id=0, **given)


def test_a_sequence_to_sequence_model_has_the_text_as_its_target(tmp_path: Path) -> None:
    from transformers import T5ForConditionalGeneration

    torch.manual_seed(0)
    model: Any = save(T5ForConditionalGeneration(t5()), tmp_path / "m")
    found = run(tmp_path / "m", jsonl(tmp_path))
    inputs = encoded(tmp_path / "m", TEXTS)
    with torch.no_grad():
        losses = [float(model(input_ids=ids, labels=ids).loss) * ids.numel() for ids in inputs]
    expected = sum(losses) / sum(ids.numel() for ids in inputs)
    assert measured(found).loss == pytest.approx(expected, rel=1e-5)
    ups = [each for each in found.layers if each.name.endswith("wi.weight")]
    assert len(ups) == 4
    assert all(each.probe and each.probe.efficiency for each in ups)


def test_an_encoder_of_such_a_model_is_only_run(tmp_path: Path) -> None:
    from transformers import T5EncoderModel

    save(T5EncoderModel(t5()), tmp_path / "m")
    found = run(tmp_path / "m", jsonl(tmp_path))
    assert found.probe is not None
    assert found.probe.objective == "none"
    assert measured(found).loss is None
    assert "no stand-in" in measured(found).reasons["temperature"]
    assert measured(found).efficiency is not None


def pictures(folder: Path) -> str:
    for index, picture in enumerate(synthetic_pictures(1).pictures[:6]):
        place = folder / "pictures" / f"LABEL_{index % 2}"
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{index}.png")
    return str(folder / "pictures")


def test_an_image_classifier_with_and_without_data(tmp_path: Path) -> None:
    model: Any = write_model(tmp_path / "m", "vit", "ForImageClassification")
    found = run(tmp_path / "m", pictures(tmp_path))
    assert found.probe is not None
    assert found.probe.objective == "image classification"
    assert (measured(found).inputs, measured(found).positions) == (6, 6)
    losses = []
    for index, picture in enumerate(synthetic_pictures(1).pictures[:6]):
        small = picture.resize((32, 32), resample=2)
        values = torch.from_numpy(np.moveaxis(np.asarray(small) / 127.5 - 1, -1, 0)).float()[None]
        with torch.no_grad():
            scores = model(values).logits
        losses.append(float(functional.cross_entropy(scores, torch.tensor([index % 2]))))
    assert measured(found).loss == pytest.approx(np.mean(losses), rel=1e-3)
    settings = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
    (tmp_path / "m" / "preprocessor_config.json").write_text(json.dumps(settings))
    assert measured(run(tmp_path / "m", pictures(tmp_path))).loss == measured(found).loss
    (tmp_path / "m" / "preprocessor_config.json").unlink()
    found = run(tmp_path / "m")
    assert measured(found).data == "32 synthetic pictures"
    assert any("synthetic pictures" in note for note in found.notes)
    assert measured(found).efficiency is not None


def test_texts_are_no_pictures_and_pictures_no_texts(tmp_path: Path) -> None:
    write_model(tmp_path / "v", "vit", "ForImageClassification")
    assert refusal(tmp_path / "v", jsonl(tmp_path)).code == "data-kind"
    write_model(tmp_path / "b", "gpt2", "ForCausalLM")
    assert refusal(tmp_path / "b", pictures(tmp_path)).code == "data-kind"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_run_in_single_and_said_so(tmp_path: Path, dtype: str) -> None:
    write_model(tmp_path / "m", "llama", "ForCausalLM", dtype=dtype)
    found = run(tmp_path / "m", jsonl(tmp_path))
    label = {"float16": "F16", "bfloat16": "BF16"}[dtype]
    assert f"The model was run in F32; its weights are stored as {label}." in found.notes
    assert all(each.probe is not None for each in found.layers)


def test_copies_are_drawn_by_the_models_own_rules_and_by_the_seed(tmp_path: Path) -> None:
    from transformers import GPT2LMHeadModel

    model: Any = write_model(tmp_path / "m", "gpt2", "ForCausalLM")
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(1.5)
    model.save_pretrained(tmp_path / "m")
    data = jsonl(tmp_path)
    found = run(tmp_path / "m", data, copies=2, seed=5)
    losses = []
    for seed in (6, 7):
        torch.manual_seed(seed)
        copy = GPT2LMHeadModel(model.config).eval()
        inputs = encoded(tmp_path / "m", TEXTS)
        with torch.no_grad():
            total = sum(float(copy(i, labels=i).loss) * (i.numel() - 1) for i in inputs)
        losses.append(total / measured(found).positions)
    assert found.probe is not None
    assert found.probe.baseline is not None
    assert found.probe.baseline.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert found.probe.baseline.temperature != measured(found).temperature


def test_the_data_stands_beside_the_sample(tmp_path: Path) -> None:
    write_model(tmp_path / "m", "llama", "ForCausalLM")
    found = run(tmp_path / "m", jsonl(tmp_path), inputs=256)
    alone = run(tmp_path / "m", inputs=256)
    assert found.probe is not None
    assert found.probe.reference == measured(alone)
    assert measured(alone).data == "thermoscan's sample of 54 short texts"
    assert measured(found).data == "data.jsonl"
    for layer, other in zip(found.layers, alone.layers, strict=True):
        assert layer.probe is not None
        assert other.probe is not None
        assert layer.probe.reference_temperature == other.probe.temperature


def test_a_single_weight_file_finds_what_lies_beside_it(tmp_path: Path) -> None:
    write_model(tmp_path / "m", "llama", "ForCausalLM")
    whole = run(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "odd name.safetensors")
    assert measured(run(tmp_path / "m" / "odd name.safetensors")) == measured(whole)


def test_a_torch_checkpoint_is_run_from_what_our_own_reader_read(tmp_path: Path) -> None:
    model: Any = write_model(tmp_path / "m", "gpt2", "ForCausalLM")
    whole = run(tmp_path / "m")
    torch.save(model.state_dict(), tmp_path / "m" / "pytorch_model.bin")
    (tmp_path / "m" / "model.safetensors").unlink()
    assert measured(run(tmp_path / "m")) == measured(whole)


def test_the_sample_is_short_texts_in_many_scripts() -> None:
    import unicodedata

    texts = sample_texts().texts
    assert 40 <= len(texts) <= 60
    assert len(set(texts)) == len(texts)
    letters = {each for text in texts for each in text if each.isalpha()}
    scripts = {unicodedata.name(each).split()[0] for each in letters}
    assert {"LATIN", "CYRILLIC", "CJK", "HIRAGANA", "HANGUL", "ARABIC", "DEVANAGARI", "GREEK"} <= (
        scripts
    )


def test_synthetic_pictures_hang_on_the_seed_alone() -> None:
    first, again, other = (
        np.stack([np.asarray(each) for each in synthetic_pictures(seed).pictures])
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert 90 < first.mean() < 165
    assert first.std() > 30


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    write_model(folder, "llama", "ForCausalLM")
    return folder


@pytest.fixture
def copied(model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(model, tmp_path / "copy")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model_type": "unheard-of"}, "architecture-unknown"),
        (
            {"model_type": "mine", "auto_map": {"AutoModelForCausalLM": "evil.Model"}},
            "model-code",
        ),
        ({"model_type": None}, "no-runner"),
        ({"model_type": 3}, "architecture-unknown"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised"),
        ({"num_hidden_layers": 10**9}, "config-mismatch"),
        ({"num_hidden_layers": 3}, "weights-missing"),
        ({"num_labels": 10**9}, "config-mismatch"),
        ({"num_labels": 100_001}, "config-mismatch"),
        ({"model_type": "resnet", "depths": [10**9]}, "config-mismatch"),
        ({"vocab_size": 10**9}, "config-mismatch"),
        ({"intermediate_size": 97}, "config-mismatch"),
        ({"hidden_size": "wide"}, "config-unusable"),
        ({"hidden_act": "unheard-of"}, "model-failed"),
        ({"num_attention_heads": 0}, "config-unusable"),
        ({"model_type": "wav2vec2"}, "config-mismatch"),
    ],
)
def test_configurations_that_cannot_be_run(
    copied: Path, changes: dict[str, Any], code: str
) -> None:
    edit_config(copied, **changes)
    error = refusal(copied)
    assert error.code == code, error


def test_an_image_processor_that_asks_for_huge_pictures_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "m", "vit", "ForImageClassification")
    settings = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 10**6}}
    (tmp_path / "m" / "preprocessor_config.json").write_text(json.dumps(settings))
    error = refusal(tmp_path / "m")
    assert error.code == "processor-unusable"
    assert "4096" in error.reason


def test_models_of_sound_and_of_several_inputs_are_refused(tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPModel, Wav2Vec2Config, Wav2Vec2Model

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes["intermediate_size"] = 40
    save(Wav2Vec2Model(Wav2Vec2Config(**sizes)), tmp_path / "sound")
    text = {**sizes, "vocab_size": 100, "bos_token_id": 0, "eos_token_id": 1}
    vision = {**sizes, "image_size": 32, "patch_size": 8}
    save(CLIPModel(CLIPConfig(text_config=text, vision_config=vision)), tmp_path / "both")
    for name in ("sound", "both"):
        assert refusal(tmp_path / name).code == "inputs-unknown"


def test_a_model_of_the_hub_is_run_from_the_commit_that_was_pinned(
    model: Path, tmp_path: Path
) -> None:
    files = {each.name: each.read_bytes() for each in model.iterdir()}
    with LoopbackHub() as hub:
        repository = hub.add("org/name", files)
        adapter = HubAdapter(hub.endpoint, tmp_path / "cache")
        checkpoint = adapter.open("org/name", OpenOptions())
        repository.commit({**files, "tokenizer.json": b"another"})
        runner = TransformersRunner()
        folder = adapter.beside("org/name", checkpoint, runner.companions, 1_000_000)
        subject = runner.load(checkpoint, folder, "cpu")
    state = load_file(model / "model.safetensors")
    assert all(torch.equal(subject.model.state_dict()[name], state[name]) for name in state)
    task = subject.task(sample_texts(), 3, 0)
    assert (task.name, task.examples) == ("causal language modelling", 3)


def test_code_beside_the_weights_is_never_run_even_where_it_is_asked_for(
    copied: Path, tmp_path: Path
) -> None:
    trap = tmp_path / "ran"
    code = f"from pathlib import Path\nPath({str(trap)!r}).touch()\nclass Model: pass\n"
    for name in ("modeling.py", "tokenization.py", "configuration.py"):
        (copied / name).write_text(code)
    maps = {"AutoConfig": "configuration.Model", "AutoModelForCausalLM": "modeling.Model"}
    edit_config(copied, auto_map=maps)
    settings = copied / "tokenizer_config.json"
    tokenizer = json.loads(settings.read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": ["tokenization.Model", None]}
    settings.write_text(json.dumps(tokenizer))
    assert measured(run(copied)).loss is not None  # a llama is a llama
    assert not trap.exists()


def test_a_pickle_that_would_run_code_is_refused_by_our_own_reader(
    copied: Path, tmp_path: Path
) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    (copied / "model.safetensors").unlink()
    torch.save({"model.embed_tokens.weight": Trap()}, copied / "pytorch_model.bin")
    with pytest.raises(ThermoscanError):
        probe(str(copied))
    assert not (tmp_path / "ran").exists()


def test_without_a_tokenizer_there_is_nothing_to_run_it_on(copied: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copied / name).unlink()
    assert refusal(copied).code == "tokenizer-missing"
    (copied / "tokenizer.json").write_text("{")
    assert refusal(copied).code == "tokenizer-unusable"
    (copied / "tokenizer.json").unlink()
    (copied / "tokenizer.json").symlink_to("/etc/hostname")
    assert refusal(copied).code == "link-outside"


def test_a_tokenizer_of_another_model_is_told(copied: Path) -> None:
    path = copied / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"]["a"] = 100
    path.write_text(json.dumps(content))
    assert refusal(copied).code == "tokenizer-mismatch"


@pytest.mark.parametrize("length", ["long", [1], float("nan"), float("inf")])
def test_a_tokenizer_whose_length_is_no_number_is_refused(copied: Path, length: Any) -> None:
    path = copied / "tokenizer_config.json"
    settings = {**json.loads(path.read_text()), "model_max_length": length}
    path.write_text(json.dumps(settings))
    assert refusal(copied).code == "tokenizer-failed"


def test_weights_that_the_model_is_run_without_are_told(copied: Path) -> None:
    whole = len(load_file(copied / "model.safetensors"))
    edit_config(copied, num_hidden_layers=0)
    card = run(copied)
    outside = [layer for layer in card.layers if layer.probe is not None]
    left = whole - len(outside) - 1  # the last norm is no layer
    assert any(f"run without {left} of the checkpoint's tensors" in note for note in card.notes)


def test_a_tokenizer_without_a_mask_leaves_a_masked_model_without_a_loss(tmp_path: Path) -> None:
    write_model(tmp_path / "m", "bert", "ForMaskedLM")
    write_tokenizer(tmp_path / "m", mask=False)
    found = run(tmp_path / "m", jsonl(tmp_path))
    assert measured(found).reasons["loss"] == "the tokenizer has no mask token"


def test_examples_that_are_too_short_are_left_out_and_counted(tmp_path: Path, model: Path) -> None:
    found = run(model, jsonl(tmp_path, ["long enough", "x", ""]))
    assert measured(found).inputs == 1
    note = "2 of 3 examples have too few tokens and were left out."
    assert note in found.notes
    assert note not in run(model, jsonl(tmp_path, ["long enough"] * 3)).notes
    assert refusal(model, jsonl(tmp_path, ["x"])).code == "data-too-short"


def test_long_texts_are_cut(tmp_path: Path, model: Path) -> None:
    found = run(model, jsonl(tmp_path, ["word " * 5000]))
    assert measured(found).positions == 255


def test_a_weight_that_is_not_finite_gives_no_number(copied: Path) -> None:
    state = load_file(copied / "model.safetensors")
    state["model.layers.0.mlp.down_proj.weight"][0, 0] = math.inf
    save_file(state, copied / "model.safetensors", {"format": "pt"})
    found = run(copied)
    assert measured(found).loss is None
    assert "range of floating-point" in measured(found).reasons["loss"]


def test_a_head_that_the_checkpoint_lacks_is_never_measured(copied: Path) -> None:
    state = load_file(copied / "model.safetensors")
    del state["lm_head.weight"]
    save_file(state, copied / "model.safetensors", {"format": "pt"})
    found = run(copied)
    assert found.probe is not None
    assert found.probe.objective == "next-token reconstruction (stand-in)"
    assert any("lacks the weights of a head" in note for note in found.notes)


def test_nothing_is_said_by_the_library(copied: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(copied, copies=1)
    assert capfd.readouterr() == ("", "")
