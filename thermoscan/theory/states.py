"""The thermal state of weights: temperatures, order, and the transition between two states.

Theory section 3. Takes plain finite numbers, measured over one layer's entries; gives plain numbers
and the frozen `LayerState`, `NetworkState` and `Transition`. Of a layer with zeros stored in it,
every number is meant over the entries that are not zero: zeros are an atom, not part of the
continuous entropy. Whole-network figures are ratios of sums, never means of ratios.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: How many standard errors energy and entropy must have moved for a transition temperature to be
#: given: a ratio of which one part is noise has no size, or no sign. One error of the entropy would
#: call a third of all untouched layers trained; three do so with 1 in 370.
SIGNIFICANCE = 3.0

NO_ENTROPY = "all its entries are equal, so that it has no continuous entropy"


@dataclass(frozen=True, slots=True)
class Transition:
    """What happened between two states of the same parameters; per parameter.

    Attributes:
        temperature: ``T* = ΔE / ΔS``; negative where energy and entropy moved against each other.
            None where `reason` says why.
        reason: Why `temperature` is None; None otherwise.
        energy_change: ``ΔE = ½(<w²>₁ - <w²>₀)``.
        energy_error: Its standard error.
        entropy_change: ``ΔS = s₁ - s₀``, nats; None where a state has no continuous entropy.
        entropy_error: Its standard error, nats; None likewise.
    """

    temperature: float | None
    reason: str | None
    energy_change: float
    energy_error: float
    entropy_change: float | None
    entropy_error: float | None

    @property
    def is_order_under_heating(self) -> bool:
        """True where the energy rose while the entropy fell, both beyond their error."""
        return self.temperature is not None and self.temperature < 0 < self.energy_change


@dataclass(frozen=True, slots=True)
class LayerState:
    """The state of one layer.

    Attributes:
        parameters: Degrees of freedom d: its entries that are not zero.
        temperature: ``T = <w²>``, squared weight units.
        temperature_error: Standard error of T.
        reduced_temperature: ``τ = fan_in · T``, comparable across widths.
        entropy: s, nats per parameter; None for a layer without continuous entropy.
        entropic_temperature: ``Θ``; None likewise, and where T leaves the range of a float64.
        order: ``J``, nats per parameter; None where Θ is.
    """

    parameters: int
    temperature: float
    temperature_error: float
    reduced_temperature: float
    entropy: float | None
    entropic_temperature: float | None
    order: float | None


@dataclass(frozen=True, slots=True)
class NetworkState:
    """The state of all layers together, weighted by their degrees of freedom.

    Attributes:
        parameters: Degrees of freedom, ``Σ d``.
        temperature: ``Σ d T / Σ d``.
        reduced_temperature: ``Σ d τ / Σ d``.
        order: ``Σ d J / Σ d`` over the layers that have one; None where none has.
    """

    parameters: int
    temperature: float
    reduced_temperature: float
    order: float | None


def temperature_error(second_moment: float, fourth_moment: float, parameters: int) -> float:
    """Returns the standard error of ``T = <w²>`` over so many independent entries.

    >>> temperature_error(1.0, 3.0, 200)
    0.1
    """
    return math.sqrt(max(fourth_moment - second_moment**2, 0.0) / parameters)


def entropic_temperature(entropy: float) -> float:
    """Returns ``Θ = exp(2s)/(2πe)``: the temperature of the Gaussian that has this entropy.

    >>> round(entropic_temperature(0.5 * math.log(2 * math.pi * math.e * 0.04)), 12)
    0.04
    """
    return math.exp(2 * entropy) / (2 * math.pi * math.e)


def order(temperature: float, entropy: float) -> float:
    """Returns ``J = ½ ln(T/Θ)``, nats per parameter: how far from a zero-mean Gaussian.

    It is never negative; where an estimated entropy makes it so, by its error, it is 0.

    >>> round(order(1 / 3, math.log(2)), 4)  # uniform on [-1, 1]
    0.1765
    """
    return max(signed_order(temperature, entropy), 0.0)


def signed_order(temperature: float, entropy: float) -> float:
    """Returns J as it is estimated, which may be below 0 by the error of the entropy."""
    return 0.5 * math.log(2 * math.pi * math.e * temperature) - entropy


def layer_state(
    parameters: int,
    fan_in: float,
    second_moment: float,
    fourth_moment: float,
    entropy: float | None,
) -> LayerState:
    """Returns the state of a layer.

    Args:
        parameters: Its entries that are not zero; at least one.
        fan_in: Entries that sum into one output and are not zero, on average: the layer's fan-in
            times the share of entries that are not zero.
        second_moment: ``<w²>`` over the entries that are not zero, which is T.
        fourth_moment: ``<w⁴>`` over the same.
        entropy: Differential entropy of the same, nats; None where they are all equal.

    >>> layer_state(1000, 25.0, 0.04, 0.0048, entropy=None).reduced_temperature
    1.0
    """
    theta, distance = None, None
    if entropy is not None and 0 < second_moment < math.inf:
        theta, distance = entropic_temperature(entropy), order(second_moment, entropy)
    return LayerState(
        parameters=parameters,
        temperature=second_moment,
        temperature_error=temperature_error(second_moment, fourth_moment, parameters),
        reduced_temperature=fan_in * second_moment,
        entropy=entropy,
        entropic_temperature=theta,
        order=distance,
    )


def network_state(layers: Sequence[LayerState]) -> NetworkState | None:
    """Returns the state of the layers together; None where there is no layer."""
    parameters = sum(each.parameters for each in layers)
    if parameters == 0:
        return None
    return NetworkState(
        parameters=parameters,
        temperature=math.fsum(each.parameters * each.temperature for each in layers) / parameters,
        reduced_temperature=math.fsum(each.parameters * each.reduced_temperature for each in layers)
        / parameters,
        order=_mean((each.parameters, each.order) for each in layers),
    )


def transition(
    second_1: float,
    entropy_1: float | None,
    second_0: float,
    entropy_0: float | None,
    *,
    second_error: float,
    entropy_error: float,
    origin: str = "initialisation",
) -> Transition:
    """Returns the transition from state 0 to state 1 of one layer.

    Args:
        second_1: ``<w²>`` of the layer as it is.
        entropy_1: Its entropy, nats per parameter; None where it has no continuous one.
        second_0: ``<w²>`` of its initialisation (Type I) or of the base checkpoint (Type II).
        entropy_0: The entropy of that state.
        second_error: Standard error of ``second_1 - second_0``.
        entropy_error: Standard error of ``entropy_1 - entropy_0``, what the estimator is off by
            included: sampling alone is far less than a histogram's bias in a layer of millions.
        origin: What state 0 is, for the reason.

    >>> transition(4.0, 2.0, 1.0, 1.25, second_error=0.01, entropy_error=0.01).temperature
    2.0
    >>> transition(1.0, 1.25, 1.0, 1.25, second_error=0.01, entropy_error=0.01).reason
    'at initialisation'
    """
    energy = (second_1 - second_0) / 2
    if entropy_1 is None or entropy_0 is None:
        return Transition(None, NO_ENTROPY, energy, second_error / 2, None, None)
    return _judge(energy, second_error / 2, entropy_1 - entropy_0, entropy_error, origin)


def network_transition(
    layers: Iterable[tuple[int, Transition]], origin: str = "initialisation"
) -> Transition | None:
    """Returns ``ΣΔE / ΣΔS`` of several layers, as one transition per parameter.

    Args:
        layers: Degrees of freedom and transition of each; one without entropy change is left out.
        origin: What state 0 is, for the reason.

    Returns:
        The transition of the whole; None where no layer has an entropy change. Standard errors add
        up as they stand, because the part that comes from the estimator is common to all layers.
    """
    known = [(d, each) for d, each in layers if each.entropy_change is not None]
    energy = _mean((d, each.energy_change) for d, each in known)
    energy_error = _mean((d, each.energy_error) for d, each in known)
    entropy = _mean((d, each.entropy_change) for d, each in known)
    entropy_error = _mean((d, each.entropy_error) for d, each in known)
    if energy is None or energy_error is None or entropy is None or entropy_error is None:
        return None
    return _judge(energy, energy_error, entropy, entropy_error, origin)


def _judge(
    energy: float, energy_error: float, entropy: float, entropy_error: float, origin: str
) -> Transition:
    temperature, reason = None, None
    heated = abs(energy) > SIGNIFICANCE * energy_error
    reshaped = abs(entropy) > SIGNIFICANCE * entropy_error
    if heated and reshaped:
        temperature = energy / entropy
    elif heated:
        reason = f"its energy has moved from {origin}, its entropy has not"
    elif reshaped:
        reason = f"its entropy has moved from {origin}, its energy has not"
    else:
        reason = f"at {origin}"
    return Transition(temperature, reason, energy, energy_error, entropy, entropy_error)


def _mean(weighted: Iterable[tuple[int, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in weighted if value is not None]
    total = sum(weight for weight, _ in known)
    return math.fsum(weight * value for weight, value in known) / total if total else None
