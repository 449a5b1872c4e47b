"""What a page says of things that not every card has: a run on data, a base, experts.

Takes a card; gives a `Block` of text and table for each that is there. Every text is printable and
every number is already words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thermoscan.card import Card, Comparison, ExpertSpread, Probe, ProbeRun
from thermoscan.text import printable
from thermoscan_reports.numbers import NULL, percent, shown

EXPERTS_SHOWN = 20
_REMOVED_SHOWN = 5


@dataclass(frozen=True)
class Block:
    """A section: identifier, title, sentences, and a table with a caption.

    The first cell of a row is its head; `more` counts the rows that are in the JSON card only.
    """

    key: str
    title: str
    sentences: tuple[str, ...]
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int = 0


def blocks_of(card: Card) -> tuple[Block, ...]:
    """Returns the blocks that `card` has something for."""
    found = []
    if card.comparison:
        found.append(_compared(card, card.comparison))
    if card.probe:
        found.append(_probed(card.probe))
    if card.experts:
        found.append(_experts(card.experts))
    return tuple(found)


def _probed(probe: Probe) -> Block:
    runs = [("on the data", probe.run), ("on the reference data", probe.reference)]
    if probe.baseline:
        copies = "a re-initialised copy" if probe.copies == 1 else f"{probe.copies} fresh copies"
        runs.append((f"{copies}, on the data", probe.baseline))
    objective = printable(probe.objective, 100)
    how = f"Loss: {objective}. Run on {printable(probe.device, 40)} with seed {probe.seed}."
    return Block(
        key="probe",
        title="Run on data",
        sentences=(how, *_unmeasured(probe)),
        caption="Loss and virial temperature in nats, efficiency at the real activations",
        columns=("Model", "Data", "Inputs", "Positions", "Loss", "T", "η"),
        rows=tuple(_run(name, run) for name, run in runs if run),
    )  # fmt: skip


def _run(name: str, run: ProbeRun) -> tuple[str, ...]:
    return (
        name,
        printable(run.data, 60) or NULL,
        f"{run.inputs:,}",
        f"{run.positions:,}",
        shown(run.loss),
        shown(run.temperature),
        percent(run.efficiency),
    )


def _unmeasured(probe: Probe) -> Iterator[str]:
    """Why the whole run lacks a number, each reason once."""
    reasons = [*probe.reasons.values(), *probe.run.reasons.values()]
    for reason in dict.fromkeys(reasons):
        yield f"{printable(reason, 300).capitalize()}."


def _compared(card: Card, comparison: Comparison) -> Block:
    base = printable(comparison.base, 80) or NULL
    revision = comparison.base_revision
    at = f" at {printable(revision, 12)}" if revision else ""
    verdict = printable(comparison.verdict, 40)
    rows = (
        ("ΔE", shown(comparison.energy_change), "change of energy per parameter, ½ Δ<w²>"),
        ("ΔS", shown(comparison.entropy_change), "change of entropy per parameter, nats"),
        ("T*₂", shown(card.summary.refresh_temperature), "refresh temperature ΔE / ΔS"),
        ("Δ", shown(comparison.distance), "distance |w₁ − w₀| / |w₀|"),
        ("cos", shown(comparison.cosine), "cosine of the weights with the base’s"),
        ("kept", shown(comparison.kept), "share of the base that is still in the weights"),
    )
    return Block(
        key="comparison",
        title=f"Beside {base}{at}",
        sentences=(f"{verdict.capitalize()}: {printable(comparison.because, 500)}",
                   *_statuses(comparison), *_ranks(card), *_removed(comparison)),
        caption="The whole model since its base",
        columns=("Figure", "Value", "What it is"),
        rows=rows,
    )  # fmt: skip


def _statuses(comparison: Comparison) -> Iterator[str]:
    counts = [f"{n:,} {printable(name, 30)}" for name, n in comparison.statuses.items() if n]
    if counts:
        yield f"Layers: {', '.join(counts)}."


def _ranks(card: Card) -> Iterator[str]:
    ranks = [layer.change.rank for layer in card.layers if layer.change and layer.change.rank]
    if ranks:
        span = f"{min(ranks)}" if min(ranks) == max(ranks) else f"{min(ranks)} to {max(ranks)}"
        yield f"The change is of low rank in {len(ranks):,} layers: {span}."


def _removed(comparison: Comparison) -> Iterator[str]:
    names = comparison.removed
    if names:
        listed = ", ".join(printable(name, 60) or NULL for name in names[:_REMOVED_SHOWN])
        more = f" and {len(names) - _REMOVED_SHOWN:,} more" if len(names) > _REMOVED_SHOWN else ""
        yield f"Gone from the base: {listed}{more}."


def _experts(experts: tuple[ExpertSpread, ...]) -> Block:
    """The mixtures whose experts differ most come first."""
    ordered = sorted(experts, key=lambda each: -(each.temperature_spread or 0.0))
    rows = ordered[:EXPERTS_SHOWN]
    return Block(
        key="experts",
        title="Experts",
        sentences=("How far the experts of each mixture are apart, widest first.",),
        caption="Spread of T: standard deviation over mean, and what sampling alone would give",
        columns=("Matrix", "Role", "Experts", "τ", "Spread of T", "by sampling", "Spread of J",
                 "Coldest", "Hottest"),
        rows=tuple(_expert(each) for each in rows),
        more=len(ordered) - len(rows),
    )  # fmt: skip


def _expert(each: ExpertSpread) -> tuple[str, ...]:
    return (
        printable(each.name, 100) or NULL,
        printable(each.role, 40),
        f"{each.experts:,}",
        shown(each.reduced_temperature),
        percent(each.temperature_spread),
        percent(each.sampling_spread),
        shown(each.order_spread),
        _which(each.coldest, each.name),
        _which(each.hottest, each.name),
    )


def _which(expert: str | None, mixture: str) -> str:
    """What an expert's name has in the place of the mixture's ``*``: its number."""
    if not expert:
        return NULL
    pairs = enumerate(zip(expert, mixture, strict=False))
    begin = next((at for at, (one, other) in pairs if one != other), 0)
    end = len(expert) - (len(mixture) - begin - len("*"))
    return printable(expert[begin:end], 20) or NULL
