"""The verdict: what state the model is in, in a few words that follow from the card by fixed rules.

Takes a card; gives a severity, a headline and sentences. Two landmarks stand for "how far": a
Laplace distribution has the order ½ ln(π/e), and the initialisations of LeCun and He have τ = 1 and
τ = 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from thermoscan.card import Card, Summary
from thermoscan.text import printable
from thermoscan_reports.numbers import percent, shown

LAPLACE_ORDER = 0.5 * math.log(math.pi / math.e)
_GAUSSIAN_ORDER = 0.01


@dataclass(frozen=True)
class Verdict:
    """The worst severity found (``"ok"`` where only information or nothing was), and words."""

    severity: str
    headline: str
    sentences: tuple[str, ...]


def verdict_of(card: Card) -> Verdict:
    """Returns the verdict on `card`."""
    severity, headline = _headline(card)
    summary = card.summary
    sentences = (_warmth(summary), _training(summary), _order(summary), _engine(summary))
    return Verdict(severity, headline, tuple(text for text in sentences if text))


def _headline(card: Card) -> tuple[str, str]:
    if not card.layers:
        return "warning", "Nothing here could be read as weights."
    errors = [finding.code for finding in card.findings if finding.severity == "error"]
    warnings = [finding.code for finding in card.findings if finding.severity == "warning"]
    if errors:
        also = f" (and {_counted(len(warnings), 'thing')} to look at)" if warnings else ""
        return "error", f"Broken in {_counted(len(errors), 'place')}{also}: {_kinds(errors)}."
    if warnings:
        count = _counted(len(warnings), "thing").capitalize()
        return "warning", f"{count} to look at: {_kinds(warnings)}."
    return "ok", "Nothing stands out in the sample." if card.sampling else "Nothing stands out."


def _kinds(codes: list[str]) -> str:
    kinds = [printable(code, 40).replace("-", " ") for code in dict.fromkeys(codes)]
    return ", ".join(kinds[:3]) + (" and more" if len(kinds) > 3 else "")


def _counted(number: int, noun: str) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    word = words[number] if number < len(words) else f"{number:,}"
    return f"{word} {noun}{'' if number == 1 else 's'}"


def _warmth(summary: Summary) -> str:
    reduced = summary.reduced_temperature
    if reduced is None:
        return ""
    if reduced < 0.5:
        place = "colder than any usual initialisation"
    elif reduced < 1.5:
        place = "about as warm as LeCun’s initialisation"
    elif reduced < 3:
        place = "about as warm as He’s initialisation"
    else:
        place = "hotter than He’s initialisation"
    return f"At τ = {shown(reduced)} it is {place}."


def _training(summary: Summary) -> str:
    transition = summary.transition_temperature
    if transition is None:
        return ""
    if transition < 0:
        return "Energy and entropy moved in opposite directions since initialisation (T* < 0)."
    return f"Its training took T* = {shown(transition)} of energy per unit of entropy."


def _order(summary: Summary) -> str:
    order = summary.order
    if order is None:
        return ""
    if order < _GAUSSIAN_ORDER:
        shape = "Gaussian to within a hundredth of a nat"
    elif order < LAPLACE_ORDER:
        shape = "between a Gaussian and a Laplace distribution"
    else:
        shape = "further from a Gaussian than a Laplace distribution is"
    return f"Weights are {shape} (J = {shown(order)})."


def _engine(summary: Summary) -> str:
    if summary.work_efficiency is None:
        return ""
    kind = f"a {summary.engine_type}" if summary.engine_type else "an"
    return f"It runs as {kind} engine at {percent(summary.work_efficiency)} work efficiency."
