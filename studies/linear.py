"""Linear systems: temperatures in theory against drawn parameters, and on data that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from studies.linear_draws import (
    CLASSES,
    GEOMETRIES,
    SAMPLES,
    SCALES,
    Cell,
    cells,
    initial,
    inputs_of,
    targets_of,
)
from studies.report import Picture, Section, Study, Table
from thermoscan.theory.linear import LinearState, linear_data, linear_state, linear_transition
from thermoscan.theory.linear_training import trained_state
from thermoscan.theory.losses import LOSSES, loss

#: Standard error below which draws count as having resolved a temperature, relative.
_RESOLVED = 0.005

#: Of nearly 300 right formulas, the worst lies about three standard errors off.
_WILD = 4.0

#: Sizes of the data that change.
_OLD, _FEATURES = 400, 8

_SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Shift:
    """A state trained on old data, on data whose parameters have moved by `amount`."""

    change: str
    amount: float
    before: LinearState
    after: LinearState


def run(small: bool) -> Study:
    """Runs the study; `small` shows in seconds that it runs."""
    widths = (4, 16) if small else (4, 16, 64, 256)
    draws = 1_000 if small else 50_000
    found = list(cells(widths, draws))
    shifts = _shifted()
    exact = [each for each in found if each.effective is None]
    asymptotic = [each for each in found if each.effective is not None]
    return Study(
        title="The temperature of linear systems",
        question="Is the temperature of a linear system at initialisation what the formulas say, "
        "over data scale and geometry, loss, initialisation and number of features? Where the "
        "formulas are asymptotic, from how many features on do they hold? And what does the "
        "temperature of a trained system say about data that have changed?",
        verdict=f"{_verdict(exact, asymptotic)} {_shift_verdict(shifts)}",
        method=f"N = {SAMPLES} samples, mean |x|² = 1 in every geometry, {draws:,} drawn "
        "parameter vectors, each with its negative (a fifth as many for softmax, which takes five "
        "at a time), variance of a parameter the square of the scale "
        f"({', '.join(map(str, SCALES))}). Targets: normal for squared and absolute error, coin "
        f"flips for binary, {CLASSES} random classes for softmax cross-entropy. The squared "
        "output, whose mean is known exactly, is a control variate: it would "
        "leave nothing of the squared error to draw, which goes without. "
        "Isotropic data are normal; anisotropic ones have variances 1/i² along random directions; "
        "low rank ones lie in a random subspace of 4 dimensions at most; sparse ones have two "
        "features that are not zero. Seeds are fixed.",
        sections=(
            _accuracy(exact, widths),
            _onset(asymptotic, widths),
            _scales(),
            _geometry(),
            _changed(shifts),
        ),
    )


def _verdict(exact: Sequence[Cell], asymptotic: Sequence[Cell]) -> str:
    wild = max(abs(each.off) / each.error for each in exact)
    worst = max(abs(each.off) for each in exact)
    bound = _onset_of(asymptotic)
    sparse = max(
        (each for each in asymptotic if each.geometry == "sparse" and each.error < _RESOLVED),
        key=lambda each: (each.features, abs(each.off)),
    )
    answer = "Yes" if wild < _WILD else "No, not even"
    return (
        f"{answer} where they are called exact: over {len(exact)} combinations the formula is "
        f"nowhere more than {wild:.1f} standard errors from the draws, and never more than "
        f"{worst:.1%} away. Where they are asymptotic it is not the number of features that "
        "has to be large "
        f"but the number that carry an output: beyond {bound:.1f} such features no combination is "
        "off by more than 1 % as far as the draws can tell. At "
        f"d = {sparse.features}, with two features that are not zero in a sample, it "
        f"is still {sparse.off:+.1%} off ({sparse.loss}, scale "
        f"{sparse.scale:g})."
    )


def _shift_verdict(shifts: Sequence[Shift]) -> str:
    hot, cold, blind = (
        next(s.before.temperature for s in shifts if s.change == change and s.amount == 1)
        for change in list(_changes())[:3]
    )
    return (
        "On changed data the temperature of a trained state is no measure of the change: where the "
        f"parameters ought to have vanished it is {hot:.3f}, where they ought to have doubled "
        f"{cold:.3f}, and where as large a change lies across them {blind:.3f}."
    )


def _onset_of(cells: Sequence[Cell]) -> float:
    """Effective features beyond which no combination is off by 1 % and by three errors."""
    off = [each.effective for each in cells if abs(each.off) > max(0.01, 3 * each.error)]
    return max((each for each in off if each is not None), default=0.0)


def _accuracy(cells: Sequence[Cell], widths: Sequence[int]) -> Section:
    rows = []
    for name in LOSSES:
        some = [each for each in cells if each.loss == name]
        within = sum(abs(each.off) < 2 * each.error for each in some) / len(some)
        rows.append(
            (name, len(some), f"{max(abs(each.off) for each in some):.2%}",
             f"{float(np.median([each.error for each in some])):.3%}", f"{within:.0%}",
             max(abs(each.off) / each.error for each in some))
        )  # fmt: skip
    return Section(
        "Where it is exact",
        "Normal parameters for every loss, and every distribution for the squared error: all "
        f"geometries, scales and d = {', '.join(map(str, widths))}. A right formula lies within "
        "two standard errors of the draws 95 % of the time. Small scales make the absolute error "
        "hard to draw: hardly any output reaches its target.",
        [
            Table(
                ("loss", "combinations", "worst deviation", "median standard error",
                 "within 2 errors", "worst, in errors"),
                rows,
            )
        ],
    )  # fmt: skip


def _onset(cells: Sequence[Cell], widths: Sequence[int]) -> Section:
    figure = Figure(figsize=(7, 4.2))
    axes = figure.subplots()
    for index, name in enumerate(each for each in LOSSES if each != "mse"):
        seen = [
            (each.effective, abs(each.off))
            for each in cells
            if each.loss == name and abs(each.off) > 3 * each.error
        ]
        if seen:
            axes.plot(*zip(*seen, strict=True), "osD"[index], label=name, alpha=0.6)
    line = np.array([1, 300])
    axes.plot(line, 0.05 / line, "k--", label="0.05 / effective features")
    axes.axhline(0.01, color="grey", linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="effective features", ylabel="|theory / draws - 1|")
    axes.legend()
    rows = []
    for geometry in GEOMETRIES:
        for features in widths:
            some = [
                each
                for each in cells
                if (each.geometry, each.features, each.start) == (geometry, features, "uniform")
                and each.error < _RESOLVED
            ]
            if some:
                worst = max(some, key=lambda each: abs(each.off))
                where = f"{worst.loss}, scale {worst.scale:g}"
                off = f"{worst.off:+.2%} ± {worst.error:.2%}"
                rows.append((geometry, features, worst.effective, off, where))
    return Section(
        "Where it is asymptotic",
        "Uniform and mixed parameters. The effective features, 1 / mean Σ σ⁴x⁴ / s⁴ "
        "over the parameters that are not normal, tell how many equal ones would make outputs as "
        "nearly normal. To leading order an expectation errs "
        "by the outputs' fourth cumulant, -1.2 / effective features for uniform parameters, and "
        "for the absolute error near its kink by a 24th of that: the dashed line. The picture "
        "shows the deviations beyond three standard errors, the table the worst one for uniform "
        "parameters among combinations that the draws resolve to 0.5 %.",
        [Table(("geometry", "d", "effective features", "worst deviation", "where"), rows)],
        [
            Picture(
                "onset",
                figure,
                "Deviation of the asymptotic temperature against effective features, falling as "
                "their inverse",
            )
        ],
    )


def _single(name: str, s: float) -> LinearState:
    """One sample of |x| = 1 whose output deviates by s; target 1, and class 1."""
    return initial("normal", np.ones((1, 1)), np.ones(1), name, s)


def _scales() -> Section:
    figure = Figure(figsize=(7, 4.2))
    axes = figure.subplots()
    grid = np.logspace(-2, 2.5, 80)
    rows = []
    for index, name in enumerate(LOSSES):
        states = [_single(name, float(s)) for s in grid]
        axes.plot(grid, [max(each.temperature, 1e-9) for each in states], f"C{index}", label=name)
        for limit in ("small_limit", "large_limit"):
            if getattr(states[0], limit) is not None:
                values = [getattr(each, limit) for each in states]
                axes.plot(grid, values, f"C{index}:", linewidth=0.9)
        small = [s for s, each in zip(grid, states, strict=True) if each.applies == "small"]
        large = [s for s, each in zip(grid, states, strict=True) if each.applies == "large"]
        rows.append(
            (name, float(max(small)) if small else None, float(min(large)) if large else None)
        )
    axes.set(xscale="log", yscale="log", xlabel="s", ylabel="T", ylim=(1e-5, 1e6))
    axes.legend()
    return Section(
        "Scale",
        "One sample with |x| = 1 and target 1, normal parameters: solid the temperature, dotted "
        "its limits. The squared error has none, since its temperature is 2s² at every scale. The "
        "absolute error is cold until outputs reach the target. The table gives the "
        "deviations s of the outputs from which on a limit is within 1 %.",
        [Table(("loss", "small limit up to s =", "large limit from s ="), rows)],
        [Picture("scale", figure, "Temperature against the outputs' deviation for four losses")],
    )


def _geometry() -> Section:
    rows: list[tuple[str | float, ...]] = []
    for name in LOSSES:
        found: list[float] = []
        for geometry in GEOMETRIES:
            rng = np.random.default_rng(64)
            x = inputs_of(geometry, 64, rng)
            found.append(initial("normal", x, targets_of(name, rng), name, 3.0).temperature)
        rows.append((name, *(each / found[0] for each in found)))
    return Section(
        "Geometry",
        "The same mean |x|² = 1 in every geometry, d = 64, scale 3: temperatures relative to "
        "isotropic data. Through its temperature the squared error knows only the trace of XᵀX. "
        "The other losses grow more slowly than s² there, and are colder where the lengths |x| "
        "differ more, as they do in data of few dimensions.",
        [Table(("loss", *GEOMETRIES), rows)],
    )


def _changes() -> dict[str, tuple[float, float, float]]:
    """What is changed -> its part along the parameters, its part across them, and the noise."""
    return {
        "w → (1 - δ) w": (-1.0, 0.0, 1.0),
        "w → (1 + δ) w": (1.0, 0.0, 1.0),
        "w → w + δ u, u ⊥ w": (0.0, 1.0, 1.0),
        "w → (1 - δ) w, twice the noise": (-1.0, 0.0, 2.0),
    }


def _shifted() -> list[Shift]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(_OLD, _FEATURES))
    along, across = np.linalg.qr(rng.normal(size=(_FEATURES, 2)))[0].T
    squared = loss("mse")
    old = trained_state(linear_data(x, x @ along + rng.normal(size=_OLD), squared), squared)
    found = []
    for change, (parallel, normal_part, noise) in _changes().items():
        for amount in _SHIFTS:
            w = along + amount * (parallel * along + normal_part * across)
            fresh = np.random.default_rng(6)
            new = fresh.normal(size=(_OLD, _FEATURES))
            data = linear_data(new, new @ w + noise * fresh.normal(size=_OLD), squared)
            refreshed = trained_state(data, squared)
            before, after = (linear_state(each, data, squared) for each in (old, refreshed))
            found.append(Shift(change, amount, before, after))
    return found


def _changed(shifts: Sequence[Shift]) -> Section:
    figure = Figure(figsize=(7, 4.2))
    axes = figure.subplots()
    rows: list[tuple[str | float | None, ...]] = []
    for change in _changes():
        line = [each for each in shifts if each.change == change]
        axes.plot(_SHIFTS, [each.before.temperature for each in line], "o-", label=change)
        for each in line[::2]:
            moved = linear_transition(each.before, each.after)
            entropy = f"{moved.entropy_change:.2f} ± {moved.entropy_error:.2f}"
            rows.append(
                (change, each.amount, each.before.temperature, each.after.temperature,
                 moved.energy_change, entropy, moved.temperature)
            )  # fmt: skip
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(xlabel="shift δ", ylabel="T of the outdated state on the new data")
    axes.legend()
    return Section(
        "Changed data (Type II)",
        f"N = {_OLD}, d = {_FEATURES}, |w| = 1: a state trained by least squares on y = w·x + "
        "noise, then on new inputs whose targets follow other parameters. T is that of the "
        "outdated state on the new data, T' that after the refresh, T* = ΔE/ΔS of the refresh. To "
        "first order T is (2/d) m·(m - w'): positive where the parameters are too long, negative "
        "where they are too short, and blind to a change across them, which ΔE sees in full. T* "
        "is missing where the entropy has not moved by three standard errors, as it need not when "
        "data of the same size and noise follow other parameters. It is negative where noisier "
        "data leave more spread while the energy falls.",
        [Table(("change", "δ", "T", "T'", "ΔE", "ΔS, nats", "T*"), rows)],
        [Picture("shift", figure, "Temperature of the outdated state against the shift")],
    )
