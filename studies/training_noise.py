"""Families of checkpoints that differ in the noise of their training data alone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from studies.report import Picture, Section, Table
from thermoscan.card import Card, LayerRecord

FAMILIES: Mapping[str, Sequence[str]] = {
    "proteinmpnn": [f"proteinmpnn_v_48_{noise}.pt" for noise in ("002", "010", "020", "030")],
    "solublempnn": [f"solublempnn_v_48_{noise}.pt" for noise in ("002", "010", "020", "030")],
    "ligandmpnn": [f"ligandmpnn_v_32_{noise}_25.pt" for noise in ("005", "010", "020", "030")],
}
"""Checkpoints that differ in the noise of the coordinates they were trained on, which rises."""

_LARGE = 2000


def noise_section(cards: Mapping[str, Sequence[Card]]) -> tuple[Section, str]:
    """Returns what T and J do with the noise, and the verdict on it; cards by family."""
    rows: list[list[str | float]] = []
    orders: dict[str, list[float]] = {}
    temperatures: dict[str, list[float]] = {}
    rises = {}
    for family, each in cards.items():
        large = [_large(card) for card in each]
        for file, layers in zip(FAMILIES[family], large, strict=True):
            order, error = mean_order(list(layers.values()))
            temperature = float(np.mean([one.temperature for one in layers.values()]))
            orders.setdefault(family, []).append(order)
            temperatures.setdefault(family, []).append(temperature)
            rows.append([Path(file).stem, len(layers), order, error, temperature])
        shared = [name for name in large[0] if name in large[-1]]
        change = np.array(
            [(large[-1][one].order or 0) - (large[0][one].order or 0) for one in shared]
        )
        rises[family] = (float(change.mean()), float(change.std(ddof=1) / np.sqrt(len(shared))))
    order_rho, order_p = within_families(list(orders.values()))
    heat_rho, heat_p = within_families(list(temperatures.values()))
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for family in cards:
        left.plot(orders[family], marker="o", label=family)
        right.plot(temperatures[family], marker="o", label=family)
    left.set(xlabel="noise level", ylabel="mean J, nats")
    right.set(xlabel="noise level", ylabel="mean T")
    right.legend(fontsize=7)
    span = {family: (min(each), max(each)) for family, each in temperatures.items()}
    apart = all(a[1] < b[0] or b[1] < a[0] for a, b in itertools.combinations(span.values(), 2))
    beyond = sum(rise > 2 * error for rise, error in rises.values())
    verdict = (
        f"Of three families at four levels of training noise, T {'tells' if apart else 'mixes'} "
        f"the families; with the noise it goes by ρ = {heat_rho:.2f} (p = {heat_p:.2g}, "
        f"one-sided, permuted within families), J by ρ = {order_rho:.2f} (p = {order_p:.2g}). "
        "From the least noise to the most J changes, over the same layers, by "
        + ", ".join(f"{rise:+.4f} ± {error:.4f} ({name})" for name, (rise, error) in rises.items())
        + f": in {beyond} of {len(rises)} families by over two such errors. It rises in order, "
        "by little; what another training at the same level would do to it is not known."
    )
    return Section(
        "Training noise",
        f"Means over matrices of more than {_LARGE:,} entries. The error of J is that of sampling "
        "these entries; the ± of the verdict is the spread of the change over layers. Levels rise "
        "in the order of the rows.",
        [Table(["checkpoint", "matrices", "mean J", "its error", "mean T"], rows)],
        [Picture("noise", figure, "Order and temperature against the level of training noise")],
    ), verdict


def mean_order(layers: Sequence[LayerRecord]) -> tuple[float, float]:
    """Returns the mean J of layers and its standard error from sampling alone."""
    orders = [each.order or 0.0 for each in layers]
    errors = [each.entropy_error or 0.0 for each in layers]
    return float(np.mean(orders)), float(np.sqrt(np.sum(np.square(errors))) / len(layers))


def within_families(values: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Returns the mean of the families' Spearman correlations with their order, and its p-value.

    The p-value is exact and one-sided: the share of all orders within the families whose mean
    correlation is at least as large.
    """
    steps = np.arange(len(values[0]))
    orders = list(itertools.permutations(steps))
    per_family = [
        np.array([spearmanr(steps, np.take(family, list(order))).statistic for order in orders])
        for family in values
    ]
    seen = float(np.mean([each[0] for each in per_family]))
    sums = np.zeros(1)
    for each in per_family:
        sums = (sums[:, None] + each).ravel()
    return seen, float((sums / len(values) >= seen - 1e-9).mean())


def _large(card: Card) -> dict[str, LayerRecord]:
    return {
        each.name: each
        for each in card.layers
        if each.parameters > _LARGE and each.order is not None
    }
