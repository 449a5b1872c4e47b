"""Linear systems: the temperature in theory against drawn parameters, over data, losses and starts.

Nothing here shares code with the theory but its answers: parameters are drawn, losses and their
derivatives are written out, and the standard errors are those of the draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from studies.report import Picture, Section, Study, Table
from thermoscan.theory.initialisation import Initialisation, normal, uniform
from thermoscan.theory.linear import LinearState, linear_data, linear_state, linear_transition
from thermoscan.theory.linear_states import initial_state, least_squares_state
from thermoscan.theory.losses import LOSSES, loss

Array = NDArray[np.float64]

_CLASSES = 5
_SAMPLES = 60
_SCALES = (0.1, 1.0, 10.0)
_STARTS = {
    "normal": (normal(1.0, "study"),),
    "uniform": (uniform(math.sqrt(3), "study"),),
    "mixed": (normal(1.0, "study"), uniform(math.sqrt(3), "study")),
}
#: Standard error below which draws count as having resolved a temperature, relative.
_RESOLVED = 0.005
_GEOMETRIES = ("isotropic", "anisotropic", "low rank", "sparse")


@dataclass(frozen=True, slots=True)
class Cell:
    """One comparison: `off` is theory / draws - 1, `error` the standard error of the draws."""

    geometry: str
    start: str
    loss: str
    features: int
    scale: float
    theory: float
    off: float
    error: float
    effective: float | None


def run(small: bool) -> Study:
    """Runs the study; `small` shows in seconds that it runs."""
    widths = (4, 16) if small else (4, 16, 64, 256)
    draws = 1_000 if small else 50_000
    cells = list(_cells(widths, draws))
    exact = [each for each in cells if each.effective is None]
    asymptotic = [each for each in cells if each.effective is not None]
    return Study(
        title="The temperature of linear systems",
        question="Is the temperature of a linear system at initialisation what the formulas say, "
        "over data scale and geometry, loss, initialisation and number of features? Where the "
        "formulas are asymptotic, from how many features on do they hold? And what does the "
        "temperature of a trained system say about data that have changed?",
        verdict=_verdict(exact, asymptotic),
        method=f"N = {_SAMPLES} samples, mean |x|² = 1 in every geometry, {draws:,} drawn "
        "parameter vectors, each with its negative (a fifth as many for softmax, which takes five "
        "at a time), variance of a parameter the square of the scale "
        f"({', '.join(map(str, _SCALES))}). Targets: normal for squared and absolute error, coin "
        f"flips for binary, {_CLASSES} random classes for softmax cross-entropy. The squared "
        "output, whose mean is known exactly, is a control variate: of the squared error nothing "
        "is left to draw but the formula's own arithmetic, so it is drawn without. "
        "Isotropic data are normal; anisotropic ones have variances 1/i² along random directions; "
        "low rank ones lie in a random subspace of 4 dimensions at most; sparse ones have two "
        "features that are not zero. Seeds are fixed.",
        sections=(
            _accuracy(exact, widths),
            _onset(asymptotic, widths),
            _scales(),
            _geometry(),
            _shifts(),
        ),
    )


def inputs_of(geometry: str, features: int, rng: np.random.Generator) -> Array:
    """Returns inputs, shape (N, d), whose mean squared length is 1."""
    x = rng.normal(size=(_SAMPLES, features))
    rotation = np.linalg.qr(rng.normal(size=(features, features)))[0]
    if geometry == "anisotropic":
        x = (x / np.arange(1, features + 1)) @ rotation
    elif geometry == "low rank":
        x = x[:, : min(4, features)] @ rotation[: min(4, features)]
    elif geometry == "sparse":
        keep = rng.permuted(np.tile(np.arange(features) < 2, (_SAMPLES, 1)), axis=1)
        x = np.where(keep, x, 0.0)
    result: Array = x / np.sqrt((x**2).sum(axis=1).mean())
    return result


def targets_of(name: str, rng: np.random.Generator) -> Array:
    """Returns targets for a loss, shape (N,)."""
    if name == "softmax":
        return rng.integers(0, _CLASSES, _SAMPLES).astype(float)
    return rng.choice([-1.0, 1.0], _SAMPLES) if name == "bce" else rng.normal(size=_SAMPLES)


def virials(name: str, z: Array, y: Array) -> Array:
    """Returns the mean of z·∂loss/∂z over the samples, for outputs (draws, classes, N)."""
    if name == "softmax":
        shifted = np.exp(z - z.max(axis=1, keepdims=True))
        mean = (shifted * z).sum(axis=1) / shifted.sum(axis=1)
        own = np.take_along_axis(z, y.astype(int)[None, None, :], axis=1)[:, 0]
        softened: Array = (mean - own).mean(axis=1)
        return softened
    z = z[:, 0]
    if name == "mse":
        slope = 2 * (z - y)
    elif name == "mae":
        slope = np.sign(z - y)
    else:
        slope = -y * 0.5 * (1 - np.tanh(0.5 * y * z))
    averaged: Array = (z * slope).mean(axis=1)
    return averaged


def _cells(widths: Sequence[int], draws: int) -> Iterator[Cell]:
    for features in widths:
        for geometry in _GEOMETRIES:
            for start in _STARTS:
                rng = np.random.default_rng([features, *geometry.encode(), *start.encode()])
                x = inputs_of(geometry, features, rng)
                starts = _turns(start, features, 1.0)
                z = _draw(starts, draws, rng) @ x.T
                variance = (x**2).sum(axis=1)
                for name in LOSSES:
                    y = targets_of(name, rng)
                    for scale in _SCALES:
                        yield _compare(geometry, start, name, scale, x, y, z, variance)


def _compare(
    geometry: str,
    start: str,
    name: str,
    scale: float,
    x: Array,
    y: Array,
    z: Array,
    variance: Array,
) -> Cell:
    classes = _CLASSES if name == "softmax" else 1
    outputs = scale * z.reshape(-1, classes, _SAMPLES)
    rest = (virials(name, outputs, y) + virials(name, -outputs, y)) / 2
    if name != "mse":
        known = (outputs**2).mean(axis=(1, 2)) - scale**2 * variance.mean()
        rest -= (rest * known).sum() / (known**2).sum() * known
    measured = rest.mean() / (classes * x.shape[1])
    state = _initial(start, x, y, name, scale)
    return Cell(
        geometry, start, name, x.shape[1], scale, state.temperature,
        state.temperature / measured - 1,
        float(rest.std() / math.sqrt(rest.size) / abs(rest.mean())),
        state.effective_features,
    )  # fmt: skip


def _initial(start: str, x: Array, y: Array, name: str, scale: float) -> LinearState:
    asked = loss(name)
    state = initial_state(_turns(start, x.shape[1], scale), _CLASSES if asked.has_classes else None)
    return linear_state(state, linear_data(x, y, asked), asked)


def _turns(start: str, features: int, scale: float) -> list[Initialisation]:
    kinds = _STARTS[start]
    made = [
        normal(scale, "study")
        if each.family == "normal"
        else uniform(scale * math.sqrt(3), "study")
        for each in kinds
    ]
    return [made[index % len(made)] for index in range(features)]


def _draw(starts: Sequence[Initialisation], draws: int, rng: np.random.Generator) -> Array:
    bound = math.sqrt(3)
    columns = [
        rng.normal(size=draws) if each.family == "normal" else rng.uniform(-bound, bound, draws)
        for each in starts
    ]
    return np.stack(columns, axis=1)


def _verdict(exact: Sequence[Cell], asymptotic: Sequence[Cell]) -> str:
    wild = max(abs(each.off) / each.error for each in exact)
    worst = max(abs(each.off) for each in exact)
    bound = _onset_of(asymptotic)
    sparse = max(
        (each for each in asymptotic if each.geometry == "sparse" and each.error < _RESOLVED),
        key=lambda each: (each.features, abs(each.off)),
    )
    return (
        f"Yes where they are called exact: over {len(exact)} combinations the formula is nowhere "
        f"more than {wild:.1f} standard errors from the draws, and never more than {worst:.1%} "
        "away. Where they are asymptotic it is not the number of features that has to be large "
        f"but the number that carry an output: beyond {bound:.1f} such features no combination is "
        "off by more than 1 % as far as the draws can tell. At "
        f"d = {sparse.features}, with two features that are not zero in a sample, it "
        f"is still {sparse.off:+.1%} off ({sparse.loss}, scale "
        f"{sparse.scale:g}). On changed data the temperature of a trained state is signed: it "
        "sees the part of the change that lies along the parameters, and nothing of a change "
        "across them."
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
    for geometry in _GEOMETRIES:
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
        "Uniform and mixed parameters. The count of effective features is 1 / mean "
        "Σ σ⁴x⁴ / s⁴ over the parameters that are not normal. To leading order an expectation errs "
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
    return _initial("normal", np.ones((1, 1)), np.ones(1), name, s)


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
        for geometry in _GEOMETRIES:
            rng = np.random.default_rng(64)
            x = inputs_of(geometry, 64, rng)
            found.append(_initial("normal", x, targets_of(name, rng), name, 3.0).temperature)
        rows.append((name, *(each / found[0] for each in found)))
    return Section(
        "Geometry",
        "The same mean |x|² = 1 in every geometry, d = 64, scale 3: temperatures relative to "
        "isotropic data. Through its temperature the squared error knows only the trace of XᵀX. "
        "The other losses grow more slowly than s² there, and are colder where the lengths |x| "
        "differ more, as they do in data of few dimensions.",
        [Table(("loss", *_GEOMETRIES), rows)],
    )


def _shifts() -> Section:
    samples, features = 400, 8
    rng = np.random.default_rng(5)
    x = rng.normal(size=(samples, features))
    w = rng.normal(size=features)
    w /= np.linalg.norm(w)
    across = np.linalg.qr(np.stack([w, rng.normal(size=features)], axis=1))[0][:, 1]
    old = least_squares_state(x, x @ w + rng.normal(size=samples))
    rows, pictures = [], {}
    for title, direction, noise in (
        ("w → (1 - δ) w", -w, 1.0),
        ("w → (1 + δ) w", w, 1.0),
        ("w → w + δ u, u ⊥ w", across, 1.0),
        ("w → (1 - δ) w, twice the noise", -w, 2.0),
    ):
        line = []
        for shift in (0.0, 0.25, 0.5, 0.75, 1.0):
            fresh = np.random.default_rng(6)
            new = fresh.normal(size=(samples, features))
            y = new @ (w + shift * direction) + noise * fresh.normal(size=samples)
            data = linear_data(new, y, loss("mse"))
            before = linear_state(old, data, loss("mse"))
            after = linear_state(least_squares_state(new, y), data, loss("mse"))
            moved = linear_transition(before, after)
            line.append((shift, before.temperature))
            if shift in (0.0, 0.5, 1.0):
                rows.append(
                    (title, shift, before.temperature, after.temperature, moved.energy_change,
                     f"{moved.entropy_change:.2f} ± {moved.entropy_error:.2f}", moved.temperature)
                )  # fmt: skip
        pictures[title] = line
    figure = Figure(figsize=(7, 4.2))
    axes = figure.subplots()
    for title, line in pictures.items():
        axes.plot(*zip(*line, strict=True), "o-", label=title)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(xlabel="shift δ", ylabel="T of the outdated state on the new data")
    axes.legend()
    return Section(
        "Changed data (Type II)",
        f"N = {samples}, d = {features}, |w| = 1: a state trained by least squares on "
        "y = w·x + noise, then on new inputs whose targets follow other parameters. T is that of "
        "the outdated state on the new data, T' that after the refresh, T* = ΔE/ΔS of the "
        "refresh. To first order T is (2/d) m·(m - w'): positive where the parameters are too long, "
        "negative where they are too short, and blind to a change across them, which ΔE sees in full. T* is missing where "
        "the entropy has not moved by three standard errors, as it does not when data of the same "
        "size and noise follow other parameters; it is negative where more noise leaves more "
        "spread and the energy falls.",
        [Table(("change", "δ", "T", "T'", "ΔE", "ΔS, nats", "T*"), rows)],
        [Picture("shift", figure, "Temperature of the outdated state against the shift")],
    )
