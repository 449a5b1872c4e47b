"""Ten million layers in a catalogue: 100,000 models of 100 layers and 4 findings each.

One model of 50 is recorded as a batch records it (`Catalogue.record`: a transaction each, by one
process), from 200 different cards of random figures; the rates are those of a batch whose scans
cost nothing. The others are copies of their rows under other names, made inside the database: what
is asked afterwards cannot tell, and filling takes minutes. What is asked by a condition goes the
way of `thermoscan catalogue query`. Each question is asked twice after the catalogue was opened
anew: the figure is the first answer's, to its last row.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, func, insert, select, text

from benchmarks.data import cache_folder
from benchmarks.report import Row
from benchmarks.scale import Scale
from tests.support import cards
from tests.support.postgresql import binaries, running
from thermoscan.batch.tasks import Result
from thermoscan.card import Card
from thermoscan.catalogue.asking import Question, ask
from thermoscan.catalogue.opening import connect, transaction
from thermoscan.catalogue.reading import parts_of, scans_of
from thermoscan.catalogue.rows import digest_of_name
from thermoscan.catalogue.schema import files, findings, layers, models, revisions, scans
from thermoscan.catalogue.store import Catalogue

_CARDS = 200
_COPIES = 50
_IDS = frozenset({"id", "model_id", "revision_id", "scan_id"})
_WHEN = datetime(2026, 1, 1, tzinfo=timezone.utc)
_ARCHITECTURES = ("bert", "llama", "gpt2", "vit", "t5")
_CODES = ("hot", "cold", "decayed", "wasted-precision", "duplicate-layers", "dead-units")
_QUESTIONS = {
    "layers of one model by a condition": Question(
        "layers", "model.name = '{one}' and order > 0.05", limit=20
    ),
    "layers of all models by a condition, all of them": Question("layers", "order > 0.5"),
    "the 20 hottest layers of all": Question("layers", None, ("-reduced_temperature",), limit=20),
    "the 20 hottest layers of one role and architecture": Question(
        "layers",
        "role = 'mlp down' and model.architecture = 'llama'",
        ("-reduced_temperature",),
        limit=20,
    ),
    "findings of one code, all of them": Question("findings", "code = 'dead-units'"),
    "the 50 most ordered models": Question("models", None, ("-order",), limit=50),
}


def measure_sqlite(scale: Scale) -> Iterator[Row]:
    """Fills and asks a file."""
    with TemporaryDirectory(dir=cache_folder()) as folder:
        place = Path(folder) / "catalogue.sqlite"
        yield from _measure(str(place), scale, lambda: place.stat().st_size)


def measure_postgresql(scale: Scale) -> Iterator[Row]:
    """Fills and asks a server with the settings that it comes with, on this machine."""
    found = binaries()
    if found is None:
        raise RuntimeError("no PostgreSQL: install Debian's package postgresql")
    with running(found, durable=True) as server:
        place = server.fresh()
        yield from _measure(place, scale, lambda: _database_size(place))


def _measure(place: str, scale: Scale, size: Callable[[], int]) -> Iterator[Row]:
    names = [_name(index) for index in range(scale.models)]
    total = scale.models * scale.model_layers
    recorded = names[::_COPIES]
    with Catalogue.open(place) as catalogue:
        drawn = [_card(seed, scale.model_layers) for seed in range(min(_CARDS, len(recorded)))]
        seconds, _ = _timed(partial(_record, names=recorded, drawn=drawn), catalogue)
    _copy(place, [name for name in names if name not in set(recorded)], len(recorded))
    yield Row("models recorded", len(recorded) / seconds, "/s", how=f"{len(recorded):,} of them")
    yield Row("layers recorded", len(recorded) * scale.model_layers / seconds, "/s")
    yield Row("size", size() / 1e9, "GB", how=f"{size() / total:.0f} bytes a layer, all told")
    for what, act in _acts(names).items():
        with Catalogue.open(place) as catalogue:
            (first, found), (again, _) = _timed(act, catalogue), _timed(act, catalogue)
        yield Row(what, first, "s", how=f"{found:,} rows; asked again: {again:.3g} s")


def _acts(names: list[str]) -> dict[str, Callable[[Catalogue], int]]:
    """What is asked, each giving the number of rows of its answer."""
    one = names[len(names) // 2]
    acts: dict[str, Callable[[Catalogue], int]] = {
        "what is known of every model": lambda catalogue: len(catalogue.known(names)),
        "every entry of the index": lambda catalogue: sum(1 for _ in catalogue.entries()),
        "one model with all its layers": _reading(lambda each: _show(each, one)),
        "mean temperature by architecture, of models": _reading(_by_architecture),
        "mean temperature by role and depth, of layers": _reading(_by_role_and_depth),
    }
    for what, question in _QUESTIONS.items():
        where = question.where and question.where.replace("{one}", one)
        acts[what] = _asking(replace(question, where=where))
    return acts


def _reading(answer: Callable[[Connection], int]) -> Callable[[Catalogue], int]:
    def act(catalogue: Catalogue) -> int:
        with catalogue.reading() as connection:
            return answer(connection)

    return act


def _asking(question: Question) -> Callable[[Catalogue], int]:
    def count(connection: Connection) -> int:
        with ask(connection, question) as answer:
            return sum(1 for _ in answer.rows)

    return _reading(count)


def _show(connection: Connection, name: str) -> int:
    last = scans_of(connection, name)[0]
    return sum(1 for _ in parts_of(connection, layers, last["id"]))


def _by_architecture(connection: Connection) -> int:
    query = (
        select(revisions.c.architecture, func.avg(scans.c.reduced_temperature))
        .join(scans, scans.c.revision_id == revisions.c.id)
        .where(scans.c.is_last)
        .group_by(revisions.c.architecture)
    )
    return len(connection.execute(query).all())


def _by_role_and_depth(connection: Connection) -> int:
    query = (
        select(layers.c.role, layers.c.depth, func.avg(layers.c.reduced_temperature))
        .join(scans)
        .where(scans.c.is_last)
        .group_by(layers.c.role, layers.c.depth)
    )
    return len(connection.execute(query).all())


def _record(catalogue: Catalogue, names: list[str], drawn: list[Card]) -> int:
    for index, name in enumerate(names):
        card = drawn[index % len(drawn)]
        model = replace(card.model, id=name, revision=f"{index:040x}")
        result = Result(name, name, "scanned", key=f"{index:064x}", card=replace(card, model=model))
        catalogue.record(result, _WHEN, f"cards/{name}/card.html", {})
    return len(names)


def _copy(place: str, names: list[str], recorded: int) -> None:
    """Copies all rows of the `recorded` first models, again and again, until all `names` have some.

    Ids count from 1 in a fresh catalogue, so those of a copy are the same number further on.
    """
    engine = connect(place, create=False)
    for shift in range(recorded, recorded + len(names), recorded):
        fresh = names[shift - recorded : shift]
        rows = [
            {"id": shift + 1 + k, "name": name, "source": name, "name_digest": digest_of_name(name)}
            for k, name in enumerate(fresh)
        ]
        with transaction(engine, write=True) as connection:
            connection.execute(insert(models), rows)
            for table in (revisions, scans, layers, findings, files):
                moved = [
                    column + shift if column.name in _IDS else column for column in table.columns
                ]
                first = next(
                    iter(table.primary_key.columns)
                )  # the scan, where it is not the row itself
                rows_of_first = select(*moved).where(first <= len(fresh))
                connection.execute(insert(table).from_select(list(table.c), rows_of_first))
    engine.dispose()


def _name(index: int) -> str:
    return f"organisation-{index % 997}/model-{index}-of-some-size"


def _card(seed: int, count: int) -> Card:
    """A card whose layers have figures of their own."""
    random_ = random.Random(seed)  # noqa: S311 - figures, not secrets
    whole = cards.of_layers(count)
    drawn = tuple(
        replace(
            layer,
            temperature=random_.lognormvariate(-6, 1),
            reduced_temperature=random_.lognormvariate(0.8, 0.5),
            order=random_.lognormvariate(-4, 1.5),
        )
        for layer in whole.layers
    )
    findings = tuple(
        replace(each, code=random_.choice(_CODES), layer=random_.choice(drawn).name)
        for each in whole.findings[:4]
    )
    return replace(
        whole,
        model=replace(whole.model, architecture=_ARCHITECTURES[seed % len(_ARCHITECTURES)]),
        layers=drawn,
        findings=findings,
        summary=replace(
            whole.summary,
            order=random_.lognormvariate(-4, 1),
            reduced_temperature=random_.lognormvariate(0.8, 0.5),
        ),
    )


def _timed(act: Callable[[Catalogue], int], catalogue: Catalogue) -> tuple[float, int]:
    """Returns the seconds that it took, and what it gave."""
    started = time.perf_counter()
    found = act(catalogue)
    return time.perf_counter() - started, found


def _database_size(place: str) -> int:
    with Catalogue.open(place) as catalogue, catalogue.reading() as connection:
        size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar()
        return int(size or 0)
