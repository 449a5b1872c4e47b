"""What an export holds is what the cards hold, as pandas, polars and duckdb read it."""

from __future__ import annotations

import csv
import math
import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pandas
import polars
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import null
from support.catalogues import HOSTILE, START, Filled

from thermoscan.catalogue.export import ROWS_OF_A_GROUP, to_json_lines, to_parquet
from thermoscan.catalogue.fields import SUBJECTS, Field, Kind
from thermoscan.cli.main import cli
from thermoscan.errors import CatalogueError, OptionError
from thermoscan.writing import whole_file

DOCS = Path(__file__).parents[2] / "docs" / "querying.md"
COLUMNS = ("model.name", "model.at", "model.sampled", "name", "depth", "order", "temperature",
           "change_rank", "non_finite", "digest")  # fmt: skip
HONEST = "model.source = '/m/real/minilm' or model.source = '/m/complete'"


def export(place: str, file: Path, *arguments: str) -> Result:
    command = ["catalogue", "export", str(file), "--catalogue", place, *arguments]
    return CliRunner().invoke(cli, command)


def expected(filled: Filled, *names: str) -> list[tuple[Any, ...]]:
    """The rows of `COLUMNS` by the cards of these models."""
    minutes = {"real/minilm": 0, "org/tuned": 2, "complete": 3, HOSTILE: 4}
    return [
        (name.replace("\ud800", "\\ud800"), START.replace(minute=minutes[name]),
         filled.cards[name].sampling is not None,
         layer.name.encode(errors="backslashreplace").decode(), layer.depth, layer.order,
         layer.temperature, layer.change.rank if layer.change else None, layer.non_finite,
         layer.digest)
        for name in names
        for layer in filled.cards[name].layers
    ]  # fmt: skip


def with_pandas(file: Path) -> list[tuple[Any, ...]]:
    if file.suffix == ".parquet":
        frame = pandas.read_parquet(file)
    else:
        frame = pandas.read_csv(file, parse_dates=["model.at"])
    assert frame["model.at"].dtype.kind == "M" and frame["model.sampled"].dtype == bool
    assert frame["order"].dtype == float and frame["non_finite"].dtype == int
    return [tuple(None if pandas.isna(each) else each for each in row)
            for row in frame.itertuples(index=False, name=None)]  # fmt: skip


def with_polars(file: Path) -> list[tuple[Any, ...]]:
    if file.suffix == ".parquet":
        frame = polars.read_parquet(file)
    else:
        frame = polars.read_csv(file, try_parse_dates=True)
    assert frame.schema["model.sampled"] == polars.Boolean
    assert frame.schema["depth"] == polars.Int64 and frame.schema["order"] == polars.Float64
    return frame.rows()


def with_duckdb(file: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # Times with their zone need pytz, which nobody else does: as seconds, then.
        answer = connection.execute(
            'SELECT * REPLACE (epoch_us("model.at") AS "model.at") FROM read_'
            f"{file.suffix[1:]}('{file}')"
        )
        assert [str(each[1]) for each in answer.description][4:6] == ["BIGINT", "DOUBLE"]
        return [
            (name, datetime.fromtimestamp(microseconds / 1e6, timezone.utc), *others)
            for name, microseconds, *others in answer.fetchall()
        ]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("read", [with_pandas, with_polars, with_duckdb])
def test_three_libraries_read_equal_values(
    filled: Filled, tmp_path: Path, read: Callable[[Path], list[tuple[Any, ...]]], suffix: str
) -> None:
    file = tmp_path / f"layers{suffix}"
    done = export(filled.place, file, "--columns", ",".join(COLUMNS), "--where", HONEST)
    assert done.exception is None, done.exception
    assert done.output == ""
    assert read(file) == expected(filled, "real/minilm", "complete")


@pytest.mark.parametrize("of", SUBJECTS)
def test_all_columns_of_all_rows_are_exported_with_their_types(
    filled: Filled, tmp_path: Path, of: str
) -> None:
    assert export(filled.place, tmp_path / "all.parquet", "--of", of).exception is None
    table = pyarrow.parquet.read_table(tmp_path / "all.parquet")
    cards = filled.cards.values()
    assert table.num_rows == {
        "layers": sum(len(card.layers) for card in cards),
        "findings": sum(len(card.findings) for card in cards),
        "models": len(cards) + 1,
        "scans": len(cards) + 2,
    }[of]  # fmt: skip
    prefix = "model." if of in ("layers", "findings") else ""
    types = {name: str(table.schema.field(prefix + name).type)
             for name in ("name", "parameters", "order", "sampled", "at")}  # fmt: skip
    assert types == {"name": "string", "parameters": "int64", "order": "double",
                     "sampled": "bool", "at": "timestamp[us, tz=UTC]"}  # fmt: skip


def test_hostile_names_are_exact_in_parquet_but_for_what_utf8_has_not(
    filled: Filled, tmp_path: Path
) -> None:
    where = "model.name ~ 'ev*'"
    export(filled.place, tmp_path / "a.parquet", "--columns", ",".join(COLUMNS), "--where", where)
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert [tuple(row.values()) for row in table.to_pylist()] == expected(filled, HOSTILE)


def test_a_spreadsheet_takes_no_name_in_a_csv_for_a_formula(filled: Filled, tmp_path: Path) -> None:
    where = "model.name ~ 'ev*'"
    export(filled.place, tmp_path / "a.csv", "--columns", "name,depth", "--where", where)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        _, *found = csv.reader(file)
    names = [row[3] for row in expected(filled, HOSTILE)]
    assert [name for name, _ in found] == [
        f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name for name in names
    ]
    assert any(name.startswith("'=HYPERLINK") for name, _ in found)


def test_the_recipes_of_the_docs_give_what_the_cards_say(
    in_file: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exports = re.findall(r"`thermoscan (catalogue export .*?)`", DOCS.read_text())
    for command in exports:
        environment = {"THERMOSCAN_CATALOGUE": in_file.place}
        assert CliRunner().invoke(cli, command.split(), env=environment).exit_code == 0
    orders: dict[str, list[float]] = {}
    for card in in_file.cards.values():
        for layer in card.layers:
            orders.setdefault(layer.role, []).extend([] if layer.order is None else [layer.order])
    medians = {role: median(each) for role, each in orders.items()}
    by_pandas, by_polars, by_duckdb, largest = (
        _run(block) for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    )
    assert by_pandas["medians"].to_dict() == medians
    assert dict(by_polars["medians"].rows()) == medians
    assert dict(by_duckdb["medians"].fetchall()) == medians
    minilm = max(in_file.cards["real/minilm"].layers, key=lambda layer: layer.order or 0.0)
    assert largest["most"]["real/minilm"] == minilm.name


def _run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(block, names)
    return names


FIELDS = (Field("k", Kind.COUNT, null()), Field("x", Kind.NUMBER, null()))


def test_parquet_is_written_in_groups_of_rows(tmp_path: Path) -> None:
    rows = ((k, None if k % 3 else k / 7) for k in range(2 * ROWS_OF_A_GROUP + 1_234))
    with whole_file(tmp_path / "a.parquet") as file:
        to_parquet(FIELDS, rows, file)
    found = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet")
    sizes = [found.metadata.row_group(k).num_rows for k in range(found.num_row_groups)]
    assert sizes == [ROWS_OF_A_GROUP, ROWS_OF_A_GROUP, 1_234]
    assert found.read(["k"])["k"].to_pylist() == list(range(2 * ROWS_OF_A_GROUP + 1_234))


def test_an_export_of_nothing_has_its_columns(in_file: Filled, tmp_path: Path) -> None:
    for name in ("a.parquet", "a.csv"):
        done = export(in_file.place, tmp_path / name, "--where", "order > 1e9", "--columns", "name")
        assert done.exception is None
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").column_names == ["name"]
    assert (tmp_path / "a.csv").read_text() == "name\n"


def test_a_file_stays_as_it_was_where_its_export_fails(tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[int, float]]:
        yield 1, 0.5
        raise CatalogueError("catalogue-unreachable", "the server went away")

    file = tmp_path / "a.csv"
    file.write_text("as it was")
    for write in (to_parquet, lambda fields, rows, binary: list(rows)):
        with pytest.raises(CatalogueError), whole_file(file) as binary:
            write(FIELDS, failing(), binary)
    assert file.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("name", "code"),
    [("a.xlsx", "export-format"), ("a", "export-format"), ("none/a.csv", "output-unwritable")],
)
def test_what_cannot_be_written_is_refused(
    in_file: Filled, tmp_path: Path, name: str, code: str
) -> None:
    done = export(in_file.place, tmp_path / name)
    assert isinstance(done.exception, OptionError) and done.exception.code == code
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_names_the_extra(
    in_file: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    done = export(in_file.place, tmp_path / "a.parquet")
    assert isinstance(done.exception, CatalogueError)
    assert done.exception.code == "catalogue-parquet-missing"
    assert "thermoscan[parquet]" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_json_lines_have_no_value_that_json_has_not() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json_lines(FIELDS, [(1, math.nan)], sys.stdout)
