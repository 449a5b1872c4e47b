"""Initialisations against scipy's distributions and against torch's own initialisers."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from thermoscan.errors import OptionError
from thermoscan.theory.initialisation import (
    RULES,
    Initialisation,
    from_rule,
    normal,
    parse,
    truncated_normal,
    uniform,
)

FAN_IN, FAN_OUT = 300, 700


@pytest.mark.parametrize("spread", [1e-6, 0.02, 1.0, 300.0])
@pytest.mark.parametrize(
    ("ours", "oracle"),
    [
        (normal, lambda x: stats.norm(scale=x)),
        (uniform, lambda x: stats.uniform(-x, 2 * x)),
    ],
)
def test_variance_and_entropy_are_those_of_scipy(
    ours: Callable[[float, str], Initialisation], oracle: Callable[[float], object], spread: float
) -> None:
    state, expected = ours(spread, "here"), oracle(spread)
    assert state.variance == pytest.approx(expected.var(), rel=1e-12)
    assert state.entropy == pytest.approx(expected.entropy(), rel=1e-12)
    assert state.source == "here"


@pytest.mark.parametrize("cut", [0.5, 1.0, 2.0, 6.0, 100.0])
def test_truncated_normal_is_that_of_scipy(cut: float) -> None:
    state, expected = truncated_normal(0.02, cut, ""), stats.truncnorm(-cut, cut, scale=0.02)
    assert state.variance == pytest.approx(expected.var(), rel=1e-9)
    assert state.entropy == pytest.approx(expected.entropy(), rel=1e-9)


def test_a_normal_truncated_far_out_is_the_normal() -> None:
    whole, cut = normal(0.02, ""), truncated_normal(0.02, 100.0, "")
    assert (cut.variance, cut.entropy) == pytest.approx((whole.variance, whole.entropy), rel=1e-15)


@pytest.mark.parametrize("make", [normal, uniform, lambda x, s: truncated_normal(x, 2.0, s)])
@pytest.mark.parametrize("spread", [0.0, -1.0, math.nan, math.inf, 1e200, 1e-200])
def test_a_spread_that_is_no_positive_number_is_a_value_error(
    make: Callable[[float, str], Initialisation], spread: float
) -> None:
    with pytest.raises(ValueError, match="positive number"):
        make(spread, "")


def test_a_normal_that_is_cut_to_nothing_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="uniform"):
        truncated_normal(1.0, 0.01, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("normal(0.02)", stats.norm(scale=0.02)),
        ("  uniform( 5e-2 ) ", stats.uniform(-0.05, 0.1)),
        ("trunc_normal(1.0)", stats.truncnorm(-2, 2)),
        ("trunc_normal(0.02)", stats.norm(scale=0.02)),
    ],
)
def test_a_users_text_is_read_as_the_distribution_it_names(text: str, expected: object) -> None:
    state = parse(text)
    assert state.variance == pytest.approx(expected.var(), rel=1e-9)
    assert state.entropy == pytest.approx(expected.entropy(), rel=1e-9)
    assert state.source == "given by the user"


@pytest.mark.parametrize("text", ["", "normal", "normal()", "normal(a, b)", "Normal(1)", "torch"])
def test_text_that_names_no_distribution_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(OptionError, match=r"normal\(STD\).*he_uniform") as caught:
        parse(text)
    assert caught.value.code == "initialisation-unknown"


@pytest.mark.parametrize("number", ["0", "-1", "nan", "inf", "x", "1e999", "1e-300", "1e100"])
def test_a_spread_that_makes_no_sense_is_refused(number: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(f"trunc_normal({number})")
    assert caught.value.code == "initialisation-spread"


@given(st.text(max_size=60))
def test_any_text_gives_a_distribution_or_an_option_error(text: str) -> None:
    try:
        state = parse(text)
    except OptionError:
        return
    assert state.variance > 0
    assert math.isfinite(state.entropy)


@pytest.mark.parametrize(
    ("rule", "fill"),
    [
        ("torch", lambda _: None),
        ("he_normal", torch.nn.init.kaiming_normal_),
        ("he_uniform", torch.nn.init.kaiming_uniform_),
        ("xavier_normal", torch.nn.init.xavier_normal_),
        ("xavier_uniform", torch.nn.init.xavier_uniform_),
        ("lecun_normal", lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="linear")),
    ],
)
def test_rules_are_what_torch_draws(
    rule: str, fill: Callable[[torch.Tensor], torch.Tensor | None]
) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(FAN_IN, FAN_OUT)
    fill(layer.weight)
    weights = layer.weight.detach().double().numpy().ravel()
    state = from_rule(rule, FAN_IN, FAN_OUT)
    # Five standard errors of a normal's variance over 210,000 draws.
    assert weights.var() == pytest.approx(state.variance, rel=5 * math.sqrt(2 / weights.size))
    if state.family == "uniform":
        assert abs(weights).max() == pytest.approx(math.sqrt(3 * state.variance), rel=1e-3)
    else:
        assert stats.kurtosis(weights) == pytest.approx(0, abs=0.06)
    assert rule in state.source


def test_torchs_default_is_the_uniform_distribution_of_the_root_of_the_fan_in() -> None:
    state = from_rule("torch", fan_in=64, fan_out=10)
    assert state.family == "uniform"
    assert state.variance == pytest.approx((1 / 8) ** 2 / 3, rel=1e-15)


def test_an_unknown_rule_is_refused_with_the_choices() -> None:
    with pytest.raises(OptionError, match="torch, he_normal") as caught:
        from_rule("orthogonal", 1, 1)
    assert caught.value.code == "initialisation-unknown"


@pytest.mark.parametrize("rule", RULES)
def test_a_layer_without_inputs_is_a_value_error(rule: str) -> None:
    with pytest.raises(ValueError, match="fans"):
        from_rule(rule, 0, 5)
