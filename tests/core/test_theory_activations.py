"""Activations against torch's functions, transformers' names, and their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from transformers.activations import ACT2FN

from thermoscan.errors import OptionError
from thermoscan.theory.activations import activation, canonical
from thermoscan.theory.gaussian import erf, evaluate_pieces, normal_cdf

F = torch.nn.functional
ORACLES = {
    "identity": lambda z: z,
    "relu": F.relu,
    "leaky_relu(0.01)": F.leaky_relu,
    "leaky_relu(0.2)": lambda z: F.leaky_relu(z, 0.2),
    "relu2": lambda z: F.relu(z) ** 2,
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "gelu": F.gelu,
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    "quick_gelu": lambda z: z * torch.sigmoid(1.702 * z),
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "elu": F.elu,
    "selu": F.selu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softsign": F.softsign,
    "erf": torch.erf,
}
UNKNOWN_TO_US = {"laplace", "prelu", "xielu", "sqrtsoftplus", "gelu_10"}


@pytest.mark.parametrize("name", ORACLES)
def test_functions_are_those_of_torch(name: str) -> None:
    z = np.concatenate([np.linspace(-40, 40, 4001), [-700.0, 700.0, 1e-9, -1e-9]])
    expected = ORACLES[name](torch.from_numpy(z)).numpy()
    # torch's softplus turns linear at 20, which is 2e-9 off.
    tolerance = 3e-9 if name == "softplus" else 1e-13
    assert activation(name)(z) == pytest.approx(expected, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("name", ORACLES)
def test_the_rise_keeps_its_digits_where_z_is_tiny(name: str) -> None:
    z = np.array([-1e-20, 1e-20])
    slope = (
        ORACLES[name](torch.tensor(1e-6).double()) - ORACLES[name](torch.zeros(1).double())
    ).item() / 1e-6
    rise = activation(name).rise(z)
    assert rise[1] == pytest.approx(slope * 1e-20, rel=1e-5, abs=1e-25)


@pytest.mark.parametrize("name", sorted(set(ACT2FN) - UNKNOWN_TO_US))
def test_every_name_of_transformers_means_the_function_that_it_means_there(name: str) -> None:
    z = torch.linspace(-6, 6, 121)
    expected = ACT2FN[name](z).numpy()
    ours = canonical(name)
    assert ours is not None
    assert activation(ours)(z.double().numpy()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "name", [*sorted(UNKNOWN_TO_US), "", "gelu()", "rel", "relu\x00", "leaky_relu(2)"]
)
def test_a_name_without_a_known_function_is_none_and_an_option_error(name: str) -> None:
    assert canonical(name) is None
    with pytest.raises(OptionError) as caught:
        activation(name)
    assert caught.value.code == "activation-unknown"


@pytest.mark.parametrize("name", ["ELU", "SELU", "Hardtanh", "Softsign", "Softplus", "LeakyReLU"])
def test_class_names_of_torch_are_known(name: str) -> None:
    z = torch.linspace(-3, 3, 61)
    expected = getattr(torch.nn, name)()(z).numpy()
    assert activation(name)(z.double().numpy()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ORACLES)
def test_a_canonical_name_is_its_own_canonical_name(name: str) -> None:
    assert canonical(name) == name
    assert activation(name).name == name


@given(st.text(max_size=200))
def test_any_text_has_a_canonical_name_or_none(text: str) -> None:
    name = canonical(text)
    assert name is None or canonical(name) == name


@pytest.mark.parametrize("name", ORACLES)
def test_types_follow_from_the_function_far_from_zero(name: str) -> None:
    far = 1e6
    phi = ORACLES[name](torch.tensor([-far, 0.0, far]).double()).numpy()
    limit = ((phi - phi[1]) ** 2).sum() / (2 * far**2)
    expected = "amplifier" if limit > 1e3 else "saturating" if limit < 1e-6 else "non-saturating"
    assert activation(name).type == expected
    if expected == "non-saturating":
        assert activation(name).limit == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize("name", ORACLES)
def test_pieces_are_the_squared_rise_or_what_it_tends_to(name: str) -> None:
    one = activation(name)
    if not one.pieces:
        assert name in {"elu", "selu", "softsign"}
        return
    z = np.linspace(-50, 50, 1001)
    away = np.abs(z) >= (0 if one.exact else 30)
    phi = ORACLES[name](torch.from_numpy(z)).numpy() - ORACLES[name](torch.zeros(1).double()).item()
    assert evaluate_pieces(one.pieces, z)[away] == pytest.approx(phi[away] ** 2, rel=1e-9, abs=1e-9)


def test_the_normal_distribution_and_erf_are_those_of_scipy() -> None:
    z = np.concatenate([np.linspace(-12, 12, 20_001), np.logspace(-20, 2, 500)])
    assert np.abs(normal_cdf(z) - special.ndtr(z)).max() < 1e-14
    assert normal_cdf(z) == pytest.approx(special.ndtr(z), rel=1e-12, abs=0)
    assert erf(z) == pytest.approx(special.erf(z), rel=1e-12, abs=0)
    assert erf(-z) == pytest.approx(-special.erf(z), rel=1e-12, abs=0)


def test_the_normal_distribution_ends_at_infinity() -> None:
    z = np.array([-math.inf, -1e300, 1e300, math.inf])
    assert normal_cdf(z).tolist() == [0, 0, 1, 1]
