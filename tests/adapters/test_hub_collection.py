"""Models that a hub lists for a query: what the client finds, pinned; hostile lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from support.hub_clients import BRIEF
from support.loopback_hub import Facts, Garbage, Headers, LoopbackHub, Status
from support.safetensors_files import write_tensors

from thermoscan.batch.candidates import Candidate, LeftOut
from thermoscan.checkpoint import OpenOptions
from thermoscan.errors import HubError, OptionError
from thermoscan.plugins import collection_for
from thermoscan_adapters.hub import HubAdapter
from thermoscan_adapters.hub_collection import HubCollection
from thermoscan_adapters.hub_query import HubQuery, parse_hub_query

FILES: dict[str, bytes | Path] = {"config.json": b"{}"}


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def zoo(hub: LoopbackHub) -> LoopbackHub:
    """Twelve models of two authors, of which one in three is for transformers."""
    for number in range(12):
        facts = Facts(
            library="transformers" if number % 3 == 0 else "diffusers",
            task="fill-mask" if number % 2 else "text-generation",
            tags=("en", "license:mit") if number < 6 else ("en",),
            downloads=(number * 7) % 12,
            likes=number // 2,
        )
        hub.add(f"{'org' if number < 8 else 'other'}/bert-{number}", FILES, facts=facts)
    hub.page_size = 2
    return hub


def listed(hub: LoopbackHub, query: str) -> list[Candidate | LeftOut]:
    return list(HubCollection(hub.endpoint, BRIEF).candidates(f"hub:{query}"))


def client(hub: LoopbackHub, **filters: Any) -> list[str]:
    """What huggingface_hub's own client lists."""
    return [m.id for m in HfApi(hub.endpoint, token=False).list_models(**filters)]


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ("author=org", {"author": "org"}),
        ("author=org, library=transformers", {"author": "org", "filter": "transformers"}),
        ("search=BERT-1", {"search": "BERT-1"}),
        ("tags=en license:mit", {"filter": ["en", "license:mit"]}),
        ("library=diffusers,tags=license:mit", {"filter": ["diffusers", "license:mit"]}),
        ("task=fill-mask, sort=downloads", {"pipeline_tag": "fill-mask", "sort": "downloads"}),
        ("limit=5, sort=likes", {"limit": 5, "sort": "likes"}),
        ("sort=modified, limit=3", {"limit": 3, "sort": "last_modified"}),
        ("sort=created, author=other", {"author": "other", "sort": "created_at"}),
        ("sort=trending, limit=1", {"limit": 1, "sort": "trending_score"}),
    ],
)
def test_a_query_finds_what_the_client_of_the_hub_finds(
    zoo: LoopbackHub, query: str, filters: dict[str, Any]
) -> None:
    expected = client(zoo, **filters)
    assert len(expected) in {1, 2, 3, 4, 5, 6, 8}
    assert [each.name for each in listed(zoo, query)] == expected


def test_each_model_is_pinned_to_the_commit_that_it_is_at(zoo: LoopbackHub) -> None:
    at = {id: each.branches["main"] for id, each in zoo.repositories.items()}
    found = listed(zoo, "author=other")
    assert found == [
        Candidate(id, f"{id}@{at[id]}", commit=at[id]) for id in at if id.startswith("other/")
    ]


def test_a_candidate_opens_at_its_commit_after_the_branch_has_moved(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    weights = write_tensors(tmp_path / "model.safetensors", "old").read_bytes()
    repository = hub.add("org/name", {"model.safetensors": weights})
    (found,) = listed(hub, "author=org")
    assert isinstance(found, Candidate)
    repository.commit({"README.md": b"gone"})
    adapter = HubAdapter(hub.endpoint, tmp_path / "cache", BRIEF)
    assert [t.name for t in adapter.open(found.source, OpenOptions()).tensors] == ["old"]


def test_the_size_of_a_model_is_what_the_hub_has_counted(hub: LoopbackHub, tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "model.safetensors", "a", "b", rows=5)
    hub.add("org/counted", {"model.safetensors": path})
    hub.add("org/torch", {"pytorch_model.bin": b"x"})
    sizes = [each.bytes for each in listed(hub, "author=org") if isinstance(each, Candidate)]
    assert sizes == [2 * 5 * 3 * 4, 0]


@pytest.mark.parametrize(
    "stated",
    ['{"parameters": {"F32": -1}}', '{"parameters": {"F32": true}}', '{"parameters": [1]}', "[]",
     '{"parameters": {"X": 5}}', '{"parameters": {"F32": 1e300}}', "null", '"x"'],
)  # fmt: skip
def test_a_size_that_makes_no_sense_is_none(hub: LoopbackHub, stated: str) -> None:
    body = f'[{{"id": "org/a", "safetensors": {stated}}}]'
    hub.fail(Garbage(_http(body)), path="/api/models")
    assert listed(hub, "search=x") == [Candidate("org/a", "org/a")]


def test_pages_are_asked_for_as_models_are_taken(zoo: LoopbackHub) -> None:
    found = HubCollection(zoo.endpoint, BRIEF).candidates("hub:tags=en")
    assert zoo.requests == []
    assert len(list(islice(found, 3))) == 3
    assert [request.path for request in zoo.requests] == ["/api/models"] * 2


def test_no_more_is_asked_for_than_the_limit(zoo: LoopbackHub) -> None:
    assert len(listed(zoo, "limit=2")) == 2
    assert len(zoo.requests) == 1
    assert zoo.requests[0].parameter("limit") == "2"


def test_what_is_closed_is_left_out_with_what_the_hub_says(hub: LoopbackHub) -> None:
    hub.add("org/gated", FILES, gated=True)
    hub.add("org/private", FILES, private=True)
    hub.add("org/disabled", FILES, facts=Facts(disabled=True))
    found = {each.name: each for each in listed(hub, "author=org")}
    codes = {name: (each.status, each.code) for name, each in found.items()}
    assert codes == {
        "org/gated": ("refused", "hub-gated"),
        "org/disabled": ("refused", "hub-disabled"),
    }


def test_who_is_known_to_the_hub_may_have_been_let_in(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    hub.add_token("hf_reader", "bob", read=("org",))
    hub.add("org/gated", FILES, gated=True)
    hub.add("org/private", FILES, private=True)
    found = listed(hub, "author=org")
    assert [(type(each), each.name) for each in found] == [
        (Candidate, "org/gated"),
        (Candidate, "org/private"),
    ]


HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "https://evil.example/x/y",
    "org/na\nme",
    "a/b/c",
    "a" * 300,
]


@pytest.mark.parametrize("id", HOSTILE)
def test_an_id_that_is_none_is_refused_and_the_others_are_not(hub: LoopbackHub, id: str) -> None:
    entries = [{"id": id, "sha": "0" * 40}, {"id": "org/name", "sha": "0" * 40}]
    hub.fail(Garbage(_http(json.dumps(entries))), path="/api/models")
    refused, fine = listed(hub, "search=x")
    assert (refused.name, getattr(refused, "code", None)) == (id, "hub-name")
    assert fine == Candidate("org/name", f"org/name@{'0' * 40}", commit="0" * 40)


def _http(body: str) -> bytes:
    return (f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('[{"sha": "x"}]', "hub-answer"),
        ('[{"id": 3}]', "hub-answer"),
        ('[{"id": ""}]', "hub-answer"),
        ('{"error": "no"}', "hub-answer"),
        ("[1]", "hub-answer"),
        ("<html>", "hub-answer"),
    ],
)
def test_an_answer_that_is_no_list_of_models_is_an_error(
    hub: LoopbackHub, body: str, code: str
) -> None:
    hub.fail(Garbage(_http(body)), path="/api/models")
    with pytest.raises(HubError) as caught:
        listed(hub, "search=x")
    assert caught.value.code == code


def test_a_commit_that_is_none_is_refused_and_an_unknown_one_is_not_pinned(
    hub: LoopbackHub,
) -> None:
    body = '[{"id": "org/a", "sha": "../.."}, {"id": "org/b"}]'
    hub.fail(Garbage(_http(body)), path="/api/models")
    first, second = listed(hub, "search=x")
    assert (first.name, getattr(first, "code", None)) == ("org/a", "hub-answer")
    assert second == Candidate("org/b", "org/b")


def test_a_model_that_is_listed_twice_is_found_once(hub: LoopbackHub) -> None:
    hub.fail(Garbage(_http('[{"id": "org/a"}, {"id": "org/a"}]')), path="/api/models")
    assert [each.name for each in listed(hub, "search=x")] == ["org/a"]


def test_a_list_that_goes_on_elsewhere_is_not_followed(zoo: LoopbackHub) -> None:
    link = f'<{zoo.elsewhere}/api/models?cursor=1>; rel="next"'
    zoo.fail(Headers({"Link": link}), path="/api/models")
    with pytest.raises(HubError) as caught:
        listed(zoo, "tags=en")
    assert caught.value.code == "hub-answer"
    assert all(request.origin == "hub" for request in zoo.requests)


def test_a_busy_hub_is_waited_for_and_one_that_fails_is_an_error(zoo: LoopbackHub) -> None:
    zoo.fail(Status(429, {"Retry-After": "0"}), path="/api/models")
    assert len(listed(zoo, "author=other")) == 4
    zoo.fail(Status(503), path="/api/models", times=None)
    with pytest.raises(HubError) as caught:
        listed(zoo, "author=other")
    assert caught.value.code == "hub-unavailable"


def test_a_query_is_read_word_by_word() -> None:
    written = "hub: author=a-b , library=x,search=b c,tags= en  fr ,task=t,sort=created,limit=7"
    assert parse_hub_query(written) == HubQuery(
        "a-b", "x", "b c", ("en", "fr"), "t", "createdAt", 7
    )


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "hub-query-empty"),
        ("  ", "hub-query-empty"),
        ("author", "hub-query-syntax"),
        ("author=a,", "hub-query-syntax"),
        ("author=a, owner=b", "hub-query-key"),
        ("=a", "hub-query-key"),
        ("author=a,author=b", "hub-query-twice"),
        ("author=", "hub-query-value"),
        ("author=a/b", "hub-query-value"),
        ("author=../x", "hub-query-value"),
        ("search=\x1b[31m", "hub-query-value"),
        (f"search={'x' * 201}", "hub-query-value"),
        ("limit=0", "hub-query-value"),
        ("limit=-1", "hub-query-value"),
        ("limit=1e3", "hub-query-value"),
        ("limit=٣", "hub-query-value"),
        ("limit=" + "9" * 5000, "hub-query-value"),
        ("sort=name", "hub-query-value"),
        ("tags=", "hub-query-value"),
    ],
)
def test_a_query_that_makes_no_sense_is_an_error_before_anything_is_asked(
    hub: LoopbackHub, query: str, code: str
) -> None:
    with pytest.raises(OptionError) as caught:
        listed(hub, query)
    assert caught.value.code == code
    assert str(caught.value).isprintable()
    assert hub.requests == []


def test_what_a_value_holds_stays_one_parameter(hub: LoopbackHub) -> None:
    assert listed(hub, "search=a&author=x#?") == []
    assert hub.requests[0].parameter("search") == "a&author=x#?"
    assert hub.requests[0].parameter("author") == ""


def test_a_query_is_claimed_by_its_prefix() -> None:
    assert isinstance(collection_for("hub:author=org"), HubCollection)
