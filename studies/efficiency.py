"""Study: the work efficiency that a card estimates against the one that a run measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from studies import mean_field
from studies.features import RUNGS, FeatureSums, Known, efficiency, features_of, ladder
from studies.report import Picture, Section, Study, Table
from studies.subjects import Batch, Subject, antiberty, crepe, digits, minilm
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


def run(small: bool) -> Study:
    """Runs the study."""
    torch.set_num_threads(2)
    outcomes = [_outcome(make()) for make in _makers(small)]
    guessed = [each for each in outcomes if each.guesses]
    return Study(
        title="Estimated against measured work efficiency",
        question="How far is the efficiency that a scan estimates without data from what the model "
        "does, what does the estimate miss, and can weights alone do better?",
        verdict=_verdict(outcomes, guessed),
        method="Published checkpoints and small networks trained on scikit-learn's digits were run "
        "in evaluation mode: MiniLM on paragraphs of Python's reference (`pydoc_data.topics`), "
        "AntiBERTy on four variable regions of antibodies, CREPE on synthetic tones, the small "
        "networks on digits that they had not seen. Measured is what `thermoscan.probe` reads, the "
        "estimate is the card's. In between, measured statistics of the features are put in the "
        "place of what the estimate assumes, on the same data. z is linear in the features, so "
        "that their whole covariance gives exactly the variance of z. Errors are means of "
        "|ln(η/measured)| over layers. Random numbers are seeded with 0.",
        sections=[_errors_section(outcomes), _guesses_section(guessed)]
        + [_layers_section(each) for each in outcomes],
    )


def _makers(small: bool) -> list[Callable[[], Subject]]:
    kinds = [("MLP", each) for each in ("relu", "tanh", "gelu")] + [("CNN", "relu")]
    nets: list[Callable[[], Subject]] = [
        lambda kind=kind, name=name: digits(kind, name, small)  # type: ignore[misc]
        for kind, name in kinds[: 1 if small else None]
    ]
    sizes = ("tiny",) if small else ("tiny", "full")
    frames: list[Callable[[], Subject]] = [
        lambda size=size: crepe(size, small)  # type: ignore[misc]
        for size in sizes
    ]
    texts: list[Callable[[], Subject]] = [] if small else [lambda: minilm(small)]
    return [*texts, lambda: antiberty(small), *frames, *nets]


def _outcome(subject: Subject) -> Outcome:
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


def _verdict(outcomes: Sequence[Outcome], guessed: Sequence[Outcome]) -> str:
    parts = [
        f"{each.name} {each.error(each.rungs['estimate']):.2f} → "
        f"{each.error(each.rungs['measured mean']):.2f} → "
        f"{each.error(each.rungs[RUNGS[-1]]):.2f}"
        for each in outcomes
    ]
    reductions = {
        label: [
            each.error(each.guesses[label]) / each.error(each.rungs["estimate"]) for each in guessed
        ]
        for label in guessed[0].guesses
    }
    best = min(reductions, key=lambda label: max(reductions[label]))
    worse = sum(
        abs(np.log(guess / true)) > abs(np.log(estimate / true))
        for each in guessed
        for guess, estimate, true in zip(
            each.guesses[best], each.rungs["estimate"], each.rungs[MEASURED], strict=True
        )
    )
    layers = sum(len(each.layers) for each in guessed)
    means, covariances, both = (
        sum(each.error(each.rungs[rung]) < each.error(each.rungs["estimate"]) for each in outcomes)
        for rung in ("measured mean", "measured covariance", RUNGS[-1])
    )
    return (
        "The estimate is a rough one. Mean |ln(η/measured)| as estimated, with the features' mean "
        f"measured, and with their whole covariance as well: {'; '.join(parts)}. The measured mean "
        f"alone is better than the estimate in {means} of {len(outcomes)} models, the measured "
        f"covariance alone in {covariances}, both together in {both}: mean and covariance belong "
        "together, and what they leave, the shape of z, is small. "
        f"Without data the best of the guesses that were tried, {best}, leaves "
        + " and ".join(
            f"{share:.0%} of the error in {each.name}"
            for share, each in zip(reductions[best], guessed, strict=True)
        )
        + f", and is further off than the estimate in {worse} of {layers} layers. It needs "
        "products of whole matrices along the depth, which a single pass over a file cannot make, "
        f"and rests on {len(guessed)} models of one architecture: a scan does not use it."
    )


def _errors_section(outcomes: Sequence[Outcome]) -> Section:
    figure = Figure(figsize=(8, 3.6))
    axes = figure.subplots()
    for place, rung in enumerate(RUNGS):
        values = [each.error(each.rungs[rung]) for each in outcomes]
        axes.bar(np.arange(len(outcomes)) + 0.16 * (place - 2), values, 0.16, label=rung)
    axes.set_xticks(range(len(outcomes)), [each.name for each in outcomes], rotation=20)
    axes.set_ylabel("mean |ln(η / measured)|")
    axes.legend(fontsize=7)
    table = Table(
        ["model", "layers", *RUNGS],
        [
            [each.name, len(each.layers), *(each.error(each.rungs[rung]) for rung in RUNGS)]
            for each in outcomes
        ],
    )
    return Section(
        "What the estimate misses",
        "Mean |ln(η/measured)|: 0.69 is a factor of two. *Measured mean* replaces β by the mean of "
        "the features and leaves the variances of the estimate; *measured covariance* does the "
        "reverse; *own variances* takes the features as uncorrelated; what the last column leaves "
        "is the shape of z, which is not normal, and a unit's sampling.",
        [table],
        [Picture("errors", figure, "Error of each way to know the efficiency, by model")],
    )


def _guesses_section(guessed: Sequence[Outcome]) -> Section:
    figure = Figure(figsize=(9, 3.4))
    panels = figure.subplots(1, len(guessed), sharey=True, squeeze=False)[0]
    for axes, each in zip(panels, guessed, strict=True):
        for label, values in {"estimate": each.rungs["estimate"], **each.guesses}.items():
            axes.plot(np.log(np.divide(values, each.rungs[MEASURED])), marker="o", label=label)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(title=each.name, xlabel="block", ylabel="ln(η / measured)")
    axes.legend(fontsize=7)
    rows: list[list[str | float | None]] = [
        ["estimate", *(each.error(each.rungs["estimate"]) for each in guessed)]
    ]
    rows += [
        [label, *(each.error(each.guesses[label]) for each in guessed)]
        for label in guessed[0].guesses
    ]
    rows += [
        [
            f"{each.name} run on {label}",
            *(one.error(values) if one is each else None for one in guessed),
        ]
        for each in guessed
        for label, values in each.others.items()
    ]
    return Section(
        "Guesses without data",
        "The *projector* says that layer norm makes features of zero sum, of covariance I - 11ᵀ/n. "
        "*Biases of the residual* adds the attention's output bias to the β of the norm before it, "
        "and normalises. The *recursion* carries mean and variances through all blocks: uniform "
        "attention hands on the mean of its values, the feed-forward part the mean and variance of "
        "GELU of a normal z; it starts from γ and β of the embeddings' norm, or from all rows of "
        "the word embedding. The last rows compare with measurements on other data: what the "
        "choice of data does, a number that knows no data cannot follow.",
        [Table(["mean \\|ln(η/measured)\\|", *(each.name for each in guessed)], rows)],
        [Picture("guesses", figure, "Log ratio of guessed and measured efficiency, by block")],
    )


def _layers_section(outcome: Outcome) -> Section:
    columns = {
        **outcome.rungs,
        **{f"measured on {label}": values for label, values in outcome.others.items()},
        **outcome.guesses,
    }
    rows: list[list[str | float]] = [
        [name.removesuffix(".weight"), *(float(values[k]) for values in columns.values())]
        for k, name in enumerate(outcome.layers)
    ]
    return Section(
        outcome.name,
        "η of every layer that an activation follows.",
        [Table(["layer", *columns], rows)],
    )
