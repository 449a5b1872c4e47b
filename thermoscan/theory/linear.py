"""Linear systems ``z_n = w·x_n``: energy, entropy and temperature of a state on data.

Theory sections 1 and 2. Takes data, a loss and a distribution of the parameters; gives the frozen
`LinearState` and, between two of them, the `LinearTransition`. The temperature is the virial one
along the dilation ``w -> λw``, over which the entropy of every distribution grows by ``d·dλ/λ``:

    T = (1/d) mean_n E[z ℓ'(z, y_n)] = (1/d) mean_n (μ_n E[ℓ'] + s_n² E[ℓ''])

The second form, Stein's lemma, needs normal outputs ``z_n ~ N(μ_n, s_n²)``. It is exact where the
parameters are normal, of whatever variances, and for the squared error, which knows two moments
only. Else it is asymptotic, and what has to grow is not the number of features as such but the
number that carry an output: the central limit theorem needs every one of them to be negligible.
`LinearState.effective_features` says how far that is so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from thermoscan.errors import OptionError
from thermoscan.theory.gaussian import Array
from thermoscan.theory.linear_states import ParameterState
from thermoscan.theory.losses import Loss
from thermoscan.theory.states import SIGNIFICANCE

EXACT, ASYMPTOTIC = "exact", "asymptotic"
SMALL, LARGE = "small", "large"

#: How far a limit may be from the temperature to be said to apply, relative.
APPLIES_WITHIN = 0.01


@dataclass(frozen=True, slots=True)
class LinearData:
    """Finite data of a linear system: inputs X, shape (N, d), and targets y, shape (N,)."""

    inputs: Array
    targets: Array


@dataclass(frozen=True, slots=True)
class LinearState:
    """What a distribution of the parameters is on data.

    Attributes:
        parameters: Degrees of freedom d; with K classes, K times the number of features.
        energy: ``E = <L>``, in units of the loss.
        entropy: S, differential entropy of all parameters, nats.
        entropy_error: Its standard error, nats; 0 at initialisation.
        temperature: Virial temperature T, units of the loss; negative where the loss would fall if
            trained parameters grew.
        validity: `EXACT`, or `ASYMPTOTIC` for energy and temperature of outputs that are taken for
            normal and are not quite.
        effective_features: ``1 / mean_n (Σ σ_i⁴ x_ni⁴ / s_n⁴)`` over the parameters that are not
            normal: how many such features, of equal part, would make an output as nearly normal.
            None where `validity` is `EXACT`.
        small_limit: What T tends to as s → 0 at initialisation; None where there is no such limit.
        large_limit: The same as s → ∞.
        applies: `SMALL` or `LARGE`: the limit that is within `APPLIES_WITHIN` of T; None for none.
    """

    parameters: int
    energy: float
    entropy: float
    entropy_error: float
    temperature: float
    validity: str
    effective_features: float | None
    small_limit: float | None
    large_limit: float | None
    applies: str | None

    @property
    def entropy_per_parameter(self) -> float:
        """``S/d``, nats."""
        return self.entropy / self.parameters


@dataclass(frozen=True, slots=True)
class LinearTransition:
    """What happens between two states of the same parameters.

    Attributes:
        energy_change: ``ΔE``, units of the loss.
        entropy_change: ``ΔS`` of all parameters, nats.
        entropy_error: Its standard error, nats.
        temperature: ``T* = ΔE / ΔS``; None where `reason` says why.
        reason: Why `temperature` is None; None otherwise.
        validity: `EXACT` where both states are.
    """

    energy_change: float
    entropy_change: float
    entropy_error: float
    temperature: float | None
    reason: str | None
    validity: str


def linear_data(inputs: ArrayLike, targets: ArrayLike, loss: Loss) -> LinearData:
    """Returns data that fit each other and the loss.

    Args:
        inputs: X, shape (N, d).
        targets: y, shape (N,): numbers; ±1 for binary, 0, 1, 2, ... for softmax cross-entropy.
        loss: The loss.

    Raises:
        OptionError: ``data-shape``, ``data-empty``, ``data-not-finite``, ``data-labels``.
    """
    x, y = np.asarray(inputs), np.asarray(targets)
    if x.ndim != 2 or y.shape != x.shape[:1] or not {x.dtype.kind, y.dtype.kind} <= set("fiu"):
        raise OptionError("data-shape", "inputs must be numbers (N, d), and targets numbers (N,)")
    if x.size == 0:
        raise OptionError("data-empty", "there must be at least one sample and one feature")
    data = LinearData(x.astype(np.float64), y.astype(np.float64))
    if not (np.isfinite(data.inputs).all() and np.isfinite(data.targets).all()):
        raise OptionError("data-not-finite", "inputs and targets must be finite")
    loss.check(data.targets)
    return data


def linear_state(state: ParameterState, data: LinearData, loss: Loss) -> LinearState:
    """Returns energy, entropy and temperature of a distribution of the parameters on data.

    Args:
        state: At initialisation (Type I) or trained, on these data or on others (Type II).
        data: What `linear_data` gave for this loss.
        loss: The loss.

    Raises:
        OptionError: ``data-shape``: state and data do not fit; ``data-overflow``: energies leave
            the range of a float64.

    >>> from thermoscan.theory.initialisation import normal
    >>> from thermoscan.theory.linear_states import initial_state
    >>> from thermoscan.theory.losses import loss
    >>> data = linear_data([[3.0, 4.0]], [1.0], loss("mse"))
    >>> state = linear_state(initial_state([normal(1.0, "by hand")] * 2), data, loss("mse"))
    >>> state.temperature, state.energy, state.validity
    (25.0, 26.0, 'exact')
    """
    classes = _check_fit(state, data, loss)
    parameters = state.mean.size
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = state.outputs(data.inputs)
        _require_finite(mean, std)
        energies, virials = loss.expect(mean, std, data.targets)
        energy, temperature = float(energies.mean()), float(virials.mean()) / parameters
        features = None if loss.quadratic else _effective_features(state, data)
    _require_finite(energy, temperature)
    small, large = (
        None
        if limit is None or state.mean.any()
        else float(limit(std, classes).mean()) / parameters
        for limit in (loss.small, loss.large)
    )
    return LinearState(
        parameters=parameters,
        energy=energy,
        entropy=state.entropy,
        entropy_error=state.entropy_error,
        temperature=temperature,
        validity=EXACT if features is None else ASYMPTOTIC,
        effective_features=features,
        small_limit=small,
        large_limit=large,
        applies=_applying(temperature, small, large),
    )


def linear_transition(before: LinearState, after: LinearState) -> LinearTransition:
    """Returns the transition between two states of the same parameters under the same loss.

    Training (Type I): from initialisation to the trained state, both on the data. Refresh (Type
    II): from the state that was trained on earlier data to the one trained on the new data, both
    taken on the new data. A ratio over an entropy change that is within its error is not given:
    data of the same size and noise leave the entropy where it was, and the ratio would be noise.
    """
    energy = after.energy - before.energy
    entropy = after.entropy - before.entropy
    error = math.hypot(before.entropy_error, after.entropy_error)
    moved = abs(entropy) > SIGNIFICANCE * error
    both = {before.validity, after.validity} == {EXACT}
    return LinearTransition(
        energy_change=energy,
        entropy_change=entropy,
        entropy_error=error,
        temperature=energy / entropy if moved else None,
        reason=None if moved else "the entropy has not moved by three standard errors",
        validity=EXACT if both else ASYMPTOTIC,
    )


def _check_fit(state: ParameterState, data: LinearData, loss: Loss) -> int:
    """Returns the number of classes, 1 where the system has one output."""
    if state.mean.shape[-1] != data.inputs.shape[1]:
        raise OptionError(
            "data-shape",
            f"the state has {state.mean.shape[-1]} features, the data {data.inputs.shape[1]}",
        )
    if loss.has_classes != (state.mean.ndim == 2):
        raise OptionError(
            "data-shape", f"the state's number of outputs is not that of the {loss.title}"
        )
    classes = state.mean.shape[0] if loss.has_classes else 1
    if loss.has_classes and data.targets.max() >= classes:
        raise OptionError("data-labels", f"a target is no class of the state's 0 to {classes - 1}")
    return classes


def _require_finite(*values: Array | float) -> None:
    if not all(np.isfinite(each).all() for each in values):
        raise OptionError(
            "data-overflow", "the energies leave the range of float64: scale the data"
        )


def _effective_features(state: ParameterState, data: LinearData) -> float | None:
    """See `LinearState`; None where every output is normal, or never varies."""
    if state.normal.all():
        return None
    parts = data.inputs**2 * state.covariance
    total = parts.sum(axis=1, keepdims=True)
    varies = total[:, 0] > 0
    shares = parts[varies] / total[varies]
    share = float((shares[:, ~state.normal] ** 2).sum()) / max(len(shares), 1)
    return 1 / share if share > 0 else None


def _applying(temperature: float, small: float | None, large: float | None) -> str | None:
    for name, limit in ((SMALL, small), (LARGE, large)):
        if limit is not None and abs(limit - temperature) <= APPLIES_WITHIN * abs(temperature):
            return name
    return None
