"""Each fault, planted in a copy of a real checkpoint, is found there, and nothing else is new."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import pytest
import torch
from safetensors.torch import load_file
from support.measuring import Found, found_in, measured_copy
from support.wheels import path_of

from thermoscan.findings import find
from thermoscan.findings.gather import EACH

State = dict[str, torch.Tensor]

QUERY = "encoder.layer.2.attention.self.query.weight"
VALUE = "encoder.layer.3.attention.self.value.weight"
UP = "encoder.layer.1.intermediate.dense.weight"
BIAS = "encoder.layer.4.output.dense.bias"
GAIN = "encoder.layer.5.output.LayerNorm.weight"
WORDS = "embeddings.word_embeddings.weight"
POOLER = "pooler.dense.weight"

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16}
AS_PUBLISHED: Mapping[str, list[Found]] = {
    "F32": [("warning", "decayed", POOLER), ("info", "wasted-precision", POOLER)],
    "BF16": [("warning", "decayed", POOLER), ("info", "compressible", None)],
}


@cache
def minilm() -> State:
    """Returns MiniLM with the first tenth of its vocabulary, which makes half the file."""
    state = load_file(path_of("minilm") / "model.safetensors")
    return {**state, WORDS: state[WORDS][:3000].clone()}


def random(like: torch.Tensor, scale: float, seed: int = 0) -> torch.Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed)) * scale


def two_scales(like: torch.Tensor, rms: float, share: float, small: float) -> torch.Tensor:
    """Normal values of this rms in all, of which all but a share have only `small` times it."""
    large = ((1 - (1 - share) * small**2) / share) ** 0.5
    chosen = torch.rand(like.shape, generator=torch.Generator().manual_seed(1)) < share
    return random(like, rms) * torch.where(chosen, large, small)


def rms(values: torch.Tensor) -> float:
    return float((values.double() ** 2).mean().sqrt())


# -- faults ----------------------------------------------------------------------------------------


def not_a_number(state: State) -> None:
    state[QUERY][7, 11] = float("nan")


def infinite(state: State) -> None:
    state[UP][3, 5] = float("-inf")


def not_a_number_in_a_bias(state: State) -> None:
    state[BIAS][2] = float("nan")


def infinite_in_a_norm(state: State) -> None:
    state[GAIN][0] = float("inf")


def never_trained(state: State) -> None:
    state[QUERY] = random(state[QUERY], 0.02)


def shrunk(state: State) -> None:
    state[QUERY] = random(state[QUERY], 0.3 * 0.02)


def dead(state: State) -> None:
    state[UP][100:103] *= 1e-3
    state[UP][200] = 0


def few_large(state: State) -> None:
    state[VALUE] = two_scales(state[VALUE], rms(state[VALUE]), share=0.05, small=0.3)


def heated_and_ordered(state: State) -> None:
    state[VALUE] = two_scales(state[VALUE], 0.022, share=0.05, small=0.6)


def heated(state: State) -> None:
    state[VALUE] *= 6


def cooled(state: State) -> None:
    state[QUERY] *= 0.13


def clipped(state: State) -> None:
    limit = 2 * rms(state[UP])
    state[UP].clamp_(-limit, limit)


def zeroed(state: State) -> None:
    state[QUERY].zero_()


def flattened(state: State) -> None:
    state[QUERY].fill_(0.02)


def copied(state: State) -> None:
    state["encoder.layer.4.attention.self.value.weight"] = state[VALUE].clone()


def quantised(state: State) -> None:
    step = state[VALUE].abs().max() / 127
    state[VALUE] = (state[VALUE] / step).round() * step


def quantised_by_rows(state: State) -> None:
    step = state[VALUE].abs().amax(1, keepdim=True) / 127
    state[VALUE] = (state[VALUE] / step).round() * step


def emptied_rows(state: State) -> None:
    state[WORDS][1000:1100] = 0


def padding(state: State) -> None:
    state[WORDS][0] = 0


def narrowed(state: State) -> None:
    state[VALUE] = state[VALUE].bfloat16().float()


FAULTS: list[tuple[Callable[[State], None], list[Found]]] = [
    (not_a_number, [("error", "non-finite", QUERY)]),
    (infinite, [("error", "non-finite", UP)]),
    (not_a_number_in_a_bias, [("error", "non-finite", BIAS)]),
    (infinite_in_a_norm, [("error", "non-finite", GAIN)]),
    (never_trained, [("warning", "at-initialisation", QUERY)]),
    (shrunk, [("warning", "decayed", QUERY)]),
    (dead, [("warning", "dead-units", UP)]),
    (few_large, [("warning", "order-outlier", VALUE)]),
    (heated_and_ordered, [("info", "order-under-heating", VALUE)]),
    (heated, [("warning", "hot", VALUE)]),
    (cooled, [("warning", "cold", QUERY)]),
    (clipped, [("warning", "saturated", UP)]),
    (zeroed, [("warning", "constant", QUERY)]),
    (flattened, [("warning", "constant", QUERY)]),
    (copied, [("warning", "duplicate", "encoder.layer.4.attention.self.value.weight")]),
    (quantised, [("info", "few-levels", VALUE)]),
    (emptied_rows, [("info", "unused-rows", WORDS)]),
    (padding, []),
]


def faulty(label: str, *faults: Callable[[State], None]) -> State:
    state = {name: values.clone() for name, values in minilm().items()}
    for fault in faults:
        fault(state)
    return {
        name: values.to(DTYPES[label]) if values.is_floating_point() else values
        for name, values in state.items()
    }


def by_code(found: list[Found]) -> list[Found]:
    return sorted(found, key=str)


@pytest.mark.parametrize("label", DTYPES)
@pytest.mark.parametrize(("fault", "expected"), FAULTS)
def test_a_planted_fault_is_found_at_its_layer_and_nothing_else_is_new(
    fault: Callable[[State], None], expected: list[Found], label: str
) -> None:
    found = found_in(measured_copy(faulty(label, fault), path_of("minilm")))
    assert by_code(found) == by_code([*expected, *AS_PUBLISHED[label]])


def test_rows_that_were_quantised_each_with_its_scale_are_found_in_float32() -> None:
    findings = find(measured_copy(faulty("F32", quantised_by_rows), path_of("minilm")))
    few = [each for each in findings if each.code == "few-levels"]
    assert [each.layer for each in few] == [VALUE]
    values = faulty("F32", quantised_by_rows)[VALUE].flatten()[:2048].reshape(-1, 64)
    present = [run[run != 0] for run in values]
    repeated = sum(run.numel() - run.unique().numel() for run in present)
    assert few[0].evidence["repeats"] == repeated / sum(run.numel() for run in present)


def test_one_layer_that_fits_a_narrower_type_is_named_with_the_bytes_it_wastes() -> None:
    measurement = measured_copy(faulty("F32", narrowed), path_of("minilm"))
    findings = {each.layer: each for each in find(measurement) if each.code == "wasted-precision"}
    assert set(findings) == {VALUE, POOLER}
    assert findings[VALUE].evidence == {"fits": "bfloat16", "bytes_saved": 2 * 384 * 384}


def test_a_model_that_fits_a_narrower_type_throughout_is_one_finding() -> None:
    state = {name: values.float() for name, values in faulty("BF16").items()}
    findings = find(measured_copy(state, path_of("minilm")))
    wasted = [each for each in findings if each.code == "wasted-precision"]
    matrices = [
        values for name, values in minilm().items() if values.ndim == 2 and "ids" not in name
    ]
    assert [each.layer for each in wasted] == [None]
    assert wasted[0].evidence["bytes_saved"] == 2 * sum(values.numel() for values in matrices)
    assert wasted[0].evidence["layers"] == len(matrices)


def test_the_bytes_at_entropy_of_a_bfloat16_model_are_those_of_its_patterns() -> None:
    state = faulty("BF16")
    coded = 0.0
    for name, values in state.items():
        if values.ndim == 2 and "ids" not in name:
            _, counts = values.view(torch.int16).unique(return_counts=True)
            share = counts / counts.sum()
            coded -= float((share * share.log2()).sum()) * values.numel() / 8
    findings = find(measured_copy(state, path_of("minilm")))
    evidence = next(each for each in findings if each.code == "compressible").evidence
    assert evidence["bytes_at_entropy"] == pytest.approx(coded, rel=1e-5)


def test_a_tied_head_is_a_finding_only_where_it_differs() -> None:
    path = path_of("antiberty")
    state = torch.load(path / "pytorch_model.bin", map_location="cpu", weights_only=True)
    head, table = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
    state = {name: values.clone() for name, values in state.items()}
    assert found_in(measured_copy(state, path)) == []
    state[head][0, 0] += 1
    findings = find(measured_copy(state, path))
    assert [(each.code, each.layer) for each in findings] == [("tied-but-different", head)]
    assert findings[0].evidence["tied_to"] == table


def test_a_fault_in_many_layers_is_one_finding_with_the_count_and_the_worst() -> None:
    names = [name for name in minilm() if name.endswith(("query.weight", "key.weight"))]
    assert len(names) > EACH

    def everywhere(state: State) -> None:
        for count, name in enumerate(names, start=1):
            state[name][0, :count] = float("nan")

    errors = [
        each
        for each in find(measured_copy(faulty("F32", everywhere), path_of("minilm")))
        if each.severity == "error"
    ]
    assert [each.layer for each in errors] == names[-1:]
    assert errors[0].evidence["places"] == len(names)
    assert f"in {len(names)} places" in errors[0].message


def test_findings_come_worst_first_and_name_no_layer_in_their_words() -> None:
    state = faulty("F32", not_a_number, never_trained, quantised, copied)
    findings = find(measured_copy(state, path_of("minilm")))
    severities = [each.severity for each in findings]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    for each in findings:
        words = each.message + each.meaning + each.advice
        assert not any(name in words for name in state)


def test_values_at_the_limit_of_a_half_precision_type_were_clipped() -> None:
    weights = (random(torch.empty(64, 64), 3e4)).clamp(-65504, 65504).half()
    found = found_in(measured_copy({"layer.weight": weights}))
    assert ("warning", "saturated", "layer.weight") in found
    inside = random(torch.empty(64, 64), 1e4).half()
    assert "saturated" not in [each[1] for each in found_in(measured_copy({"a.weight": inside}))]


def test_equal_zeros_are_constant_and_not_also_duplicates() -> None:
    state = {"a.weight": torch.zeros(32, 32), "b.weight": torch.zeros(32, 32)}
    found = found_in(measured_copy(state))
    assert found == [("warning", "constant", "a.weight"), ("warning", "constant", "b.weight")]


def test_infinities_in_a_mask_are_its_purpose_and_a_nan_there_is_a_fault() -> None:
    mask = torch.tensor([0.0, float("-inf")])
    state = {"h.0.attn.weight": random(torch.empty(64, 64), 1.0), "h.0.attn.masked_bias": mask}
    assert "non-finite" not in [each[1] for each in found_in(measured_copy(state))]
    mask[0] = float("nan")
    found = found_in(measured_copy(state))
    assert found[0] == ("error", "non-finite", "h.0.attn.masked_bias")


def test_pruning_leaves_no_finding_of_few_levels_or_of_a_pile_of_zeros() -> None:
    weights = random(torch.empty(256, 256), 1.0)
    kept = torch.rand(weights.shape, generator=torch.Generator().manual_seed(2)) < 0.002
    pruned = {"a.weight": weights * kept, "b.weight": weights.relu()}
    codes = [each[1] for each in found_in(measured_copy(pruned))]
    assert "few-levels" not in codes
    assert "saturated" not in codes


def test_what_is_not_finite_is_not_also_called_dead_or_quantised() -> None:
    weights = random(torch.empty(64, 64), 1.0)
    weights[:32] = float("nan")
    lost = torch.full((32, 32), float("inf"))
    found = found_in(measured_copy({"a.weight": weights, "b.weight": lost}))
    assert found == [("error", "non-finite", "a.weight"), ("error", "non-finite", "b.weight")]


@pytest.mark.parametrize("scale", [1e-200, 1e-44, 1e200, 1e300])
def test_values_whose_squares_leave_the_range_of_float64_are_no_reason_to_fail(
    scale: float,
) -> None:
    state = {
        f"layers.{index}.weight": random(torch.empty(64, 64), 0.1, index) for index in range(6)
    }
    state["layers.6.weight"] = random(torch.empty(64, 64), 1.0).double() * scale
    codes = {each[1] for each in found_in(measured_copy(state))}
    assert codes <= {"hot", "cold"}
