"""Findings stay quiet on healthy layers: fresh models of `transformers`, random ones and peers."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from support.measuring import found_in, measured, measured_copy

from thermoscan.findings import (
    copies,
    find,
    lineage,
    peers,
    spectra,
    storage,
    training,
    units,
    values,
)
from thermoscan.findings.gather import NEED_EVERY_BYTE
from thermoscan.findings.kinds import Kind, figure, size
from thermoscan.findings.training import at_initialisation
from thermoscan.scanner.measurement import Measurement
from thermoscan.theory.outliers import FALSE_ALARMS, outliers

SMALL = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}

FRESH: dict[str, Callable[[], transformers.PreTrainedModel]] = {
    "bert": lambda: transformers.BertModel(
        transformers.BertConfig(**SMALL, intermediate_size=512, vocab_size=1000)
    ),
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=128, n_layer=4, n_head=4, vocab_size=1000)
    ),
    "vit": lambda: transformers.ViTModel(
        transformers.ViTConfig(**SMALL, intermediate_size=512, image_size=64)
    ),
    "llama": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            **SMALL, intermediate_size=384, num_key_value_heads=2, vocab_size=1000
        )
    ),
}

ENOUGH = 3000
"""Entries with which three standard errors of temperature and entropy are well within 10 %."""


@cache
def fresh(name: str, folder: Path) -> Measurement:
    torch.manual_seed(0)
    FRESH[name]().save_pretrained(folder)
    return measured(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tmp_path_factory.mktemp(name) for name in FRESH}


@pytest.mark.parametrize("name", FRESH)
def test_every_matrix_of_a_fresh_model_is_at_its_initialisation(
    name: str, folders: dict[str, Path]
) -> None:
    measurement = fresh(name, folders[name])
    seen = {each.layer for each in at_initialisation(measurement)}
    started = [each.layer for each in measurement.layers if each.layer.initialisation]
    large = {each.name for each in started if np.prod(each.shape) >= ENOUGH}
    assert large <= seen
    assert len(large) > 20


@pytest.mark.parametrize("name", FRESH)
def test_a_fresh_model_has_one_finding_that_counts_its_layers(
    name: str, folders: dict[str, Path]
) -> None:
    measurement = fresh(name, folders[name])
    findings = find(measurement)
    assert [each.code for each in findings] == ["at-initialisation"]
    assert findings[0].evidence["places"] == len(list(at_initialisation(measurement)))


def test_a_matrix_that_is_too_small_to_tell_is_not_called_untrained() -> None:
    generator = torch.Generator().manual_seed(0)
    for rows in (4, 8, 16):
        weights = (torch.rand(rows, 16, generator=generator) * 2 - 1) / 4
        assert found_in(measured_copy({"layer.weight": weights})) == []


def test_a_uniform_layer_with_one_entry_outside_its_bound_was_trained() -> None:
    weights = (torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1) / 8
    expected = ("warning", "at-initialisation", "layer.weight")
    assert found_in(measured_copy({"layer.weight": weights})) == [expected]
    weights[5, 5] = 0.13
    assert found_in(measured_copy({"layer.weight": weights})) == []


@pytest.mark.parametrize("n", [4, 5, 6, 7, 8, 12, 24, 60, 300])
def test_no_more_groups_of_normal_peers_hold_an_outlier_than_is_documented(n: int) -> None:
    values = np.random.default_rng(n).standard_normal((1500, n))
    alarms = sum(bool(outliers(group, [0.0] * n, least=0.0)) for group in values.tolist())
    # three standard errors of a count at the documented rate
    assert alarms <= 1500 * FALSE_ALARMS + 3 * (1500 * FALSE_ALARMS) ** 0.5


def test_a_value_far_from_few_peers_is_an_outlier_and_one_within_its_error_is_not() -> None:
    values = [0.05, 0.06, 0.04, 0.05, 0.07, 2.0]
    assert [each.index for each in outliers(values, [0.0] * 6, least=0.5)] == [5]
    assert outliers(values, [0.0] * 5 + [1.0], least=0.5) == ()
    assert outliers(values, [0.0] * 6, least=3.0) == ()
    assert outliers(values[-3:], [0.0] * 3, least=0.5) == ()


def test_random_trained_models_of_many_shapes_yield_no_findings() -> None:
    generator = np.random.default_rng(0)
    wrong = []
    for _ in range(20):
        state = {}
        for layer in range(24):
            rows, columns = generator.integers(24, 160, 2)
            drawn = (
                generator.standard_normal((rows, columns)),
                generator.laplace(size=(rows, columns)) / 2**0.5,
                generator.standard_t(6, (rows, columns)) / 1.5**0.5,
            )[layer % 3]
            scale = (2 / columns) ** 0.5 * np.exp(generator.normal(0, 0.3))
            state[f"layers.{layer}.weight"] = torch.tensor(drawn * scale, dtype=torch.float32)
        wrong += found_in(measured_copy(state))
    assert wrong == []


def test_the_documentation_lists_every_kind_with_its_severity_and_what_needs_every_byte() -> None:
    modules = (copies, lineage, peers, spectra, storage, training, units, values)
    kinds = {
        (each.code, each.severity)
        for module in modules
        for each in vars(module).values()
        if isinstance(each, Kind)
    }
    text = (Path(__file__).parents[2] / "docs" / "findings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+`)( ∀|) \| (\w+) \|", text, flags=re.MULTILINE)
    listed = {(code, row[2]) for row in rows for code in re.findall(r"`([^`]+)`", row[0])}
    assert listed == kinds
    marked = {code for row in rows if row[1] for code in re.findall(r"`([^`]+)`", row[0])}
    assert marked == {kind.code for some in NEED_EVERY_BYTE.values() for kind in some}


def test_numbers_in_messages_have_three_digits_and_a_unit() -> None:
    assert [figure(value) for value in (0.20711, 1234.5, 93.0, -2e-9, 3.4e38)] == [
        "0.207",
        "1,230",
        "93",
        "-2e-09",
        "3.4e+38",
    ]
    assert [size(value) for value in (12, 294_912, 999_700, 4.5e7, 2e12)] == [
        "12 B",
        "295 kB",
        "1 MB",
        "45 MB",
        "2 TB",
    ]
