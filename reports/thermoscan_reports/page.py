"""What a page about a card says, as plain frozen data: headline, findings by kind, coverage, files.

Takes a `thermoscan.card.Card`; gives a `Page`, in which every text is printable and every number is
already words. Decides nothing about looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from thermoscan.card import Card, CoverageItem, Finding, Probe, Sampling, Summary
from thermoscan.text import printable
from thermoscan_reports.blocks import Block, blocks_of
from thermoscan_reports.numbers import NULL, percent, scaled, shown
from thermoscan_reports.spectra import spectra_of
from thermoscan_reports.verdict import Verdict, verdict_of

SEVERITIES = ("error", "warning", "info")
_GROUPS_SHOWN = 20
_ITEMS_SHOWN = 5
_FILES_SHOWN = 20
_SHARES = ("work_efficiency", "carnot_bound")


@dataclass(frozen=True)
class Figure:
    """A headline number: symbol, name, value in words, what it is, why it is missing."""

    key: str
    symbol: str
    name: str
    value: str
    meaning: str
    reason: str | None


@dataclass(frozen=True)
class FindingItem:
    """One place where a finding was made; `index` is its layer's in the card, where it is one."""

    index: int | None
    layer: str | None
    message: str
    evidence: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FindingGroup:
    """The findings of one code and severity: meaning and advice once, then the places."""

    code: str
    title: str
    severity: str
    meaning: str
    advice: str
    items: tuple[FindingItem, ...]
    more: int


@dataclass(frozen=True)
class CoverageRow:
    """Where some of the parameters went."""

    status: str
    reason: str
    tensors: str
    parameters: str
    percent: str


@dataclass(frozen=True)
class FileRow:
    """A file that was scanned, refused or skipped, and why."""

    name: str
    size: str
    status: str
    reason: str


@dataclass(frozen=True)
class Page:
    """Everything that a report says, apart from its tables of layers and its pictures."""

    title: str
    facts: tuple[tuple[str, str], ...]
    verdict: Verdict
    sample: str | None
    figures: tuple[Figure, ...]
    findings: tuple[FindingGroup, ...]
    findings_more: int
    not_looked_for: str | None
    blocks: tuple[Block, ...]
    spectra: Block | None
    coverage: tuple[CoverageRow, ...]
    files: tuple[FileRow, ...]
    files_more: int
    notes: tuple[str, ...]
    generator: str
    schema: str


def page_of(card: Card) -> Page:
    """Returns what a report about `card` says."""
    groups = _finding_groups(card)
    files = _files(card)
    return Page(
        title=printable(card.model.id) or NULL,
        facts=_facts(card),
        verdict=verdict_of(card),
        sample=_sample(card.sampling),
        figures=_figures(card),
        findings=groups[:_GROUPS_SHOWN],
        findings_more=len(groups[_GROUPS_SHOWN:]),
        not_looked_for=_not_looked_for(card),
        blocks=blocks_of(card),
        spectra=spectra_of(card),
        coverage=_coverage(card),
        files=files[:_FILES_SHOWN],
        files_more=len(files[_FILES_SHOWN:]),
        notes=tuple(printable(note, 1000) for note in card.notes),
        generator=printable(card.generator),
        schema=printable(card.schema),
    )


def layer_indices(card: Card) -> Mapping[str, int]:
    """Returns a layer's index by its name, or else by its tensor's name: the first of several."""
    backwards = range(len(card.layers) - 1, -1, -1)
    tensors = {card.layers[index].tensor: index for index in backwards}
    return tensors | {card.layers[index].name: index for index in backwards}


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Returns `findings`, worst first, in their own order within one severity."""
    rank = {name: place for place, name in enumerate(SEVERITIES)}
    return sorted(findings, key=lambda finding: rank.get(finding.severity, len(SEVERITIES)))


def _facts(card: Card) -> tuple[tuple[str, str], ...]:
    model = card.model
    facts = [
        ("architecture", printable(model.architecture or NULL)),
        ("parameters", scaled(model.parameters)),
        ("layers", f"{len(card.layers):,}"),
        ("size", scaled(model.bytes, "B")),
        ("types", ", ".join(printable(name, 20) for name in list(model.dtypes)[:6]) or NULL),
    ]
    if model.revision is not None:
        facts.append(("revision", printable(model.revision, 12)))
    return tuple(facts)


def _figures(card: Card) -> tuple[Figure, ...]:
    summary = card.summary
    engine = summary.engine_type or "engine of unknown type"
    rows = [
        ("reduced_temperature", "τ", "Reduced temperature", shown(summary.reduced_temperature),
         "Fan-in × T, without embeddings. 1 is LeCun’s initialisation, 2 is He’s."),
        ("temperature", "T", "Temperature", shown(summary.temperature),
         "Mean squared weight: energy per degree of freedom."),
        ("order", "J", "Order", shown(summary.order),
         "Nats per parameter away from a Gaussian, which has 0."),
        ("transition_temperature", "T*", "Transition temperature",
         shown(summary.transition_temperature),
         "Energy per entropy gained since initialisation; comparable at equal data."),
        *_refresh(summary),
        ("work_efficiency", "η", "Work efficiency", percent(summary.work_efficiency),
         f"Share of the pre-activations’ heat handed on as work ({engine})."),
        *_measured(card.probe),
        ("carnot_bound", "C", "Carnot bound", percent(summary.carnot_bound),
         "1 − coldest τ / hottest τ over the layers that do work."),
        ("bits_per_parameter", "b", "Bits per parameter", shown(summary.bits_per_parameter),
         "Entropy of a stored weight’s bits; of wide floats an upper bound."),
    ]  # fmt: skip
    figures = [
        Figure(*row[:-1], _within(summary, row[0]) + row[-1], reason=_reason(summary, row[0]))
        for row in rows
    ]
    analysed = card.coverage.analysed
    meaning = f"Of the parameters, {scaled(analysed.parameters)} in {len(card.layers):,} layers."
    figures.append(
        Figure("coverage", "%", "Analysed", percent(analysed.percent / 100), meaning, None)
    )
    return tuple(figures)


_Row = tuple[str, str, str, str, str]


def _refresh(summary: Summary) -> Iterator[_Row]:
    if summary.refresh_temperature is not None:
        meaning = "The same from the base checkpoint."
        value = shown(summary.refresh_temperature)
        yield "refresh_temperature", "T*₂", "Refresh temperature", value, meaning


def _measured(probe: Probe | None) -> Iterator[_Row]:
    if probe is None:
        return
    if probe.run.efficiency is not None:
        meaning = "The same share, measured on data at the real activations."
        value = percent(probe.run.efficiency)
        yield "measured_efficiency", "η", "Measured efficiency", value, meaning
    if probe.run.temperature is not None:
        meaning = "Nats per parameter: how the loss on the data would rise if all weights grew."
        value = shown(probe.run.temperature)
        yield "virial_temperature", "Tᵥ", "Virial temperature", value, meaning


def _within(summary: Summary, key: str) -> str:
    """The interval of a figure, in words; empty where it has none."""
    if key not in summary.intervals:
        return ""
    say = percent if key in _SHARES else shown
    low, high = (say(end) for end in summary.intervals[key])
    return f"95 %: {low} to {high}. "


def _sample(sampling: Sampling | None) -> str | None:
    if sampling is None:
        return None
    return (
        f"Estimated from {percent(sampling.share)} of the bytes, with "
        f"{percent(sampling.confidence)} intervals: {scaled(sampling.bytes_read, 'B')} of "
        f"{scaled(sampling.bytes_in_all, 'B')}, in {sampling.blocks:,} blocks chosen with seed "
        f"{sampling.seed}, and {sampling.tensors_whole:,} tensors whole."
    )


def _not_looked_for(card: Card) -> str | None:
    """The kinds that were not looked for, by their reason."""
    reasons: dict[str, list[str]] = {}
    for each in card.not_looked_for:
        reasons.setdefault(each.reason, []).append(printable(each.code, 60).replace("-", " "))
    parts = [f"{', '.join(kinds)} ({printable(why, 200)})" for why, kinds in reasons.items()]
    return f"Not looked for: {'; '.join(parts)}." if parts else None


def _reason(summary: Summary, key: str) -> str | None:
    if getattr(summary, key, 0.0) is not None:
        return None
    return printable(summary.reasons.get(key, "not known"), 300)


def _finding_groups(card: Card) -> tuple[FindingGroup, ...]:
    indices = layer_indices(card)
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in by_severity(card.findings):
        kinds.setdefault((finding.severity, finding.code), []).append(finding)
    return tuple(_finding_group(found, indices) for found in kinds.values())


def _finding_group(found: list[Finding], indices: Mapping[str, int]) -> FindingGroup:
    first = found[0]
    code = printable(first.code, 60)
    return FindingGroup(
        code=code,
        title=code.replace("-", " ").capitalize(),
        severity=first.severity if first.severity in SEVERITIES else "info",
        meaning=printable(first.meaning, 500),
        advice=printable(first.advice, 500),
        items=tuple(_finding_item(item, indices) for item in found[:_ITEMS_SHOWN]),
        more=len(found[_ITEMS_SHOWN:]),
    )


def _finding_item(finding: Finding, indices: Mapping[str, int]) -> FindingItem:
    return FindingItem(
        index=None if finding.layer is None else indices.get(finding.layer),
        layer=None if finding.layer is None else printable(finding.layer, 100) or NULL,
        message=printable(finding.message, 500),
        evidence=tuple(
            (printable(key, 40).replace("_", " "), _evidence(value))
            for key, value in list(finding.evidence.items())[:8]
        ),
    )


def _evidence(value: float | int | str | None) -> str:
    if isinstance(value, float):
        return shown(value)
    return f"{value:,}" if isinstance(value, int) else printable(value or NULL, 100)


def _coverage(card: Card) -> tuple[CoverageRow, ...]:
    coverage = card.coverage
    parts = (
        ("analysed", (coverage.analysed,)),
        ("recorded", coverage.recorded),
        ("skipped", coverage.skipped),
    )
    return tuple(_coverage_row(status, item) for status, items in parts for item in items)


def _coverage_row(status: str, item: CoverageItem) -> CoverageRow:
    return CoverageRow(
        status=status,
        reason=printable(item.reason, 200),
        tensors=f"{item.tensors:,}",
        parameters=f"{item.parameters:,}",
        percent=f"{item.percent:.2f} %",
    )


def _files(card: Card) -> tuple[FileRow, ...]:
    """Refused files first: of all of them, these are what a person must know."""
    others = sorted(card.files, key=lambda file: file.status != "refused")
    rows = [
        FileRow(
            printable(file.name, 80) or NULL,
            scaled(file.bytes, "B"),
            printable(file.status, 20),
            printable(file.reason, 200),
        )
        for file in others
    ]
    for scanned in card.model.files:
        digest = printable(scanned.reasons.get("digest", ""), 200)
        if scanned.digest is not None:
            algorithm, value = scanned.digest.algorithm, scanned.digest.value
            digest = f"{printable(algorithm, 20)} {printable(value, 20)}"
        name = printable(scanned.name, 80) or NULL
        rows.append(FileRow(name, scaled(scanned.bytes, "B"), "scanned", digest))
    return tuple(rows)
