"""What temperature says of the complexity of a training, next to WeightWatcher and plain norms."""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from studies import complexity_figures as figures
from studies import weightwatcher, zoo
from studies.complexity_evidence import (
    DERIVED,
    FAMILIES,
    FROM_WEIGHTS,
    INDICATORS,
    Judged,
    Zoo,
    judge,
    learnt,
    measure_all,
)
from studies.indicators import Indicator, Measured
from studies.ranking import Correlation
from studies.report import Picture, Section, Study, Table
from studies.zoo import Model

_BEST = "√(2ΔE/N)"
_CLASSIC = "fan_in T*"
_DISTANCE = "Σ(w-w₀)²/N"


def run(small: bool) -> Study:
    """Trains the zoo, scans it, and ranks what may tell of the training's complexity."""
    if not small and not weightwatcher.installed():
        raise SystemExit("the study needs `make .venv-rivals/weightwatcher/0.7.7` first")
    workers = 1 if small else min(2, os.cpu_count() or 1)
    parts = {
        "series": zoo.noise_series(small),
        "development": zoo.development(small),
        "held-out": zoo.held_out(small),
        "copied": zoo.copied(small),
    }
    with tempfile.TemporaryDirectory() as folder:
        made = {
            name: measure_all(zoo.train_all(recipes, Path(folder, name), workers), watch=not small)
            for name, recipes in parts.items()
        }
    judged = judge(made["held-out"])
    bounds = learnt(made["development"], made["held-out"])
    return Study(
        title="What temperature says of the complexity of training",
        question="Does a number from a checkpoint's weights tell how complex its training was, and "
        "so how well the model does on new data: within a group of like models, and across sizes "
        "of data, widths, learning rates, activations and architectures?",
        verdict=_verdict(made["development"], made["held-out"], judged, bounds),
        method=_method(made),
        sections=[
            _series(made["series"]),
            _development(made["development"]),
            _held_out(made["held-out"], judged),
            _limits(made["development"], made["copied"], bounds),
        ],
    )


def _method(made: dict[str, Zoo]) -> str:
    return f"""{len(made["development"].models)} MLPs (three linear layers) on scikit-learn's
digits, in which size of the data, label noise, width, activation, learning rate, weight decay and
seed differ, were used to look at candidates. The verdict is from {len(made["held-out"].models)}
others: CNNs on digits, and MLPs on breast cancer (two classes) and on generated clusters (five
classes), with their own seeds. AdamW, batches of 64, until the loss on the training set is below
0.01 nats or 1,500 steps are done. Accuracy is on clean test labels. Every checkpoint is a file
that `thermoscan.scan` reads, told the activation and torch's initialisation; WeightWatcher 0.7.7
analyses the same files with its defaults. Figures are Spearman's rank correlations with accuracy,
with bootstrap intervals (2,000 resamples, percentiles). Candidates, their derivations and their
signs are in `studies/indicators.py`, written before any was computed on a held-out model; none
has a fitted constant. A candidate **holds** if it has the derived sign, its interval clear of
zero, in each held-out family, in all of them together, and among the models without label noise,
where the size of the data is the main difference. The intervals are at 95 % for all
{len(DERIVED)} derived candidates and all five columns at once. That rule was set after a first
run over held-out models; the seeds of these, and the generated data, were then changed."""


def _series(part: Zoo) -> Section:
    levels = [each.recipe.noise for each in part.models]
    layers = range(len(part.measured[0].layers))
    reduced = [
        [
            each.layers[i].fan_in * each.layers[i].energy / each.layers[i].entropy
            for each in part.measured
        ]
        for i in layers
    ]
    accuracies = [each.accuracy for each in part.models]
    rows = [
        [level, *(row[number] for row in reduced), accuracies[number]]
        for number, level in enumerate(levels)
    ]
    rises = [all(a < b for a, b in itertools.pairwise(row)) for row in reduced]
    which = ", ".join(str(i + 1) for i in layers if rises[i]) or "none"
    columns = ["label noise", *(f"layer {i + 1}" for i in layers), "test accuracy"]
    return Section(
        "Label noise alone",
        "Reduced transition temperature of each layer of an MLP 64-256-256-10, a hundred epochs, "
        f"everything but the label noise equal. Layers in which it rises at every step: {which}.",
        [Table(columns, rows)],
        [
            Picture(
                "noise",
                figures.noise(levels, reduced, accuracies),
                "Reduced transition temperatures of three layers and test accuracy against label "
                "noise",
            )
        ],
    )


def _development(part: Zoo) -> Section:
    clean = part.where(lambda recipe: recipe.noise == 0)
    rows = [
        [
            each.name,
            each.source,
            *map(
                _shown,
                (
                    part.correlation(each, group=lambda recipe: recipe.examples),
                    part.correlation(each, group=lambda recipe: (recipe.variant, recipe.seed)),
                    part.correlation(each),
                    clean.correlation(each),
                    part.correlation(each, target=lambda model: model.gap),
                ),
            ),
        ]
        for each in INDICATORS
    ]
    columns = [
        "indicator",
        "from",
        "equal N",
        "equal recipe",
        "all",
        "all without noise",
        "gap, all",
    ]
    return Section(
        "Within and across groups of MLPs",
        "Rank correlation with test accuracy: within groups of equal data size (all recipes), "
        "within groups of equal recipe (all sizes), over all models, and over those without label "
        "noise; and with the generalisation gap over all models. A good indicator of complexity is "
        "negative, in the last column positive (η, coherence and N the other way round)."
        f"{_moved(part)}",
        [Table(columns, rows)],
        [
            Picture(
                "mlps",
                figures.by_size(part, [_named(_CLASSIC), _named(_BEST)]),
                "Test accuracy of MLPs against transition temperature, and against energy absorbed "
                "per example, coloured by the number of training examples",
            )
        ],
    )


def _moved(part: Zoo) -> str:
    energy = _named("ΔE").value
    ratios = sorted(2 * energy(each) / each.distance for each in part.measured)
    low, middle, high = (ratios[round(share * (len(ratios) - 1))] for share in (0.05, 0.5, 0.95))
    return (
        f"\n\nTwice the energy absorbed, which the file tells, is {middle:.2f} of the squared "
        f"distance from initialisation, which it does not, in the median model ({low:.2f} to "
        f"{high:.2f} from the 5th to the 95th percentile)."
    )


def _held_out(part: Zoo, judged: Sequence[Judged]) -> Section:
    rows = [
        [
            each.indicator.name,
            each.indicator.source,
            *map(_shown, each.columns),
            "yes" if each.holds else "no",
        ]
        for each in judged
    ]
    columns = ["indicator", "from", *FAMILIES.values(), "all", "without noise", "holds"]
    return Section(
        "Held-out models",
        "The same on architectures and data that the candidates were not looked at on; intervals "
        "are simultaneous.",
        [Table(columns, rows)],
        [
            Picture(
                "held-out",
                figures.by_family(part, [_named(_CLASSIC), _named(_BEST)]),
                "Test accuracy of the held-out models against two indicators, by family",
            )
        ],
    )


def _limits(developed: Zoo, copied: Zoo, bounds: dict[str, Correlation | None]) -> Section:
    text = f"""**One file, two worlds.** Take a model that has fitted its N examples. In a world
that consists of these N examples, labels as given, each drawn again and again, its accuracy on
new draws is 1. In a world of which they are a sample, with labels that were noise, it is chance.
Both worlds can hand over the same training set, so the weights are the same bytes and every
function of them is the same number.{_two_worlds(developed)} So no function of the weights is the
accuracy: the weights tell how far training went, and how far it had to go is a fact of the data.
(Permuting the pixels of the test set, or the names of the classes, does the same: it leaves every
spectrum and every histogram as it is.)

**The number of examples is not enough either.** Ten copies of each example make N ten times as
large, and the loss is the same function. The first table has such pairs: {_BEST} falls by
{_fall(copied):.2f} times on average, where √10 is 3.16, and the accuracy by
{_accuracy_fall(copied):.3f}. N must count distinct examples.

**What all numbers together hold.** A forest of regression trees, fitted to {len(FROM_WEIGHTS)}
numbers from the weights of the MLPs on digits, ranks models of that zoo that it has not seen; the
last table says how far that carries. It is no candidate; it shows whether a better formula could
be read off the zoo."""
    rows = [
        [
            one.recipe.noise,
            one.recipe.seed,
            one.accuracy,
            ten.accuracy,
            _named(_BEST).value(its),
            _named(_BEST).value(tens),
        ]
        for (one, its), (ten, tens) in _pairs(copied)
    ]
    columns = ["label noise", "seed", "accuracy", "of ten copies", _BEST, "of ten copies"]
    forest = [[name, _shown(found)] for name, found in bounds.items()]
    return Section(
        "Why no number from the weights alone can",
        text,
        [Table(columns, rows), Table(["tried on", "rank correlation"], forest)],
    )


def _pairs(copied: Zoo) -> list[tuple[tuple[Model, Measured], tuple[Model, Measured]]]:
    each = list(zip(copied.models, copied.measured, strict=True))
    return list(zip(each[::2], each[1::2], strict=True))


def _fall(copied: Zoo) -> float:
    value = _named(_BEST).value
    return statistics.mean(value(its) / value(tens) for (_, its), (_, tens) in _pairs(copied))


def _accuracy_fall(copied: Zoo) -> float:
    return statistics.mean(one.accuracy - ten.accuracy for (one, _), (ten, _) in _pairs(copied))


def _two_worlds(developed: Zoo) -> str:
    right = [each.accuracy for each in developed.models if each.memory == 1]
    if not right:
        return ""
    return (
        f" {len(right)} of the {len(developed.models)} MLPs answer each of their training examples "
        f"as given; on new digits they are right in {min(right):.2f} to {max(right):.2f} of cases."
    )


def _verdict(
    developed: Zoo, held: Zoo, judged: Sequence[Judged], bounds: dict[str, Correlation | None]
) -> str:
    columns = {each.indicator.name: each.columns for each in judged}
    holding = [each.indicator for each in judged if each.holds]
    alone = [each.name for each in holding if each in FROM_WEIGHTS]
    others = [each.name for each in holding if each not in FROM_WEIGHTS]
    strongest = max(FROM_WEIGHTS, key=lambda each: _size(developed.correlation(each)))
    clean = developed.where(lambda recipe: recipe.noise == 0)
    classic, moved = _named(_CLASSIC), _named(_DISTANCE)
    elsewhere = "; ".join(f"{_shown(v)} ({k})" for k, v in list(bounds.items())[1:])
    return f"""At equal data, `{_CLASSIC}` has {_shown(_equal(developed, classic))} with accuracy,
whatever the recipe; WeightWatcher's alpha {_shown(_equal(developed, _named("alpha")))}, its
log_norm, a plain norm, {_shown(_equal(developed, _named("log_norm")))}. Across sizes of data it
has {_shown(developed.correlation(classic))}, and among models without label noise
{_shown(clean.correlation(classic))}{_turn(clean.correlation(classic))}. **Of numbers from the
weights alone, {_listed(alone)} the rule on held-out models**; the strongest over all MLPs is
{strongest.name} with {_shown(developed.correlation(strongest))}. **With the number of training
examples known, {_listed(others)} it.** {_BEST}, the energy absorbed per example, has
{_shown(developed.correlation(_named(_BEST)))} over all MLPs, {_shown(columns[_BEST][-2])} over
all held-out models and {_shown(columns[_BEST][-1])} among those without label noise, where N
alone has {_shown(columns["N"][-1])}; over all of them N alone has {_shown(columns["N"][-2])}:
energy counts where labels differ, N where sizes do. The distance from initialisation per example,
for which the initial weights must be at hand, has {_shown(developed.correlation(moved))},
{_shown(columns[_DISTANCE][-2])} and {_shown(columns[_DISTANCE][-1])}. That no number from the
weights alone can hold in general needs no experiment: the same file is right in one world and
wrong in another (last section). A forest fitted to all numbers from the weights has
{_shown(next(iter(bounds.values())))} on MLPs that it has not seen, and elsewhere {elsewhere}."""


def _turn(found: Correlation | None) -> str:
    if found is None or found.low <= 0:
        return ""
    return " (the sign turns: more data makes both the accuracy and the work of training larger)"


def _equal(part: Zoo, indicator: Indicator) -> Correlation | None:
    return part.correlation(indicator, group=lambda recipe: recipe.examples)


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "none meets"
    return f"{', '.join(names)} {'meets' if len(names) == 1 else 'meet'}"


def _named(name: str) -> Indicator:
    return next(each for each in INDICATORS if each.name == name)


def _size(found: Correlation | None) -> float:
    return 0.0 if found is None else abs(found.value)


def _shown(found: Correlation | None) -> str:
    return "–" if found is None else str(found)
