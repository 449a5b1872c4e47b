"""What may tell how complex a training was: candidates from the theory, each with its derivation.

Every candidate was written down with the sign it must have before any was computed on the held-out
models, and none has a constant fitted to a model. Higher complexity should mean lower accuracy.

Of the weights alone:

- ``τ``, ``T*``, ``J`` are the card's (theory section 3). ``fan_in T*`` is
  ``Σ fan_in ΔE / Σ ΔS``, what makes layers of different widths comparable.
- ``ΔE``: energy absorbed, ``½ Δ Σw²``. Training moves weights by ``v``, which a wide layer holds
  nearly orthogonal to its random start, so ``Σw² - Σw₀² = |v|² + 2 v·w₀ ≈ |v|²``: the energy
  absorbed is half the squared distance from an initialisation that the file does not hold.
- ``ΔF/T₀``: free energy of training at the temperature T₀ of the start, ``Σ d (ΔE/T₀ - ΔS)`` with
  ΔE and ΔS per parameter. The divergence of entries p from the Gaussian g of temperature T₀ is
  ``KL(p|g) = -s + ½ ln 2πT₀ + <w²>/2T₀``, so that for a Gaussian start, whose own divergence is 0,
  ``d (ΔE/T₀ - ΔS) = d KL(p|g)`` exactly, and for a uniform start it is the growth of ``d KL``. It
  knows entries, not which is where, so it is less than the information in the weights.
- ``T*/T₀``: ``Σ ΔE/T₀ / Σ ΔS``, and ratios of the last layer to the first: no unit, and a learning
  rate or a length of training that multiplies all layers cancels.
- ``coherence``: the share of the absorbed energy that lies in the leading K-1 directions of the
  layers, where K is the number of classes: K-1 directions separate K classes, and energy beyond
  them separates examples. It needs neither N nor the start's weights, only its law.

Of the weights and the number N of training examples:

- ``√(2ΔE/N)``: in the linear regime of training the least distance that fits labels y is
  ``|v|² = yᵀH⁻¹y``, and the error on new examples is at most of the order ``√(yᵀH⁻¹y / N)`` (Arora,
  Du, Hu, Li and Wang 2019, https://arxiv.org/abs/1901.08584). With the step above it is
  ``√(2ΔE/N)``.
- ``√(ΔF/2T₀N)``: the bound of PAC-Bayes on the gap with the divergence replaced by ``ΔF/T₀``
  (McAllester 1999, https://doi.org/10.1145/307400.307435).
- ``heat/N``: ``Σ ½ fan_in Δ<w²> d / N``, energy absorbed in units of the start's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

import thermoscan
from thermoscan.card import Card, LayerRecord
from thermoscan.theory.initialisation import from_rule


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's changes since its start, per parameter; from the card.

    Attributes:
        parameters: d.
        fan_in: Inputs that sum into one output.
        start: ``T₀``.
        energy: ``ΔE = ½ (T - T₀)``.
        entropy: ``ΔS``, nats.
        excess: Squared singular values beyond what the start's law gives, summed over the leading
            K-1 directions and over all.
    """

    parameters: int
    fan_in: int
    start: float
    energy: float
    entropy: float
    excess: tuple[float, float]

    @property
    def free_energy(self) -> float:
        """``ΔE/T₀ - ΔS``, nats."""
        return self.energy / self.start - self.entropy


@dataclass(frozen=True, slots=True)
class Measured:
    """What a scan of one checkpoint says, and the figures of others on the same file."""

    card: Card
    layers: tuple[Layer, ...]
    examples: int
    frobenius: float
    spectral: float
    distance: float
    watched: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Indicator:
    """A number of a model.

    Attributes:
        name: As the tables show it.
        source: ``"card"``, ``"theory"``, ``"theory with N"``, ``"baseline"`` or
            ``"WeightWatcher"``.
        sign: +1 where a higher value should mean a more complex training, -1 where a lower.
        value: From what was measured; NaN where it is not defined.
    """

    name: str
    source: str
    sign: int
    value: Callable[[Measured], float]


def measure(path: Path, activation: str, examples: int, classes: int, distance: float) -> Measured:
    """Scans one checkpoint and reads its matrices.

    Args:
        path: Safetensors file of a network that torch initialised.
        activation: Its hidden activation.
        examples: N.
        classes: K.
        distance: ``Σ (w - w₀)²``, for the baseline.
    """
    from safetensors.numpy import load_file  # noqa: PLC0415 - of development only

    options = thermoscan.ScanOptions(activation=activation, initialisation="torch", workers=1)
    card = thermoscan.scan(str(path), options)
    tensors = load_file(path)
    matrices = [tensors[each.tensor].reshape(each.shape) for each in card.layers]
    singular = [np.linalg.svd(each.astype(np.float64), compute_uv=False) for each in matrices]
    layers = tuple(
        _layer(record, values, classes - 1)
        for record, values in zip(card.layers, singular, strict=True)
    )
    return Measured(
        card=card,
        layers=layers,
        examples=examples,
        frobenius=math.fsum(float((each**2).sum()) for each in singular),
        spectral=math.fsum(math.log(float(each[0])) for each in singular),
        distance=distance,
    )


def _layer(record: LayerRecord, singular: npt.NDArray[np.float64], directions: int) -> Layer:
    outputs, fan_in = record.shape
    start = from_rule("torch", fan_in, outputs)
    assert record.temperature is not None
    assert record.entropy is not None
    edge = start.variance * (math.sqrt(outputs) + math.sqrt(fan_in)) ** 2
    excess = np.maximum(singular**2 - edge, 0.0)
    return Layer(
        parameters=record.parameters,
        fan_in=fan_in,
        start=start.variance,
        energy=(record.temperature - start.variance) / 2,
        entropy=record.entropy - start.entropy,
        excess=(
            float(excess[:directions].sum()),
            max(float((singular**2).sum()) - record.parameters * start.variance, 0.0),
        ),
    )


def _sum(layers: Sequence[Layer], of: Callable[[Layer], float]) -> float:
    return math.fsum(each.parameters * of(each) for each in layers)


def _energy(of: Measured) -> float:
    return _sum(of.layers, lambda each: each.energy)


def _heat(of: Measured) -> float:
    return _sum(of.layers, lambda each: each.fan_in * each.energy)


def _free_energy(of: Measured) -> float:
    return _sum(of.layers, lambda each: each.free_energy)


def _entropy(of: Measured) -> float:
    return _sum(of.layers, lambda each: each.entropy)


def _ratio(above: float, below: float) -> float:
    return above / below if below else math.nan


def _root(value: float) -> float:
    return math.copysign(math.sqrt(abs(value)), value)


def _coherence(of: Measured) -> float:
    return _ratio(
        math.fsum(each.excess[0] for each in of.layers),
        math.fsum(each.excess[1] for each in of.layers),
    )


def _watched(name: str) -> Callable[[Measured], float]:
    return lambda of: of.watched.get(name, math.nan)


def _card(name: str) -> Callable[[Measured], float]:
    def value(of: Measured) -> float:
        found = getattr(of.card.summary, name)
        return math.nan if found is None else float(found)

    return value


def _parameters(of: Measured) -> int:
    return sum(each.parameters for each in of.layers)


CARD = (
    Indicator("τ", "card", 1, _card("reduced_temperature")),
    Indicator("T*", "card", 1, _card("transition_temperature")),
    Indicator("J", "card", 1, _card("order")),
    Indicator("η", "card", -1, _card("work_efficiency")),
)

THEORY = (
    Indicator("fan_in T*", "theory", 1, lambda of: _ratio(_heat(of), _entropy(of))),
    Indicator("ΔE", "theory", 1, _energy),
    Indicator("ΔF/T₀", "theory", 1, _free_energy),
    Indicator("ΔF/T₀ per parameter", "theory", 1, lambda of: _free_energy(of) / _parameters(of)),
    Indicator("ΔS per parameter", "theory", 1, lambda of: _entropy(of) / _parameters(of)),
    Indicator(
        "T*/T₀",
        "theory",
        1,
        lambda of: _ratio(_sum(of.layers, lambda each: each.energy / each.start), _entropy(of)),
    ),
    Indicator(
        "ΔE last/first",
        "theory",
        1,
        lambda of: _ratio(
            _sum(of.layers[-1:], lambda e: e.energy), _sum(of.layers[:1], lambda e: e.energy)
        ),
    ),
    Indicator("coherence", "theory", -1, _coherence),
)

WITH_EXAMPLES = (
    Indicator("√(2ΔE/N)", "theory with N", 1, lambda of: _root(2 * _energy(of) / of.examples)),
    Indicator(
        "√(ΔF/2T₀N)", "theory with N", 1, lambda of: _root(_free_energy(of) / (2 * of.examples))
    ),
    Indicator("heat/N", "theory with N", 1, lambda of: _heat(of) / of.examples),
)

BASELINES = (
    Indicator("N", "baseline", -1, lambda of: float(of.examples)),
    Indicator("Σw²", "baseline", 1, lambda of: of.frobenius),
    Indicator("product of spectral norms", "baseline", 1, lambda of: of.spectral),
    Indicator("Σ(w-w₀)²", "baseline", 1, lambda of: of.distance),
    Indicator("Σ(w-w₀)²/N", "baseline", 1, lambda of: of.distance / of.examples),
)

WATCHED = (
    Indicator("alpha", "WeightWatcher", 1, _watched("alpha")),
    Indicator("alpha_weighted", "WeightWatcher", 1, _watched("alpha_weighted")),
    Indicator("log_alpha_norm", "WeightWatcher", 1, _watched("log_alpha_norm")),
    Indicator("log_norm", "WeightWatcher", 1, _watched("log_norm")),
    Indicator("log_spectral_norm", "WeightWatcher", 1, _watched("log_spectral_norm")),
    Indicator("stable_rank", "WeightWatcher", 1, _watched("stable_rank")),
)
