"""Whole processes of other tools on the same inputs, each in an environment of its own.

weightlens computes streaming moments and quantiles, the closest work, here with two workers.
WeightWatcher computes the spectrum of every matrix, which is more work and not the same work: its
ratio says what a person waits, no more. Spectra beside spectra are measured
[by themselves](benchmarks-spectra.md).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import data
from benchmarks.processes import interleaved, median_ratio, scan, take
from benchmarks.report import Row, Target
from benchmarks.scale import Scale

ENVIRONMENTS = Path(__file__).parents[1] / ".venv-rivals"
_ROUNDS = 3
_WATCH = "import sys, weightwatcher; weightwatcher.WeightWatcher(model=sys.argv[1]).analyze()"


@dataclass(frozen=True, slots=True)
class Rival:
    """Another tool.

    Attributes:
        name: Its name on PyPI, and of its environment.
        label: What the table calls it.
        command: From a model's folder to the command that analyses it.
        limits: Model -> the ratio of our time to its time that is aimed at.
        once: Models that it takes minutes for: one round is enough.
    """

    name: str
    label: str
    command: Callable[[Path], list[str]]
    limits: dict[str, float]
    once: frozenset[str] = frozenset()


def installed() -> bool:
    """Says whether the rivals' environments are there."""
    return all(_program(rival.name, "python").exists() for rival in RIVALS)


def measure(scale: Scale) -> Iterator[Row]:
    """Yields the ratio of our time to each rival's, for each model."""
    models = {
        "MiniLM, 23 M float32": data.minilm(),
        "GPT-2, 124 M float32": data.gpt2(scale),
        "Llama, 1.1 B bf16": data.llama(scale, scale.layers),
    }
    for rival in RIVALS:
        for model, folder in models.items():
            yield _compare(rival, model, folder)


def _compare(rival: Rival, model: str, folder: Path) -> Row:
    scan(folder)  # fills the page cache
    command = rival.command(folder)
    peaks: list[int] = []

    def theirs() -> float:
        taken = take(command)
        peaks.append(taken.peak_bytes)
        return taken.seconds

    rounds = 1 if model in rival.once else _ROUNDS
    seconds = interleaved({"ours": lambda: scan(folder).seconds, "theirs": theirs}, rounds)
    ours, other = (statistics.median(seconds[name]) for name in ("ours", "theirs"))
    limit = rival.limits.get(model)
    return Row(
        f"{model}: thermoscan / {rival.label}",
        median_ratio(seconds["ours"], seconds["theirs"]),
        target=Target(limit, at_most=True) if limit else None,
        how=f"{ours:.2f} s against {other:.1f} s and {max(peaks) / 1e6:.0f} MB",
    )


def _program(environment: str, name: str) -> Path:
    return ENVIRONMENTS / environment / "bin" / name


def _lens(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    target = index if index.exists() else folder / "model.safetensors"
    return [str(_program("weightlens", "lens")), "analyze", str(target), "--num-workers", "2"]


def watcher() -> str:
    """Returns the Python that has WeightWatcher."""
    return str(_program("weightwatcher", "python"))


def watch(folder: Path) -> list[str]:
    """Returns the command by which WeightWatcher analyses a folder."""
    return [watcher(), "-c", _WATCH, str(folder)]


RIVALS = (
    Rival(
        "weightlens",
        "weightlens",
        _lens,
        {"GPT-2, 124 M float32": 1 / 10, "Llama, 1.1 B bf16": 1 / 10},
    ),
    Rival(
        "weightwatcher",
        "WeightWatcher (more work: spectra)",
        watch,
        {
            "MiniLM, 23 M float32": 1 / 5,
            "GPT-2, 124 M float32": 1 / 15,
            "Llama, 1.1 B bf16": 1 / 100,
        },
        once=frozenset({"Llama, 1.1 B bf16"}),
    ),
)
