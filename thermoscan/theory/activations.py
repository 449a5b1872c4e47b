"""The activation functions, and what the heat engine needs to know of each (theory section 4).

Takes a name as configurations and libraries spell it; gives the canonical name, and by that the
frozen `Activation`: the function, its rise above its value at zero, and its limiting efficiency,
which makes its type. A name that stands for no function known here gives None, never a likely one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thermoscan.errors import OptionError
from thermoscan.theory.gaussian import Array, Piece, erf, evaluate_pieces, normal_cdf

NON_SATURATING = "non-saturating"
SATURATING = "saturating"
AMPLIFIER = "amplifier"


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation function φ.

    Attributes:
        name: Canonical name.
        limit: ``η∞``, the limit of the work efficiency as the variance of a zero-mean input grows.
        rise: ``φ(z) - φ(0)``, elementwise, with all its digits also where z is tiny.
        at_zero: ``φ(0)``.
        pieces: ``rise(z)²`` as polynomials between knots. Where it is no such thing, what it tends
            to away from zero, like exp(-|z|) or faster, with 0 as only knot; φ is analytic then.
            Empty where there is neither: φ is only analytic on either side of zero.
        exact: True where `pieces` is ``rise(z)²`` itself.
    """

    name: str
    limit: float
    rise: Callable[[Array], Array]
    at_zero: float = 0.0
    pieces: tuple[Piece, ...] = ()
    exact: bool = False

    def __call__(self, z: Array) -> Array:
        """Returns φ(z), elementwise."""
        return self.at_zero + self.rise(z)

    def squared_rise(self, z: Array) -> Array:
        """Returns the energy of the response, ``(φ(z) - φ(0))²``, elementwise."""
        return np.square(self.rise(z))

    def excess(self, z: Array) -> Array:
        """Returns by how much the energy of the response exceeds `pieces`, elementwise."""
        return self.squared_rise(z) - evaluate_pieces(self.pieces, z)

    @property
    def type(self) -> str:
        """By η∞: 0 is ``"saturating"``, ∞ an ``"amplifier"``, between them ``"non-saturating"``."""
        if self.limit == 0:
            return SATURATING
        return AMPLIFIER if math.isinf(self.limit) else NON_SATURATING


def canonical(name: str) -> str | None:
    """Returns the canonical name of the activation that `name` spells; None where none is known.

    Knows the keys of transformers' ``ACT2FN`` and the class names of `torch.nn`, in any case and
    with or without hyphens and underscores. A leaky ReLU carries its slope in its name.

    >>> canonical("gelu_new"), canonical("SiLU"), canonical("LeakyReLU")
    ('gelu_tanh', 'silu', 'leaky_relu(0.01)')
    >>> canonical("laplace") is None
    True
    """
    spelling = re.sub(r"[-_\s]", "", name[:100]).lower()
    leaky = re.fullmatch(r"leakyrelu(?:\(([0-9.e]+)\))?", spelling)
    if leaky is None:
        return _SPELLINGS.get(spelling)
    slope = _slope(leaky.group(1) or "0.01")
    return None if slope is None else f"leaky_relu({slope!r})"


def activation(name: str) -> Activation:
    """Returns the activation that `name` spells.

    Raises:
        OptionError: `canonical` knows none of this name.

    >>> activation("tanh").type
    'saturating'
    """
    known = canonical(name)
    if known is None:
        raise OptionError("activation-unknown", f"'{name}' is no activation function known here")
    if known in _REGISTRY:
        return _REGISTRY[known]
    return _leaky_relu(known, float(known.removeprefix("leaky_relu(").removesuffix(")")))


def _slope(text: str) -> float | None:
    try:
        slope = float(text)
    except ValueError:
        return None
    return slope if 0 <= slope <= 1 else None


def _softplus(z: Array) -> Array:
    return np.logaddexp(0.0, z)


def _softplus_rise(z: Array) -> Array:
    near = np.log1p(np.expm1(np.minimum(z, 1.0)) / 2)
    return np.where(z < 1, near, _softplus(z) - math.log(2))


def _sigmoid(z: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def _gelu_tanh(z: Array) -> Array:
    return z * _sigmoid(math.sqrt(8 / math.pi) * (z + 0.044715 * z * z * z))


def _exponential_linear(scale: float, alpha: float) -> Callable[[Array], Array]:
    def rise(z: Array) -> Array:
        return np.where(z > 0, scale * z, scale * alpha * np.expm1(np.minimum(z, 0.0)))

    return rise


def _leaky_relu(name: str, slope: float) -> Activation:
    return Activation(
        name,
        limit=(1 + slope**2) / 2,
        rise=lambda z: np.where(z > 0, z, slope * z),
        pieces=(Piece(-math.inf, 0, (0.0, 0.0, slope**2)), *_RECTIFIED),
        exact=True,
    )


_SQUARE = (0.0, 0.0, 1.0)
_RECTIFIED = (Piece(0, math.inf, _SQUARE),)


def _capped(cap: float) -> tuple[Piece, ...]:
    return (Piece(-math.inf, math.inf, (cap**2,)),)


def _piecewise() -> list[Activation]:
    """The functions whose squared rise is a polynomial between knots."""
    inf = math.inf
    return [
        Activation("identity", 1.0, np.positive, 0.0, (Piece(-inf, inf, _SQUARE),), True),
        Activation("relu", 0.5, lambda z: np.maximum(z, 0.0), 0.0, _RECTIFIED, True),
        Activation(
            "relu2",
            inf,
            lambda z: np.square(np.maximum(z, 0.0)),
            pieces=(Piece(0, inf, (0.0, 0.0, 0.0, 0.0, 1.0)),),
            exact=True,
        ),
        Activation(
            "relu6",
            0.0,
            lambda z: np.clip(z, 0.0, 6.0),
            pieces=(Piece(0, 6, _SQUARE), Piece(6, inf, (36.0,))),
            exact=True,
        ),
        Activation(
            "hardtanh",
            0.0,
            lambda z: np.clip(z, -1.0, 1.0),
            pieces=(Piece(-inf, -1, (1.0,)), Piece(-1, 1, _SQUARE), Piece(1, inf, (1.0,))),
            exact=True,
        ),
        Activation(
            "hardsigmoid",
            0.0,
            lambda z: np.clip(z, -3.0, 3.0) / 6,
            at_zero=0.5,
            pieces=(
                Piece(-inf, -3, (0.25,)),
                Piece(-3, 3, (0.0, 0.0, 1 / 36)),
                Piece(3, inf, (0.25,)),
            ),
            exact=True,
        ),
        Activation(
            "hardswish",
            0.5,
            lambda z: z * np.clip(z + 3, 0.0, 6.0) / 6,
            pieces=(Piece(-3, 3, (0.0, 0.0, 1 / 4, 1 / 6, 1 / 36)), Piece(3, inf, _SQUARE)),
            exact=True,
        ),
    ]


def _analytic() -> list[Activation]:
    """The functions that are analytic, with what their squared rise tends to on either side."""
    ln2 = math.log(2)
    return [
        Activation("gelu", 0.5, lambda z: z * normal_cdf(z), pieces=_RECTIFIED),
        Activation("gelu_tanh", 0.5, _gelu_tanh, pieces=_RECTIFIED),
        Activation("quick_gelu", 0.5, lambda z: z * _sigmoid(1.702 * z), pieces=_RECTIFIED),
        Activation("silu", 0.5, lambda z: z * _sigmoid(z), pieces=_RECTIFIED),
        Activation("mish", 0.5, lambda z: z * np.tanh(_softplus(z)), pieces=_RECTIFIED),
        Activation(
            "softplus",
            0.5,
            _softplus_rise,
            at_zero=ln2,
            pieces=(
                Piece(-math.inf, 0, (ln2**2,)),
                Piece(0, math.inf, (ln2**2, -2 * ln2, 1.0)),
            ),
        ),
        Activation("tanh", 0.0, np.tanh, pieces=_capped(1.0)),
        Activation("sigmoid", 0.0, lambda z: 0.5 * np.tanh(0.5 * z), 0.5, _capped(0.5)),
        Activation("erf", 0.0, erf, pieces=_capped(1.0)),
    ]


#: G. Klambauer et al., Self-Normalizing Neural Networks, https://arxiv.org/abs/1706.02515
_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772


def _kinked() -> list[Activation]:
    """The functions that are analytic on either side of zero only."""
    return [
        Activation("elu", 0.5, _exponential_linear(1.0, 1.0)),
        Activation("selu", _SELU_SCALE**2 / 2, _exponential_linear(_SELU_SCALE, _SELU_ALPHA)),
        Activation("softsign", 0.0, lambda z: z / (1 + np.abs(z))),
    ]


_REGISTRY = {each.name: each for each in (*_piecewise(), *_analytic(), *_kinked())}

#: Spellings, without case, hyphens and underscores -> canonical name. The tanh form of GELU goes by
#: many names (https://github.com/huggingface/transformers, src/transformers/activations.py).
_SPELLINGS = {
    **{name.replace("_", ""): name for name in _REGISTRY},
    "linear": "identity",
    "gelupython": "gelu",
    "gelunew": "gelu_tanh",
    "gelufast": "gelu_tanh",
    "geluaccurate": "gelu_tanh",
    "gelupytorchtanh": "gelu_tanh",
    "gelupythontanh": "gelu_tanh",
    "swish": "silu",
    "squaredrelu": "relu2",
    "relusquared": "relu2",
}
