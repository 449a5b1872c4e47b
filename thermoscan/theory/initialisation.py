"""The distributions that weights start from: variance and entropy in closed form.

Theory sections 1 and 3. Takes a family and its parameters, a rule that depends on the layer's size,
or the text a user wrote for one; gives frozen `Initialisation` values. Nothing is guessed here:
which layer starts how is the anatomy's business.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from thermoscan.errors import OptionError

#: Spreads beyond these have squares that leave the range of a float64.
_SMALLEST, _LARGEST = 1e-150, 1e150

_TEXT = re.compile(r"(normal|uniform|trunc_normal)\(([^(),]{1,40})\)")
_TORCH_CUT = 2.0
_SMALLEST_CUT = 0.1


@dataclass(frozen=True, slots=True)
class Initialisation:
    """The zero-mean distribution that a layer's entries are drawn from.

    Attributes:
        family: ``"normal"``, ``"uniform"`` or ``"truncated normal"``.
        variance: Second moment of an entry, squared weight units.
        entropy: Differential entropy of an entry, nats.
        source: Where it is known from, in words for the card.
    """

    family: str
    variance: float
    entropy: float
    source: str


def normal(std: float, source: str) -> Initialisation:
    """A normal distribution of standard deviation `std`.

    Raises:
        ValueError: `std` is not a positive number.

    >>> normal(0.02, "config.json").variance
    0.0004
    """
    _require_spread(std)
    return Initialisation(
        "normal", std**2, 0.5 * math.log(2 * math.pi * math.e) + math.log(std), source
    )


def uniform(bound: float, source: str) -> Initialisation:
    """A uniform distribution on ``[-bound, bound]``.

    Raises:
        ValueError: `bound` is not a positive number.

    >>> uniform(0.5, "torch.nn's default").entropy
    0.0
    """
    _require_spread(bound)
    return Initialisation("uniform", bound**2 / 3, math.log(2 * bound), source)


def truncated_normal(std: float, cut: float, source: str) -> Initialisation:
    """A normal distribution of standard deviation `std` before truncation at ``±cut·std``.

    Args:
        std: Of the normal distribution that is truncated; the result's is smaller.
        cut: Where it is truncated, in units of `std`. TensorFlow and JAX cut at 2;
            `torch.nn.init.trunc_normal_` cuts at ±2 in weight units, which is ``2 / std`` here and
            changes nothing at the usual 0.02.
        source: Where it is known from, in words for the card.

    Raises:
        ValueError: `std` is not a positive number, or `cut` is below 0.1: what is left is uniform.
    """
    _require_spread(std)
    _require_spread(cut)
    if cut < _SMALLEST_CUT:
        raise ValueError(f"a normal distribution cut at {cut} of its deviation is a uniform one")
    density = math.exp(-(cut**2) / 2) / math.sqrt(2 * math.pi)
    mass = math.erf(cut / math.sqrt(2))
    edge = cut * density / mass
    entropy = 0.5 * math.log(2 * math.pi * math.e) + math.log(std) + math.log(mass) - edge
    return Initialisation("truncated normal", std**2 * (1 - 2 * edge), entropy, source)


def parse(text: str) -> Initialisation:
    """Returns the distribution that a user wrote, the same for every layer.

    Args:
        text: ``"normal(STD)"``, ``"uniform(BOUND)"``, or ``"trunc_normal(STD)"`` with the meaning
            of `torch.nn.init.trunc_normal_`: cut at ±2 in weight units.

    Raises:
        OptionError: It is none of these, or its number is not a positive one. The names in `RULES`
            are refused too: they need the layer's size, see `from_rule`.

    >>> parse("uniform(0.05)").family
    'uniform'
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise OptionError(
            "initialisation-unknown",
            f"'{text}' is no initialisation: write normal(STD), uniform(BOUND), trunc_normal(STD), "
            f"or one of {', '.join(RULES)}",
        )
    family, number = match.groups()
    source = "given by the user"
    try:
        spread = float(number)
        if family == "normal":
            return normal(spread, source)
        if family == "uniform":
            return uniform(spread, source)
        return truncated_normal(spread, _TORCH_CUT / spread, source)
    except (ValueError, ZeroDivisionError) as error:
        raise OptionError(
            "initialisation-spread", f"'{text}' needs a positive number, such as {family}(0.02)"
        ) from error


def from_rule(rule: str, fan_in: int, fan_out: int) -> Initialisation:
    """Returns the distribution that a rule gives a layer of this size.

    Args:
        rule: A name of `RULES`: ``"torch"`` is what `torch.nn` does to a linear map or a
            convolution unasked; He's (also called Kaiming's, here over the fan-in) and Xavier's are
            `torch.nn.init`'s at their default gains; LeCun's normal has variance ``1/fan_in``.
        fan_in: Inputs that sum into one output.
        fan_out: Outputs that one input reaches.

    Raises:
        OptionError: There is no such rule.
        ValueError: A fan is not positive.

    >>> from_rule("lecun_normal", fan_in=16, fan_out=10).variance
    0.0625
    """
    if rule not in RULES:
        raise OptionError(
            "initialisation-unknown",
            f"'{rule}' is no initialisation rule: write {', '.join(RULES)}",
        )
    if fan_in < 1 or fan_out < 1:
        raise ValueError("a layer's fans must be positive")
    make, variance = _RULES[rule]
    spread = math.sqrt(variance(fan_in, fan_out))
    return make(spread if make is normal else math.sqrt(3) * spread, f"the rule {rule}")


def _require_spread(spread: float) -> None:
    if not _SMALLEST < spread < _LARGEST:
        raise ValueError(f"the spread of a distribution must be a positive number, not {spread}")


_Maker = Callable[[float, str], Initialisation]
_Variance = Callable[[int, int], float]

#: Family, and variance as a function of fan-in and fan-out. torch's default is U(±1/√fan_in)
#: (https://pytorch.org/docs/stable/generated/torch.nn.Linear.html), of variance 1/(3 fan_in).
_RULES: dict[str, tuple[_Maker, _Variance]] = {
    "torch": (uniform, lambda fan_in, _: 1 / (3 * fan_in)),
    "he_normal": (normal, lambda fan_in, _: 2 / fan_in),
    "he_uniform": (uniform, lambda fan_in, _: 2 / fan_in),
    "lecun_normal": (normal, lambda fan_in, _: 1 / fan_in),
    "xavier_normal": (normal, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    "xavier_uniform": (uniform, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
}

#: The rules that `from_rule` knows.
RULES: tuple[str, ...] = tuple(_RULES)
