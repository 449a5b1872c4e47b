"""Study: the work efficiency that a card estimates against the one that a run measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from studies.features import RUNGS
from studies.outcomes import MEASURED, Outcome, outcome_of
from studies.report import Picture, Section, Study, Table
from studies.subjects import Subject, antiberty, crepe, digits, minilm


def run(small: bool) -> Study:
    """Runs the study."""
    torch.set_num_threads(2)
    outcomes = [outcome_of(make()) for make in _makers(small)]
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
