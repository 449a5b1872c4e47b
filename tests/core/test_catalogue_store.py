"""What is recorded comes back: exactly, once, the last of it first, from both databases."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from support import cards
from support.wheels import path_of

import thermoscan
from thermoscan.batch.tasks import Result
from thermoscan.card import Card, LayerRecord, Summary
from thermoscan.catalogue import reading, schema, writing
from thermoscan.catalogue.index import IndexEntry, profile_of, structure_of
from thermoscan.catalogue.reading import Known
from thermoscan.catalogue.store import Catalogue
from thermoscan.errors import CatalogueError

NOON = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
OPTIONS = {"sample": None, "seed": None}
ODD = (0.1 + 0.2, 5e-324, -math.nextafter(1.0, 2.0), 1.7976931348623157e308, -0.0, 1 / 3)


@pytest.fixture
def catalogue(catalogue_place: str) -> Iterator[Catalogue]:
    with Catalogue.open(catalogue_place) as opened:
        yield opened


def scanned(card: Card, name: str = "model", **other: Any) -> Result:
    return Result(name, f"/models/{name}", "scanned", key="k1", card=card, seconds=1.5, **other)


def record(catalogue: Catalogue, result: Result, minutes: int = 0, **options: object) -> None:
    when = NOON + timedelta(minutes=minutes)
    catalogue.record(result, when, f"cards/{result.name}/card.html", OPTIONS | options)


def everything(catalogue: Catalogue) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with catalogue.reading() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in schema.metadata.sorted_tables
        }


def last(catalogue: Catalogue, name: str = "model") -> Any:
    with catalogue.reading() as connection:
        return reading.scans_of(connection, name)[0]


def parts(catalogue: Catalogue, table: Any, scan_id: int) -> list[Any]:
    with catalogue.reading() as connection:
        return list(reading.parts_of(connection, table, scan_id))


def same_number(stored: float | None, given: float | None) -> bool:
    return stored == given and type(stored) is type(given)


def test_every_scalar_of_a_layer_comes_back_to_the_last_bit(catalogue: Catalogue) -> None:
    card = cards.complete()
    first, *rest = card.layers
    numbers = [each.name for each in fields(LayerRecord) if "float" in str(each.type)]
    scalars = [name for name in numbers if not isinstance(getattr(first, name), dict)]
    odd = replace(first, **{name: ODD[index % len(ODD)] for index, name in enumerate(scalars)})
    blank = replace(first, **{name: None for name in scalars if name != "sparsity"})
    card = replace(card, layers=(odd, blank, *rest))
    record(catalogue, scanned(card))
    rows = parts(catalogue, schema.layers, last(catalogue)["id"])
    assert len(rows) == len(card.layers)
    for position, (row, layer) in enumerate(zip(rows, card.layers, strict=True)):
        assert row["position"] == position
        assert (row["rows"], row["columns"]) == layer.shape
        for name in {*scalars, "name", "role", "depth", "dtype", "parameters", "non_finite",
                     "digest"}:  # fmt: skip
            assert same_number(row[name], getattr(layer, name)), name
        for part in ("engine", "change"):
            for column in [each for each in row if each.startswith(f"{part}_")]:
                given = getattr(getattr(layer, part), column.removeprefix(f"{part}_"), None)
                assert same_number(row[column], given), column


def test_the_figures_of_spectra_come_back_and_a_convolution_by_its_slices(
    catalogue: Catalogue,
) -> None:
    card = cards.complete()
    record(catalogue, scanned(card))
    scan = last(catalogue)
    for name in ("alpha", "alpha_weighted", "log_alpha_norm", "stable_rank", "ordered_fraction"):
        assert same_number(scan[name], getattr(card.spectra, name)), name
    rows = parts(catalogue, schema.layers, scan["id"])
    for row, layer in zip(rows, card.layers, strict=True):
        spectrum = (layer.spectra.slices or layer.spectra.matrix) if layer.spectra else None
        tail, bulk = (spectrum.tail, spectrum.bulk) if spectrum else (None, None)
        assert same_number(row["alpha"], tail.alpha if tail else None)
        for name in ("stable_rank", "effective_rank"):
            assert same_number(row[name], getattr(spectrum, name, None)), name
        for name in ("ordered_fraction", "outliers"):
            assert same_number(row[name], getattr(bulk, name, None)), name
    assert [row["alpha"] is None for row in rows[:5]] == [False, True, False, True, False]
    convolution = card.layers[-1].spectra
    assert convolution is not None and convolution.slices is not None
    assert convolution.matrix is not None
    assert convolution.slices.effective_rank != convolution.matrix.effective_rank


def test_the_summary_the_revision_and_the_findings_come_back(catalogue: Catalogue) -> None:
    card = replace(cards.sampled(), comparison=cards.complete().comparison)
    assert card.comparison is not None
    record(catalogue, scanned(card, "org/model"))
    row = last(catalogue, "org/model")
    for each in fields(Summary):
        if each.name in ("engine_shares", "intervals"):
            assert row[each.name] == json.loads(json.dumps(dict(getattr(card.summary, each.name))))
        elif each.name != "reasons":
            assert same_number(row[each.name], getattr(card.summary, each.name)), each.name
    for name in ("base", "base_revision", "verdict", "energy_change", "entropy_change",
                 "distance", "cosine", "kept"):  # fmt: skip
        assert row[name] == getattr(card.comparison, name)
    assert row["sampled"] is True
    assert row["sample_share"] == 0.0473549849
    assert row["at"] == NOON
    assert row["at"].utcoffset() == timedelta(0)
    assert row["seconds"] == 1.5
    assert row["options"] == OPTIONS
    assert row["scanner"] == thermoscan.__version__
    assert row["source"] == "/models/org/model"
    assert row["commit"] == card.model.revision
    assert row["identity"] == f"commit:{card.model.revision}"
    assert (row["bytes"], row["parameters"]) == (card.model.bytes, card.model.parameters)
    assert (row["architecture"], row["dtype"]) == ("bert", "F32")
    assert row["dtypes"] == dict(card.model.dtypes)
    found = parts(catalogue, schema.findings, row["id"])
    assert [(each["code"], each["severity"], each["layer"], each["message"], each["evidence"])
            for each in found] == [
        (each.code, each.severity, each.layer, each.message, dict(each.evidence))
        for each in card.findings
    ]  # fmt: skip


def test_what_is_null_in_a_card_is_null_in_the_catalogue(catalogue: Catalogue) -> None:
    record(catalogue, scanned(cards.realistic()))
    scan = last(catalogue)
    with catalogue.reading() as connection:
        counts = connection.execute(
            select(
                func.count(),
                func.count(schema.layers.c.refresh_temperature),
                func.count(schema.layers.c.engine_heat),
                func.count(schema.layers.c.change_status),
            ).where(schema.layers.c.scan_id == scan["id"])
        ).one()
    layers = cards.realistic().layers
    assert tuple(counts) == (len(layers), 0, sum(each.engine is not None for each in layers), 0)
    assert scan["refresh_temperature"] is None
    assert scan["verdict"] is None
    assert scan["intervals"] is None
    assert scan["sample_share"] is None


def test_recording_the_same_result_again_changes_nothing(catalogue: Catalogue) -> None:
    record(catalogue, scanned(cards.complete()))
    record(catalogue, Result("broken", "/models/broken", "refused", "header-short", "cut off"))
    before = everything(catalogue)
    record(catalogue, scanned(cards.complete()))
    record(catalogue, Result("broken", "/models/broken", "refused", "header-short", "cut off"))
    after = everything(catalogue)
    assert before == after
    assert len(before["layers"]) == len(cards.complete().layers)


def test_an_unchanged_result_touches_nothing(catalogue: Catalogue) -> None:
    record(catalogue, scanned(cards.realistic()))
    before = everything(catalogue)
    record(catalogue, Result("model", "/elsewhere", "unchanged", key="k1"), 60)
    assert everything(catalogue) == before


def test_a_newer_scan_of_the_same_content_takes_the_place_of_the_former(
    catalogue: Catalogue,
) -> None:
    record(catalogue, scanned(cards.realistic()))
    former = last(catalogue)["id"]
    fewer = replace(cards.realistic(), layers=cards.realistic().layers[:3], findings=())
    record(catalogue, replace(scanned(fewer), key="k2"), 5)
    found = everything(catalogue)
    numbers = {name: len(rows) for name, rows in found.items()}
    assert numbers == {
        "models": 1, "revisions": 1, "scans": 1, "layers": 3, "findings": 0, "files": 1,
    }  # fmt: skip
    row = last(catalogue)
    assert (row["id"], row["key"], row["at"]) == (former, "k2", NOON + timedelta(minutes=5))


def test_other_options_and_other_content_are_kept_as_history(catalogue: Catalogue) -> None:
    card = cards.realistic()
    moved = replace(card, model=replace(card.model, revision="f" * 40))
    record(catalogue, scanned(card), 0)
    record(catalogue, scanned(card), 1, seed=7)
    record(catalogue, scanned(moved), 2)
    with catalogue.reading() as connection:
        history = reading.scans_of(connection, "model")
        for scan in history:
            layers = list(reading.parts_of(connection, schema.layers, scan["id"]))
            assert len(layers) == len(card.layers)
    assert [(each["is_last"], each["commit"], each["options"]["seed"]) for each in history] == [
        (True, "f" * 40, None),
        (False, card.model.revision, 7),
        (False, card.model.revision, None),
    ]


def test_content_that_comes_back_is_the_last_again(catalogue: Catalogue) -> None:
    card = cards.realistic()
    moved = replace(card, model=replace(card.model, revision="f" * 40))
    for minutes, each in enumerate((card, moved, card)):
        record(catalogue, scanned(each), minutes)
    with catalogue.reading() as connection:
        history = reading.scans_of(connection, "model")
    assert [each["commit"] for each in history] == [card.model.revision, "f" * 40]


def test_a_model_that_broke_is_refused_and_its_former_scan_stays(catalogue: Catalogue) -> None:
    record(catalogue, scanned(cards.realistic()), 0)
    broken = Result("model", "/models/model", "refused", "header-short", "cut off", key="k2")
    record(catalogue, broken, 1)
    record(catalogue, broken, 2)
    with catalogue.reading() as connection:
        refusal, former = reading.scans_of(connection, "model")
        assert list(reading.parts_of(connection, schema.layers, refusal["id"])) == []
        layers = list(reading.parts_of(connection, schema.layers, former["id"]))
    assert len(layers) == len(cards.realistic().layers)
    assert (refusal["status"], refusal["code"], refusal["reason"]) == (
        "refused", "header-short", "cut off",
    )  # fmt: skip
    assert (refusal["is_last"], former["is_last"]) == (True, False)
    assert (refusal["revision_id"], refusal["parameters"], refusal["temperature"]) == (None,) * 3
    (entry,) = catalogue.entries()
    assert (entry.status, entry.code, entry.architecture, entry.parameters, entry.profile) == (
        "refused", "header-short", None, None, (),
    )  # fmt: skip
    assert catalogue.known(["model"])["model"].key == "k2"


def test_entries_say_what_the_cards_say_in_the_order_of_names(catalogue: Catalogue) -> None:
    card = cards.realistic()
    for name in ("zeta", "Alpha", "alpha", "émile", "_x"):
        record(catalogue, scanned(card, name))
    record(catalogue, Result("beta", "beta", "skipped", "excluded", "it was asked to be"))
    found = list(catalogue.entries())
    assert [each.name for each in found] == sorted(
        ["zeta", "Alpha", "alpha", "émile", "_x", "beta"]
    )
    assert found[0] == IndexEntry(
        name="Alpha",
        status="scanned",
        card="cards/Alpha/card.html",
        architecture="bert",
        structure=structure_of(card),
        parameters=card.model.parameters,
        bytes=card.model.bytes,
        dtype="F32",
        sampled=False,
        reduced_temperature=card.summary.reduced_temperature,
        order=card.summary.order,
        transition_temperature=card.summary.transition_temperature,
        refresh_temperature=None,
        work_efficiency=card.summary.work_efficiency,
        bits_per_parameter=card.summary.bits_per_parameter,
        sparsity=0.0,
        findings={"info": 2, "warning": 1},
        worst=("decayed",),
        profile=profile_of(card),
    )
    assert found[3] == IndexEntry(
        name="beta", status="skipped", code="excluded", reason="it was asked to be",
        card="cards/beta/card.html",
    )  # fmt: skip


def test_the_worst_findings_are_errors_where_there_are_any_and_never_infos(
    catalogue: Catalogue,
) -> None:
    card = cards.realistic()
    broken = replace(card.findings[0], code="non-finite", severity="error")
    record(catalogue, scanned(replace(card, findings=(*card.findings, broken, broken)), "a"))
    record(catalogue, scanned(replace(card, findings=card.findings[:2]), "b"))
    first, second = catalogue.entries()
    assert (first.worst, dict(first.findings)) == (
        ("non-finite",),
        {"info": 2, "warning": 1, "error": 2},
    )
    assert (second.worst, dict(second.findings)) == ((), {"info": 2})


def test_known_gives_key_and_digests_of_many_names_at_once(catalogue: Catalogue) -> None:
    card = replace(cards.realistic(), model=replace(cards.realistic().model, revision="c" * 40))
    record(catalogue, scanned(card, "whole"))
    record(catalogue, replace(scanned(cards.sampled(), "sampled"), key=None))
    record(catalogue, Result("left", "left", "skipped", "excluded", "it was", key="k9"))
    names = [f"never seen {index}" for index in range(2500)]
    assert catalogue.known(["left", *names, "whole", "sampled"]) == {
        "whole": Known("scanned", "k1", "c" * 40, "cards/whole/card.html",
                       {"model.safetensors": "sha256:" + "53" * 32}),
        "sampled": Known("scanned", None, cards.sampled().model.revision,
                         "cards/sampled/card.html", {}),
        "left": Known("skipped", "k9", None, "cards/left/card.html", {}),
    }  # fmt: skip
    assert catalogue.known([]) == {}


def test_the_same_files_are_one_revision_whatever_their_order(catalogue: Catalogue) -> None:
    card = cards.realistic()
    (file,) = card.model.files
    other = replace(file, name="other.safetensors", bytes=5)
    for files in ((file, other), (other, file), (other,)):
        model = replace(card.model, revision=None, files=files)
        record(catalogue, scanned(replace(card, model=model)))
    alone = [["other.safetensors", 5, "sha256:" + "53" * 32]]
    digest = hashlib.sha256(json.dumps(alone).encode()).hexdigest()
    assert last(catalogue)["identity"] == f"files:{digest}"
    assert len(everything(catalogue)["revisions"]) == 2


def test_a_sample_without_a_commit_is_a_revision_by_its_key(catalogue: Catalogue) -> None:
    card = cards.sampled()
    record(catalogue, scanned(replace(card, model=replace(card.model, revision=None))))
    assert last(catalogue)["identity"] == "key:k1"


@pytest.mark.parametrize("text", [*cards.HOSTILE_NAMES, "\x10d800", "\x10", "a\x00", "\x100000"])
def test_hostile_text_comes_back_as_it_was(catalogue: Catalogue, text: str) -> None:
    card = cards.realistic()
    (file,) = card.model.files
    layer = replace(card.layers[0], name=text)
    finding = replace(card.findings[0], layer=text, message=text, evidence={"name": text})
    model = replace(
        card.model,
        revision=text,
        architecture=text,
        dtypes={text: 5},
        files=(replace(file, name=text),),
    )
    hostile = replace(card, layers=(layer,), findings=(finding,), model=model)
    record(catalogue, scanned(hostile, text), **{text: text})
    row = last(catalogue, text)
    assert (row["name"], row["source"]) == (text, f"/models/{text}")
    assert (row["architecture"], row["commit"], row["dtype"]) == (text, text, text)
    assert row["options"] == OPTIONS | {text: text}
    assert parts(catalogue, schema.layers, row["id"])[0]["name"] == text
    (found,) = parts(catalogue, schema.findings, row["id"])
    assert (found["layer"], found["message"], found["evidence"]) == (text, text, {"name": text})
    assert catalogue.known([text])[text].digests == {text: "sha256:" + "53" * 32}
    record(catalogue, Result(text, text, "refused", "odd", text))
    assert [(each.name, each.reason) for each in catalogue.entries()] == [(text, text)]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.text(st.sampled_from("a0d\x00\x10\ud800\udfff\U0010ffff")), unique=True, max_size=8)
)
def test_different_names_are_different_models(catalogue: Catalogue, names: list[str]) -> None:
    for name in names:
        record(catalogue, Result(name, name, "skipped", "excluded", "it was"))
    assert sorted(catalogue.known(names)) == sorted(names)
    assert set(names) <= {each.name for each in catalogue.entries()}


def test_a_name_longer_than_an_index_can_hold_is_a_name_like_any_other(
    catalogue: Catalogue,
) -> None:
    # Text that does not compress: PostgreSQL compresses before it counts.
    long = "".join(hashlib.sha256(bytes([index])).hexdigest() for index in range(200))
    for name in (long, long + "x"):
        record(catalogue, scanned(cards.realistic(), name))
    assert [each.name for each in catalogue.entries()] == [long, long + "x"]


def test_a_number_that_no_column_can_hold_is_refused_and_nothing_is_written(
    catalogue: Catalogue,
) -> None:
    card = cards.realistic()
    layers = (*card.layers, replace(card.layers[0], parameters=1 << 63))
    with pytest.raises(CatalogueError) as caught:
        record(catalogue, scanned(replace(card, layers=layers)))
    assert caught.value.code == "catalogue-failed"
    assert not any(everything(catalogue).values())


def test_a_card_of_more_layers_than_are_sent_at_once_is_recorded_whole(
    catalogue: Catalogue,
) -> None:
    few = cards.of_layers(40)
    card = replace(few, layers=few.layers * 260)
    assert len(card.layers) == 10_400 > 2 * writing._CHUNK
    record(catalogue, scanned(card))
    scan = last(catalogue)
    assert scan["layers"] == 10_400
    with catalogue.reading() as connection:
        count, total = connection.execute(
            select(func.count(), func.sum(schema.layers.c.parameters))
        ).one()
    assert count == 10_400
    assert total == sum(each.parameters for each in card.layers)


@pytest.mark.parametrize("name", ["minilm", "crepe-tiny"])
def test_a_real_scan_comes_back(catalogue: Catalogue, name: str) -> None:
    card = thermoscan.scan(str(path_of(name)))
    record(catalogue, scanned(card, name))
    row = last(catalogue, name)
    assert row["identity"].startswith("files:")
    assert row["layers"] == len(card.layers)
    assert row["order"] == card.summary.order
    rows = parts(catalogue, schema.layers, row["id"])
    assert [(each["name"], each["temperature"], each["digest"]) for each in rows] == [
        (each.name, each.temperature, each.digest) for each in card.layers
    ]
    (entry,) = catalogue.entries()
    assert entry.profile == profile_of(card)
