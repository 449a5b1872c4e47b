"""WeightWatcher 0.7.7 and the package on the same checkpoints: every figure that both have.

WeightWatcher runs once for everything here. Its rows for published checkpoints, which take it half
a minute, are kept in ``goldens/weightwatcher``; ``--update-goldens`` has it analyse them again, and
rewrites the tables of docs/weightwatcher.md.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import parity, parity_page
from support.parity_inputs import WAYS, Input, inputs, without_torch
from support.parity_subjects import RECORDED, Subject, earlier_mlp, live, recorded

from studies import weightwatcher
from studies.weightwatcher import Answer, Job
from thermoscan import ScanOptions, card_io, compare, scan
from thermoscan.card import Card
from thermoscan.card_frames import spectra_frame
from thermoscan.options import SpectraOptions

PAGE = Path(__file__).parents[2] / "docs" / "weightwatcher.md"
GOLDENS = Path(__file__).parent / "goldens" / "weightwatcher"
SPECTRA = ScanOptions(spectra=SpectraOptions())
SHUFFLED = ScanOptions(spectra=SpectraOptions(shuffle=True))

TRUNCATED = {"layers": [2], "fit": "TPL", "pl_package": "powerlaw"}

EVERYTHING = {"layers": [2], "mp_fit": True, "randomize": True, "detX": True}
"""What `analyze` gives on request beside another fit."""

METHODS = ("raw", "euclidean", "cka")

CHECKED = {"minilm": [7, 42, 53]}
"""Layers that WeightWatcher analyses anew whenever the tests run, by its numbers."""


@dataclass(frozen=True)
class Both:
    """What both said.

    Attributes:
        subjects: The models that were compared.
        rows: WeightWatcher's, by subject.
        summaries: Its means, by subject.
        cards: The package's, by subject.
        again: WeightWatcher's rows of today for layers of `CHECKED`.
        requested: Its rows for the MLP with each set of options.
        distances: Its rows for the MLP beside `base`, by method.
        base: The MLP as it was earlier.
        failures: Every other input, with the answers to its jobs.
        cells: All figures that both have.
    """

    subjects: list[Subject]
    rows: dict[str, Any]
    summaries: dict[str, Any]
    cards: dict[str, Card]
    again: dict[str, Any]
    requested: dict[str, Any]
    distances: dict[str, Any]
    base: Path
    failures: list[tuple[Input, list[Answer]]]
    cells: list[parity.Cell]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Both:
    assert weightwatcher.installed(), (
        "WeightWatcher is missing: make .venv-rivals/weightwatcher/0.7.7"
    )
    folder = tmp_path_factory.mktemp("parity")
    if pytestconfig.getoption("--update-goldens"):
        _record()
    subjects = live(folder)
    mlp = next(each for each in subjects if each.name == "mlp")
    base = earlier_mlp(folder)
    failing = inputs(folder)
    jobs = {each.name: Job((str(each.watched),)) for each in subjects}
    jobs |= {
        f"again {name}": Job((str(recorded(name).watched),), options={"layers": layers})
        for name, layers in CHECKED.items()
    }
    for options in (TRUNCATED, EVERYTHING):
        jobs[f"options {'+'.join(options)}"] = Job((str(mlp.watched),), options=options)
    pair = (str(base), str(mlp.watched))
    jobs |= {method: Job(pair, options={"method": method}) for method in METHODS}
    jobs |= {f"{each.path} {job.given}": job for each in failing for job in each.jobs()}
    answers = dict(zip(jobs, weightwatcher.ask(list(jobs.values())), strict=True))
    last = without_torch(folder)
    alone = weightwatcher.ask(last.jobs(), without_torch=True)
    kept = {name: Answer(**json.loads(_golden(name).read_text())) for name in RECORDED}
    said = {each.name: answers[each.name] for each in subjects} | kept
    subjects += [recorded(name) for name in RECORDED]
    cards = {each.name: scan(str(each.scanned), SPECTRA) for each in subjects}
    return Both(
        subjects=subjects,
        rows={name: answer.rows for name, answer in said.items()},
        summaries={name: answer.summary for name, answer in said.items()},
        cards=cards,
        again={name: answers[f"again {name}"].rows for name in CHECKED},
        requested={
            name.removeprefix("options "): answer.rows
            for name, answer in answers.items()
            if name.startswith("options ")
        },
        distances={method: answers[method].rows for method in METHODS},
        base=base,
        failures=[
            *(
                (each, [answers[f"{each.path} {job.given}"] for job in each.jobs()])
                for each in failing
            ),
            (last, alone),
        ],
        cells=[
            cell
            for each in subjects
            for cell in parity.cells(each.name, said[each.name].rows, cards[each.name])
        ],
    )


def _record() -> None:
    answers = weightwatcher.ask([Job((str(recorded(name).watched),)) for name in RECORDED])
    GOLDENS.mkdir(parents=True, exist_ok=True)
    for name, answer in zip(RECORDED, answers, strict=True):
        assert answer.error is None
        text = json.dumps({"rows": answer.rows, "summary": answer.summary}, indent=1)
        _golden(name).write_text(text + "\n")


def _golden(name: str) -> Path:
    return GOLDENS / f"{name}.json"


@pytest.mark.parametrize("column", parity.COLUMNS, ids=lambda each: each.theirs)
def test_a_column_is_weightwatchers(both: Both, column: parity.Column) -> None:
    verdict = next(each for each in parity.judge(both.cells) if each.column is column)
    assert not verdict.differing, "\n".join(map(str, verdict.differing))


@pytest.mark.parametrize("mark", parity.EXCEPTIONS)
def test_every_exception_is_met(both: Both, mark: str) -> None:
    assert any(mark in each.marks for each in parity.judge(both.cells))


def test_every_row_of_weightwatchers_is_compared(both: Both) -> None:
    assert all(both.rows[each.name] for each in both.subjects)
    assert len(both.cells) == sum(map(len, both.rows.values())) * len(parity.COLUMNS)


def test_what_has_no_row_there_has_too_few_or_too_many_eigenvalues(both: Both) -> None:
    for name, card in both.cards.items():
        rows = {row["longname"] for row in both.rows[name]}
        assert rows == {parity.name_there(each) for each in card.layers if parity.has_row(each)}
    left_out = len(both.cards["crepe-full"].layers) - len(both.rows["crepe-full"])
    assert left_out == 2


def test_every_column_of_weightwatchers_is_in_the_tables(both: Both) -> None:
    rows = [row for rows in both.rows.values() for row in rows]
    given = {name for row in rows for name in row}
    assert given == {each.theirs for each in parity.COLUMNS} | set(parity.NAMES)
    requested = {name for rows in both.requested.values() for row in rows for name in row}
    assert requested - given == (set(parity.UNEQUAL) | set(parity.ABSENT)) - given


@pytest.mark.parametrize("name", CHECKED)
def test_what_was_recorded_is_what_it_says_today(both: Both, name: str) -> None:
    before = {row["longname"]: row for row in both.rows[name]}
    assert len(both.again[name]) == len(CHECKED[name])
    for row in both.again[name]:
        for key, value in row.items():
            kept = before[row["longname"]][key]
            assert kept == (value if isinstance(value, str) else pytest.approx(value, rel=1e-9))


def test_means_over_layers_are_those_of_get_summary(both: Both) -> None:
    for name in ("crepe-tiny", "mlp", "embedding", "gpt2", "gpt2-fused"):
        ours, summary = both.cards[name].spectra, both.summaries[name]
        assert len(summary) == 6
        found = {key: getattr(ours, key) for key in summary}
        assert found == pytest.approx(dict(summary), rel=parity.TOLERANCE), name


def test_the_frame_has_weightwatchers_columns_under_their_names(both: Both) -> None:
    frame = spectra_frame(both.cards["crepe-tiny"])
    counted = frame[frame["counted"]].set_index("name")
    shared = {each.theirs for each in parity.COLUMNS}
    assert shared - set(counted.columns) == parity.NOT_IN_THE_FRAME
    for row in both.rows["crepe-tiny"]:
        for name in shared - parity.NOT_IN_THE_FRAME - {"N", "M", "Q"}:
            found = counted.loc[f"{row['longname']}.weight", name]
            assert found == pytest.approx(row[name], rel=parity.TOLERANCE), name


def test_distances_to_a_base_are_weightwatchers(both: Both) -> None:
    card = compare(str(both.base), str(_mlp(both)))
    base = parity.spectra_by_name(scan(str(both.base), SPECTRA))
    for layer in card.layers:
        name = parity.name_there(layer)
        assert layer.change is not None
        assert layer.change.distance is not None
        distance = layer.change.distance * math.sqrt(base[name].norm)
        for method in ("raw", "euclidean"):
            row = next(row for row in both.distances[method] if row["longname"] == name)
            assert distance == pytest.approx(row["delta_W"], rel=parity.TOLERANCE)


def _mlp(both: Both) -> Path:
    return next(each.scanned for each in both.subjects if each.name == "mlp")


def test_what_it_fails_on_has_a_spectrum(both: Both) -> None:
    for given, _ in both.failures:
        card = scan(str(given.path), SPECTRA)
        _check(card, given)


def test_bfloat16_needs_neither_torch_nor_a_second_core(both: Both) -> None:
    given, _ = both.failures[-1]
    command = [sys.executable, "-c", _ALONE, str(given.path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    _check(card_io.from_json(done.stdout.decode()), given)


_ALONE = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
sys.modules["torch"] = None
from thermoscan.cli import main
sys.argv = ["thermoscan", "scan", sys.argv[1], "--spectra", "--json", "-"]
main()
"""


def _check(card: Card, given: Input) -> None:
    layers = {layer.name: layer for layer in card.layers}
    for name, matrix in given.matrices.items():
        spectra = layers[name].spectra
        assert spectra is not None
        assert spectra.matrix is not None
        values = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
        assert spectra.matrix.sv_max == pytest.approx(values[0], rel=1e-8)
        assert spectra.matrix.sv_min == pytest.approx(values[-1], rel=1e-8)
        assert spectra.matrix.norm == pytest.approx((values**2).sum(), rel=1e-8)


def test_entries_that_are_not_finite_are_said_to_count_as_zero(both: Both) -> None:
    given = next(each for each, _ in both.failures if each.path.name == "nan.safetensors")
    assert any("not finite count as zero" in note for note in scan(str(given.path), SPECTRA).notes)


def test_the_page_shows_the_tables(both: Both, pytestconfig: pytest.Config) -> None:
    tables = {
        "equal": parity_page.equal_table(parity.judge(both.cells)),
        "other": parity_page.other_table(_seen(both)),
        "ours": parity_page.ours_alone(),
        "failures": parity_page.failure_table(_failures(both)),
    }
    for name, table in tables.items():
        committed = _block(name, table if pytestconfig.getoption("--update-goldens") else None)
        assert parity_page.without_figures(committed) == parity_page.without_figures(table), name


def _seen(both: Both) -> Mapping[str, tuple[float, float | None]]:
    """Both figures of the MLP's second layer."""
    rows = [rows[0] for rows in both.requested.values()]
    spectrum = parity.spectra_by_name(scan(str(_mlp(both)), SHUFFLED))[rows[0]["longname"]]
    return {
        name: (next(row[name] for row in rows if name in row), other.ours.value(spectrum))
        for name, other in parity.UNEQUAL.items()
    }


def _failures(both: Both) -> list[parity_page.Failure]:
    return [
        parity_page.Failure(
            what=given.what,
            given=WAYS[job.given],
            outcome=given.outcome(answer),
            ours=f"{len(given.matrices)} spectra" if len(given.matrices) > 1 else "its spectrum",
        )
        for given, answers in both.failures
        for job, answer in zip(given.jobs(), answers, strict=True)
    ]


def _block(name: str, table: str | None) -> str:
    """Returns what the page has between two comments, after it was rewritten."""
    text = PAGE.read_text()
    pattern = re.compile(f"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)
    found = pattern.search(text)
    assert found, name
    if table is not None:
        PAGE.write_text(f"{text[: found.start(2)]}{table}\n{text[found.end(2) :]}")
        return table
    return found[2].removesuffix("\n")
