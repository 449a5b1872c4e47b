"""Distributions of the parameters of a linear system, as frozen values.

Theory sections 1 and 2. Takes what parameters are drawn from at initialisation, or an ensemble of
trained ones; gives the `ParameterState`. States trained on data are in `linear_training`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermoscan.errors import OptionError
from thermoscan.theory.gaussian import Array
from thermoscan.theory.initialisation import Initialisation

_NORMAL_ENTROPY = 0.5 * math.log(2 * math.pi * math.e)


@dataclass(frozen=True, slots=True)
class ParameterState:
    """A distribution of the parameters; those of different classes are independent and alike.

    Attributes:
        mean: Shape (d,), or (K, d) where there is an output for each of K classes.
        covariance: Variances of independent parameters, shape (d,), or their covariance (d, d).
        normal: Which parameters are normally distributed, shape (d,).
        entropy: Differential entropy of all parameters together, nats.
        entropy_error: Its standard error, nats, from the data or the ensemble that a trained
            state's spread was estimated from; 0 at initialisation.
    """

    mean: Array
    covariance: Array
    normal: NDArray[np.bool_]
    entropy: float
    entropy_error: float

    def outputs(self, inputs: Array) -> tuple[Array, Array]:
        """Returns mean and deviation of the outputs of `inputs` (N, d).

        Returns:
            Means, shape (N,) or (N, K), and deviations ``s_n``, shape (N,). For independent
            parameters of unequal variances ``s_n² = Σ_i σ_i² x_ni²``.
        """
        if self.covariance.ndim == 1:
            variance = inputs**2 @ self.covariance
        else:
            # Rounding may leave a variance of nothing below zero.
            variance = np.maximum(((inputs @ self.covariance) * inputs).sum(axis=1), 0.0)
        return inputs @ self.mean.T, np.sqrt(variance)


def initial_state(starts: Sequence[Initialisation], classes: int | None = None) -> ParameterState:
    """Returns the state of independent parameters before training (Type I).

    Args:
        starts: What the parameter of each feature is drawn from; they may differ ("mixed").
        classes: K, where every class has parameters of its own; else None.

    Raises:
        OptionError: ``data-empty``: no feature, or no class.

    >>> from thermoscan.theory.initialisation import uniform
    >>> initial_state([uniform(0.5, "by hand")] * 3).entropy
    0.0
    """
    if not starts or (classes is not None and classes < 1):
        raise OptionError("data-empty", "a state needs at least one feature and one class")
    shape = (len(starts),) if classes is None else (classes, len(starts))
    return ParameterState(
        mean=np.zeros(shape),
        covariance=np.array([each.variance for each in starts]),
        normal=np.array([each.family == "normal" for each in starts]),
        entropy=(classes or 1) * math.fsum(each.entropy for each in starts),
        entropy_error=0.0,
    )


def ensemble_state(members: Array) -> ParameterState:
    """Returns the normal state with the mean and the covariance of several trained parameters.

    Classes share one covariance, pooled over them (choice).

    Args:
        members: Shape (M, d), or (M, K, d) for K classes; finite.

    Raises:
        OptionError: ``data-shape``, ``data-not-finite``; ``state-undetermined``: the members vary
            in fewer directions than there are parameters, so that they have no density.
    """
    members = np.asarray(members, dtype=np.float64)
    if members.ndim not in (2, 3) or 0 in members.shape:
        raise OptionError("data-shape", "an ensemble has shape (M, d) or (M, K, d)")
    if not np.isfinite(members).all():
        raise OptionError("data-not-finite", "a member of the ensemble is not finite")
    mean = members.mean(axis=0)
    classes = members[0].size // members.shape[-1]
    off = (members - mean).reshape(-1, members.shape[-1])
    values, right = np.linalg.svd(off, full_matrices=False)[1:]
    smallest = values[0] * off.shape[0] * np.finfo(float).eps
    freedom = (members.shape[0] - 1) * classes
    if freedom < off.shape[1] or values[-1] <= smallest:
        raise OptionError(
            "state-undetermined",
            "the members vary in fewer directions than there are features: take more of them",
        )
    values = values / math.sqrt(freedom)
    root = right.T * values
    # The logarithm of an estimated determinant has the variance 2d/freedom, to leading order.
    error = classes * math.sqrt(off.shape[1] / (2 * freedom))
    return normal_state(mean, root @ root.T, float(np.log(values).sum()), error)


def normal_state(mean: Array, covariance: Array, logarithm: float, error: float) -> ParameterState:
    """Returns a normal state.

    Args:
        mean: Shape (d,) or (K, d).
        covariance: Shape (d, d), of the parameters of each class.
        logarithm: ``½ ln det`` of the covariance.
        error: Standard error of the entropy, nats.
    """
    features = mean.shape[-1]
    return ParameterState(
        mean=mean,
        covariance=covariance,
        normal=np.ones(features, dtype=bool),
        entropy=mean.size * _NORMAL_ENTROPY + (mean.size // features) * logarithm,
        entropy_error=error,
    )
