"""What is planted in noise, and what fits find of it: signals in the bulk, entries as traps."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from studies import weightwatcher
from studies.report import Section, Table
from tests.support.gaussian_matrices import planted, squared_singular_values
from thermoscan.theory.entropy import FloatArray
from thermoscan.theory.no_fit import NoFit
from thermoscan.theory.spectral_bulk import FALSE_ALARMS, BulkFit, bulk_fit
from thermoscan.theory.spectral_null import Shape, trap

Fits = Sequence[tuple[float, int]]
"""Temperature of the bulk and outliers, of each matrix."""

SIGNALS: Mapping[str, Sequence[float]] = {
    "none": (),
    "one of 1.5": (1.5,),
    "one of 3": (3.0,),
    "ten of 2 to 10": tuple(np.linspace(2, 10, 10)),
    "20 of 2 to 20": tuple(np.linspace(2, 20, 20)),
}
"""Singular values in units of the threshold, √T (N M)^(1/4)."""

SHAPES = ((128, 128), (300, 100), (512, 64))


def noise_section(small: bool) -> tuple[Section, str]:
    """Returns how often noise alone has an outlier, and the verdict on it."""
    rng = np.random.default_rng(0)
    draws = {(8, 8): 4000, (64, 8): 4000, (2000, 8): 1000, (64, 64): 2000, (400, 64): 1000}
    draws |= {(256, 256): 300, (1000, 1000): 40}
    if small:
        draws = {(8, 8): 20, (64, 8): 20}
    rows: list[list[str | float]] = []
    alarms = 0
    for (n, m), count in draws.items():
        fits = [_fit(planted(rng, n, m, 1.0, ())) for _ in range(count)]
        seen = sum(each.outliers > 0 for each in fits)
        alarms += seen
        temperatures = np.array([each.temperature for each in fits])
        expected = (2 / (n * m)) ** 0.5
        rows.append(
            [f"{n} x {m}", count, f"{100 * seen / count:.2f} %", temperatures.mean(),
             temperatures.std(), expected]
        )  # fmt: skip
    share = alarms / sum(draws.values())
    verdict = (
        f"Of matrices of noise alone {100 * share:.2f} % have an outlier, where "
        f"{100 * FALSE_ALARMS:g} % are allowed."
    )
    columns = ["N x M", "drawn", "with an outlier", "T, mean", "its deviation", "that of chance"]
    return Section("Noise alone", "Gaussian matrices of T = 1.", [Table(columns, rows)]), verdict


def signal_section(small: bool) -> tuple[Section, str]:
    """Returns what fits recover of planted signals, theirs where WeightWatcher is installed."""
    rng, repeats = np.random.default_rng(1), 2 if small else 10
    drawn = {
        (shape, name): [planted(rng, *shape, 1.0, sizes) for _ in range(repeats)]
        for shape in SHAPES[: 1 if small else 2]
        for name, sizes in SIGNALS.items()
    }
    ours = {
        key: [(each.temperature, each.outliers) for each in map(_fit, matrices)]
        for key, matrices in drawn.items()
    }
    theirs = {} if small else dict(zip(drawn, _theirs(list(drawn.values())), strict=True))
    rows: list[list[str | float | None]] = []
    for (shape, name), fits in ours.items():
        other = theirs.get((shape, name))
        beside = _summary(other) if other else (None, None)
        rows.append([f"{shape[0]} x {shape[1]}", name, *_summary(fits), *beside])
    planted_counts = {key: len(SIGNALS[key[1]]) for key in drawn}
    worst = max(abs(each[0] - 1) for fits in ours.values() for each in fits)
    right = [each[1] == planted_counts[key] for key, fits in ours.items() for each in fits]
    verdict = (
        f"Of planted signals the number is right in {100 * np.mean(right):.0f} % of "
        f"{len(right)} matrices, and T_bulk within {100 * worst:.1f} %"
    )
    if theirs:
        other = [each for fits in theirs.values() for each in fits]
        exact = [each[1] == planted_counts[key] for key, fits in theirs.items() for each in fits]
        verdict += (
            f"; by WeightWatcher's fit the number in {100 * np.mean(exact):.0f} %, and T up to "
            f"{max(each[0] for each in other):.1f} times the true one"
        )
    text = (
        "Noise of T = 1 and signals whose singular values are given in units of √T (N M)^(1/4). "
        "WeightWatcher's T is that of its `bulk_max`, its outliers are `num_spikes`."
    )
    columns = ["N x M", "signals", "T_bulk", "outliers", "WeightWatcher: T", "spikes"]
    return Section("Planted signals", text, [Table(columns, rows)]), verdict + "."


def trap_section(small: bool) -> tuple[Section, str]:
    """Returns the eigenvalue that shuffling gives, beside the one that is foretold."""
    rng, repeats = np.random.default_rng(2), 2 if small else 20
    rows: list[list[str | float]] = []
    ratios: list[float] = []
    for n, m in SHAPES[: 1 if small else None]:
        for freedom in (2.5, 3.0, 4.0):
            matrices = [rng.standard_t(freedom, (m, n)) for _ in range(repeats)]
            found = [each for matrix in matrices if (each := _shuffled_over_trap(rng, matrix))]
            ratios += found
            rows.append(
                [f"{n} x {m}", f"t, {freedom:g}", len(found), repeats, float(np.mean(found)),
                 min(found), max(found)]
            )  # fmt: skip
    verdict = (
        f"Shuffled matrices of heavy-tailed entries have a largest eigenvalue of "
        f"{np.mean(ratios):.2f} times the trap that is foretold, and {min(ratios):.2f} to "
        f"{max(ratios):.2f} times in single ones."
    )
    columns = ["N x M", "entries", "with a trap", "of", "shuffled over trap, mean", "least", "most"]
    text = "The largest eigenvalue, as a mean over 6 shufflings, over `null.trap`."
    return Section("Correlation traps", text, [Table(columns, rows)]), verdict


def _fit(matrix: FloatArray) -> BulkFit:
    columns, rows = matrix.shape
    fit = bulk_fit(squared_singular_values(matrix), Shape(rows, columns))
    if isinstance(fit, NoFit):
        raise TypeError(fit.reason)
    return fit


def _theirs(groups: Sequence[Sequence[FloatArray]]) -> list[Fits]:
    """WeightWatcher's fits of groups of matrices, of one shape each."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for place, group in enumerate(groups):
            path = Path(folder, f"{place}.safetensors")
            save_file(
                {f"layers.{i}.weight": torch.tensor(each) for i, each in enumerate(group)}, path
            )
            jobs.append(weightwatcher.Job((str(path),), options={"mp_fit": True, "plot": False}))
        answers = weightwatcher.ask(jobs)
    if failed := [each.message for each in answers if each.error]:
        raise RuntimeError(failed[0])
    edges = [sum(side**0.5 for side in group[0].shape) ** 2 for group in groups]
    return [
        [(each["bulk_max"] / edge, int(each["num_spikes"])) for each in answer.rows]
        for answer, edge in zip(answers, edges, strict=True)
    ]


def _summary(fits: Fits) -> tuple[str, str]:
    """Mean and deviation of the temperature, and the range of the outliers."""
    temperatures, counts = np.array([each[0] for each in fits]), [each[1] for each in fits]
    low, high = min(counts), max(counts)
    return (
        f"{temperatures.mean():.3f} ± {temperatures.std():.3f}",
        str(low) if low == high else f"{low} to {high}",
    )


def _shuffled_over_trap(rng: np.random.Generator, matrix: FloatArray) -> float | None:
    columns, rows = matrix.shape
    found = trap(float(np.abs(matrix).max()), float((matrix**2).sum()), Shape(rows, columns))
    if isinstance(found, NoFit):
        return None
    shuffled = (rng.permutation(matrix.ravel()).reshape(matrix.shape) for _ in range(6))
    return float(np.mean([squared_singular_values(each)[-1] for each in shuffled]) / found)
