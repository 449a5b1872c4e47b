"""The first screen of an index in words: how many models there are, and which stand out, and why.

Takes an `Overview`; gives a `Summary`, and an `OutlierList` for each of the three reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thermoscan_reports.deviations import deviations_in_words
from thermoscan_reports.index_data import Overview
from thermoscan_reports.index_models import Model, findings_in_words

SHOWN = 5
"""The most models of a list; the table has them all."""


@dataclass(frozen=True)
class Summary:
    """The headline, and numbers with what they count."""

    headline: str
    counts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class OutlierItem:
    """A model, the address of its card where there is one, and why it stands out."""

    name: str
    href: str | None
    why: str


@dataclass(frozen=True)
class OutlierList:
    """Models that stand out for one reason, `count` in all; `more` are only in the table."""

    title: str
    count: int
    severity: str
    nothing: str
    items: tuple[OutlierItem, ...]
    more: int


def summary_of(overview: Overview) -> Summary:
    """Returns the numbers on the first screen."""
    counts = overview.counts
    scanned = counts["scanned"] + counts["sampled"]
    numbers = [
        ("scanned", f"{scanned:,}"),
        ("refused", f"{counts['refused']:,}"),
        ("skipped", f"{counts['skipped']:,}"),
        ("with errors", f"{counts['error']:,}"),
        ("with warnings at worst", f"{counts['warning']:,}"),
        ("unlike their family", f"{counts['unlike']:,}"),
    ]
    if counts["sampled"]:
        numbers.insert(1, ("of these in a sample", f"{counts['sampled']:,}"))
    total = len(overview.models)
    return Summary(f"{total:,} model{'' if total == 1 else 's'}", tuple(numbers))


def lists_of(overview: Overview) -> tuple[OutlierList, ...]:
    """Returns the models that stand out, by reason, the worst of each first."""
    models = overview.models
    broken = [_item(model, findings_in_words(model)) for model in models if model.findings[0]]
    farthest = sorted(overview.deviations.items(), key=lambda item: -item[1][0].distance)
    unlike = [
        _item(models[place], deviations_in_words(deviations)) for place, deviations in farthest
    ]
    return (
        _refused([model for model in models if model.status == "refused"]),
        _list("With errors", "error", "No model has a finding of severity error.", broken),
        _list(
            "Unlike their family",
            "warning",
            "No figure is an outlier in its family, as far as families are large enough to tell.",
            unlike,
        ),
    )


def _refused(models: Sequence[Model]) -> OutlierList:
    """The refused models, one for each code, the commonest code first."""
    codes: dict[str | None, list[Model]] = {}
    for model in models:
        codes.setdefault(model.code, []).append(model)
    groups = sorted(codes.values(), key=lambda group: -len(group))
    items = [_item(group[0], _reason(group)) for group in groups[:SHOWN]]
    rest = sum(len(group) for group in groups[SHOWN:])
    return OutlierList("Refused", len(models), "error", "No model was refused.", tuple(items), rest)


def _reason(group: Sequence[Model]) -> str:
    reason, others = group[0].reason or "", len(group) - 1
    return f"{reason}; {others:,} more for the same code" if others else reason


def _list(title: str, severity: str, nothing: str, items: Sequence[OutlierItem]) -> OutlierList:
    rest = len(items[SHOWN:])
    return OutlierList(title, len(items), severity, nothing, tuple(items[:SHOWN]), rest)


def _item(model: Model, why: str) -> OutlierItem:
    return OutlierItem(model.name, model.href, why)
