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
from collections.abc import Mapping, Sequence
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
from thermoscan.spectra import eigenvalues_of

PAGE = Path(__file__).parents[2] / "docs" / "weightwatcher.md"
GOLDENS = Path(__file__).parent / "goldens" / "weightwatcher"
SPECTRA = ScanOptions(spectra=SpectraOptions())
SHUFFLED = ScanOptions(spectra=SpectraOptions(shuffle=True))


ALWAYS = {"detX": True}
"""What it is asked for beside its defaults, since the package has it always."""

REQUESTED = {
    "truncated": {"fit": "TPL", "pl_package": "powerlaw"},
    "beside": {"mp_fit": True, "randomize": True},
}
"""What `analyze` gives on request."""

CHECKED = {"minilm": [7, 42, 53]}
"""Layers that WeightWatcher analyses anew whenever the tests run, by its numbers."""


@dataclass(frozen=True)
class Both:
    """What both said.

    Attributes:
        subjects: The models that were compared.
        said: What WeightWatcher said of each.
        cards: What the package said of each.
        cells: All figures that both have.
        answers: What WeightWatcher said beside, by kind of question and name.
        base: The MLP as it was earlier.
        failing: Other inputs, each with WeightWatcher's answers to its jobs.
    """

    subjects: Mapping[str, Subject]
    said: Mapping[str, Answer]
    cards: Mapping[str, Card]
    cells: Sequence[parity.Cell]
    answers: Mapping[str, Mapping[str, Answer]]
    base: Path
    failing: Sequence[tuple[Input, Sequence[Answer]]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Both:
    assert weightwatcher.installed(), "it is missing: make .venv-rivals/weightwatcher/0.7.7"
    folder = tmp_path_factory.mktemp("parity")
    if pytestconfig.getoption("--update-goldens"):
        _record()
    subjects = {each.name: each for each in live(folder)}
    base, others = earlier_mlp(folder), inputs(folder)
    mlp, crepe = str(subjects["mlp"].watched), str(subjects["crepe-tiny"].watched)
    answers = _ask(
        {
            "live": {
                name: Job((str(each.watched),), options=ALWAYS) for name, each in subjects.items()
            },
            "again": {
                name: Job((str(recorded(name).watched),), options=ALWAYS | {"layers": layers})
                for name, layers in CHECKED.items()
            },
            "requested": {
                name: Job((mlp,), options={"layers": [2], **each})
                for name, each in REQUESTED.items()
            },
            "distances": {
                method: Job((str(base), mlp), "distances", options={"method": method})
                for method in ("raw", "euclidean", "cka")
            },
            "eigenvalues": {
                layer: Job((crepe,), "get_ESD", options={"layer": layer})
                for layer in ("conv2", "classifier")
            },
            "failing": {f"{each.path} {job.given}": job for each in others for job in each.jobs()},
        }
    )
    alone = without_torch(folder)
    failing = [
        (each, [answers["failing"][f"{each.path} {job.given}"] for job in each.jobs()])
        for each in others
    ]
    failing.append((alone, weightwatcher.ask(alone.jobs(), without_torch=True)))
    subjects |= {name: recorded(name) for name in RECORDED}
    kept = {name: Answer(**json.loads(_golden(name).read_text())) for name in RECORDED}
    said = {**answers["live"], **kept}
    cards = {name: scan(str(each.scanned), SPECTRA) for name, each in subjects.items()}
    cells = [cell for name in said for cell in parity.cells(name, said[name].rows, cards[name])]
    return Both(subjects, said, cards, cells, answers, base, failing)


def _ask(groups: Mapping[str, Mapping[str, Job]]) -> dict[str, dict[str, Answer]]:
    """Asks everything of one process."""
    found = iter(weightwatcher.ask([job for group in groups.values() for job in group.values()]))
    return {kind: {name: next(found) for name in group} for kind, group in groups.items()}


def _record() -> None:
    answers = weightwatcher.ask(
        [Job((str(recorded(name).watched),), options=ALWAYS) for name in RECORDED]
    )
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
    assert all(answer.rows for answer in both.said.values())
    rows = sum(len(answer.rows) for answer in both.said.values())
    assert len(both.cells) == rows * len(parity.COLUMNS)


def test_what_has_no_row_there_has_too_few_or_too_many_eigenvalues(both: Both) -> None:
    for name, card in both.cards.items():
        rows = {row["longname"] for row in both.said[name].rows}
        assert rows == {parity.name_there(each) for each in card.layers if parity.has_row(each)}
    left_out = len(both.cards["crepe-full"].layers) - len(both.said["crepe-full"].rows)
    assert left_out == 2


def test_every_column_of_weightwatchers_is_in_the_tables(both: Both) -> None:
    given = _columns(both.said)
    assert given == {each.theirs for each in parity.COLUMNS} | set(parity.NAMES)
    requested = _columns(both.answers["requested"])
    assert requested - given == (set(parity.UNEQUAL) | set(parity.ABSENT)) - given


def _columns(answers: Mapping[str, Answer]) -> set[str]:
    return {name for answer in answers.values() for row in answer.rows for name in row}


@pytest.mark.parametrize("name", CHECKED)
def test_what_was_recorded_is_what_it_says_today(both: Both, name: str) -> None:
    before = {row["longname"]: row for row in both.said[name].rows}
    again = both.answers["again"][name].rows
    assert len(again) == len(CHECKED[name])
    for row in again:
        for key, value in row.items():
            kept = before[row["longname"]][key]
            assert kept == (value if isinstance(value, str) else pytest.approx(value, rel=1e-9))


def test_means_over_layers_are_those_of_get_summary(both: Both) -> None:
    for name in set(both.subjects) - {"edges", "crepe-full"}:
        ours, summary = both.cards[name].spectra, both.said[name].summary
        assert len(summary) == 6
        found = {key: getattr(ours, key) for key in summary}
        assert found == pytest.approx(dict(summary), rel=parity.TOLERANCE), name


def test_the_frame_has_weightwatchers_columns_under_their_names(both: Both) -> None:
    frame = spectra_frame(both.cards["crepe-tiny"])
    counted = frame[frame["counted"]].set_index("name")
    shared = {each.theirs for each in parity.COLUMNS}
    assert shared - set(counted.columns) == parity.NOT_IN_THE_FRAME
    for row in both.said["crepe-tiny"].rows:
        for name in shared - parity.NOT_IN_THE_FRAME - {"N", "M", "Q"}:
            found = counted.loc[f"{row['longname']}.weight", name]
            assert found == pytest.approx(row[name], rel=parity.TOLERANCE), name


def test_distances_to_a_base_are_weightwatchers(both: Both) -> None:
    card = compare(str(both.base), str(both.subjects["mlp"].scanned), SPECTRA)
    theirs = {
        (method, row["longname"]): row["delta_W"]
        for method, answer in both.answers["distances"].items()
        for row in answer.rows
    }
    base = parity.spectra_by_name(scan(str(both.base), SPECTRA))
    for layer in card.layers:
        name = parity.name_there(layer)
        assert layer.change is not None
        assert layer.change.distance is not None
        distance = layer.change.distance * math.sqrt(base[name].norm)
        for method in ("raw", "euclidean"):
            assert distance == pytest.approx(theirs[method, name], rel=parity.TOLERANCE)
        assert layer.spectra is not None
        assert layer.spectra.matrix is not None
        change = layer.spectra.matrix.change
        assert change is not None
        assert change.alignment == pytest.approx(theirs["cka", name], rel=parity.TOLERANCE)


@pytest.mark.parametrize(("layer", "factor"), [("classifier", 1), ("conv2", 2)])
def test_eigenvalues_are_those_of_get_esd_which_does_not_halve_a_convolutions(
    both: Both, layer: str, factor: int
) -> None:
    path = str(both.subjects["crepe-tiny"].scanned)
    found = eigenvalues_of(path, f"{layer}.weight", slices=factor == 2)
    theirs = [row["eigenvalue"] for row in both.answers["eigenvalues"][layer].rows]
    np.testing.assert_allclose(found * factor, theirs, rtol=parity.TOLERANCE)


def test_what_it_fails_on_has_a_spectrum(both: Both) -> None:
    for given, _ in both.failing:
        card = scan(str(given.path), SPECTRA)
        _check(card, given)


def test_bfloat16_needs_neither_torch_nor_a_second_core(both: Both) -> None:
    given, _ = both.failing[-1]
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
    given = next(each for each, _ in both.failing if each.path.name == "nan.safetensors")
    assert any("not finite count as zero" in note for note in scan(str(given.path), SPECTRA).notes)


def test_the_page_shows_the_tables(both: Both, pytestconfig: pytest.Config) -> None:
    tables = {
        "subjects": _subjects(both),
        "equal": parity_page.equal_table(parity.judge(both.cells)),
        "other": parity_page.other_table(_seen(both)),
        "ours": parity_page.ours_alone(),
        "failures": parity_page.failure_table(_failures(both)),
    }
    for name, table in tables.items():
        committed = _block(name, table if pytestconfig.getoption("--update-goldens") else None)
        assert parity_page.without_figures(committed) == parity_page.without_figures(table), name


def test_the_lines_of_the_page_run(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    gpt2 = both.subjects["gpt2"].scanned
    monkeypatch.chdir(gpt2.parent)
    theirs, ours = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert "weightwatcher" in theirs
    names: dict[str, Any] = {}
    exec(ours.replace("./my-model", gpt2.name), names)
    alphas = sorted(row["alpha"] for row in both.said["gpt2"].rows)
    assert sorted(names["details"]["alpha"]) == pytest.approx(alphas, rel=parity.TOLERANCE)
    assert names["summary"].alpha == pytest.approx(sum(alphas) / len(alphas), rel=1e-6)


def _subjects(both: Both) -> str:
    return parity_page.subject_table(
        [(each.name, each.what, len(both.said[name].rows)) for name, each in both.subjects.items()]
    )


def _seen(both: Both) -> Mapping[str, tuple[float, float | None]]:
    """Both figures of the MLP's second layer."""
    rows = [answer.rows[0] for answer in both.answers["requested"].values()]
    card = scan(str(both.subjects["mlp"].scanned), SHUFFLED)
    spectrum = parity.spectra_by_name(card)[rows[0]["longname"]]
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
        for given, answers in both.failing
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
