"""Rows of a catalogue to standard output or to a file."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import click
from sqlalchemy import Connection

from thermoscan.catalogue.asking import Answer, Question, Row, ask
from thermoscan.catalogue.export import to_csv, to_json_lines, to_parquet
from thermoscan.catalogue.fields import subject
from thermoscan.cli.aligned import aligned, columns_of_terminal
from thermoscan.errors import OptionError
from thermoscan.text import printable
from thermoscan.writing import whole_file

_FIRST = 100
"""Rows that a table shows where no number is asked for."""


def print_table(connection: Connection, question: Question) -> None:
    """Prints an aligned table, of the first rows where the question sets no limit."""
    limit = question.limit or _FIRST
    with ask(connection, replace(question, limit=limit + 1)) as answer:
        names = [field.name for field in answer.fields]
        for line in aligned(names, islice(answer.rows, limit), columns_of_terminal()):
            click.echo(line)
        more = next(answer.rows, None) is not None
    if more and question.limit is None:
        hint = "--limit shows more; --csv and --json give all of them"
        click.echo(f"These are the first {_FIRST} rows: {hint}.", err=True)


def print_csv(connection: Connection, question: Question) -> None:
    """Prints CSV; on a terminal, what would steer it is made visible."""
    with ask(connection, question) as answer:
        rows = _visible(answer) if sys.stdout.isatty() else answer.rows
        to_csv(answer.fields, rows, sys.stdout)


def print_json(connection: Connection, question: Question) -> None:
    """Prints a JSON object per line."""
    with ask(connection, question) as answer:
        to_json_lines(answer.fields, answer.rows, sys.stdout)


def export_rows(connection: Connection, question: Question, file: Path) -> None:
    """Writes rows to a file, whole or not at all; all columns where none are asked for.

    Raises:
        OptionError: ``export-format``: its name ends in neither .parquet nor .csv;
            ``output-unwritable``.
        CatalogueError: As `ask` and `to_parquet`.
    """
    suffix = file.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        reason = "an export is a .parquet or a .csv, by the end of its name"
        raise OptionError("export-format", reason, file=str(file))
    columns = question.columns or tuple(subject(question.of, connection.dialect.name).fields)
    with ask(connection, replace(question, columns=columns)) as answer, whole_file(file) as binary:
        if suffix == ".parquet":
            to_parquet(answer.fields, answer.rows, binary)
        else:
            with io.TextIOWrapper(binary, encoding="utf-8", newline="") as text:
                to_csv(answer.fields, answer.rows, text)


def _visible(answer: Answer) -> Iterator[Row]:
    for row in answer.rows:
        yield [printable(each, 1000) if isinstance(each, str) else each for each in row]
