"""The table in ``docs/anatomy.md``: how the anatomy of each model type fares."""

from __future__ import annotations

from collections import Counter

from support.anatomy_oracle import Verdict, everything, judge, specimen
from support.tiny_models import TINY

_ASPECTS = ("size", "role", "norm", "activation", "norm behind", "initialisation", "tie")
_HEAD = (
    "| model type | classes | layers | engines | " + " | ".join(_ASPECTS) + " | not known |\n"
    "|---|---|---|---|" + "---|" * (len(_ASPECTS) + 1)
)


def table() -> str:
    """Returns the table: a row for each model type and variant, and the sum."""
    rows = []
    total: Counter[str] = Counter()
    for name in TINY:
        heads = [head for other, head in everything() if other == name]
        verdicts = [judge(name, head) for head in heads]
        counts = _counts(name, verdicts)
        total.update(counts)
        rows.append(_row(f"`{name}`", ", ".join(heads), counts, _unknown(verdicts)))
    return "\n".join([_HEAD, *rows, _row("together", "", total, "")])


def _counts(name: str, verdicts: list[Verdict]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for verdict in verdicts:
        counts.update(verdict.checked)
        layers = specimen(name, verdict.head).anatomy.layers
        counts["layers"] += len(layers)
        counts["engines"] += sum(layer.engine for layer in layers)
        counts["wrong"] += len(verdict.mistakes)
    return counts


def _row(name: str, heads: str, counts: Counter[str], unknown: str) -> str:
    figures = [counts["layers"], counts["engines"], *(counts[aspect] for aspect in _ASPECTS)]
    wrong = f"**{counts['wrong']} wrong** " if counts["wrong"] else ""
    return f"| {name} | {heads} | {' | '.join(map(str, figures))} | {wrong}{unknown} |"


def _unknown(verdicts: list[Verdict]) -> str:
    reasons: Counter[tuple[str, str]] = Counter()
    for verdict in verdicts:
        reasons.update(verdict.unknown)
    return "; ".join(f"{what}: {why} ({count})" for (what, why), count in sorted(reasons.items()))
