"""``thermoscan catalogue`` as a person or a script meets it, on both databases."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len
from sqlalchemy import Connection
from support import cards
from support.catalogues import HOSTILE, REFUSED, START, Filled, fill

from thermoscan.batch.tasks import Result as Scanned
from thermoscan.card import Card, LayerRecord
from thermoscan.catalogue.asking import Question, ask
from thermoscan.catalogue.fields import SUBJECTS, Kind, subject
from thermoscan.catalogue.store import Catalogue
from thermoscan.cli.aligned import aligned
from thermoscan.cli.main import cli
from thermoscan.errors import CatalogueError, OptionError

SCRIPT = Path(sys.executable).parent / "thermoscan"


def run(place: str, *arguments: str, width: int = 100) -> Result:
    environment = {"THERMOSCAN_CATALOGUE": place, "COLUMNS": str(width)}
    return CliRunner().invoke(cli, ["catalogue", *arguments], env=environment)


def rows(place: str, *arguments: str) -> list[dict[str, Any]]:
    done = run(place, *arguments, "--json")
    assert done.exception is None, done.exception
    return [json.loads(line) for line in done.stdout.splitlines()]


def refusal(place: str, *arguments: str) -> str:
    """The code and the sentence of an error of our own; nothing was printed before it."""
    done = run(place, *arguments)
    assert isinstance(done.exception, CatalogueError | OptionError)
    assert done.stdout == ""
    return f"{done.exception.code}: {done.exception}"


def layers(filled: Filled) -> list[tuple[str, LayerRecord]]:
    """Every layer with its model, scan by scan."""
    return [(name, layer) for name, card in filled.cards.items() for layer in card.layers]


def test_models_are_listed_by_name_with_their_last_scan(filled: Filled) -> None:
    found = rows(filled.place, "ls")
    assert [each["name"] for each in found] == filled.names
    for each in found:
        card: Card | None = filled.cards.get(each["name"])
        assert each["status"] == ("scanned" if card else "refused")
        assert each["architecture"] == (card.model.architecture if card else None)
        assert each["parameters"] == (card.model.parameters if card else None)
        assert each["order"] == (card.summary.order if card else None)
        severities = [finding.severity for finding in card.findings] if card else []
        assert each["warnings"] == severities.count("warning")


def test_a_condition_finds_the_layers_that_the_cards_have(filled: Filled) -> None:
    where = "order > 0.02 and role = 'attention query' and model.architecture = 'bert'"
    found = rows(filled.place, "query", "--where", where, "--columns", "model.name,name,order")
    assert [tuple(each.values()) for each in found] == [
        (name, layer.name, layer.order)
        for name, layer in layers(filled)
        if layer.order is not None and layer.order > 0.02 and layer.role == "attention query"
        and filled.cards[name].model.architecture == "bert"
    ]  # fmt: skip
    assert found


def test_layers_and_models_are_found_by_their_spectra(filled: Filled) -> None:
    tails = [
        (name, layer.name, layer.spectra.counted.tail.alpha)
        for name, layer in layers(filled)
        if layer.spectra and layer.spectra.counted and layer.spectra.counted.tail
    ]
    middle = sorted(alpha for _, _, alpha in tails)[len(tails) // 2]
    asked = ("--where", f"alpha > {middle!r}", "--columns", "model.name,name,alpha")
    found = [tuple(each.values()) for each in rows(filled.place, "query", *asked)]
    assert found == [each for each in tails if each[2] > middle]
    assert found
    (model,) = rows(filled.place, "ls", "--where", "ordered_fraction >= 0 or alpha > 0")
    assert model["name"] == "complete"


@pytest.mark.parametrize("down", [False, True])
def test_what_is_missing_comes_last_and_equals_by_name_and_place(
    filled: Filled, down: bool
) -> None:
    sort = "-engine_efficiency" if down else "engine_efficiency"
    columns = "model.name,position,engine_efficiency"
    found = rows(filled.place, "query", "--sort", sort, "--columns", columns)

    def key(row: tuple[str, int, float | None]) -> Any:
        name, position, value = row
        return (value is None, (-value if down else value) if value else 0.0, name, position)

    expected = [
        (name, position, layer.engine.efficiency if layer.engine else None)
        for name, card in filled.cards.items()
        for position, layer in enumerate(card.layers)
    ]
    assert [tuple(each.values()) for each in found] == sorted(expected, key=key)


def test_sorting_by_words_is_the_same_on_both_databases(filled: Filled) -> None:
    found = rows(filled.place, "query", "--sort", "-role,name", "--columns", "role,name")
    roles = [each["role"] for each in found]
    assert roles == sorted(roles, reverse=True)
    assert len(found) == len(layers(filled))


def test_findings_and_scans_are_asked_for_too(filled: Filled) -> None:
    where = "severity = 'warning' and model.name = 'org/tuned'"
    (finding,) = rows(filled.place, "query", "--of", "findings", "--where", where)
    assert finding["code"] == "decayed" and finding["layer"] == "pooler.dense.weight"
    scans = rows(filled.place, "query", "--of", "scans", "--where", "name = 'org/tuned'")
    assert [(each["scan"], each["at"]) for each in scans] == [
        (2, "2026-11-24T12:01:00.250000Z"),
        (3, "2026-11-24T12:02:00.250000Z"),
    ]
    after = f"at > '{START.isoformat()}' and is_last = true"
    found = rows(filled.place, "query", "--of", "scans", "--where", after)
    assert len(found) == len(filled.cards) - 1


@pytest.mark.parametrize("of", SUBJECTS)
def test_every_column_can_be_shown_compared_and_sorted_by(filled: Filled, of: str) -> None:
    with Catalogue.open(filled.place) as catalogue, catalogue.reading() as connection:
        fields = subject(of, connection.dialect.name).fields
        values = {Kind.TEXT: "'a'", Kind.COUNT: "1", Kind.NUMBER: "0.5", Kind.FLAG: "true",
                  Kind.TIME: "'2026-01-01'"}  # fmt: skip
        where = " or ".join(f"{each.name}!={values[each.kind]}" for each in fields.values())
        question = Question(of, where, tuple(fields), tuple(fields))
        with ask(connection, question) as answer:
            found = list(answer.documents())
    python = {Kind.TEXT: str, Kind.COUNT: int, Kind.NUMBER: float, Kind.FLAG: bool,
              Kind.TIME: datetime}  # fmt: skip
    assert found
    for row in found:
        for name, value in row.items():
            assert value is None or type(value) is python[fields[name].kind], name


def test_limit_and_columns_cut_the_answer(filled: Filled) -> None:
    done = run(filled.place, "query", "--csv", "--limit", "2", "--columns", "name, depth")
    first, second = filled.cards["real/minilm"].layers[:2]
    assert list(csv.reader(io.StringIO(done.stdout))) == [
        ["name", "depth"], [first.name, ""], [second.name, ""],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ls", "--where", "ordr > 1"], "where-column: at character 1: there is no column 'ordr'"),
        (["ls", "--sort", "nam"], "catalogue-column: there is no column 'nam': did you mean name"),
        (["query", "--columns", "name,arch"], "catalogue-column: there is no column 'arch'"),
        (["query", "--columns", "name,name"], "catalogue-column-twice: a column is asked for"),
        (["query", "--sort", "architecture"], "did you mean model.architecture?"),
        (["ls", "--csv", "--json"], "formats-exclusive"),
        (["show", "tuned"], "catalogue-model: there is no model 'tuned': did you mean org/tuned"),
        (["show", "org/tuned@abc"], "catalogue-revision"),
        (["show", "org/tuned@abcdefg"], "catalogue-revision: 'org/tuned' has no scan of"),
        (["show", "org/tuned@1"], "catalogue-revision"),
        (["diff", "bare", "none@1"], "catalogue-model: there is no model 'none'"),
    ],
)
def test_what_is_not_there_is_refused(filled: Filled, arguments: list[str], said: str) -> None:
    assert said in refusal(filled.place, *arguments)


def test_a_table_fits_its_width_and_shows_hostile_names_harmlessly(filled: Filled) -> None:
    for width in (80, 120):
        for command in (["ls"], ["query"], ["query", "--of", "findings"], ["show", HOSTILE]):
            done = run(filled.place, *command, width=width)
            assert done.exception is None
            assert "\x1b" not in done.stdout and "\u202e" not in done.stdout
            lines = done.stdout.splitlines()
            if command[0] != "show":
                assert max(map(cell_len, lines)) <= width
    names = [line.split()[0] for line in run(filled.place, "ls", width=150).stdout.splitlines()]
    assert names == ["name", *(each.replace("\x1b", "\\x1b").replace("\ud800", "\\ud800")
                               for each in filled.names)]  # fmt: skip


def test_the_name_of_a_column_is_cut_before_the_name_of_a_model() -> None:
    name = "org/proteinmpnn_v_48_002.pt"
    head, line = aligned(("name", "reduced_temperature"), [(name, 40.42)], 40)
    assert head.split() == ["name", "reduc…ature"]
    assert line.split() == [name, "40.42"]
    _, line = aligned(("name", "reduced_temperature"), [(name, 40.42)], 30)
    assert "…" in line and cell_len(line) == 30


def test_columns_are_aligned_by_what_a_terminal_shows_and_no_number_is_cut() -> None:
    names = ["模型" * 20, "e\u0301", "plain", "a\tb"]
    rows = [(names[k % 4], k, k / 3 if k % 5 else None) for k in range(250)]
    rows.append(("x" * 500, 10**17, 1e-300))
    head, *lines, last = aligned(("name", "a_name_that_is_too_long", "order"), rows, 40)
    assert {cell_len(line) for line in [head, *lines]} == {40}
    assert all(line.split()[-2] == str(k) for k, line in enumerate(lines))
    assert last.split()[1:] == [str(10**17), "1e-300"]
    assert lines[3].startswith("a\\x09b  ") and "…" in lines[0] and "…" in head and "…" in last


def test_a_table_is_of_the_first_rows_and_says_so(in_file: Filled) -> None:
    done = run(in_file.place, "query")
    assert len(done.stdout.splitlines()) == 1 + 100
    assert "first 100 rows" in done.stderr
    done = run(in_file.place, "query", "--limit", "101")
    assert len(done.stdout.splitlines()) == 1 + 101
    assert done.stderr == ""


def test_a_model_is_shown_with_its_history_findings_and_layers(filled: Filled) -> None:
    done = run(filled.place, "show", "org/tuned", "--json")
    shown = json.loads(done.stdout)
    card = filled.cards["org/tuned"]
    assert shown["model"]["order"] == 0.05
    assert [each["is_last"] for each in shown["scans"]] == [False, True]
    assert [each["code"] for each in shown["findings"]] == [each.code for each in card.findings]
    assert [each["name"] for each in shown["layers"]] == [each.name for each in card.layers]
    for earlier in ("org/tuned@2", "org/tuned@8b3219a", "org/tuned@commit:8b3219a92973"):
        shown = json.loads(run(filled.place, "show", earlier, "--json").stdout)
        assert shown["model"]["order"] == filled.earlier.summary.order
        assert shown["layers"][-1]["name"] == "pooler.dense.weight"
        assert len(shown["scans"]) == 2


def test_a_revision_means_its_latest_scan(catalogue_place: str) -> None:
    with Catalogue.open(catalogue_place) as catalogue:
        scanned = Scanned("m", "/m", "scanned", card=cards.of_layers(3))
        for minutes, sample in ((5, "1%"), (9, None), (7, "2%")):
            when = START + timedelta(minutes=minutes)
            catalogue.record(scanned, when, None, {"sample": sample})
    revision = cards.of_layers(3).model.revision
    assert revision is not None
    shown = json.loads(run(catalogue_place, "show", f"m@{revision[:7]}", "--json").stdout)
    assert json.loads(shown["model"]["options"]) == {"sample": None}
    for scan, minute in ((1, 5), (2, 9), (3, 7)):
        shown = json.loads(run(catalogue_place, "show", f"m@{scan}", "--json").stdout)
        assert shown["model"]["at"] == f"2026-11-24T12:0{minute}:00.250000Z"


def test_only_the_first_layers_are_shown_unless_all_are_asked_for(tmp_path: Path) -> None:
    place = str(tmp_path / "catalogue.sqlite")
    with Catalogue.open(place) as catalogue:
        scanned = Scanned("m@1", "/m", "scanned", card=cards.of_layers(50))
        catalogue.record(scanned, START, None, {})
    assert "... of 50 layers: --all shows them" in run(place, "show", "m@1").stdout
    shown = run(place, "show", "m@1", "--all").stdout
    assert "..." not in shown
    assert len(shown.partition("Layers (50)")[2].splitlines()) == 52


def test_a_refused_model_is_shown_with_its_reason(filled: Filled) -> None:
    shown = run(filled.place, "show", REFUSED).stdout
    assert "its header is broken" in shown and "header-not-json" in shown


def test_two_revisions_of_a_model_are_set_side_by_side(filled: Filled) -> None:
    done = run(filled.place, "diff", "org/tuned@2", "org/tuned", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["same"] == len(filled.earlier.layers) - 2
    changed, removed, added = found["layers"]
    before = filled.earlier.layers[3]
    assert (changed["status"], changed["name"]) == ("changed", before.name)
    assert {each["name"]: each["change"] for each in changed["moves"]} == {
        "reduced_temperature": 0.0, "order": 0.9 - before.order, "sparsity": 0.25,
        "alpha": None,
    }  # fmt: skip
    assert (removed["status"], removed["name"]) == ("removed", "pooler.dense.weight")
    assert (added["status"], added["name"]) == ("added", "head.weight")
    assert added["moves"][0]["before"] is None and added["moves"][0]["change"] is None
    (order,) = [each for each in found["figures"] if each["name"] == "order"]
    assert order == {"name": "order", "before": 0.0312045, "after": 0.05,
                     "change": 0.05 - 0.0312045}  # fmt: skip
    assert found["gained"] == []
    assert [each["code"] for each in found["lost"]] == [filled.earlier.findings[0].code]
    back = json.loads(run(filled.place, "diff", "org/tuned", "org/tuned@2", "--json").stdout)
    assert (back["gained"], back["lost"]) == (found["lost"], [])


def test_figures_of_spectra_are_set_side_by_side_where_there_are_any(in_file: Filled) -> None:
    spectra = in_file.cards["complete"].spectra
    assert spectra is not None and spectra.alpha is not None
    some = run(in_file.place, "diff", "org/tuned", "complete").stdout.splitlines()
    (alpha,) = [line.split() for line in some if line.startswith("alpha ")]
    assert alpha[:2] == ["alpha", "-"] and float(alpha[2]) == pytest.approx(spectra.alpha, rel=1e-3)
    assert " alpha " in next(line for line in some if " layer " in line)
    none = run(in_file.place, "diff", "org/tuned@2", "org/tuned").stdout
    assert "alpha" not in none and "ordered_fraction" not in none


def test_layers_without_a_digest_are_unknown_and_not_the_same(filled: Filled) -> None:
    sampled = json.loads(run(filled.place, "diff", "complete", "complete", "--json").stdout)
    without = [each.name for each in filled.cards["complete"].layers if each.digest is None]
    assert [each["name"] for each in sampled["layers"] if each["status"] == "unknown"] == without
    assert sampled["same"] == len(filled.cards["complete"].layers) - len(without)


def test_the_status_of_a_difference_is_only_told_when_asked_for(in_file: Filled) -> None:
    pair = ("org/tuned@2", "org/tuned")
    assert run(in_file.place, "diff", *pair).exit_code == 0
    assert run(in_file.place, "diff", *pair, "--exit-code").exit_code == 1
    same = run(in_file.place, "diff", "org/tuned", "org/tuned", "--exit-code")
    assert same.exit_code == 0
    assert same.stdout.splitlines()[-1] == "No difference."


def test_a_folder_of_a_batch_is_a_place(in_file: Filled, tmp_path: Path) -> None:
    assert rows(str(Path(in_file.place).parent), "ls") == rows(in_file.place, "ls")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "catalogue-not-found" in refusal(str(empty), "ls")
    assert list(empty.iterdir()) == []


def script(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(
        ["bash", "-c", *arguments], cwd=cwd, env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def test_a_reader_that_stops_early_ends_it_quietly(tmp_path: Path) -> None:
    place = str(tmp_path / "catalogue.sqlite")
    with Catalogue.open(place) as catalogue:
        scanned = Scanned("m", "/m", "scanned", card=cards.of_layers(3000))
        catalogue.record(scanned, START, None, {})
    for option in ("--csv", "--limit 3000"):
        done = script(
            f"{SCRIPT} catalogue query --catalogue {place} {option} | head -1", cwd=tmp_path
        )
        assert done.stderr == ""
        assert len(done.stdout.splitlines()) == 1


def test_csv_on_a_terminal_does_not_steer_it(in_file: Filled) -> None:
    here, there = pty.openpty()
    command = [str(SCRIPT), "catalogue", "ls", "--csv", "--catalogue", in_file.place]
    done = subprocess.run(command, stdout=there, stderr=subprocess.PIPE, timeout=120, check=True)
    os.close(there)
    shown = os.read(here, 100_000).decode()
    os.close(here)
    assert done.stderr == b""
    assert "ev\\x1b[31mil" in shown and "\x1b" not in shown


def test_an_error_is_one_line_on_stderr_and_the_default_place_is_that_of_a_batch(
    tmp_path: Path,
) -> None:
    done = script(f"{SCRIPT} catalogue ls", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("thermoscan: thermoscan-batch")
    assert "[catalogue-not-found]" in done.stderr
    (tmp_path / "thermoscan-batch").mkdir()
    fill(str(tmp_path / "thermoscan-batch" / "catalogue.sqlite"))
    assert script(f"{SCRIPT} catalogue ls --csv", cwd=tmp_path).returncode == 0


def test_the_help_loads_no_database() -> None:
    code = (
        "import sys\n"
        "from thermoscan.cli.main import cli\n"
        "cli(['catalogue', 'query', '--help'], standalone_mode=False)\n"
        "assert not {'sqlalchemy', 'lark', 'pyarrow', 'rich'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_rows_stream_and_do_not_pile_up_in_memory(catalogue_place: str) -> None:
    with Catalogue.open(catalogue_place) as catalogue:
        scanned = Scanned("m", "/m", "scanned", card=cards.of_layers(6_000))
        catalogue.record(scanned, START, None, {})
        with catalogue.reading() as connection:
            list(walk(connection, 1))
            tracemalloc.start()
            try:
                count = sum(1 for _ in walk(connection))
                _, streamed = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
                kept = list(walk(connection))
                _, listed = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert count == len(kept) == 6_000
    assert streamed < listed / 2


def walk(connection: Connection, limit: int | None = None) -> Iterator[Any]:
    with ask(connection, Question("layers", limit=limit)) as answer:
        yield from answer.rows
