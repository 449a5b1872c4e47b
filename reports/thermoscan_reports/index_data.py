"""What an index says, as plain frozen data: which models stand out and why, and in which order.

Takes `thermoscan.catalogue.index.IndexEntry`s; gives an `Overview`. Texts in it are printable and
short, and a model takes about a kilobyte, so that 100,000 of them can be held.

Three things make a model stand out: it was refused, it has findings of severity error, or a figure
of it is an outlier in its family. A family is the models of one architecture, or, where
none is stated, those whose layers have the same names and shapes; what an outlier is says
`thermoscan.theory.outliers`, of figures on the scale and with the least difference that
`FIGURES` says. Bits are compared within one element type alone, whose width they follow.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from urllib.parse import quote

from thermoscan.catalogue.index import IndexEntry
from thermoscan.text import printable
from thermoscan.theory.outliers import NORMAL_MAD, Outlier, outliers
from thermoscan_reports.numbers import NULL, percent, shown
from thermoscan_reports.page import SEVERITIES
from thermoscan_reports.verdict import LAPLACE_ORDER

_NAME_LIMIT = 100
_REASON_LIMIT = 200
_WORD_LIMIT = 40
_PATH_LIMIT = 500
_CODES_SHOWN = 3


@dataclass(frozen=True)
class Figure:
    """A figure of a model.

    Attributes:
        field: Of the `IndexEntry`.
        symbol: Over its column.
        meaning: In words.
        share: Whether it is a share of one, shown as a percentage.
        logarithmic: Whether it is compared as its logarithm.
        least: Difference below which none is of any matter; None where it is not compared.
        of_median: Whether `least` is a share of the median.
    """

    field: str
    symbol: str
    meaning: str
    share: bool = False
    logarithmic: bool = False
    least: float | None = None
    of_median: bool = False

    def words(self, value: float) -> str:
        """Returns a value of it as a person reads it."""
        return percent(value) if self.share else shown(value)


FIGURES = (
    Figure("reduced_temperature", "τ", "reduced temperature", logarithmic=True, least=math.log(2)),
    Figure("order", "J", "order, nats per parameter", least=LAPLACE_ORDER),
    Figure("transition_temperature", "T*", "transition temperature", least=0.5, of_median=True),
    Figure("refresh_temperature", "T*₂", "refresh temperature, from the base checkpoint"),
    Figure("work_efficiency", "η", "work efficiency", share=True, least=0.05),
    Figure("bits_per_parameter", "bits", "bits per parameter", least=1.0),
    Figure("sparsity", "zeros", "sparsity: share of exact zeros", share=True, least=0.05),
)
"""What a model has; the least differences are those of docs/index-page.md."""

_TAU = 0


@dataclass(frozen=True, slots=True)
class Model:
    """An entry as the page shows it: printable, short, compact.

    Attributes:
        name: Never empty.
        status: ``"scanned"``, ``"sampled"``, ``"refused"`` or ``"skipped"``.
        code: Of a refusal or skip, where it has one; else None.
        reason: Of a refusal or skip, after its code; else None.
        href: Percent-encoded relative address of its card; None where there is none.
        family: Architecture; structure where none is stated; None where neither is known.
        parameters: Their number.
        bytes: Of the weight files.
        dtype: The commonest.
        figures: A value for each of `FIGURES`.
        findings: How many of each severity, in the order of `page.SEVERITIES`.
        worst: Codes of the findings of the worst severity, in words.
        profile: Reduced temperature along the depth; NaN where a part has none.
    """

    name: str
    status: str
    code: str | None
    reason: str | None
    href: str | None
    family: str | None
    parameters: int | None
    bytes: int | None
    dtype: str | None
    figures: tuple[float | None, ...]
    findings: tuple[int, ...]
    worst: str
    profile: array[float]

    @property
    def severity(self) -> str:
        """The worst severity found; empty where nothing was."""
        return next((name for name, n in zip(SEVERITIES, self.findings, strict=True) if n), "")


@dataclass(frozen=True, slots=True)
class Deviation:
    """A figure of a model that is an outlier in its family.

    Attributes:
        figure: Which.
        value: The model's.
        median: Of all members that have the figure, this one among them.
        mads: Distance from the median in MADs, on the scale of the figure; infinite where more
            than half of the members have the very same value.
        above: Whether it lies above the median.
        peers: How many members have the figure.
        family: What they are.
    """

    figure: Figure
    value: float
    median: float
    mads: float
    above: bool
    peers: int
    family: str

    @property
    def distance(self) -> float:
        """The distance in MADs, to sort by; 0 where none can be given."""
        return 0.0 if math.isinf(self.mads) else self.mads

    @property
    def words(self) -> str:
        """The deviation without its family."""
        value, usual = self.figure.words(self.value), self.figure.words(self.median)
        if math.isinf(self.mads):
            return f"{self.figure.symbol} {value}, where more than half share one value, {usual}"
        side = "above" if self.above else "below"
        return f"{self.figure.symbol} {value}, {_counted(self.mads)} MADs {side} the median {usual}"


@dataclass(frozen=True)
class Family:
    """The scanned models of one family, by their places in the overview, at least two."""

    name: str
    members: tuple[int, ...]
    reduced_temperature: float | None


@dataclass(frozen=True)
class Overview:
    """Everything that an index says.

    Attributes:
        models: In the order of the index: refused ones, those with errors (most first), those with
            deviations (the farthest first), the other scanned ones, skipped ones; then by name.
        deviations: Place of a model -> its deviations, the farthest first.
        families: The largest first, then by name.
        counts: Of models by status, by ``"error"`` and ``"warning"`` as the worst finding, and by
            ``"unlike"`` for those with deviations.
    """

    models: tuple[Model, ...]
    deviations: Mapping[int, tuple[Deviation, ...]]
    families: tuple[Family, ...]
    counts: Mapping[str, int]


def overview_of(entries: Iterable[IndexEntry]) -> Overview:
    """Returns what an index of `entries` says."""
    models = [_model(entry) for entry in entries]
    found = _deviations(models)
    order = sorted(range(len(models)), key=lambda at: _rank(models[at], found.get(at, ())))
    models = [models[at] for at in order]
    deviations = {place: found[at] for place, at in enumerate(order) if at in found}
    return Overview(tuple(models), deviations, _families(models), _counts(models, deviations))


def href_of(path: str | None) -> str | None:
    """Returns a relative path as the address of a link.

    None where there is none, or none of a length that can be, below the page.

    >>> href_of("cards/a b#c/card.html"), href_of("javascript:alert(1)"), href_of("//evil/x")
    ('cards/a%20b%23c/card.html', 'javascript%3Aalert(1)', None)
    """
    if not path or len(path) > _PATH_LIMIT or path.startswith("/") or ".." in path.split("/"):
        return None
    return quote(path, safe="/()", errors="surrogatepass")


def deviations_in_words(deviations: Iterable[Deviation]) -> str:
    """Returns deviations and whom they are among; empty where there are none."""
    groups: dict[tuple[int, str], list[str]] = {}
    for each in deviations:
        groups.setdefault((each.peers, each.family), []).append(each.words)
    return "; ".join(
        f"{'; '.join(words)}, among {peers:,} {family}" for (peers, family), words in groups.items()
    )


def findings_in_words(model: Model) -> str:
    """Returns how many findings of each severity a model has, with the codes of the worst.

    Empty where it has none.
    """
    counts = [
        f"{n:,} {name}{'' if n == 1 or name == 'info' else 's'}"
        for name, n in zip(SEVERITIES, model.findings, strict=True)
        if n
    ]
    if counts and model.worst:
        counts[0] += f" ({model.worst})"
    return ", ".join(counts)


def _model(entry: IndexEntry) -> Model:
    findings = tuple(entry.findings.get(severity, 0) for severity in SEVERITIES)
    worst = [printable(code, _WORD_LIMIT).replace("-", " ") for code in entry.worst[:_CODES_SHOWN]]
    more = len(entry.worst) - len(worst)
    code = reason = None
    if entry.status != "scanned":
        code = _word(entry.code)
        why = printable(entry.reason or "no reason was given", _REASON_LIMIT)
        reason = f"{code}: {why}" if code else why
    return Model(
        name=printable(entry.name, _NAME_LIMIT) or NULL,
        status=_word("sampled" if entry.sampled and reason is None else entry.status) or NULL,
        code=code,
        reason=reason,
        href=href_of(entry.card),
        family=_family(entry),
        parameters=entry.parameters,
        bytes=entry.bytes,
        dtype=_word(entry.dtype),
        figures=tuple(getattr(entry, figure.field) for figure in FIGURES),
        findings=findings,
        worst=", ".join(worst) + (f" and {more} more kinds" if more else ""),
        profile=array("f", [math.nan if value is None else value for value in entry.profile]),
    )


def _family(entry: IndexEntry) -> str | None:
    if entry.architecture:
        return _word(entry.architecture)
    return _word(f"structure {entry.structure[:8]}") if entry.structure else None


def _word(text: str | None) -> str | None:
    """A word that many models share, kept once; None where there is none."""
    return sys.intern(printable(text, _WORD_LIMIT)) if text else None


def _rank(model: Model, deviations: Sequence[Deviation]) -> tuple[int, float, str]:
    if model.status == "refused":
        return 0, 0, model.name
    if model.findings[0]:
        return 1, -model.findings[0], model.name
    if deviations:
        return 2, -deviations[0].distance, model.name
    return 4 if model.status == "skipped" else 3, 0, model.name


def _deviations(models: Sequence[Model]) -> dict[int, tuple[Deviation, ...]]:
    found: dict[int, list[Deviation]] = {}
    for place, figure in enumerate(FIGURES):
        if figure.least is None:
            continue
        for family, members in _peers(models, place).items():
            values = [models[at].figures[place] or 0.0 for at in members]
            for outlier in _outliers(figure, values):
                at = members[outlier.index]
                found.setdefault(at, []).append(
                    _deviation(figure, values[outlier.index], outlier, len(members), family)
                )
    return {
        at: tuple(sorted(each, key=lambda deviation: -deviation.distance))
        for at, each in found.items()
    }


def _peers(models: Sequence[Model], place: int) -> dict[str, list[int]]:
    """The members of each family that have a figure; for bits, those of one element type."""
    figure, groups = FIGURES[place], dict[str, list[int]]()
    for at, model in enumerate(models):
        value = model.figures[place]
        if model.family is None or value is None or (figure.logarithmic and value <= 0):
            continue
        family = model.family
        if figure.field == "bits_per_parameter":
            family += f" in {model.dtype or 'types that are not known'}"
        groups.setdefault(family, []).append(at)
    return groups


def _outliers(figure: Figure, values: Sequence[float]) -> tuple[Outlier, ...]:
    scaled = [math.log(value) for value in values] if figure.logarithmic else values
    least = figure.least or 0.0
    if figure.of_median:
        least *= abs(median(scaled))
    return outliers(scaled, [0.0] * len(scaled), least)


def _deviation(
    figure: Figure, value: float, outlier: Outlier, peers: int, family: str
) -> Deviation:
    middle = math.exp(outlier.median) if figure.logarithmic else outlier.median
    mads = outlier.spreads * NORMAL_MAD
    return Deviation(figure, value, middle, mads, outlier.offset > 0, peers, family)


def _families(models: Sequence[Model]) -> tuple[Family, ...]:
    members: dict[str, list[int]] = {}
    for place, model in enumerate(models):
        if model.family is not None and model.reason is None:
            members.setdefault(model.family, []).append(place)
    families = [
        Family(name, tuple(places), _median([models[at].figures[_TAU] for at in places]))
        for name, places in members.items()
        if len(places) > 1
    ]
    return tuple(sorted(families, key=lambda family: (-len(family.members), family.name)))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _counts(models: Sequence[Model], deviations: Mapping[int, object]) -> dict[str, int]:
    counts = dict.fromkeys(("scanned", "sampled", "refused", "skipped", *SEVERITIES), 0)
    for model in models:
        counts[model.status] = counts.get(model.status, 0) + 1
        if model.severity:
            counts[model.severity] += 1
    return counts | {"unlike": len(deviations)}


def _counted(mads: float) -> str:
    return f"{mads:.1f}" if mads < 100 else f"{mads:,.0f}" if mads < 1e6 else f"{mads:.0e}"
