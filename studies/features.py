"""What an estimate of work efficiency leaves out, by putting measured statistics in its place.

Takes a layer's weights, its input features while the model runs, and the gain and bias that the
estimate knows; gives η under a ladder of assumptions between the estimate and the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from thermoscan.theory.activations import activation
from thermoscan.theory.engine import stage

Array = npt.NDArray[np.float64]

RUNGS = (
    "estimate",
    "measured mean",
    "measured covariance",
    "measured mean, own variances",
    "normal, measured mean and covariance",
)
"""What is put in the place of the estimate, from nothing to all but the shape of z."""


@dataclass
class FeatureSums:
    """Sums over positions of a layer's features x ``(inputs,)`` and of ``z = Wx + b``."""

    count: int
    x: Array
    x_squared: Array
    z: Array
    z_squared: Array

    @classmethod
    def none(cls, inputs: int, units: int) -> FeatureSums:
        """Returns sums over nothing."""
        return cls(0, np.zeros(inputs), np.zeros(inputs), np.zeros(units), np.zeros(units))

    def add(self, features: Array, pre_activation: Array) -> None:
        """Adds x ``(positions, inputs)`` and z ``(positions, units)``."""
        self.count += len(features)
        self.x += features.sum(0)
        self.x_squared += np.square(features).sum(0)
        self.z += pre_activation.sum(0)
        self.z_squared += np.square(pre_activation).sum(0)


@dataclass(frozen=True)
class Known:
    """What the weights say of a layer: W ``(units, inputs)``, b, and the feeding norm's γ and β."""

    weight: Array
    bias: Array
    gain: Array
    shift: Array
    activation: str


def features_of(module: torch.nn.Module, inputs: torch.Tensor) -> Array:
    """Returns what a linear map, or a convolution without padding of its own, takes.

    Returns:
        float64 ``(positions, inputs)``.
    """
    if isinstance(module, torch.nn.Conv2d):
        taps = (module.kernel_size[0], module.kernel_size[1])
        stride = (module.stride[0], module.stride[1])
        inputs = torch.nn.functional.unfold(inputs, taps, stride=stride).transpose(1, 2)
    return np.asarray(inputs.reshape(-1, inputs.shape[-1]).double().numpy())


def ladder(known: Known, sums: FeatureSums) -> dict[str, float]:
    """Returns η for every one of `RUNGS`.

    z is linear in x: a normal z with the features' measured mean and whole covariance is one with
    the measured mean and variance of z itself.
    """
    mean, z_mean = sums.x / sums.count, sums.z / sums.count
    own = np.maximum(sums.x_squared / sums.count - mean**2, 0)
    whole = np.maximum(sums.z_squared / sums.count - z_mean**2, 0)
    squared = known.weight**2
    estimated = (known.weight @ known.shift + known.bias, squared @ known.gain**2)
    measured = known.weight @ mean + known.bias
    moments = {
        "estimate": estimated,
        "measured mean": (measured, estimated[1]),
        "measured covariance": (estimated[0], whole),
        "measured mean, own variances": (measured, squared @ own),
        "normal, measured mean and covariance": (z_mean, whole),
    }
    return {rung: efficiency(known.activation, *moments[rung]) for rung in RUNGS}


def efficiency(name: str, mean: Array, variance: Array) -> float:
    """Returns ``W/Q`` of normal pre-activations."""
    found = stage(activation(name), mean, variance)
    return found.work / found.heat
