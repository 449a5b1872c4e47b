"""A model as an index shows it: its figures, and words that are printable and short.

Takes a `thermoscan.catalogue.index.IndexEntry`; gives a `Model`, which takes about a kilobyte, so
that 100,000 of them can be held.
"""

from __future__ import annotations

import math
import sys
from array import array
from dataclasses import dataclass
from urllib.parse import quote

from thermoscan.catalogue.index import IndexEntry
from thermoscan.text import printable
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


def model_of(entry: IndexEntry) -> Model:
    """Returns an entry as the page shows it."""
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


def href_of(path: str | None) -> str | None:
    """Returns a relative path as the address of a link.

    None where there is none, or none of a length that can be, below the page.

    >>> href_of("cards/a b#c/card.html"), href_of("javascript:alert(1)"), href_of("//evil/x")
    ('cards/a%20b%23c/card.html', 'javascript%3Aalert(1)', None)
    """
    if not path or len(path) > _PATH_LIMIT or path.startswith("/") or ".." in path.split("/"):
        return None
    return quote(path, safe="/()", errors="surrogatepass")


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
