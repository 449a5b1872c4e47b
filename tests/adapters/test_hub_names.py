"""What names a model on the hub, and what only looks like it."""

from __future__ import annotations

from urllib.parse import quote

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
        ("https://huggingface.co/org/name/tree/main/unet", HubName("org/name", "main", "unet")),
        ("https://huggingface.co/org/name/blob/v1/a.bin", HubName("org/name", "v1", "a.bin")),
        (
            "https://huggingface.co/org/name/resolve/refs%2Fpr%2F1/unet/a.bin?download=true",
            HubName("org/name", "refs/pr/1", "unet/a.bin"),
        ),
        ("https://huggingface.co/gpt2/blob/main/a%20b.bin", HubName("gpt2", "main", "a b.bin")),
        (f"{ENDPOINT}/gpt2/tree/main", HubName("gpt2", "main")),
        ("https://huggingface.co/org/tree", HubName("org/tree", None)),
        ("https://huggingface.co/org/tree/blob/main/x", HubName("org/tree", "main", "x")),
        ("hf://org/name", HubName("org/name", None)),
        ("hf://gpt2", HubName("gpt2", None)),
        ("hf://gpt2@v1", HubName("gpt2", "v1")),
        ("hf://gpt2@v1/a.bin", HubName("gpt2", "v1", "a.bin")),
        ("hf://org/name/a.bin", HubName("org/name", None, "a.bin")),
        ("hf://org/name@main/unet/a.bin", HubName("org/name", "main", "unet/a.bin")),
        ("hf://org/name@refs/pr/12", HubName("org/name", "refs/pr/12")),
        ("hf://org/name@refs/pr/12/unet/a.bin", HubName("org/name", "refs/pr/12", "unet/a.bin")),
        ("hf://org/name@refs%2Fpr%2F12/a.bin", HubName("org/name", "refs/pr/12", "a.bin")),
        ("hf://org/name@refs/convert/parquet/a", HubName("org/name", "refs/convert/parquet", "a")),
        ("hf://org/name@refs/heads/main", HubName("org/name", "refs", "heads/main")),
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
        "https://huggingface.co/org/name/discussions/1",
        "https://huggingface.co/org/name/blob",
        "https://huggingface.co/org/name/commits/main",
        "https://huggingface.co/api/models/org/name",
        "https://example.com/org/name/blob/main/model.safetensors",
    ],
)
def test_a_url_of_something_else_is_refused(source: str) -> None:
    assert is_hub_name(source)
    with pytest.raises(SourceError) as caught:
        parse_hub_name(source, None, ENDPOINT)
    assert caught.value.code == "hub-url"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("https://huggingface.co/datasets/org/name", "a dataset"),
        ("https://huggingface.co/datasets/name", "a dataset"),
        ("https://huggingface.co/spaces/org/name/blob/main/app.py", "a space"),
        ("https://huggingface.co/buckets/org/name", "a bucket"),
        (f"{ENDPOINT}/kernels/org/name", "a kernel"),
        ("hf://datasets/org/name/x.safetensors", "a dataset"),
        ("hf://spaces/org/name", "a space"),
        ("hf://buckets/org/name", "a bucket"),
    ],
)
def test_what_is_on_the_hub_and_is_no_model_is_refused_by_name(source: str, kind: str) -> None:
    assert is_hub_name(source)
    with pytest.raises(SourceError, match=f"it is {kind}, not a model") as caught:
        parse_hub_name(source, None, ENDPOINT)
    assert caught.value.code == "hub-not-a-model"


@pytest.mark.parametrize(
    "source",
    [
        "https://huggingface.co/org/..%2F..%2Fetc",
        "https://huggingface.co/org/..%2F../blob/main/x",
        "https://huggingface.co/",
        "hf://",
        "hf://../../etc",
        "hf://org/..%2Fx",
        "hf://@main",
    ],
)
def test_a_url_of_the_hub_that_hides_a_path_is_refused(source: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_hub_name(source, None, ENDPOINT)
    assert caught.value.code == "hub-name"


@pytest.mark.parametrize(
    "revision", ["", "..", "a/../b", "a//b", "-x", "/x", "a b", "a\0", "a?b", "a#b", "x" * 201]
)
def test_a_revision_that_is_no_name_is_refused(revision: str) -> None:
    for source, option in (
        (f"org/name@{revision}", None),
        ("org/name", revision),
        (f"https://huggingface.co/org/name/blob/{quote(revision, safe='')}/x", None),
        (f"hf://org/name@{quote(revision, safe='')}/x", None),
    ):
        with pytest.raises(OptionError) as caught:
            parse_hub_name(source, option, ENDPOINT)
        assert caught.value.code == "revision-malformed"


def test_the_option_and_the_suffix_may_agree_and_not_contradict() -> None:
    assert parse_hub_name("a/b", "v1", ENDPOINT) == HubName("a/b", "v1")
    assert parse_hub_name("a/b@v1", "v1", ENDPOINT) == HubName("a/b", "v1")
    with pytest.raises(OptionError) as caught:
        parse_hub_name("a/b@v1", "v2", ENDPOINT)
    assert caught.value.code == "revision-twice"


def test_the_option_and_the_url_may_agree_on_a_file_and_not_contradict() -> None:
    assert parse_hub_name("a/b", None, ENDPOINT, "x.bin") == HubName("a/b", None, "x.bin")
    assert parse_hub_name("hf://a/b/x.bin", None, ENDPOINT, "x.bin").file == "x.bin"
    with pytest.raises(
        OptionError, match=r"names the file x\.bin, and the option names y"
    ) as caught:
        parse_hub_name("hf://a/b/x.bin", None, ENDPOINT, "y.bin")
    assert caught.value.code == "file-twice"
