"""Several processes at one catalogue: readers, writers, and writers that are killed."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select
from support import cards
from support.recorded import record, scanned

from thermoscan.catalogue import reading, schema
from thermoscan.catalogue.store import Catalogue

TESTS = Path(__file__).parents[1]
LAYERS = len(cards.realistic().layers)

PROLOGUE = """
import sys
import alembic.command
from support.recorded import record, scanned
from thermoscan.catalogue.store import Catalogue
place = sys.argv[1]
"""
OPENER = (
    PROLOGUE
    + """
print("ready", flush=True); sys.stdin.readline()
Catalogue.open(place).close()
"""
)
HOLDER = (
    PROLOGUE
    + """
from thermoscan.catalogue import writing
put = writing._write_parts
def stop(*arguments):
    put(*arguments)
    print("written", flush=True); sys.stdin.readline()
writing._write_parts = stop  # every row is sent, and the transaction is still open
with Catalogue.open(place) as catalogue:
    record(catalogue, scanned("held"))
"""
)
WRITER = (
    PROLOGUE
    + """
with Catalogue.open(place) as catalogue:
    print("ready", flush=True); sys.stdin.readline()
    for index in range(15):
        record(catalogue, scanned(f"{sys.argv[2]}-{index}"))
        record(catalogue, scanned("shared"))
"""
)


@contextmanager
def running(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of Python that has printed its first line, and waits for one from us."""
    script = f"import sys; sys.path.insert(0, {str(TESTS)!r})\n{script}"
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


def release(*processes: subprocess.Popen[str]) -> list[int]:
    """Lets them go on; returns their exit statuses."""
    for each in processes:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    return [each.wait(120) for each in processes]


def count(catalogue: Catalogue) -> dict[str, int]:
    with catalogue.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar() or 0
            for table in (schema.models, schema.scans, schema.layers)
        }


def test_processes_that_open_a_new_one_at_once_all_succeed(catalogue_place: str) -> None:
    with running(OPENER, catalogue_place) as one, running(OPENER, catalogue_place) as other:
        assert release(one, other) == [0, 0]
    with Catalogue.open(catalogue_place, create=False) as opened:
        assert list(opened.entries()) == []


def test_one_reads_the_last_commit_while_another_writes(catalogue_place: str) -> None:
    with Catalogue.open(catalogue_place) as catalogue:
        record(catalogue, scanned("first"))
        with running(HOLDER, catalogue_place) as holder:
            assert [each.name for each in catalogue.entries()] == ["first"]
            with Catalogue.open(catalogue_place, create=False) as other:
                assert count(other) == {"models": 1, "scans": 1, "layers": LAYERS}
            assert release(holder) == [0]
        assert [each.name for each in catalogue.entries()] == ["first", "held"]


def test_a_reader_sees_one_state_all_along(catalogue_place: str) -> None:
    with Catalogue.open(catalogue_place) as catalogue, Catalogue.open(catalogue_place) as other:
        record(other, scanned("first"))
        with catalogue.reading() as connection:
            assert [each.name for each in reading.entries(connection)] == ["first"]
            record(other, scanned("second"))
            assert [each.name for each in reading.entries(connection)] == ["first"]
        assert [each.name for each in catalogue.entries()] == ["first", "second"]


def test_many_models_are_streamed_while_more_are_written(catalogue_place: str) -> None:
    with Catalogue.open(catalogue_place) as catalogue, Catalogue.open(catalogue_place) as other:
        for index in range(5):
            record(other, scanned(f"{index}"))
        seen = []
        for entry in catalogue.entries():
            record(other, scanned(f"{entry.name} again"))
            seen.append(entry.name)
        assert seen == ["0", "1", "2", "3", "4"]
        assert len(list(catalogue.entries())) == 10


def test_two_writers_at_once_lose_nothing(catalogue_place: str) -> None:
    Catalogue.open(catalogue_place).close()
    with running(WRITER, catalogue_place, "a") as one, running(WRITER, catalogue_place, "b") as two:
        assert release(one, two) == [0, 0]
    with Catalogue.open(catalogue_place) as catalogue:
        assert count(catalogue) == {"models": 31, "scans": 31, "layers": 31 * LAYERS}
        assert sum(1 for _ in catalogue.entries()) == 31


def test_a_writer_that_is_killed_leaves_what_was_before(catalogue_place: str) -> None:
    with Catalogue.open(catalogue_place) as catalogue:
        record(catalogue, replace(scanned("held"), key="before"))
        before = count(catalogue)
    with running(HOLDER, catalogue_place) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait(60)
    if "://" not in catalogue_place:
        assert Path(catalogue_place + "-wal").exists(), "it was killed before it wrote"
    with Catalogue.open(catalogue_place) as catalogue:
        assert count(catalogue) == before
        assert catalogue.known(["held"])["held"].key == "before"
        record(catalogue, scanned("held"))
        assert catalogue.known(["held"])["held"].key == "k"
        assert count(catalogue) == before
    if "://" not in catalogue_place:
        with closing(sqlite3.connect(catalogue_place)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_writer_that_fails_midway_leaves_nothing_and_may_go_on(
    catalogue_place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalogue.open(catalogue_place) as catalogue:
        with monkeypatch.context() as patch:
            patch.setattr(json, "dumps", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                record(catalogue, scanned("interrupted"))
        assert count(catalogue) == {"models": 0, "scans": 0, "layers": 0}
        record(catalogue, scanned("after"))
        assert [each.name for each in catalogue.entries()] == ["after"]


def _interrupt(*_: object, **__: object) -> str:
    raise KeyboardInterrupt
