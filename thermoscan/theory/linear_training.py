"""States trained on data: the minimum of a loss, and a spread around it.

Theory sections 1 and 2. A trained parameter vector alone is a point, and has no entropy. The spread
that it is given here is a choice: the sampling covariance of the minimum as the maximum of a
likelihood, which is the inverse of the Fisher information. It is known for two losses:

- squared error: ``σ̂² (XᵀX)⁻¹`` with ``σ̂² = RSS / (N - d)``;
- binary cross-entropy: ``(Σ p_n (1 - p_n) x_n x_nᵀ)⁻¹``.

The absolute error's would need the density of the residuals at zero; that of the softmax is
infinite, since adding the same vector to all classes changes nothing. For these there is
`thermoscan.theory.linear_states.ensemble_state`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thermoscan.errors import OptionError
from thermoscan.theory.gaussian import Array
from thermoscan.theory.linear import LinearData
from thermoscan.theory.linear_states import ParameterState, normal_state
from thermoscan.theory.losses import Loss

#: Residuals that are so small a share of the targets are rounding.
_PERFECT = 1e-12

#: What takes Newton's method more steps has no minimum. It doubles its digits with every step, so
#: that the one after a gain of this share of the loss is exact to rounding.
_STEPS = 60
_CONVERGED = 1e-10

#: The least information along a direction that a minimum has, as a share of that at p = ½.
_LEAST_INFORMATION = 1e-8


@dataclass(frozen=True, slots=True)
class _Basis:
    """Inputs as orthonormal columns times a square matrix: ``X = left @ inverse(right)``.

    Attributes:
        left: Shape (N, d).
        right: What turns coefficients of `left` into parameters, shape (d, d).
        logarithm: ``ln |det right|``.
    """

    left: Array
    right: Array
    logarithm: float


def trained_state(data: LinearData, loss: Loss) -> ParameterState:
    """Returns the state that is trained to the minimum of a loss.

    Args:
        data: What `linear_data` gave for this loss.
        loss: The loss.

    Raises:
        OptionError: ``state-unchosen``: there is no spread for this loss; ``state-undetermined``:
            no more samples than features, features that depend on each other, or classes that a
            plane separates; ``state-certain``: a perfect fit, which leaves no spread.
    """
    if loss.name not in _TRAINED:
        raise OptionError(
            "state-unchosen",
            "a trained state needs a spread, which is chosen here for the squared error and the "
            "binary cross-entropy alone",
        )
    # What overflows here does so in the energies, for which `linear_state` has an error.
    with np.errstate(over="ignore", invalid="ignore"):
        return _TRAINED[loss.name](_basis(data.inputs), data.targets)


def _least_squares(basis: _Basis, targets: Array) -> ParameterState:
    """That makes it the Boltzmann distribution ``exp(-L/T)`` of its temperature ``T = 2σ̂²/N``."""
    samples, features = basis.left.shape
    coefficients = basis.left.T @ targets
    residual = np.linalg.norm(targets - basis.left @ coefficients)
    if residual <= _PERFECT * np.linalg.norm(targets):
        raise OptionError(
            "state-certain", "the data are fitted perfectly, which leaves no spread and no entropy"
        )
    deviation = residual / math.sqrt(samples - features)
    root = deviation * basis.right
    # The inputs being given, the entropy errs by ``d ln σ̂``, and ln σ̂² by √(2/(N - d)).
    error = features / math.sqrt(2 * (samples - features))
    logarithm = features * math.log(deviation) + basis.logarithm
    return normal_state(basis.right @ coefficients, root @ root.T, logarithm, error)


def _logistic_regression(basis: _Basis, targets: Array) -> ParameterState:
    left = basis.left
    coefficients = _logistic_minimum(left, targets)
    slope, curvature = _logistic_slopes(left @ coefficients)
    information = left.T @ (left * curvature[:, None])
    values, vectors = np.linalg.eigh(information)
    inverse = (vectors / values) @ vectors.T
    root = basis.right @ (vectors / np.sqrt(values))
    # The entropy, -½ ln det of the information, errs with the coefficients: by its gradient.
    leverage = ((left @ inverse) * left).sum(axis=1)
    gradient = -0.5 * left.T @ (leverage * curvature * (1 - 2 * slope))
    error = math.sqrt(gradient @ inverse @ gradient)
    logarithm = basis.logarithm - 0.5 * float(np.log(values).sum())
    return normal_state(basis.right @ coefficients, root @ root.T, logarithm, error)


def _logistic_minimum(left: Array, targets: Array) -> Array:
    """Newton's method with halved steps; the loss is convex, so that no start is a bad one."""
    coefficients = np.zeros(left.shape[1])
    loss = _logistic_loss(left, targets, coefficients)
    for _ in range(_STEPS):
        slope, curvature = _logistic_slopes(left @ coefficients)
        information = left.T @ (left * curvature[:, None])
        if np.linalg.eigvalsh(information)[0] < _LEAST_INFORMATION / 4:
            break
        gradient = left.T @ (slope - (targets > 0))
        step = np.linalg.solve(information, gradient)
        if gradient @ step < _CONVERGED * loss:
            return coefficients - step
        size = 1.0
        while (trial := _logistic_loss(left, targets, coefficients - size * step)) > loss:
            size /= 2
        coefficients, loss = coefficients - size * step, trial
    raise OptionError(
        "state-undetermined", "a plane separates the two classes, so that the loss has no minimum"
    )


def _logistic_slopes(z: Array) -> tuple[Array, Array]:
    """Probability of class 1, and its derivative by z."""
    slope = 0.5 + 0.5 * np.tanh(0.5 * z)
    return slope, slope * (1 - slope)


def _logistic_loss(left: Array, targets: Array, coefficients: Array) -> float:
    return float(np.logaddexp(0, -targets * (left @ coefficients)).sum())


def _basis(inputs: Array) -> _Basis:
    samples, features = inputs.shape
    # Features of unlike units would look dependent: each is measured by its own length, which is
    # taken of numbers whose squares are in range.
    peaks = np.abs(inputs).max(axis=0)
    lengths = peaks * np.linalg.norm(inputs / np.where(peaks > 0, peaks, 1.0), axis=0)
    if samples > features and lengths.all():
        left, values, right = np.linalg.svd(inputs / lengths, full_matrices=False)
        if values[-1] > values[0] * samples * np.finfo(float).eps:
            logarithm = -float(np.log(values).sum() + np.log(lengths).sum())
            return _Basis(left, right.T / values / lengths[:, None], logarithm)
    raise OptionError(
        "state-undetermined",
        "the data do not determine the parameters: fewer independent samples than features, or "
        "features that depend on each other",
    )


_TRAINED: dict[str, Callable[[_Basis, Array], ParameterState]] = {
    "mse": _least_squares,
    "bce": _logistic_regression,
}
