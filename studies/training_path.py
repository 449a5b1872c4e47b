"""The path of training and of refresh: energy, entropy and temperatures step by step."""

from __future__ import annotations

import itertools
import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from studies import path_figures as figures
from studies.path_runs import UNCHANGED, Run, Shift, State, life, losses
from studies.ranking import Correlation, correlation
from studies.report import Picture, Section, Study, Table

_STOPS = (0, 1, 3, 10, 20, 30, 50, 100, 200, 300, 600, 1000)
_REFRESH = (0, 1, 3, 10, 20, 30, 50, 100, 200, 400)
_DENSE = (0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256)
_SHIFTS = (
    *(Shift("rotation", degrees) for degrees in (0, 15, 30, 45, 60, 90)),
    *(Shift("labels", classes) for classes in (0, 2, 4, 6, 8, 10)),
)
_KINDS = ("rotation", "labels")
_KIND_NAMES = {"rotation": "rotation", "labels": "permuted classes"}
_NAMES = {"relu": "ReLU", "tanh": "tanh"}


def _final(quantity: Callable[[State], float | None]) -> Callable[[Run], float | None]:
    return lambda run: quantity(run.states[-1])


def _change(quantity: Callable[[State], float]) -> Callable[[Run], float]:
    return lambda run: quantity(run.states[-1]) - quantity(run.states[0])


#: What may measure a shift: before a step was made on the new data, and after the refresh.
_MEASURES: Mapping[str, Callable[[Run], float | None]] = {
    "loss at the shift": lambda run: run.states[0].loss,
    "virial T at the shift": lambda run: run.states[0].virial,
    "η at the shift": lambda run: run.states[0].efficiency,
    "T* (Type II)": _final(lambda state: state.refresh),
    "T* (Type II) a stop earlier": lambda run: run.states[-2].refresh,
    "ΔE of the refresh": _change(lambda state: state.energy),
    "ΔS of the refresh": _change(lambda state: state.entropy),
    "distance moved": _final(lambda state: state.distance),
}


def run(small: bool) -> Study:
    """Follows networks through training and refresh."""
    seeds = range(1 if small else 3)
    shifts = (Shift("rotation", 0), Shift("rotation", 90), Shift("labels", 4)) if small else _SHIFTS
    stops, refresh = ((0, 10, 40), (0, 20)) if small else (_STOPS, _REFRESH)
    dense, sizes = ((0, 4, 16), (8, 32)) if small else (_DENSE, (16, 64, 256, 1024))
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            each
            for activation in _NAMES
            for seed in seeds
            for each in life(
                activation,
                seed,
                shifts,
                training_stops=stops,
                refresh_stops=refresh,
                folder=Path(folder),
            )
        ]
    curves = {
        width: [statistics.mean(each) for each in zip(*_curves(width, seeds, dense), strict=True)]
        for width in sizes
    }
    trained = [each for each in runs if each.shift == UNCHANGED]
    refreshed = [each for each in runs if each.shift != UNCHANGED]
    ranks = _ranks(refreshed)
    return Study(
        title="The path of training, and of refresh",
        question="What do energy, entropy, temperatures and work efficiency do between the "
        "initialisation and a trained network, and when the data of a trained network change? Are "
        "these phase transitions, and does temperature measure the shift?",
        verdict=_verdict(trained, refreshed, ranks, dense, curves),
        method=_method(len(seeds), stops[-1], refresh[-1]),
        sections=[
            _training(trained),
            _refresh(refreshed),
            _shifts(refreshed, ranks),
            _transition(dense, curves),
        ],
    )


def _curves(width: int, seeds: Sequence[int], stops: Sequence[int]) -> list[list[float]]:
    return [losses(width, seed, stops) for seed in seeds]


def _method(seeds: int, steps: int, more: int) -> str:
    return f"""Networks 64-128-128-10 with ReLU (non-saturating) or tanh (saturating), torch's
initialisation, 1,000 of scikit-learn's digits to train on and 797 to test, AdamW at 0.001,
batches of 64, {seeds} seeds; {steps} steps of training, then {more} more from the trained network
for every shift: the pictures turned by an angle, or the names of so many classes passed around.
At each stop `thermoscan.scan` reads the saved file (with the trained network as base in a
refresh) and `thermoscan.probe` runs the network on the training examples of the current data.
Energies and temperatures without another word are those of the weights; the entropy is that of
the entries."""


def _training(trained: Sequence[Run]) -> Section:
    panels: dict[str, figures.Quantity] = {
        "loss, nats": lambda state: state.loss,
        "½<w²>": lambda state: state.energy,
        "entropy, nats per parameter": lambda state: state.entropy,
        "T*": lambda state: state.transition,
        "virial T": lambda state: state.virial,
        "measured η": lambda state: state.efficiency,
    }
    rows: list[list[str | float | int | None]] = [
        [
            _NAMES[run.activation],
            state.step,
            state.loss,
            state.accuracy,
            2 * state.energy,
            state.entropy,
            state.order,
            state.transition,
            state.virial,
            state.efficiency,
        ]
        for run in trained
        if run.seed == 0
        for state in run.states
    ]
    columns = ["network", "step", "loss", "test accuracy", "T", "s", "J", "T*", "virial T", "η"]
    return Section(
        "From the initialisation (Type I)",
        "Means over the seeds in the picture, the first seed in the table. T* is left out where a "
        "network has none.",
        [Table(columns, rows)],
        [
            Picture(
                "training",
                figures.path(trained, panels, frozenset({"virial T"})),
                "Loss, energy, entropy, temperatures and efficiency against steps of training",
            )
        ],
    )


def _refresh(refreshed: Sequence[Run]) -> Section:
    runs = _of_size(refreshed, "rotation", max)
    panels: dict[str, figures.Quantity] = {
        "loss, nats": lambda state: state.loss,
        "virial T": lambda state: state.virial,
        "measured η": lambda state: state.efficiency,
        "½<w²>": lambda state: state.energy,
        "entropy, nats per parameter": lambda state: state.entropy,
        "distance moved": lambda state: state.distance,
    }
    return Section(
        "After a shift (Type II)",
        f"The pictures turned by {runs[0].shift.size} degrees; means over the seeds. At step 0 the "
        "weights are those of the trained network.",
        (),
        [
            Picture(
                "refresh",
                figures.path(runs, panels, frozenset({"virial T"})),
                "Loss, virial temperature, efficiency, energy, entropy and distance against steps "
                "of refresh",
            )
        ],
    )


def _shifts(refreshed: Sequence[Run], ranks: Sequence[_Rank]) -> Section:
    rows: list[list[str | float | int | None]] = [
        [
            _KIND_NAMES[each.kind],
            _NAMES[each.activation],
            each.measure,
            _shown(each.found),
            each.missing,
        ]
        for each in ranks
    ]
    columns = ["shift", "network", "measure", "rank correlation with its size", "runs without it"]
    names = ("virial T at the shift", "T* (Type II)", "distance moved")
    return Section(
        "Several sizes of shift",
        "Spearman's correlation over all sizes and seeds, size 0 (the same data again) among them, "
        "with bootstrap intervals at 95 %. The first three need the new data and no training; the "
        "others are from the checkpoints before and after the refresh.",
        [Table(columns, rows)],
        [
            Picture(
                "shifts",
                figures.shifts(refreshed, {each: _MEASURES[each] for each in names}, _KINDS),
                "Virial temperature, transition temperature and distance against sizes of shifts",
            )
        ],
    )


def _transition(stops: Sequence[int], curves: Mapping[int, Sequence[float]]) -> Section:
    rows = [[width, *_steepest(stops, curve)] for width, curve in curves.items()]
    return Section(
        "Does it sharpen with size?",
        "A phase transition is sharp in the limit of many degrees of freedom: what is a smooth "
        "crossover in a small system must steepen as the system grows. The fall of the loss, as a "
        "share of the initial loss, per e-fold of steps, of ReLU networks of several widths; means "
        "over the seeds.",
        [Table(["width", "steepest fall", "at step"], rows)],
        [
            Picture(
                "widths",
                figures.widths(stops, curves),
                "Loss against steps for several widths",
            )
        ],
    )


@dataclass(frozen=True, slots=True)
class _Rank:
    """How a measure goes with the size of one kind of shift, in one network."""

    kind: str
    activation: str
    measure: str
    found: Correlation | None
    missing: int


def _ranks(refreshed: Sequence[Run]) -> list[_Rank]:
    ranks = []
    for kind, activation, (name, quantity) in itertools.product(_KINDS, _NAMES, _MEASURES.items()):
        runs = [r for r in refreshed if (r.shift.kind, r.activation) == (kind, activation)]
        values = [quantity(each) for each in runs]
        known = [math.nan if each is None else each for each in values]
        found = correlation([each.shift.size for each in runs], known)
        ranks.append(_Rank(kind, activation, name, found, values.count(None)))
    return ranks


def _steepest(stops: Sequence[int], curve: Sequence[float]) -> tuple[float, int]:
    """The steepest fall of a loss per e-fold of steps, as a share of its start, and where it is."""
    pairs = list(zip(stops, curve, strict=True))[1:]  # the first stop has no logarithm
    return max(
        ((before - after) / curve[0] / math.log(later / sooner), later)
        for (sooner, before), (later, after) in itertools.pairwise(pairs)
    )


def _verdict(
    trained: Sequence[Run],
    refreshed: Sequence[Run],
    ranks: Sequence[_Rank],
    stops: Sequence[int],
    curves: Mapping[int, Sequence[float]],
) -> str:
    steps = [pair for run in trained for pair in itertools.pairwise(run.states)]
    against = sum((b.loss - a.loss) * (b.entropy - a.entropy) < 0 for a, b in steps)
    hotter = sum(b.energy > a.energy and b.entropy > a.entropy for a, b in steps)
    turned = _of_size(refreshed, "rotation", max)
    signs = {name: _sign(ranks, name) for name in _MEASURES}
    rising, falling, neither = ([n for n in signs if signs[n] == sign] for sign in (1, -1, 0))
    slight = _of_size(refreshed, "rotation", min)
    slopes = {width: _steepest(stops, curve)[0] for width, curve in curves.items()}
    (narrow, first), (wide, last) = next(iter(slopes.items())), list(slopes.items())[-1]
    return f"""**Training heats.** Between successive stops energy ½<w²> and entropy of the
weights rise together in {hotter} of {len(steps)} cases, with the loss falling while the entropy
rises in {against}: with the loss for energy, dE/dS is negative in training. The virial
temperature on the training examples is {_of(trained, lambda run: run.states[0].virial)} at the
initialisation and {_of(trained, lambda run: run.states[-1].virial)} at the end (negative: larger
weights would lower the loss). **The two types of engine part.** Measured efficiency goes
{_engine(trained, "relu")} with ReLU and {_engine(trained, "tanh")} with tanh. **A shift shows at
once in the virial temperature**: turned by {turned[0].shift.size} degrees it is
{_of(turned, lambda run: run.states[0].virial)}, by {slight[0].shift.size} degrees
{_of(slight, lambda run: run.states[0].virial)}, before the first step (on unseen digits of the
old kind {_of(trained, lambda run: run.states[-1].virial_unseen)}), and
{_of(turned, lambda run: run.states[-1].virial)} after the refresh. **What measures the shift**,
its interval clear of zero for both kinds of shift in both networks: rising with it
{_listed(rising)}; falling {_listed(falling)}; neither {_listed(neither)}.
{_misread(falling, turned)}The virial temperature needs the labels, and then the loss tells as
much. T* (Type II) is missing in
{sum(each.missing for each in ranks if each.measure == "T* (Type II)")} of {len(refreshed)}
refreshes, whose entropy ends within its error of where it began. **Phase transition is
{_judged(last / first)}.** The steepest fall of the loss per e-fold of steps is {first:.2f} of its
start at width {narrow} and {last:.2f} at width {wide}, {last / first:.2f} times as steep for
{wide // narrow} times the width. At a shift the loss jumps with the weights unmoved, because the
data did: the landscape is replaced, no state of one landscape turns into another."""


def _judged(ratio: float) -> str:
    return "a word here" if ratio < 2 else "more than a word here: it sharpens with width"


def _sign(ranks: Sequence[_Rank], measure: str) -> int:
    """1 or -1 where a measure goes so with every kind of shift in every network, else 0."""
    found = [each.found for each in ranks if each.measure == measure]
    if all(each is not None and each.low > 0 for each in found):
        return 1
    return -1 if all(each is not None and each.high < 0 for each in found) else 0


def _misread(falling: Sequence[str], turned: Sequence[Run]) -> str:
    if not any(each.startswith("T*") for each in falling):
        return ""
    dips = [min(state.energy for state in run.states) < run.states[0].energy for run in turned]
    return (
        "So T* (Type II) is no measure of the complexity of a refresh here: the larger the shift, "
        "the lower it is. A network unlearns before it learns: its energy first falls below where "
        f"it began in {sum(dips)} of {len(dips)} refreshes after the largest turn. "
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _of(runs: Sequence[Run], value: Callable[[Run], float]) -> str:
    return f"{statistics.mean(map(value, runs)):+.1e}"


def _engine(trained: Sequence[Run], activation: str) -> str:
    mine = [each.states for each in trained if each.activation == activation]
    first, last = (statistics.mean(each[i].efficiency for each in mine) for i in (0, -1))
    return f"from {first:.2f} to {last:.2f}"


def _of_size(
    refreshed: Sequence[Run], kind: str, which: Callable[[Sequence[int]], int]
) -> list[Run]:
    """The refreshes after the shift of a kind whose size `which` picks from those above zero."""
    sizes = [each.shift.size for each in refreshed if each.shift.kind == kind]
    size = which([each for each in sizes if each > 0])
    return [each for each in refreshed if each.shift == Shift(kind, size)]


def _shown(found: Correlation | None) -> str:
    return "–" if found is None else str(found)
