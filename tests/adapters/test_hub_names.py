"""What names a model on the hub, and what only looks like it."""

from __future__ import annotations

import pytest

from thermoscan.errors import OptionError, SourceError
from thermoscan_adapters.hub_names import HubName, is_hub_name, parse_hub_name

ENDPOINT = "http://127.0.0.1:8000"
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("gpt2", HubName("gpt2", None)),
        ("org/name", HubName("org/name", None)),
        ("Org-1/Name_2.5-b", HubName("Org-1/Name_2.5-b", None)),
        ("org/name@main", HubName("org/name", "main")),
        ("org/name@refs/pr/1", HubName("org/name", "refs/pr/1")),
        (f"gpt2@{SHA}", HubName("gpt2", SHA)),
        ("https://huggingface.co/org/name", HubName("org/name", None)),
        ("https://huggingface.co/gpt2/", HubName("gpt2", None)),
        ("https://hf.co/org/name?library=x#top", HubName("org/name", None)),
        ("https://huggingface.co/org/name/tree/main", HubName("org/name", "main")),
        ("https://huggingface.co/org/name/tree/refs%2Fpr%2F1", HubName("org/name", "refs/pr/1")),
        (f"{ENDPOINT}/org/name", HubName("org/name", None)),
    ],
)
def test_ids_and_urls_are_understood(source: str, expected: HubName) -> None:
    assert is_hub_name(source)
    assert parse_hub_name(source, None, ENDPOINT) == expected


@pytest.mark.parametrize(
    "source",
    [
        *("", "a/b/c", "/org/name", "org/", "/name", "../name", "org/..", "org//name", "./name"),
        *("org\\name", "C:\\x", "org/na me", "org/na\0me", "org/näme", "org/name.git", "a--b/c"),
        *("org/-name", "org/name-", ".org/name", "org/" + "x" * 97, "org/name\n", "file:///x"),
        *("org/na..me", "$(id)/x", "org/%2e%2e", "@main"),
    ],
)
def test_a_path_in_disguise_is_no_id(source: str) -> None:
    assert not is_hub_name(source)
    with pytest.raises(SourceError) as caught:
        parse_hub_name(source, None, ENDPOINT)
    assert caught.value.code == "hub-name"


@pytest.mark.parametrize(
    "source",
    [
        "https://example.com/org/name",
        "https://huggingface.co.example.com/org/name",
        "https://huggingface.co@example.com/org/name",
        "https://user:pw@huggingface.co/org/name",
        "https://huggingface.co:444/org/name",
        "http://[::1/org/name",
        "https://huggingface.co/datasets/org/name",
        "https://huggingface.co/org/name/blob/main/model.safetensors",
        "https://huggingface.co/org/name/tree/main/sub",
    ],
)
def test_a_url_of_something_else_is_refused(source: str) -> None:
    assert is_hub_name(source)
    with pytest.raises(SourceError) as caught:
        parse_hub_name(source, None, ENDPOINT)
    assert caught.value.code == "hub-url"


def test_a_url_of_the_hub_that_hides_a_path_is_refused() -> None:
    with pytest.raises(SourceError) as caught:
        parse_hub_name("https://huggingface.co/org/..%2F..%2Fetc", None, ENDPOINT)
    assert caught.value.code == "hub-name"


@pytest.mark.parametrize(
    "revision", ["", "..", "a/../b", "a//b", "-x", "/x", "a b", "a\0", "a?b", "a#b", "x" * 201]
)
def test_a_revision_that_is_no_name_is_refused(revision: str) -> None:
    for source, option in ((f"org/name@{revision}", None), ("org/name", revision)):
        with pytest.raises(OptionError) as caught:
            parse_hub_name(source, option, ENDPOINT)
        assert caught.value.code == "revision-malformed"


def test_the_option_and_the_suffix_may_agree_and_not_contradict() -> None:
    assert parse_hub_name("a/b", "v1", ENDPOINT) == HubName("a/b", "v1")
    assert parse_hub_name("a/b@v1", "v1", ENDPOINT) == HubName("a/b", "v1")
    with pytest.raises(OptionError) as caught:
        parse_hub_name("a/b@v1", "v2", ENDPOINT)
    assert caught.value.code == "revision-twice"
