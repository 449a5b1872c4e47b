"""The spectra of all matrices, beside WeightWatcher on the same checkpoint.

Analysis is from loaded weights (WeightWatcher's ``analyze()``) or from a scanned file (ours, which
reads the weights once more) to the last fit, timed inside the process. A whole process is
``thermoscan scan MODEL --spectra``, or one that imports WeightWatcher and analyses the folder.
What WeightWatcher leaves out, matrices with a side above 50,000, is left out of our analysis too,
but not of our process; and where it takes several matrices as the one that they are stored as, ours
is the greater work.

The floor is the arithmetic that no exact method over the Gram matrix goes without, ``N M²``
operations for the product and ``4/3 M³`` for reducing it to three diagonals, at the rates at which
numpy's BLAS and LAPACK do matrices of these sides in memory, a thread with a matrix of its own on
every core.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import data
from benchmarks.processes import interleaved, median_ratio, scan, take
from benchmarks.report import Row, Target
from benchmarks.rivals import watch, watcher
from benchmarks.scale import Scale
from thermoscan.options import cores

ANALYSIS = 3.0
WHOLE = 4.0
PEAK = 1 / 3
_ROUNDS = 3
_MINUTES = frozenset({"Llama, 1.1 B bf16"})
"""Models that WeightWatcher takes minutes for: one round is enough."""
RATE_SECONDS = 0.5
"""How long a rate is measured."""
_TALL = 4

_WATCH_LOADED = """
import json, sys, time
from pathlib import Path
import weightwatcher
from safetensors.torch import load_file
folder, out = map(Path, sys.argv[1:])
weights = {}
for file in sorted(folder.glob("*.safetensors")):
    weights |= load_file(file)
started = time.perf_counter()
details = weightwatcher.WeightWatcher(model=weights).analyze()
seconds = time.perf_counter() - started
matrices = [
    [row.longname, int(row.N), int(row.M), 1, row.alpha if row.alpha > 0 else None]
    for row in details.itertuples()
]
out.write_text(json.dumps({"seconds": seconds, "matrices": matrices}))
"""

_TAKE_SCANNED = """
import json, sys, time
from pathlib import Path
from dataclasses import replace
from thermoscan.options import ScanOptions, SpectraOptions
from thermoscan.plugins import adapter_for
from thermoscan.scanner.measure import measure
from thermoscan.spectra import take_spectra
folder, out = sys.argv[1:]
options = ScanOptions(spectra=SpectraOptions())
silent = lambda *_: None
with adapter_for(folder).open(folder, options.opening) as checkpoint:
    scanned = measure(checkpoint, options, silent)
    layers = [each for each in scanned.layers if max(each.tensor.shape) <= 50_000]
    scanned = replace(scanned, layers=tuple(layers))
    started = time.perf_counter()
    taken = take_spectra(scanned, options.spectra, options.workers, silent)
    seconds = time.perf_counter() - started
matrices = [
    [each.tensor.name.removesuffix(".weight"), found.rows, found.columns, found.matrices,
     found.tail and found.tail.alpha]
    for each in taken.layers
    for found in (each.spectra.matrix, each.spectra.slices) if found
]
Path(out).write_text(json.dumps({"seconds": seconds, "matrices": matrices}))
"""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One matrix, or several of one shape together, as either side names it."""

    name: str
    rows: int
    columns: int
    matrices: int
    alpha: float | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one side's analysis took, and what it found."""

    seconds: float
    spectra: tuple[Spectrum, ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """What the linear algebra reaches on all cores, for matrices of one side.

    Attributes:
        product: Operations per second of Gram products.
        reduction: Of the reduction to three diagonals, the eigenvalues of these included.
    """

    product: float
    reduction: float


def measure(scale: Scale) -> Iterator[Row]:
    """Yields the ratios of both sides and our distance to the floor, for each model."""
    models = {
        "MiniLM, 23 M float32": data.minilm(),
        "GPT-2, 124 M float32": data.gpt2(scale),
        "Llama, 1.1 B bf16": data.llama(scale, scale.layers),
    }
    for model, folder in models.items():
        scan(folder)  # fills the page cache
        rounds = 1 if model in _MINUTES else _ROUNDS
        yield from _analyses(model, folder, rounds)
        yield from _processes(model, folder, rounds)


def _analyses(model: str, folder: Path, rounds: int) -> Iterator[Row]:
    runs: dict[str, list[Analysis]] = {"ours": [], "theirs": []}

    def timed(side: str, command: Sequence[str]) -> float:
        runs[side].append(analysis(command, folder))
        return runs[side][-1].seconds

    commands = {"ours": _ours(), "theirs": [watcher(), "-c", _WATCH_LOADED]}
    sides = {side: partial(timed, side, command) for side, command in commands.items()}
    seconds = interleaved(sides, rounds)
    ours, theirs = (statistics.median(seconds[side]) for side in ("ours", "theirs"))
    yield Row(
        f"{model}: analysis, WeightWatcher / thermoscan",
        median_ratio(seconds["theirs"], seconds["ours"]),
        target=Target(ANALYSIS),
        how=f"{theirs:.2f} s against {ours:.2f} s",
    )
    yield agreement(model, runs["ours"][-1].spectra, runs["theirs"][-1].spectra)
    yield above_floor(model, ours, runs["ours"][-1].spectra)


def _processes(model: str, folder: Path, rounds: int) -> Iterator[Row]:
    taken = [(take(watch(folder)), scan(folder, "--spectra")) for _ in range(rounds)]
    theirs, ours = zip(*taken, strict=True)
    middle = [statistics.median(each.seconds for each in side) for side in (theirs, ours)]
    peaks = [max(each.peak_bytes for each in side) for side in (ours, theirs)]
    yield Row(
        f"{model}: whole process, WeightWatcher / thermoscan",
        median_ratio([each.seconds for each in theirs], [each.seconds for each in ours]),
        target=Target(WHOLE),
        how=f"{middle[0]:.2f} s against {middle[1]:.2f} s",
    )
    yield Row(
        f"{model}: peak memory, thermoscan / WeightWatcher",
        peaks[0] / peaks[1],
        target=Target(PEAK, at_most=True),
        how=f"{peaks[0] / 1e6:.0f} MB against {peaks[1] / 1e6:.0f} MB",
    )


def our_analysis(folder: Path) -> Analysis:
    """Runs our stage alone, in a process of its own that has scanned the checkpoint before."""
    return analysis(_ours(), folder)


def _ours() -> list[str]:
    return [sys.executable, "-c", _TAKE_SCANNED]


def analysis(command: Sequence[str], folder: Path) -> Analysis:
    """Runs a command that analyses `folder` and writes its answer into a file."""
    with tempfile.TemporaryDirectory() as out:
        answer = Path(out) / "answer.json"
        take([*command, str(folder), str(answer)])
        found: Mapping[str, Any] = json.loads(answer.read_text())
    return Analysis(found["seconds"], tuple(Spectrum(*each) for each in found["matrices"]))


def agreement(model: str, ours: Sequence[Spectrum], theirs: Sequence[Spectrum]) -> Row:
    """Returns to how many digits both alphas agree where they agree least."""
    own = {(each.name, each.rows, each.columns): each.alpha for each in ours}
    pairs = [
        (alpha, each.alpha)
        for each in theirs
        if each.alpha and (alpha := own.get((each.name, each.rows, each.columns)))
    ]
    worst = max(abs(a / b - 1) for a, b in pairs)
    return Row(
        f"{model}: digits of alpha that agree",
        -math.log10(max(worst, float(np.finfo(np.float64).eps))),
        how=f"the least of {len(pairs)} matrices that both take; "
        f"{len(ours)} are ours, {len(theirs)} theirs",
    )


def above_floor(model: str, seconds: float, spectra: Sequence[Spectrum]) -> Row:
    """Returns how many times the floor our analysis takes."""
    products: Counter[int] = Counter()
    reductions: Counter[int] = Counter()
    for each in spectra:
        products[each.columns] += each.matrices * each.rows * each.columns**2
        reductions[each.columns] += each.matrices * 4 * each.columns**3 // 3
    rates = {side: rates_of(side) for side in products}
    product = sum(work / rates[side].product for side, work in products.items())
    reduction = sum(work / rates[side].reduction for side, work in reductions.items())
    return Row(
        f"{model}: analysis, thermoscan / floor",
        seconds / (product + reduction),
        how=f"products {_work(products, product)}, reductions {_work(reductions, reduction)}",
    )


def _work(operations: Counter[int], seconds: float) -> str:
    total = operations.total() / 1e9
    return f"{total:.0f} Gflop at {total / seconds:.0f} a second"


def rates_of(side: int) -> Rates:
    """Measures what all cores together reach for matrices of this smaller side."""
    tall = np.random.default_rng(0).standard_normal((_TALL * side, side))
    # Of a stack, as LAPACK lets go of Python's lock only for 500 rows and more.
    stack = np.broadcast_to(tall.T @ tall, (500 // side + 1, side, side))
    with threadpool_limits(1, user_api="blas"):
        products = _calls_per_second(lambda: tall.T @ tall)
        reductions = len(stack) * _calls_per_second(lambda: np.linalg.eigvalsh(stack))
    return Rates(products * _TALL * side**3, reductions * 4 / 3 * side**3)


def _calls_per_second(call: Callable[[], object]) -> float:
    """How often a second all cores together make a call."""
    started = time.perf_counter()

    def repeat(_worker: int) -> float:
        calls = 0
        while calls == 0 or time.perf_counter() - started < RATE_SECONDS:
            call()
            calls += 1
        return calls / (time.perf_counter() - started)

    with ThreadPoolExecutor(cores()) as pool:
        return sum(pool.map(repeat, range(cores())))
