"""Runs a model and gathers every way to know the efficiency of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from studies import mean_field
from studies.features import RUNGS, FeatureSums, Known, efficiency, features_of, ladder
from studies.subjects import Batch, Subject
from thermoscan.probe.measure import Loss, measure
from thermoscan.probe.places import places_of

MEASURED = "measured"


@dataclass(frozen=True)
class Outcome:
    """One model: layers, and for each way to know η its values in the order of the layers.

    Attributes:
        name: Of the model.
        layers: Names, as the module has them.
        rungs: Of `RUNGS`, and `MEASURED`, on the first data.
        others: Measured on other data, by what it is.
        guesses: Data-free guesses; empty where none was tried.
    """

    name: str
    layers: Sequence[str]
    rungs: Mapping[str, Sequence[float]]
    others: Mapping[str, Sequence[float]]
    guesses: Mapping[str, Sequence[float]]

    def error(self, values: Sequence[float]) -> float:
        """Mean of ``|ln(η / measured)|`` over the layers."""
        return float(np.abs(np.log(np.divide(values, self.rungs[MEASURED]))).mean())


def outcome_of(subject: Subject) -> Outcome:
    """Measures and estimates the layers of a model that an activation follows."""
    (_, first), *others = subject.data.items()
    measured = _measured(subject, first)
    estimated = {
        each.name: each.engine.efficiency
        for each in subject.card.layers
        if each.engine and each.engine.efficiency is not None
    }
    modules = {
        name: subject.module.get_submodule(name.removesuffix(".weight")) for name in measured
    }
    sums = _feature_sums(subject.module, modules, first)
    rungs: dict[str, list[float]] = {rung: [] for rung in (*RUNGS, MEASURED)}
    for name, module in modules.items():
        found = ladder(_known(subject, name, module), sums[name])
        if not np.isclose(found["estimate"], estimated[subject.prefix + name], rtol=1e-3):
            raise ValueError(f"{subject.name}, {name}: the card estimates otherwise than the study")
        for rung in RUNGS:
            rungs[rung].append(found[rung])
        rungs[MEASURED].append(measured[name])
    return Outcome(
        subject.name,
        list(modules),
        rungs,
        {label: list(_measured(subject, data).values()) for label, data in others},
        _guesses(subject, list(modules.values())),
    )


def _measured(subject: Subject, data: list[Batch]) -> dict[str, float]:
    places = places_of(subject.module, subject.config, subject.assumptions)
    reading = measure(subject.module, places, data, _forward)
    return {
        name: each.stroke.efficiency
        for name, each in reading.layers.items()
        if each.stroke and each.stroke.efficiency
    }


def _forward(module: torch.nn.Module, batch: Batch) -> Loss:
    with torch.no_grad():
        _run(module, batch)
    return Loss(None, len(next(iter(batch.values()))))


def _run(module: torch.nn.Module, batch: Batch) -> None:
    if "input_ids" in batch:
        module(**batch)
    else:
        module(batch["x"])


def _feature_sums(
    module: torch.nn.Module, layers: Mapping[str, torch.nn.Module], data: list[Batch]
) -> dict[str, FeatureSums]:
    sums = {}
    handles = []
    for name, layer in layers.items():
        weight = _matrix(layer)
        sums[name] = FeatureSums.none(weight.shape[1], weight.shape[0])

        def take(
            layer: Any, inputs: Any, output: torch.Tensor, into: FeatureSums = sums[name]
        ) -> None:
            # One example at a time: the unfolded input of a convolution is large.
            for one_in, one_out in zip(inputs[0], output, strict=True):
                units = one_out.movedim(0, -1) if isinstance(layer, torch.nn.Conv2d) else one_out
                into.add(
                    features_of(layer, one_in[None]),
                    units.reshape(-1, units.shape[-1]).double().numpy(),
                )

        handles.append(layer.register_forward_hook(take))
    with torch.no_grad():
        for batch in data:
            _run(module, batch)
    for handle in handles:
        handle.remove()
    return sums


def _known(subject: Subject, name: str, layer: Any) -> Known:
    weight = _matrix(layer)
    gain, shift = np.ones(weight.shape[1]), np.zeros(weight.shape[1])
    if subject.config is not None:
        block = subject.module.get_submodule(name.removesuffix(".intermediate.dense.weight"))
        norm: Any = block.get_submodule("attention.output.LayerNorm")
        gain, shift = norm.weight.detach().double().numpy(), norm.bias.detach().double().numpy()
    bias = layer.bias.detach().double().numpy()
    (activation,) = {
        each.engine.activation
        for each in subject.card.layers
        if each.engine and each.name == subject.prefix + name
    }
    if activation is None:
        raise ValueError(f"{name} has an estimate and no activation")
    return Known(weight, bias, gain, shift, activation)


def _matrix(layer: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(layer.weight.detach().double().flatten(1).numpy())


def _guesses(subject: Subject, layers: Sequence[Any]) -> dict[str, list[float]]:
    if subject.config is None:
        return {}
    model = subject.module
    moments = {
        "biases of the residual": mean_field.from_biases(model),
        "recursion from the norm": mean_field.recursion(model, mean_field.start_at_norm(model)),
        "recursion from the words": mean_field.recursion(model, mean_field.start_at_words(model)),
    }
    found = {
        label: [
            efficiency("gelu", _matrix(layer) @ mean + _bias(layer), _matrix(layer) ** 2 @ variance)
            for layer, (mean, variance) in zip(layers, each, strict=True)
        ]
        for label, each in moments.items()
    }
    return {"layer norm's projector": _projected(subject, layers), **found}


def _projected(subject: Subject, layers: Sequence[Any]) -> list[float]:
    """The estimate where normalised features have covariance ``I - 11ᵀ/n`` instead of I."""
    found = []
    blocks: Any = subject.module.get_submodule("encoder.layer")
    for layer, block in zip(layers, blocks, strict=True):
        norm = block.attention.output.LayerNorm
        weight = _matrix(layer)
        gained = weight * norm.weight.detach().double().numpy()
        mean = weight @ norm.bias.detach().double().numpy() + _bias(layer)
        variance = (gained**2).sum(1) - gained.sum(1) ** 2 / gained.shape[1]
        found.append(efficiency("gelu", mean, variance))
    return found


def _bias(layer: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(layer.bias.detach().double().numpy())
