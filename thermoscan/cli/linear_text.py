"""A `LinearReport` as JSON and as a terminal's text."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from thermoscan.cli.linear_report import LinearReport
from thermoscan.text import printable
from thermoscan.theory.linear import APPLIES_WITHIN, ASYMPTOTIC, LinearState, LinearTransition

_SIGNIFICANT_DIGITS = 9
_WIDTH = 100
_TITLES = {
    "initial": "initialisation",
    "trained": "trained",
    "outdated": "on newer data",
    "refreshed": "refreshed",
}
_NO_LIMIT = {
    "mse": "the temperature is one expression at every s",
    "mae": "it falls to zero faster than any power of s, but for targets of zero",
}


def to_json(report: LinearReport) -> str:
    """Returns the report as JSON text; a null has its reason under the same name in ``reasons``."""
    document = _rounded(asdict(report))
    for name in _TITLES:
        state = getattr(report, name)
        if state is not None:
            document[name]["entropy_per_parameter"] = _rounded(state.entropy_per_parameter)
            document[name]["reasons"] = dict(_reasons(report, name, state))
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def to_text(report: LinearReport) -> str:
    """Returns the report as a short table and sentences, without colour."""
    from rich.console import Console  # noqa: PLC0415 - JSON does not need it

    console = Console(
        file=io.StringIO(), width=_WIDTH, highlight=False, markup=False, emoji=False, no_color=True
    )
    with console.capture() as capture:
        console.print(_head(report), "", _table(report), "", *_sentences(report), sep="\n")
    lines = (line.rstrip() for line in capture.get().rstrip().splitlines())
    return "\n".join(lines) + "\n"


def _rounded(value: Any) -> Any:
    """Returns `value` with numbers of nine significant digits, and lists for tuples."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value


def _reasons(report: LinearReport, name: str, state: LinearState) -> Iterator[tuple[str, str]]:
    if state.effective_features is None:
        yield "effective_features", "it is exact, whatever the number of features"
    for limit in ("small_limit", "large_limit"):
        if getattr(state, limit) is None:
            started = name == "initial"
            why = _NO_LIMIT[report.loss] if started else "limits are those of an initialisation"
            yield limit, why
    if state.applies is None:
        yield "applies", f"no limit is within {APPLIES_WITHIN:.0%} of the temperature"


def _head(report: LinearReport) -> str:
    classes = "" if report.classes is None else f", {report.classes} classes"
    return (
        f"{printable(report.data)}: {report.samples:,} samples, {report.features:,} features"
        f"{classes}, target '{printable(report.target, 60)}'\n"
        f"loss {report.loss}, initialisation {' and '.join(report.initialisations)}"
    )


def _table(report: LinearReport) -> Any:
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, padding=(0, 3, 0, 0))
    states = {name: getattr(report, name) for name in _TITLES}
    states = {name: state for name, state in states.items() if state is not None}
    table.add_column("")
    for name in states:
        table.add_column(_TITLES[name], justify="right", no_wrap=True)
    for title, field in (
        ("energy E", "energy"),
        ("entropy S, nats", "entropy"),
        ("S per parameter", "entropy_per_parameter"),
        ("temperature T", "temperature"),
        ("  as s → 0", "small_limit"),
        ("  as s → ∞", "large_limit"),
    ):
        values = [getattr(state, field) for state in states.values()]
        if any(value is not None for value in values):
            table.add_row(title, *("–" if each is None else f"{each:.6g}" for each in values))
    table.add_row("E and T are", *(state.validity for state in states.values()))
    return table


def _sentences(report: LinearReport) -> Iterator[str]:
    initial = report.initial
    if initial.applies is not None:
        arrow = "s → 0" if initial.applies == "small" else "s → ∞"
        yield f"The limit {arrow} applies: it is within {APPLIES_WITHIN:.0%} of T."
    if initial.validity == ASYMPTOTIC:
        yield (
            "Asymptotic: outputs are as nearly normal as those of "
            f"{initial.effective_features:.3g} equal features would be; the more, the nearer."
        )
    for title, name in (("Training", "training"), ("Refresh", "refresh")):
        yield f"{title}: {_transition(getattr(report, name), report.reasons.get(name))}"


def _transition(transition: LinearTransition | None, reason: str | None) -> str:
    if transition is None:
        return f"none: {reason}."
    known = transition.temperature
    temperature = f"no T*: {transition.reason}" if known is None else f"T* = {known:.6g}"
    return (
        f"ΔE = {transition.energy_change:.6g}, ΔS = {transition.entropy_change:.6g} ± "
        f"{transition.entropy_error:.2g} nats, {temperature} ({transition.validity})."
    )
