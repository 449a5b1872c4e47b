"""A catalogue opens, or it is said in one sentence why not, without a password in it."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import exc, text
from support.postgresql import Server
from support.recorded import WHEN, record, scanned

from thermoscan.catalogue import opening, writing
from thermoscan.catalogue.foreign import boundary
from thermoscan.catalogue.opening import shown
from thermoscan.catalogue.store import Catalogue
from thermoscan.errors import CatalogueError

SECRET = "s3cr3t-w0rd"


def refusal(place: str | Path, *, create: bool = True) -> CatalogueError:
    with pytest.raises(CatalogueError) as caught:
        Catalogue.open(place, create=create)
    return caught.value


def test_a_catalogue_that_was_closed_opens_again(catalogue_place: str) -> None:
    Catalogue.open(catalogue_place).close()
    with Catalogue.open(catalogue_place, create=False) as again:
        assert list(again.entries()) == []


def test_a_catalogue_that_is_not_there_is_not_made_to_be_read(catalogue_place: str) -> None:
    assert refusal(catalogue_place, create=False).code == "catalogue-not-found"
    assert refusal(catalogue_place, create=False).code == "catalogue-not-found"


def test_a_file_is_in_wal_mode_and_holds_its_references(tmp_path: Path) -> None:
    with Catalogue.open(tmp_path / "c.sqlite") as opened, opened.reading() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 60_000,
    }  # fmt: skip


def test_a_closed_catalogue_is_one_file(tmp_path: Path) -> None:
    Catalogue.open(tmp_path / "c.sqlite").close()
    assert [each.name for each in tmp_path.iterdir()] == ["c.sqlite"]


@pytest.mark.parametrize("name", ["%(here)s 100%", "a?mode=ro#x", "file:x", ":memory:", "ü 'q\""])
def test_any_name_of_a_file_is_a_name(tmp_path: Path, name: str) -> None:
    Catalogue.open(tmp_path / name).close()
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_path_is_taken_from_the_folder_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Catalogue.open(":memory:") as opened:
        monkeypatch.chdir("/")
        assert list(opened.entries()) == []
    assert (tmp_path / ":memory:").is_file()


def test_what_is_no_catalogue_is_refused(tmp_path: Path) -> None:
    prose = tmp_path / "prose.txt"
    prose.write_text("This is not a database. " * 400)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    before = prose.read_bytes(), other.read_bytes()
    assert refusal(tmp_path).code == "catalogue-not-one"
    assert refusal(prose).code == "catalogue-not-one"
    assert refusal(other).code == "catalogue-not-one"
    assert refusal("/dev/null").code == "catalogue-not-one"
    assert refusal(tmp_path / "a\0b").code == "catalogue-unreachable"
    assert refusal(tmp_path / ("x" * 300)).code == "catalogue-unreachable"
    assert refusal(tmp_path / "missing" / "c.sqlite").code == "catalogue-unreachable"
    assert prose.read_bytes() == before[0]
    with sqlite3.connect(other) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    connection.close()


def test_a_file_with_damaged_pages_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "c.sqlite"
    Catalogue.open(place).close()
    data = bytearray(place.read_bytes())
    data[100:2000] = b"\xff" * 1900
    place.write_bytes(data)
    assert refusal(place).code == "catalogue-damaged"


@pytest.mark.parametrize("there", [True, False])
def test_a_place_that_cannot_be_written_to_is_refused(there: bool) -> None:
    with tempfile.TemporaryDirectory() as name:  # that of pytest is closed to others
        Path(name).chmod(0o755)
        folder = Path(name) / "folder"
        folder.mkdir()
        place = folder / "c.sqlite"
        if there:
            Catalogue.open(place).close()
            place.chmod(0o444)
        folder.chmod(0o555)
        code = _as_somebody(place)
        folder.chmod(0o755)
    assert code == ("catalogue-read-only" if there else "catalogue-unreachable")


def _as_somebody(place: Path) -> str:
    """Opens a catalogue as a user who has no rights of root; returns the code of the error."""
    script = (
        "import os, sys\n"
        "from thermoscan.catalogue.store import Catalogue\n"
        "from thermoscan.errors import CatalogueError\n"
        "Catalogue.open(sys.argv[2]).close()  # imports what that user could not\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: Catalogue.open(sys.argv[1])\n"
        "except CatalogueError as error: print(error.code)\n"
    )
    command = [sys.executable, "-c", script, str(place), str(place.parents[1] / "first.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_catalogue_whose_writer_never_ends_is_busy(
    catalogue_place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_PATIENCE", 0.2)
    with Catalogue.open(catalogue_place) as one, Catalogue.open(catalogue_place) as other:
        with one._writing() as connection:
            writing.record(connection, scanned("model"), WHEN, None, {})
            with pytest.raises(CatalogueError) as caught:
                record(other, scanned("model"))
        assert caught.value.code == "catalogue-busy"
        record(other, scanned("model"))


def test_a_server_that_does_not_answer_or_does_not_know_us_is_refused(postgresql: Server) -> None:
    nowhere = f"postgresql://ada:{SECRET}@127.0.0.1:1/x"
    wrong = postgresql.url("postgres").replace(postgresql.password, SECRET)
    absent = postgresql.url("no_such_database")
    for place in (nowhere, wrong, absent):
        error = refusal(place)
        assert error.code == "catalogue-unreachable"
        assert error.file == re.sub("//.*@", "//", place)


def test_a_user_without_rights_is_refused(postgresql: Server) -> None:
    url = postgresql.fresh()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {_role(url)} LOGIN PASSWORD '{SECRET}'".encode())
    theirs = re.sub("//.*@", f"//{_role(url)}:{SECRET}@", url)
    assert refusal(theirs).code == "catalogue-denied"


def test_a_user_who_may_only_read_can_read(postgresql: Server) -> None:
    url = postgresql.fresh()
    with Catalogue.open(url) as opened:
        record(opened, scanned("model"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {_role(url)} LOGIN PASSWORD '{SECRET}'".encode())
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {_role(url)}".encode())
    with Catalogue.open(re.sub("//.*@", f"//{_role(url)}:{SECRET}@", url), create=False) as opened:
        assert [each.name for each in opened.entries()] == ["model"]
        with pytest.raises(CatalogueError) as caught:
            record(opened, scanned("other"))
        assert caught.value.code == "catalogue-denied"


def test_a_database_that_cannot_hold_every_character_is_refused(postgresql: Server) -> None:
    url = postgresql.fresh(encoding="LATIN1")
    assert refusal(url).code == "catalogue-encoding"
    assert refusal(url, create=False).code == "catalogue-not-found"


def _role(url: str) -> str:
    return "reader_" + url.rpartition("_")[2]


def test_a_database_may_hold_other_things_but_no_tables_of_the_same_names(
    postgresql: Server,
) -> None:
    url = postgresql.fresh()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num text)")
        connection.execute("INSERT INTO alembic_version VALUES ('of something else')")
    Catalogue.open(url).close()
    other = postgresql.fresh()
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("CREATE TABLE models (shoes text)")
    assert refusal(other).code == "catalogue-not-one"


def test_a_connection_that_the_server_ends_is_said_to_be_lost(postgresql: Server) -> None:
    with Catalogue.open(postgresql.fresh()) as opened:
        with pytest.raises(CatalogueError) as caught, opened.reading() as connection:
            process = connection.execute(text("SELECT pg_backend_pid()")).scalar()
            with psycopg.connect(postgresql.url("postgres"), autocommit=True) as other:
                other.execute(f"SELECT pg_terminate_backend({process})".encode())
            connection.execute(text("SELECT 1"))
        assert caught.value.code == "catalogue-unreachable"
        assert list(opened.entries()) == []


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_url_may_name_the_driver_or_not(postgresql: Server, scheme: str) -> None:
    Catalogue.open(postgresql.fresh().replace("postgresql", scheme, 1)).close()


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://ada:{SECRET}@host/x",
        f"postgresql+psycopg2://ada:{SECRET}@host/x",
        f"postgresql://ada:one@{SECRET}@host/x",
        f"postgresql://ada:one?@{SECRET}/two@host/x",
        f"postgresql://ada:/{SECRET}?@127.0.0.1:1/x",
        f"postgresql://ada:{SECRET}@host:port/x",
        f"postgresql://ada:{SECRET}@[::1/x",
        f"postgresql://:{SECRET}@127.0.0.1:1/x?no_such_option=1",
        f"postgresql://127.0.0.1:1/x?password={SECRET}",
        f"postgresql://127.0.0.1:1/x?password=one@{SECRET}",
        "sqlite:///x.sqlite",
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_its_password(url: str) -> None:
    error = refusal(url)
    assert error.code in ("catalogue-url", "catalogue-unreachable", "catalogue-failed")
    assert SECRET not in shown(url)
    assert SECRET not in str(error)
    assert SECRET not in "".join(traceback.format_exception(error))


def test_a_missing_driver_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    error = refusal("postgresql://127.0.0.1:1/x")
    assert error.code == "catalogue-driver-missing"
    assert "thermoscan[postgresql]" in error.reason


def _subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(_subclasses(each) for each in kind.__subclasses__()))


@pytest.mark.parametrize(
    "kind",
    sorted(
        _subclasses(exc.SQLAlchemyError) | _subclasses(sqlite3.Error),
        key=lambda each: each.__name__,
    ),
)
def test_every_exception_of_a_database_leaves_as_one_of_ours(kind: type[Exception]) -> None:
    error: Exception
    if issubclass(kind, exc.StatementError):
        message = () if issubclass(kind, exc.DBAPIError) else ("no",)
        error = kind(*message, "SELECT", {}, psycopg.Error("no"))
    else:
        error = kind.__new__(kind, "no")
    with pytest.raises(CatalogueError, match=r"^here: "), boundary("here"):
        raise error


def test_other_exceptions_pass_the_boundary() -> None:
    with pytest.raises(KeyboardInterrupt), boundary("here"):
        raise KeyboardInterrupt
    with pytest.raises(KeyError), boundary("here"):
        raise KeyError


def test_opening_what_is_up_to_date_does_not_import_alembic(catalogue_place: str) -> None:
    Catalogue.open(catalogue_place).close()
    script = (
        "import sys\n"
        "from thermoscan.catalogue.store import Catalogue\n"
        "Catalogue.open(sys.argv[1]).close()\n"
        "print([name for name in ('alembic', 'numpy', 'numba', 'huggingface_hub') "
        "if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, catalogue_place],
        capture_output=True, text=True, check=True, env={**os.environ},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
