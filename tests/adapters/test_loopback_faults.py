"""The loopback hub fails as it is told to: on the wire, and as the real client sees it."""

from __future__ import annotations

import gzip
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi, HfFileSystem, get_hf_file_metadata, get_session, hf_hub_url
from support.loopback_hub import (
    Call,
    Cut,
    Fault,
    Garbage,
    Gzip,
    Headers,
    LoopbackHub,
    RangeIgnored,
    Redirect,
    Short,
    Stall,
    Status,
    WrongRange,
)

WEIGHTS = bytes(range(256)) * 40
WEIGHTS_SIZE = len(WEIGHTS)
README = "/org/name/resolve/main/README.md"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    on_disk = tmp_path / "on-disk"
    on_disk.write_bytes(WEIGHTS)
    files = {"model.safetensors": WEIGHTS, "disk.safetensors": on_disk, "README.md": b"#"}
    with LoopbackHub() as hub:
        hub.add("org/name", files)
        hub.add_token("hf_owner", "alice", write=("org",))
        yield hub


def link(hub: LoopbackHub, file: str = "model.safetensors") -> str:
    """Returns where the bytes of a large file are, at the content origin."""
    url = hf_hub_url("org/name", file, endpoint=hub.endpoint)
    return get_hf_file_metadata(url, token=False).location


def get(
    url: str, headers: Mapping[str, str] | None = None, timeout: float = 10
) -> tuple[http.client.HTTPResponse, bytes]:
    """Returns the answer to one GET and the body, as far as it came, on a connection of its own."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=timeout)
    try:
        connection.request("GET", url[url.index(address.path) :], headers=dict(headers or {}))
        response = connection.getresponse()
        try:
            return response, response.read()
        except http.client.IncompleteRead as broken:
            return response, broken.partial
    finally:
        connection.close()


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, HfApi]]:
    """Runs the hub by hand until the block ends; yields what it serves, and a client of it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "support.loopback_hub", str(folder), *options],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout as lines:
        repo_id, endpoint = lines.readline().strip(), lines.readline().strip()
        yield repo_id, HfApi(endpoint=endpoint.removeprefix("HF_ENDPOINT="), token=False)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@pytest.mark.parametrize("file", ["model.safetensors", "disk.safetensors"])
@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=10000-", 10_000, WEIGHTS_SIZE),
        ("bytes=-5", WEIGHTS_SIZE - 5, WEIGHTS_SIZE),
        ("bytes=-99999", 0, WEIGHTS_SIZE),
        ("bytes=10239-99999", 10_239, WEIGHTS_SIZE),
    ],
)
def test_a_range_is_answered_exactly(
    hub: LoopbackHub, file: str, asked: str, start: int, stop: int
) -> None:
    response, body = get(link(hub, file), {"Range": asked})
    assert (response.status, body) == (206, WEIGHTS[start:stop])
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{WEIGHTS_SIZE}"


def test_a_range_beyond_the_end_cannot_be_satisfied(hub: LoopbackHub) -> None:
    response, body = get(link(hub), {"Range": f"bytes={WEIGHTS_SIZE}-"})
    assert (response.status, body) == (416, b"")
    assert response.headers["Content-Range"] == f"bytes */{WEIGHTS_SIZE}"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=-", "lines=1-2"])
def test_what_is_no_single_range_gets_everything(hub: LoopbackHub, asked: str) -> None:
    response, body = get(link(hub), {"Range": asked})
    assert (response.status, body) == (200, WEIGHTS)


def test_a_link_expires_and_a_new_one_opens(hub: LoopbackHub) -> None:
    old = link(hub)
    assert get(old)[1] == WEIGHTS
    hub.expire_links()
    response, body = get(old)
    assert response.status == 403
    assert b"Request has expired" in body
    assert get(link(hub))[1] == WEIGHTS
    assert get(link(hub).replace("model", "disk"))[0].status == 403


def test_a_file_system_asks_for_a_new_link_by_itself(hub: LoopbackHub) -> None:
    files = HfFileSystem(endpoint=hub.endpoint, token=False, skip_instance_cache=True)
    with files.open("org/name/model.safetensors", "rb", cache_type="none") as stream:
        assert stream.read(4) == WEIGHTS[:4]
        hub.expire_links()
        assert stream.read(4) == WEIGHTS[4:8]


@pytest.mark.parametrize("file", ["model.safetensors", "disk.safetensors"])
def test_a_connection_is_cut_after_so_many_bytes(hub: LoopbackHub, file: str) -> None:
    hub.fail(Cut(after=100), origin="content")
    response, body = get(link(hub, file))
    assert (response.status, response.headers["Content-Length"]) == (200, str(WEIGHTS_SIZE))
    assert body == WEIGHTS[:100]
    assert get(link(hub, file))[1] == WEIGHTS


def test_a_download_that_was_cut_is_asked_for_again(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.fail(Cut(after=100), origin="content")
    api = HfApi(endpoint=hub.endpoint, token=False)
    path = api.hf_hub_download("org/name", "model.safetensors", cache_dir=tmp_path)
    assert Path(path).read_bytes() == WEIGHTS
    assert [request.origin for request in hub.requests] == ["hub", "content", "content"]


def test_a_body_is_shorter_than_what_was_asked(hub: LoopbackHub) -> None:
    hub.fail(Short(30), origin="content")
    response, body = get(link(hub, "disk.safetensors"), {"Range": "bytes=0-99"})
    assert (response.status, body) == (206, WEIGHTS[:30])
    assert response.headers["Content-Length"] == "30"
    assert response.headers["Content-Range"] == f"bytes 0-99/{WEIGHTS_SIZE}"


@pytest.mark.parametrize(
    ("wrong", "stated"),
    [(WrongRange(start=7), "17-26/10240"), (WrongRange(total=-1), "10-19/10239")],
)
def test_a_content_range_is_wrong(hub: LoopbackHub, wrong: Fault, stated: str) -> None:
    hub.fail(wrong, origin="content")
    response, body = get(link(hub), {"Range": "bytes=10-19"})
    assert (response.status, body) == (206, WEIGHTS[10:20])
    assert response.headers["Content-Range"] == f"bytes {stated}"


def test_a_range_is_ignored(hub: LoopbackHub) -> None:
    hub.fail(RangeIgnored(), origin="content")
    response, body = get(link(hub), {"Range": "bytes=10-19"})
    assert (response.status, body) == (200, WEIGHTS)
    assert "Content-Range" not in response.headers
    assert hub.requests[-1].range == "bytes=10-19"


@pytest.mark.parametrize("file", ["model.safetensors", "disk.safetensors"])
def test_a_body_is_compressed_unasked(hub: LoopbackHub, file: str) -> None:
    hub.fail(Gzip(), origin="content")
    response, body = get(link(hub, file), {"Range": "bytes=0-999"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == WEIGHTS[:1000]


def test_headers_are_put_in_place_of_others(hub: LoopbackHub) -> None:
    hub.fail(Headers({"ETag": '"other"', "X-Made-Up": "1"}), origin="content")
    response, body = get(link(hub))
    assert (response.headers.get_all("ETag"), response.headers["X-Made-Up"]) == (['"other"'], "1")
    assert body == WEIGHTS


def test_an_answer_is_no_http(hub: LoopbackHub) -> None:
    hub.fail(Garbage(b"\x00 garbage\r\n"))
    with pytest.raises(http.client.BadStatusLine):
        get(hub.endpoint + README)


@pytest.mark.parametrize("after", [None, 0, 5])
def test_an_answer_stalls_and_goes_on(hub: LoopbackHub, after: int | None) -> None:
    hub.fail(Stall(60, after), origin="content")
    with pytest.raises(TimeoutError):
        get(link(hub), timeout=0.1)
    hub.fail(Stall(0.01, after), origin="content")
    assert get(link(hub))[1] == WEIGHTS


def test_a_stall_sends_what_comes_before_it(hub: LoopbackHub) -> None:
    hub.fail(Stall(60, after=5), Short(5), origin="content")
    address = urlsplit(link(hub))
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    connection.request("GET", f"{address.path}?{address.query}")
    assert connection.getresponse().read(5) == WEIGHTS[:5]
    connection.close()


def test_closing_the_hub_ends_what_it_holds_back(hub: LoopbackHub) -> None:
    hub.fail(Stall(600))
    errors: list[Exception] = []

    def ask() -> None:
        try:
            get(hub.endpoint + README, timeout=60)
        except (OSError, http.client.HTTPException) as error:
            errors.append(error)

    asking = Thread(target=ask)
    asking.start()
    while not hub.requests:
        asking.join(0.01)
    hub.close()
    asking.join(30)
    assert not asking.is_alive()


def test_a_busy_hub_is_asked_again_by_the_client(hub: LoopbackHub) -> None:
    hub.fail(Status(429, {"Retry-After": "0"}), path="/tree/main", method="GET")
    api = HfApi(endpoint=hub.endpoint, token=False)
    tree = [entry.path for entry in api.list_repo_tree("org/name")]
    assert tree == ["README.md", "disk.safetensors", "model.safetensors"]
    assert len(hub.requests) == 2


def test_a_redirect_leads_to_a_host_that_sees_what_it_is_sent(hub: LoopbackHub) -> None:
    hub.fail(Redirect(hub.elsewhere), origin="hub", times=None)
    token = {"Authorization": "Bearer hf_owner"}
    answer = get_session().get(hub.endpoint + README, headers=token, follow_redirects=True)
    assert answer.status_code == 200
    sent = [(request.origin, request.path, request.token) for request in hub.requests]
    assert sent == [("hub", README, "hf_owner"), ("elsewhere", README, None)]
    get(hub.elsewhere + README, token)
    assert hub.requests[-1].token == "hf_owner"
    assert urlsplit(hub.elsewhere).hostname != urlsplit(hub.endpoint).hostname


def test_faults_wait_for_the_requests_they_match(hub: LoopbackHub) -> None:
    hub.fail(Status(500), path=r"name$", times=2)
    hub.fail(path="README")  # lets one through
    hub.fail(Status(502), path="README", method="HEAD")
    hub.fail(Status(503), path="README", times=None)
    url = f"{hub.endpoint}/api/models/org/name"
    assert get(hub.endpoint + README)[0].status == 307
    assert [get(url)[0].status for _ in range(3)] == [500, 500, 200]
    assert [get(hub.endpoint + README)[0].status for _ in range(3)] == [503] * 3
    hub.heal()
    assert get(hub.endpoint + README)[0].status == 307


def test_faults_of_one_plan_act_together(hub: LoopbackHub) -> None:
    moved = b"moved"
    repository = hub.repositories["org/name"]
    move = Call(lambda: repository.commit({"README.md": moved}))
    outer, inner = Headers({"X-Made-Up": "1"}), Headers({"X-Made-Up": "2"})
    hub.fail(move, outer, inner, path="resolve/main")
    response, _ = get(hub.endpoint + README)
    assert response.headers["X-Made-Up"] == "1"
    assert response.headers["X-Repo-Commit"] == repository.branches["main"]
    assert get(hub.endpoint + response.headers["Location"])[1] == moved


@pytest.mark.parametrize("origin", ["hub", "content"])
def test_every_request_waits_for_the_latency(hub: LoopbackHub, origin: str) -> None:
    url = hub.endpoint + README if origin == "hub" else link(hub)
    hub.latency_seconds = 60
    with pytest.raises(TimeoutError):
        get(url, timeout=0.1)
    hub.latency_seconds = 0
    assert get(url)[0].status in (200, 307)


def test_a_folder_is_served_by_hand(tmp_path: Path) -> None:
    model = tmp_path / "org" / "name"
    (model / "unet").mkdir(parents=True)
    (model / "model.safetensors").write_bytes(WEIGHTS)
    (model / "unet" / "config.json").write_bytes(b"{}")
    with serving(tmp_path, "--latency-ms", "1") as (repo_id, api):
        assert repo_id == "org/name"
        folder = Path(api.snapshot_download("org/name", cache_dir=tmp_path / "cache"))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (folder / "unet" / "config.json").read_bytes() == b"{}"
    with serving(model) as (repo_id, api):
        assert repo_id == "org/model"
        assert api.file_exists("org/model", "unet/config.json")
