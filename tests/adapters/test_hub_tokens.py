"""Tokens go to the hub alone; who may not read is told what to do; the environment is heeded."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from support.hub_clients import adapter_of, contents, open_model, refusal
from support.loopback_hub import Headers, LoopbackHub, Redirect, Status
from support.safetensors_files import write_sharded, write_tensors

from thermoscan.checkpoint import OpenOptions
from thermoscan_adapters.hub import HubAdapter

CONFIG = b'{"model_type": "bert"}'
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """A hub with the same model twice, in shards: one is gated, the other private."""
    folder = tmp_path / "sharded"
    write_sharded(folder, {"1.safetensors": ("a",), "2.safetensors": ("b",)})
    files = {path.name: path.read_bytes() for path in folder.iterdir()} | {"config.json": CONFIG}
    with LoopbackHub() as hub:
        hub.add("org/gated", files, gated=True)
        hub.add("org/private", files, private=True)
        hub.add("org/open", files)
        hub.add_token("hf_reader", "alice", read=("org",))
        hub.add_token("hf_stranger", "bob", read=("bob",))
        yield hub


@pytest.fixture
def adapter(hub: LoopbackHub, tmp_path: Path) -> HubAdapter:
    return adapter_of(hub, tmp_path / "cache")


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token but those of the tests."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))


@pytest.mark.parametrize("source", ["org/gated", "org/private"])
@pytest.mark.parametrize("download", [False, True])
def test_a_token_opens_what_it_may_read_and_is_sent_to_the_hub_alone(
    hub: LoopbackHub,
    adapter: HubAdapter,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    download: bool,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    checkpoint = adapter.open(source, OpenOptions(download=download))
    assert set(contents(checkpoint)) == {"a", "b"}
    assert {r.token for r in hub.requests if r.origin == "hub"} == {"hf_reader"}
    elsewhere = [request for request in hub.requests if request.origin != "hub"]
    assert elsewhere
    assert all(request.token is None for request in elsewhere)


@pytest.mark.parametrize(
    ("source", "token", "code", "step"),
    [
        ("org/gated", None, "hub-gated", "accept its terms on the hub"),
        ("org/gated", "hf_stranger", "hub-gated", "accept its terms on the hub"),
        ("org/private", None, "hub-repository-not-found", "`hf auth login`"),
        ("org/private", "hf_stranger", "hub-repository-not-found", "`hf auth login`"),
        ("org/missing", "hf_reader", "hub-repository-not-found", "`hf auth login`"),
        ("org/open", "hf_unknown", "hub-token", "`hf auth login`"),
        ("org/open@nowhere", None, "hub-revision-not-found", "no such branch"),
    ],
)
def test_who_may_not_read_is_told_the_step_to_take(
    hub: LoopbackHub,
    adapter: HubAdapter,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    token: str | None,
    code: str,
    step: str,
) -> None:
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    error = refusal(adapter, source)
    assert error.code == code
    assert step in error.reason
    assert "hf_" not in str(error)


def test_a_repository_that_the_hub_has_closed_says_so(
    hub: LoopbackHub, adapter: HubAdapter
) -> None:
    closed = {"X-Error-Message": "Access to this resource is disabled."}
    hub.fail(Status(403, closed), times=None)
    assert refusal(adapter, "org/open").code == "hub-disabled"


PLACES = {
    "the model": (r"^/api/models/org/private(\?|$)", None),
    "the list of files": ("/tree/", None),
    "a small file": (r"/resolve/.*json", "GET"),
    "where a small file is kept": ("/resolve-cache/", None),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_token_does_not_follow_a_redirect_to_another_host(
    hub: LoopbackHub, adapter: HubAdapter, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    path, method = PLACES[place]
    hub.fail(Redirect(hub.elsewhere), path=path, method=method, times=None)
    refusal(adapter, "org/private")
    there = [request for request in hub.requests if request.origin == "elsewhere"]
    assert there
    assert all(request.token is None for request in there)


def test_a_token_does_not_go_where_the_hub_says_that_a_file_or_a_page_is(
    hub: LoopbackHub, adapter: HubAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    location = {"Location": f"{hub.elsewhere}/file"}
    hub.fail(Headers(location), path=r"/resolve/.*safetensors", method="HEAD", times=None)
    assert refusal(adapter, "org/private").code == "hub-range"
    page = {"Link": f'<{hub.elsewhere}/page>; rel="next"'}
    hub.fail(Headers(page), path="/tree/", times=None)
    assert refusal(adapter, "org/private").code == "hub-answer"
    there = [request for request in hub.requests if request.origin == "elsewhere"]
    assert {request.path for request in there} == {"/file"}
    assert all(request.token is None for request in there)


def run(
    *arguments: str, hub: LoopbackHub, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command line with this hub, and this environment in place of the user's."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(("HF_", *PROXIES))}
    ours = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(cwd / "home"), "NO_COLOR": "1"}
    return subprocess.run(
        [str(Path(sys.executable).parent / "thermoscan"), *arguments],
        cwd=cwd, env=kept | ours | environment, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_command_line_heeds_the_environment_and_writes_its_reports_only(
    hub: LoopbackHub, work: Path
) -> None:
    done = run("scan", "org/private", "-q", hub=hub, cwd=work, HF_TOKEN="hf_reader")
    assert (done.returncode, done.stderr) == (0, "")
    written = files_in(work) - {"home/.agent_harnesses.json"}  # huggingface_hub's own
    assert written
    assert all(path.startswith("thermoscan-reports/") for path in written)
    (card,) = (json.loads((work / p).read_text()) for p in written if p.endswith(".json"))
    sha = hub.repositories["org/private"].branches["main"]
    assert (card["model"]["id"], card["model"]["revision"]) == ("org/private", sha)
    refused = run("scan", "org/private", "-q", hub=hub, cwd=work)
    assert refused.returncode != 0
    assert "hf auth login" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_token_and_the_cache_of_hf_home_are_used_offline_too(
    hub: LoopbackHub, work: Path
) -> None:
    (work / "home").mkdir()
    (work / "home" / "token").write_text("hf_reader")
    arguments = ("org/private", "-q", "--json", "-")
    online = run("scan", "--download", *arguments, hub=hub, cwd=work)
    assert (online.returncode, online.stderr) == (0, "")
    hub.requests.clear()
    offline = run("scan", *arguments, hub=hub, cwd=work, HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stderr) == (0, "")
    assert json.loads(offline.stdout)["layers"] == json.loads(online.stdout)["layers"]
    refused = run("scan", "org/open", hub=hub, cwd=work, HF_HUB_OFFLINE="1")
    assert refused.returncode != 0
    assert "HF_HUB_OFFLINE" in refused.stderr
    assert hub.requests == []


class Proxy(ThreadingHTTPServer):
    """A proxy for plain HTTP, which remembers the hosts that it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.hosts: set[str] = set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Forward(BaseHTTPRequestHandler):
    server: Proxy

    def _forward(self) -> None:
        parts = urlsplit(self.path)
        self.server.hosts.add(parts.netloc)
        connection = http.client.HTTPConnection(parts.netloc)
        connection.request(self.command, f"{parts.path}?{parts.query}", headers=dict(self.headers))
        answer = connection.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.read())
        connection.close()

    do_GET = do_HEAD = _forward  # noqa: N815 - http.server's

    def log_message(self, format: str, *args: object) -> None:
        """Stays silent."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def test_listings_and_ranges_go_through_the_proxy_of_the_environment(
    hub: LoopbackHub, work: Path, proxy: Proxy
) -> None:
    command = ("scan", "org/open", "-q", "--json", "-")
    direct = run(*command, hub=hub, cwd=work, HTTP_PROXY=proxy.url, NO_PROXY="127.0.0.1")
    assert (direct.returncode, proxy.hosts) == (0, set())
    behind = run(*command, hub=hub, cwd=work, HTTP_PROXY=proxy.url)
    assert (behind.returncode, behind.stderr, behind.stdout) == (0, "", direct.stdout)
    assert proxy.hosts == {request.headers["host"] for request in hub.requests}


def test_a_proxy_of_a_kind_that_is_not_supported_is_named_as_the_reason(
    hub: LoopbackHub, work: Path
) -> None:
    done = run("scan", "org/open", hub=hub, cwd=work, ALL_PROXY="socks5://127.0.0.1:9")
    assert done.returncode != 0
    assert "proxy" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_open_model_is_read_without_a_token(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path
) -> None:
    write_tensors(tmp_path / "weights", "a")
    assert set(contents(open_model(adapter, "org/open"))) == {"a", "b"}
    assert {request.token for request in hub.requests} == {None}
