"""Every catalogue that ever was can be opened; the steps lead to the tables that the code knows."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, update
from support import cards

from thermoscan.batch.tasks import Result
from thermoscan.card import Card
from thermoscan.catalogue import reading, schema, upgrading
from thermoscan.catalogue.index import profile_of
from thermoscan.catalogue.opening import connect, transaction
from thermoscan.catalogue.store import Catalogue
from thermoscan.errors import CatalogueError

OLD = Path(__file__).parent / "catalogues"
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)


def few_layers() -> Card:
    """The card in every file of `OLD`."""
    card = cards.complete()
    few = [each for each in card.layers if each.depth in (None, 0) and each.role != "convolution"]
    return replace(card, layers=tuple(few))


def fill(catalogue: Catalogue) -> None:
    """What every file of `OLD` holds."""
    scanned = Result(
        "org/\ud800 model", "/models/a", "scanned", key="k1", seconds=1.25,
        card=few_layers(),
    )  # fmt: skip
    broken = Result("org/broken", "/models/b", "refused", "header-short", "cut\0off", key="k2")
    catalogue.record(scanned, WHEN, "cards/a/card.html", {"seed": None})
    catalogue.record(replace(scanned, name="org/broken"), WHEN, None, {})
    catalogue.record(broken, WHEN, None, {})


def dump(place: Path) -> str:
    with closing(sqlite3.connect(place)) as connection:
        return "\n".join(connection.iterdump()) + "\n"


def test_a_catalogue_of_every_revision_is_kept(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    last = OLD / f"catalogue-{schema.REVISIONS[-1]}.sql"
    # What is there was written by the version of its time, and stays.
    if pytestconfig.getoption("--update-goldens") and not last.exists():
        with Catalogue.open(tmp_path / "c.sqlite") as opened:
            fill(opened)
        last.write_text(dump(tmp_path / "c.sqlite"), encoding="ascii")
    assert {each.stem for each in OLD.iterdir()} == {
        f"catalogue-{revision}" for revision in schema.REVISIONS
    }


@pytest.mark.parametrize("revision", schema.REVISIONS)
def test_a_kept_catalogue_opens_with_all_that_was_in_it(tmp_path: Path, revision: str) -> None:
    place = tmp_path / "c.sqlite"
    with closing(sqlite3.connect(place)) as connection:
        connection.executescript((OLD / f"catalogue-{revision}.sql").read_text(encoding="ascii"))
    with Catalogue.open(place, create=False) as opened:
        assert differences(str(place)) == []
        scanned, broken = opened.entries()
        with opened.reading() as connection:
            refusal, former = reading.scans_of(connection, "org/broken")
            layers = list(reading.parts_of(connection, schema.layers, former["id"]))
    assert (broken.name, broken.status, broken.reason) == ("org/broken", "refused", "cut\0off")
    assert (refusal["at"], former["status"], former["seconds"]) == (WHEN, "scanned", 1.25)
    assert (scanned.name, scanned.architecture) == ("org/\ud800 model", "bert")
    card = few_layers()
    assert scanned.profile == profile_of(card)
    assert [(each["name"], each["order"], each["change_rank"]) for each in layers] == [
        (each.name, each.order, each.change.rank if each.change else None) for each in card.layers
    ]
    assert card.spectra is not None
    has_spectra = revision >= "0002"
    assert former["alpha"] == (card.spectra.alpha if has_spectra else None)
    matrices = [each.spectra.matrix if each.spectra else None for each in card.layers]
    ranks = [each.effective_rank if each and has_spectra else None for each in matrices]
    assert [each["effective_rank"] for each in layers] == ranks


def differences(place: str) -> list[object]:
    """What Alembic would change to make the database as the code's tables."""
    engine = connect(place, create=False)
    with transaction(engine, write=False) as connection:
        options = {"version_table": upgrading.VERSION_TABLE, "compare_type": True}
        found = compare_metadata(
            MigrationContext.configure(connection, opts=options), schema.metadata
        )
    engine.dispose()
    return found


def test_the_steps_lead_to_the_tables_of_the_code(catalogue_place: str) -> None:
    Catalogue.open(catalogue_place).close()
    assert differences(catalogue_place) == []


def test_a_difference_would_be_found(catalogue_place: str) -> None:
    Catalogue.open(catalogue_place).close()
    engine = connect(catalogue_place, create=False)
    with transaction(engine, write=True) as connection:
        connection.exec_driver_sql("ALTER TABLE layers DROP COLUMN kurtosis")
    engine.dispose()
    assert len(differences(catalogue_place)) == 1


def test_columns_stand_in_the_order_of_the_code_and_text_sorts_by_code_point(
    catalogue_place: str,
) -> None:
    Catalogue.open(catalogue_place).close()
    engine = connect(catalogue_place, create=False)
    found = inspect(engine)
    for table in schema.metadata.sorted_tables:
        columns = found.get_columns(table.name)
        assert [each["name"] for each in columns] == table.columns.keys()
        if engine.dialect.name == "postgresql":
            hostile = [each.name for each in table.c if isinstance(each.type, schema.HostileText)]
            assert [
                each["name"] for each in columns if getattr(each["type"], "collation", None) == "C"
            ] == hostile
    engine.dispose()


def test_the_steps_are_the_revisions_that_the_code_knows_in_one_line() -> None:
    config = Config()
    config.set_main_option("script_location", str(upgrading.MIGRATIONS))
    steps = [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(steps)) == schema.REVISIONS


def test_a_newer_catalogue_is_refused_and_left_alone(catalogue_place: str) -> None:
    Catalogue.open(catalogue_place).close()
    engine = connect(catalogue_place, create=False)
    with transaction(engine, write=True) as connection:
        connection.execute(update(upgrading._version).values(version_num="9999"))
    with pytest.raises(CatalogueError) as caught:
        Catalogue.open(catalogue_place)
    assert caught.value.code == "catalogue-newer"
    with transaction(engine, write=False) as connection:
        assert connection.execute(select(upgrading._version)).scalar() == "9999"
    engine.dispose()


def test_a_step_that_fails_leaves_nothing_behind(
    catalogue_place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps = tmp_path / "migrations"
    shutil.copytree(upgrading.MIGRATIONS, steps)
    (first,) = (steps / "versions").glob("r0001*")
    first.write_text(first.read_text() + "\n_create_layers = None\n")
    monkeypatch.setattr(upgrading, "MIGRATIONS", steps)
    with pytest.raises(TypeError):
        Catalogue.open(catalogue_place)
    engine = connect(catalogue_place, create=True)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    monkeypatch.undo()
    Catalogue.open(catalogue_place).close()


def test_an_older_catalogue_is_brought_up_to_date_step_by_step(
    catalogue_place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Catalogue.open(catalogue_place) as opened:
        fill(opened)
        before = list(opened.entries())
    steps = tmp_path / "migrations"
    shutil.copytree(upgrading.MIGRATIONS, steps)
    (steps / "versions" / "r_next.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = 'next'\ndown_revision = {schema.REVISIONS[-1]!r}\n"
        "def upgrade():\n    op.add_column('models', sa.Column('stars', sa.Integer))\n"
    )
    monkeypatch.setattr(upgrading, "MIGRATIONS", steps)
    monkeypatch.setattr(upgrading, "REVISIONS", (*schema.REVISIONS, "next"))
    with Catalogue.open(catalogue_place, create=False) as opened:
        assert list(opened.entries()) == before
        with opened.reading() as connection:
            assert "stars" in {each["name"] for each in inspect(connection).get_columns("models")}
    monkeypatch.undo()
    with pytest.raises(CatalogueError, match="newer"):
        Catalogue.open(catalogue_place)


def test_an_empty_table_of_versions_is_begun_anew(tmp_path: Path) -> None:
    place = str(tmp_path / "c.sqlite")
    engine = connect(place, create=True)
    with transaction(engine, write=True) as connection:
        upgrading._version.create(connection)
    engine.dispose()
    Catalogue.open(place).close()
    assert differences(place) == []
