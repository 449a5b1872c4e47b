"""What a hub says is checked before anything relies on it: lies are refused, and lead nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.hub_clients import adapter_of, contents, open_model, refusal
from support.loopback_hub import Answer, Fault, Gzip, Headers, LoopbackHub, Request
from support.loopback_hub.messages import Answerer
from support.safetensors_files import write_tensors

from thermoscan.errors import HubError, LimitError, SourceError
from thermoscan_adapters.hub import HubAdapter

Entries = list[dict[str, Any]]
MODEL = r"^/api/models/org/name(\?|$)"


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    return write_tensors(tmp_path / "weights", "a", "b").read_bytes()


@pytest.fixture
def hub(weights: bytes) -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.add("org/name", {"model.safetensors": weights, "config.json": b'{"a": 1}'})
        yield hub


@pytest.fixture
def adapter(hub: LoopbackHub, tmp_path: Path) -> HubAdapter:
    return adapter_of(hub, tmp_path / "cache")


def edited(edit: Callable[[Any], object]) -> Fault:
    """Puts what `edit` makes of the JSON of an answer in its place."""

    def fault(request: Request, answer: Answerer) -> Answer:
        answered = answer(request)
        assert isinstance(answered.body, bytes)
        return replace(answered, body=json.dumps(edit(json.loads(answered.body))).encode())

    return fault


def raw(body: bytes) -> Fault:
    """Answers with a body that is perhaps no JSON."""
    return lambda request, answer: replace(answer(request), body=body)


def about_the_weights(**fields: object) -> Fault:
    """Lists other facts about model.safetensors than are so."""

    def edit(entries: Entries) -> Entries:
        return [e | fields if e["path"] == "model.safetensors" else e for e in entries]

    return edited(edit)


def more(*entries: dict[str, object]) -> Fault:
    return edited(lambda listed: [*listed, *entries])


def file(path: object, **fields: object) -> dict[str, object]:
    return {"type": "file", "path": path, "size": 1, "oid": "0" * 40, **fields}


LISTS: dict[str, Fault] = {
    "longer than it is": about_the_weights(size=10_000),
    "shorter than it is": about_the_weights(size=100),
    "a length that is text": about_the_weights(size="168"),
    "a length that is no integer": about_the_weights(size=168.0),
    "a length that is true": about_the_weights(size=True),
    "a length below zero": about_the_weights(size=-1),
    "a length beyond any disk": about_the_weights(size=1 << 70),
    "no length": about_the_weights(size=None),
    "another digest": about_the_weights(lfs={"oid": "0" * 64, "size": 168, "pointerSize": 1}),
    "a digest that is none": about_the_weights(lfs={"oid": "0" * 63, "size": 1, "pointerSize": 1}),
    "a digest that is a number": about_the_weights(lfs={"oid": 5, "size": 1, "pointerSize": 1}),
    "no digest where one should be": about_the_weights(lfs={"size": 168}),
    "facts that are text": about_the_weights(lfs="yes"),
    "a blob that is a number": about_the_weights(oid=7),
    "a file twice": more(file("model.safetensors")),
    "a name that is a number": more(file(5)),
    "an entry that is no object": edited(lambda entries: [*entries, 5]),
    "an entry without fields": more({}),
    "a name and not a list": edited(lambda _: "model.safetensors"),
    "a number": edited(lambda _: 5),
    "an object": edited(lambda _: {"error": "no"}),
    "no JSON": raw(b"<html>"),
    "no text": raw(b"\xff\xfe\xfd"),
    "nothing": raw(b""),
    "JSON without a bottom": raw(b"[" * 100_000),
    "no entry, and more to come": lambda request, answer: replace(
        answer(request),
        body=b"[]",
        headers={"Link": f'<http://{request.headers["host"]}{request.path}>; rel="next"'},
    ),
    "the same page again": lambda request, answer: replace(
        answer(request),
        headers={"Link": f'<http://{request.headers["host"]}{request.path}>; rel="next"'},
    ),
    "a page of another host": Headers({"Link": '<http://127.0.0.1:9/>; rel="next"'}),
    "a page of no host": Headers({"Link": '<http://[::>; rel="next"'}),
}


@pytest.mark.parametrize("lie", LISTS.values(), ids=LISTS)
def test_a_list_of_files_that_cannot_be_is_refused(
    hub: LoopbackHub, adapter: HubAdapter, lie: Fault
) -> None:
    hub.fail(lie, path="/tree/", times=None)
    error = refusal(adapter)
    assert (type(error), error.code) == (HubError, "hub-answer")
    assert len(hub.requests) < 10


def padded(length: int) -> Fault:
    """Puts blanks, which mean nothing in JSON, behind an answer to make it so long."""

    def fault(request: Request, answer: Answerer) -> Answer:
        answered = answer(request)
        assert isinstance(answered.body, bytes)
        return replace(answered, body=answered.body.ljust(length))

    return fault


@pytest.mark.parametrize("path", [MODEL, "/tree/"], ids=["the model", "the list of its files"])
@pytest.mark.parametrize("packed", [(), (Gzip(),)], ids=["plain", "packed"])
def test_an_answer_that_is_too_long_is_refused(
    hub: LoopbackHub,
    adapter: HubAdapter,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    packed: tuple[Fault, ...],
) -> None:
    monkeypatch.setattr("thermoscan_adapters.hub_api.MOST_BYTES", 100_000)
    hub.fail(*packed, padded(100_000), path=path)
    assert open_model(adapter).tensors
    hub.fail(*packed, padded(100_001), path=path)
    error = refusal(adapter)
    assert (type(error), error.code) == (HubError, "hub-answer")
    assert error.reason == "the hub's answer has more bytes than the limit of 100000"


MODELS: dict[str, Fault] = {
    "no commit": edited(lambda model: {**model, "sha": None}),
    "a commit that is a path": edited(lambda model: {**model, "sha": "../../evil"}),
    "a commit with a line's end": edited(lambda model: {**model, "sha": model["sha"] + "\n"}),
    "a commit that is a number": edited(lambda model: {**model, "sha": 5}),
    "no model": edited(lambda _: []),
    "null": edited(lambda _: None),
    "no JSON": raw(b"<html>"),
    "JSON without a bottom": raw(b"[" * 100_000),
}


@pytest.mark.parametrize("lie", MODELS.values(), ids=MODELS)
def test_a_model_without_a_commit_is_refused(
    hub: LoopbackHub, adapter: HubAdapter, lie: Fault
) -> None:
    hub.fail(lie, path=MODEL, times=None)
    error = refusal(adapter)
    assert (type(error), error.code) == (HubError, "hub-answer")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Repo-Commit": ""},
        {"X-Repo-Commit": "0" * 40},
        {"X-Linked-Size": "5"},
        {"X-Linked-Size": "much"},
        {"X-Linked-Etag": f'"{"0" * 64}"'},
    ],
)
def test_a_file_that_is_another_where_it_is_kept_is_refused(
    hub: LoopbackHub, adapter: HubAdapter, headers: dict[str, str]
) -> None:
    hub.fail(Headers(headers), path=r"/resolve/.*safetensors", method="HEAD", times=None)
    assert refusal(adapter).code == "hub-answer"
    assert [request for request in hub.requests if request.origin == "content"] == []


@pytest.mark.parametrize("size", [1, 100])
def test_a_small_file_of_another_length_is_refused(
    hub: LoopbackHub, adapter: HubAdapter, size: int
) -> None:
    def edit(entries: Entries) -> Entries:
        return [e | {"size": size} if e["path"] == "config.json" else e for e in entries]

    hub.fail(edited(edit), path="/tree/")
    assert refusal(adapter).code == "hub-range"


HOSTILE = [
    "C:\\evil.safetensors", "\ud800.safetensors", "\x1b[31mevil.safetensors", "?evil.safetensors",
    "#evil.safetensors", "%2e%2e%2fevil.safetensors", " evil.safetensors", "x" * 5000,
    "...", "~/evil.safetensors", "..\\evil.safetensors",
]  # fmt: skip
IMPOSSIBLE = [
    "..", ".", "", "../evil.safetensors", "../../evil.safetensors", "/etc/evil.safetensors",
    "a\0b.safetensors", "a//evil.safetensors", "a/./evil.safetensors", "evil.safetensors/", "/",
    "http://127.0.0.1:9/evil.safetensors",
]  # fmt: skip


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_name_that_git_cannot_know_is_refused(
    hub: LoopbackHub, adapter: HubAdapter, name: str
) -> None:
    hub.fail(more(file(name)), path="/tree/", times=None)
    assert refusal(adapter).code == "hub-answer"


def test_hostile_names_beside_the_weights_are_not_asked_for(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes
) -> None:
    entries = [file(name) for name in HOSTILE]
    entries.append({"type": "directory", "path": "model.safetensors", "size": 0, "oid": "0" * 40})
    hub.fail(more(*entries), path="/tree/")
    checkpoint = open_model(adapter)
    assert contents(checkpoint) == {"a": weights[-48:-24], "b": weights[-24:]}
    for record in checkpoint.files:
        assert record.status == ("scanned" if record.name == "model.safetensors" else "skipped")
    assert not any("evil" in request.target for request in hub.requests)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_of_the_only_weights_ends_in_an_error(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path, name: str
) -> None:
    large = {"oid": "0" * 64, "size": 1, "pointerSize": 1}
    hub.fail(edited(lambda _: [file(name, lfs=large)]), path="/tree/", times=None)
    assert isinstance(refusal(adapter), SourceError)
    assert all(request.origin == "hub" for request in hub.requests)
    assert {path.name for path in tmp_path.iterdir()} <= {"weights", "cache"}
    assert not (tmp_path / "cache").exists()


def test_a_repository_of_too_many_files_is_refused_without_the_rest_of_its_list(
    hub: LoopbackHub, adapter: HubAdapter
) -> None:
    hub.page_size = 1
    hub.add("org/many", {f"{k}.txt": b"" for k in range(200)})
    error = refusal(adapter, "org/many", folder_entries=5)
    assert (type(error), error.code) == (LimitError, "folder-too-large")
    assert len(hub.requests) < 10
    hub.page_size = 1000
    hub.fail(more(*(file(f"{k}.txt") for k in range(10_001))), path="/tree/")
    assert refusal(adapter).code == "folder-too-large"


def test_a_list_of_many_pages_is_read_to_its_end(
    hub: LoopbackHub, adapter: HubAdapter, weights: bytes
) -> None:
    hub.page_size = 3
    hub.add("org/many", {"z.safetensors": weights, **{f"{k}.txt": b"" for k in range(20)}})
    assert contents(open_model(adapter, "org/many")) == {"a": weights[-48:-24], "b": weights[-24:]}
