"""What WeightWatcher and the package say of the same matrices, column by column.

`COLUMNS` are the quantities that both have, `EXCEPTIONS` the only cells in which they may differ by
more than `TOLERANCE`, each with a bound that the difference keeps to; `UNEQUAL` and `ABSENT` the
columns of WeightWatcher that are another quantity here, or none.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thermoscan.card import Card, LayerRecord
from thermoscan.card_spectra import Spectrum

TOLERANCE = 1e-6
"""Relative difference up to which two figures are equal."""

FEWEST, MOST = 8, 15_000
"""Eigenvalues that WeightWatcher must count in a matrix to give it a row."""


@dataclass(frozen=True)
class Column:
    """A column of WeightWatcher's details.

    Attributes:
        theirs: Its name.
        ours: Where it is in a `Spectrum`.
        of: How to take it from there, where it is not a field.
        asked: With which option of `analyze` it comes; none for what always comes.
    """

    theirs: str
    ours: str
    of: Callable[[Spectrum], Any] | None = None
    asked: str = ""

    def value(self, spectrum: Spectrum) -> Any:
        """Returns the package's figure; None where it has none."""
        if self.of is not None:
            return self.of(spectrum)
        *parts, _ = self.ours.split(".")
        missing = parts and getattr(spectrum, parts[0]) is None
        return None if missing else operator.attrgetter(self.ours)(spectrum)


def _gap(spectrum: Spectrum) -> int | None:
    if spectrum.detx_num is None or spectrum.tail is None:
        return None
    return spectrum.detx_num - spectrum.tail.spikes


def _over_the_mean(spectrum: Spectrum) -> float | None:
    found = spectrum.detx_val
    return None if found is None else found * spectrum.num_evals / spectrum.norm


def _warning(spectrum: Spectrum) -> str:
    if spectrum.tail is None:
        return ""
    if spectrum.tail.alpha > 6:
        return "under-trained"
    return "over-trained" if spectrum.tail.alpha < 2 else ""


COLUMNS = (
    Column("N", "rows"),
    Column("M", "columns"),
    Column("Q", "rows / columns", lambda each: each.rows / each.columns),
    Column("rf", "matrices"),
    Column("num_evals", "num_evals"),
    Column("has_esd", "a spectrum that is not null", lambda each: True),
    Column("sv_max", "sv_max"),
    Column("sv_min", "sv_min"),
    Column("lambda_max", "spectral_norm"),
    Column("spectral_norm", "spectral_norm"),
    Column("log_spectral_norm", "log_spectral_norm"),
    Column("norm", "norm"),
    Column("log_norm", "log_norm"),
    Column("stable_rank", "stable_rank"),
    Column("matrix_rank", "matrix_rank"),
    Column("rank_loss", "rank_loss"),
    Column("weak_rank_loss", "weak_rank_loss"),
    Column("entropy", "entropy"),
    Column(
        "status",
        "tail that is null or not",
        lambda each: "success" if each.tail else "failed",
    ),
    Column("alpha", "tail.alpha"),
    Column("sigma", "tail.sigma"),
    Column("D", "tail.distance"),
    Column("xmin", "tail.xmin"),
    Column("xmax", "tail.xmax"),
    Column("num_pl_spikes", "tail.spikes"),
    Column("alpha_weighted", "tail.alpha_weighted"),
    Column("log_alpha_norm", "tail.log_alpha_norm"),
    Column("warning", "tail.alpha below 2 or above 6", _warning),
    Column("detX_num", "detx_num", asked="detX"),
    Column("num_ERG_spikes", "detx_num", asked="detX"),
    Column("ERG_gap", "detx_num - tail.spikes", _gap, asked="detX"),
    Column("detX_val", "detx_val", asked="detX"),
    Column("detX_val_unrescaled", "detx_val · num_evals / norm", _over_the_mean, asked="detX"),
)
"""What both have."""

NAMES = {
    "longname": "tensor, without .weight",
    "name": "tensor, without .weight",
    "layer_id": "index in the card, in the model's order",
    "layer_type": "role",
}
"""Columns that say which layer a row is about."""


NOT_IN_THE_FRAME = {
    *("rf", "has_esd", "lambda_max", "status", "warning"),
    *("num_ERG_spikes", "ERG_gap", "detX_val_unrescaled"),
}
"""What both have that is no column of the same name in `spectra_frame`."""


@dataclass(frozen=True)
class Other:
    """A column of WeightWatcher that the package has otherwise.

    Attributes:
        asked: With which option of `analyze` it comes.
        ours: The nearest that a `Spectrum` has.
        why: What differs.
    """

    asked: str
    ours: Column
    why: str


_BRUTE = "theirs is a search by steps of 1 % for what fits a smoothed histogram best"
_DICE = "theirs is drawn without a seed, so that no two runs agree"

_OTHER_TAIL = (
    "theirs has a tail of its own, where it is fitted at all: with powerlaw 2.0, which pip "
    "installs today, it is -1 for every layer. Ours is that of the "
    "power law, so that both can be compared"
)

UNEQUAL = {
    "alpha": Other(
        "fit='TPL', pl_package='powerlaw'", Column("alpha", "truncated.alpha"), _OTHER_TAIL
    ),
    "Lambda": Other(
        "fit='TPL', pl_package='powerlaw'", Column("Lambda", "truncated.rate"), _OTHER_TAIL
    ),
    "sigma_mp": Other(
        "mp_fit",
        Column(
            "sigma_mp",
            "√(bulk.temperature · rows · num_evals / norm)",
            lambda each: (
                math.sqrt(each.bulk.temperature * each.rows * each.num_evals / each.norm)
                if each.bulk
                else None
            ),
        ),
        _BRUTE,
    ),
    "mp_softrank": Other("mp_fit", Column("mp_softrank", "bulk.soft_rank"), _BRUTE),
    "bulk_min": Other("mp_fit", Column("bulk_min", "bulk.edge_low"), _BRUTE),
    "bulk_max": Other("mp_fit", Column("bulk_max", "bulk.edge_high"), _BRUTE),
    "num_spikes": Other(
        "mp_fit",
        Column("num_spikes", "bulk.outliers"),
        _BRUTE + ", and its margin above the edge is not the width of the Tracy-Widom law",
    ),
    "max_rand_eval": Other("randomize", Column("max_rand_eval", "shuffled.largest"), _DICE),
    "ww_softrank": Other("randomize", Column("ww_softrank", "shuffled.soft_rank"), _DICE),
    "rand_distance": Other("randomize", Column("rand_distance", "shuffled.distance"), _DICE),
    "num_traps": Other("randomize", Column("num_traps", "shuffled.outliers"), _DICE),
    "rand_num_spikes": Other("randomize", Column("rand_num_spikes", "shuffled.outliers"), _DICE),
}
"""What both have, differently: by name."""

ABSENT = {
    "W_scale": "mp_fit",
    "ww_maxdist": "randomize",
    "rand_sigma_mp": "randomize",
    "rand_mp_softrank": "randomize",
    "rand_W_scale": "randomize",
    "rand_bulk_max": "randomize",
    "rand_bulk_min": "randomize",
}
"""What only WeightWatcher has -> with which option."""


@dataclass(frozen=True)
class Cell:
    """One figure of one layer, as both have it.

    Attributes:
        where: Subject and layer.
        column: Which figure.
        row: All that WeightWatcher says of the layer.
        spectrum: All that the package says of it.
    """

    where: str
    column: Column
    row: Mapping[str, Any]
    spectrum: Spectrum

    @property
    def theirs(self) -> Any:
        """WeightWatcher's figure."""
        return self.row[self.column.theirs]

    @property
    def ours(self) -> Any:
        """The package's figure."""
        return self.column.value(self.spectrum)

    @property
    def difference(self) -> float:
        """Relative to WeightWatcher's figure; infinite where one has none or texts differ."""
        if self.theirs == self.ours:
            return 0.0
        if not (_finite(self.theirs) and _finite(self.ours)):
            return math.inf
        return abs(self.theirs - self.ours) / abs(self.theirs) if self.theirs else math.inf

    @property
    def resolution(self) -> float:
        """The eigenvalue that float64 tells from zero in a Gram matrix, ``M ε λ_max``."""
        return self.spectrum.columns * float(np.finfo(np.float64).eps) * self.spectrum.spectral_norm

    def __str__(self) -> str:
        return f"{self.where} {self.column.theirs}: {self.theirs!r} and here {self.ours!r}"


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


@dataclass(frozen=True)
class Exceptional:
    """Cells that may differ by more than `TOLERANCE`.

    Attributes:
        columns: Of these columns.
        holds: Whether the difference of a cell is the one that is meant.
        reason: What differs and why, for the table.
    """

    columns: frozenset[str]
    holds: Callable[[Cell], bool]
    reason: str


def _swapped(cell: Cell) -> bool:
    shape = (cell.row["N"], cell.row["M"])
    return cell.spectrum.matrices > 1 and shape == (cell.spectrum.columns, cell.spectrum.rows)


def _no_fit(cell: Cell) -> bool:
    return cell.row["status"] == "failed" and cell.spectrum.tail is None


def _all_zero(cell: Cell) -> bool:
    return cell.spectrum.norm == 0 and cell.ours is None and not _finite(cell.theirs)


def _no_product(cell: Cell) -> bool:
    without = cell.row["detX_num"] == 0
    return cell.ours is None and (without or (cell.column.theirs == "ERG_gap" and _no_fit(cell)))


def _underflow(cell: Cell) -> bool:
    """A tail that is cut short: only a product of very many factors can underflow."""
    found = cell.spectrum.detx_num
    return found is not None and 1000 < cell.row["detX_num"] < found


def _unresolved(cell: Cell) -> bool:
    if cell.ours is None:
        return False
    mean = cell.spectrum.norm / cell.spectrum.num_evals
    eigenvalue: Mapping[str, Callable[[float], float]] = {
        "sv_min": lambda value: value**2,
        "detX_val": lambda value: value,
        "detX_val_unrescaled": lambda value: value * mean,
    }
    both = map(eigenvalue[cell.column.theirs], (cell.theirs, cell.ours))
    return abs(operator.sub(*both)) <= cell.resolution


def _rank(cell: Cell) -> bool:
    more = cell.row["matrix_rank"] >= cell.spectrum.matrix_rank
    return cell.spectrum.rank_loss > 0 and more


def _padded(cell: Cell) -> bool:
    """The entropy itself, without the rank, is theirs but for 10⁻¹⁰ in every share."""
    theirs = cell.theirs * math.log(cell.row["matrix_rank"] + 1e-10)
    ours = cell.spectrum.spectral_entropy
    most = cell.spectrum.num_evals * 1e-10 * (1 - math.log(1e-10))
    return ours is not None and abs(theirs - ours) <= most


_OF_THE_FIT = frozenset(
    {"alpha", "sigma", "D", "xmin", "num_pl_spikes", "alpha_weighted", "log_alpha_norm", "warning"}
)
_OF_THE_PRODUCT = frozenset(
    {"detX_num", "num_ERG_spikes", "ERG_gap", "detX_val", "detX_val_unrescaled"}
)
_OF_ENERGY = frozenset({"log_norm", "log_spectral_norm", "stable_rank", "entropy"})

EXCEPTIONS = {
    "a": Exceptional(
        frozenset({"N", "M", "Q"}),
        _swapped,
        "of a convolution with fewer outputs than in-channels and an even number of places in its "
        "kernel, WeightWatcher's N is the smaller side and its Q is below 1: it swaps the two once "
        "for every place. Here N is always the larger side",
    ),
    "b": Exceptional(
        _OF_THE_FIT,
        _no_fit,
        "where no power law can be fitted, WeightWatcher says -1, computes on with it, calls the "
        "layer over-trained, and counts it in its means. Here it is null with its reason, "
        "and is in no mean",
    ),
    "c": Exceptional(
        _OF_ENERGY,
        _all_zero,
        "of a matrix of zeros, WeightWatcher gives -inf or NaN, and its means with it. Here it is "
        "null with its reason",
    ),
    "d": Exceptional(
        frozenset({"sv_min", "detX_val", "detX_val_unrescaled"}),
        _unresolved,
        "a Gram matrix in float64 resolves eigenvalues down to M ε λ_max, a decomposition of the "
        "matrix itself their roots down to that: smaller eigenvalues, and singular values below "
        "√(M ε) of the largest (3·10⁻⁷ where M = 384), are noise here",
    ),
    "e": Exceptional(
        frozenset({"matrix_rank", "rank_loss"}),
        _rank,
        "for the same reason, what counts as zero is an eigenvalue below M ε λ_max here, a "
        "singular value below N ε of the largest there; and of a convolution each slice is judged "
        "by its own largest here, for `matrix_rank` by the largest of all there",
    ),
    "f": Exceptional(
        frozenset({"entropy"}),
        _padded,
        "WeightWatcher adds 10⁻¹⁰ to every share, which shows where many are zero, and divides by "
        "the logarithm of its own rank. Here nothing is added, and a matrix of rank one has none",
    ),
    "g": Exceptional(
        _OF_THE_PRODUCT,
        _no_product,
        "where all eigenvalues are equal or zero, WeightWatcher's tail of the product is empty and "
        "its least value the least of all; and a gap to a fit that failed is one to -1. Here both "
        "are null with their reasons",
    ),
    "h": Exceptional(
        _OF_THE_PRODUCT,
        _underflow,
        "of thousands of eigenvalues WeightWatcher's product, which begins with the smallest, "
        "underflows to 0 and so falls below 1 too early. Here it is a sum of logarithms",
    ),
}
"""Mark -> the cells that may differ."""


def cells(subject: str, rows: Iterable[Mapping[str, Any]], card: Card) -> Iterator[Cell]:
    """Yields every figure of every layer that WeightWatcher has a row for."""
    spectra = spectra_by_name(card)
    for row in rows:
        spectrum = spectra[row["longname"]]
        for column in COLUMNS:
            yield Cell(f"{subject} {row['longname']}", column, row, spectrum)


def spectra_by_name(card: Card) -> dict[str, Spectrum]:
    """Returns the spectra by WeightWatcher's names; those of a convolution's slices."""
    found = {}
    for layer in card.layers:
        assert layer.spectra is not None
        spectrum = layer.spectra.counted
        if spectrum is not None:
            found[name_there(layer)] = spectrum
    return found


def name_there(layer: LayerRecord) -> str:
    """Returns what WeightWatcher calls a layer."""
    return layer.name.removesuffix(".weight")


def has_row(layer: LayerRecord) -> bool:
    """Says whether WeightWatcher gives this layer a row, by the sides as it swaps them."""
    assert layer.spectra is not None
    spectrum = layer.spectra.counted
    assert spectrum is not None
    outputs, inputs = layer.shape
    swaps = spectrum.matrices if outputs < inputs // spectrum.matrices else 0
    swapped = swaps > 1 and swaps % 2 == 0
    side = spectrum.rows if swapped else spectrum.columns
    return FEWEST <= side * spectrum.matrices <= MOST


@dataclass(frozen=True)
class Verdict:
    """What was seen of one column.

    Attributes:
        column: Which.
        differing: Cells that differ although nothing excepts them.
        marks: Of the exceptions that cells needed.
        largest: The largest relative difference of a cell that is not excepted.
    """

    column: Column
    differing: Sequence[Cell]
    marks: str
    largest: float


def judge(seen: Sequence[Cell]) -> list[Verdict]:
    """Returns a verdict on each of `COLUMNS`."""
    return [_judge(column, [each for each in seen if each.column is column]) for column in COLUMNS]


def _judge(column: Column, seen: Sequence[Cell]) -> Verdict:
    marks: set[str] = set()
    differing, largest = [], 0.0
    for cell in seen:
        if cell.difference <= TOLERANCE:
            largest = max(largest, cell.difference)
        elif found := _marks(cell):
            marks |= found
        else:
            differing.append(cell)
    return Verdict(column, differing, "".join(sorted(marks)), largest)


def _marks(cell: Cell) -> set[str]:
    name = cell.column.theirs
    for mark, each in EXCEPTIONS.items():
        if name in each.columns and each.holds(cell):
            return {mark}
    return set()
