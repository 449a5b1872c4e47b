"""Whatever breaks on the way: the bytes are those of the file, or one error says what happened."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.hub_clients import (
    BRIEF,
    adapter_of,
    bytes_asked,
    contents,
    measured,
    open_model,
    refusal,
    scan_of,
)
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
from support.wheels import path_of

import thermoscan
from thermoscan.errors import HubError
from thermoscan_adapters.hub import HubAdapter
from thermoscan_adapters.hub_connections import Connections, Link
from thermoscan_adapters.hub_patience import Patience
from thermoscan_adapters.hub_ranges import LinkedFile, RangeStream

HASTY = Patience(
    timeout_seconds=0.4, attempts=2, first_wait_seconds=0.01, longest_wait_seconds=0.25
)
ELSEWHERE = "http://127.0.0.1:9"  # the port of discard, where nobody listens
LISTING, TREE = r"^/api/models/org/name(\?|$)", "/tree/"
FILE, CONFIG = r"/resolve/.*safetensors", r"/resolve/.*config\.json"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three tensors; the second is longer than what is read ahead of a header."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    rng = np.random.default_rng(0)
    sizes = {"a": 300, "b": 100_000, "c": 50_000}
    save_file({n: rng.standard_normal(k).astype(np.float32) for n, k in sizes.items()}, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def server(weights: bytes) -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.add("org/name", {"model.safetensors": weights, "config.json": b'{"a": 1}'})
        yield hub


@pytest.fixture
def hub(server: LoopbackHub) -> Iterator[LoopbackHub]:
    """A hub with one model; afterwards no thread and no connection to its bytes is left."""
    threads = set(threading.enumerate())
    yield server
    hosts = {r.headers["host"] for r in server.requests if r.origin == "content"}
    if any(map(open_connections, hosts)):
        gc.collect()  # what an error refers to in a circle is still there
    assert sum(map(open_connections, hosts)) == 0
    assert {each for each in threading.enumerate() if not served(each)} <= threads
    server.heal()
    server.requests.clear()


def served(thread: threading.Thread) -> bool:
    """Says whether a thread is one of the loopback hub's own, one for each connection."""
    return "process_request" in thread.name


def open_connections(host: str) -> int:
    """Returns how many connections of this process lead to a host ``127.0.0.1:PORT``.

    See https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html.
    """
    port = f":{int(host.rsplit(':', 1)[1]):04X}"
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[2].endswith(port) and line.split()[3] == "01" for line in lines)


@pytest.fixture
def adapter(hub: LoopbackHub, tmp_path: Path) -> HubAdapter:
    return adapter_of(hub, tmp_path)


@pytest.fixture
def expected(weights: bytes) -> dict[str, bytes]:
    start = 8 + int.from_bytes(weights[:8], "little")
    ends = {"a": 1200, "b": 401_200, "c": 601_200}
    begins = {"a": 0, "b": 1200, "c": 401_200}
    return {name: weights[start + begins[name] : start + ends[name]] for name in ends}


PASSING = {
    "cut before the body": Cut(0),
    "cut within the body": Cut(5),
    "not HTTP": Garbage(),
    "408": Status(408),
    "429": Status(429),
    "429 that asks to come back at once": Status(429, {"Retry-After": "0"}),
    "429 that asks to come back at a time that is past": Status(
        429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    ),
    "429 whose wait cannot be read": Status(429, {"Retry-After": "soon"}),
    "429 with a RateLimit": Status(429, {"RateLimit": '"resolvers";r=0;t=0'}),
    "500": Status(500),
    "502": Status(502),
    "503": Status(503),
    "504": Status(504),
}
PLACES = {
    "the model": (LISTING, "GET"),
    "the list of files": (TREE, "GET"),
    "where the file is": (FILE, "HEAD"),
    "a small file": (CONFIG, "GET"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_at_the_hub_changes_nothing(
    hub: LoopbackHub, adapter: HubAdapter, expected: dict[str, bytes], fault: Fault, place: str
) -> None:
    path, method = PLACES[place]
    hub.fail(fault, path=path, method=method, times=2)
    checkpoint = open_model(adapter)
    assert contents(checkpoint) == expected
    assert (checkpoint.config, checkpoint.notes) == ({"a": 1}, ())


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_where_the_bytes_are_changes_nothing(
    hub: LoopbackHub, adapter: HubAdapter, expected: dict[str, bytes], fault: Fault
) -> None:
    hub.fail(fault, origin="content", times=2)
    checkpoint = open_model(adapter)
    hub.fail(fault, origin="content", times=2)
    assert contents(checkpoint) == expected


def test_bytes_that_came_before_a_cut_are_not_asked_for_again(
    hub: LoopbackHub, adapter: HubAdapter, expected: dict[str, bytes]
) -> None:
    checkpoint = open_model(adapter)
    tensor = checkpoint.tensors[1]
    hub.requests.clear()
    hub.fail(Cut(150_000), origin="content")
    buffer = bytearray(tensor.nbytes)
    checkpoint.reader.readinto(tensor.file, tensor.offset, memoryview(buffer))
    assert bytes(buffer) == expected["b"]
    (first, length), (again, rest) = bytes_asked(hub, "model.safetensors")
    assert (first, length) == (tensor.offset, tensor.nbytes)
    assert (again, rest) == (tensor.offset + 150_000, tensor.nbytes - 150_000)


LASTING_AT_THE_HUB = {
    "cut": (Cut(0), "hub-answer"),
    "not HTTP": (Garbage(), "hub-answer"),
    "401": (Status(401), "hub-token"),
    "403": (Status(403), "hub-token"),
    "404": (Status(404), "hub-answer"),
    "408": (Status(408), "hub-timeout"),
    "429": (Status(429), "hub-rate-limit"),
    "429 for a day": (Status(429, {"Retry-After": "86400"}), "hub-rate-limit"),
    "500": (Status(500), "hub-unavailable"),
    "504": (Status(504), "hub-timeout"),
    "leads to nobody": (Redirect(ELSEWHERE), "hub-unreachable"),
}


@pytest.mark.parametrize("place", ["the model", "the list of files"])
@pytest.mark.parametrize(("fault", "code"), LASTING_AT_THE_HUB.values(), ids=LASTING_AT_THE_HUB)
def test_what_lasts_at_the_hub_is_told_by_its_code(
    hub: LoopbackHub, adapter: HubAdapter, fault: Fault, code: str, place: str
) -> None:
    path, _ = PLACES[place]
    hub.fail(fault, path=path, times=None)
    error = refusal(adapter)
    assert (type(error), error.code) == (HubError, code)
    assert len(hub.requests) <= BRIEF.attempts + 1


LASTING = {
    "cut before the body": (Cut(0), "hub-unreachable"),
    "cut within the body": (Cut(5), "hub-unreachable"),
    "not HTTP": (Garbage(), "hub-unreachable"),
    "a status that is no number": (Garbage(b"HTTP/1.1 abc\r\n\r\n"), "hub-unreachable"),
    "a header without end": (Garbage(b"HTTP/1.1 206 OK\r\nX: " + b"x" * 70_000), "hub-unreachable"),
    "shorter than asked": (Short(5), "hub-range"),
    "another start": (WrongRange(start=1), "hub-range"),
    "another file's length": (WrongRange(total=-1), "hub-range"),
    "a range that cannot be read": (Headers({"Content-Range": "bytes ?"}), "hub-range"),
    "a longer body": (Headers({"Content-Length": "9999999"}), "hub-range"),
    "no range": (RangeIgnored(), "hub-range"),
    "encoded": (Gzip(), "hub-range"),
    "said to be encoded": (Headers({"Content-Encoding": "br"}), "hub-range"),
    "400": (Status(400), "hub-link"),
    "403": (Status(403), "hub-link"),
    "404": (Status(404), "hub-link"),
    "408": (Status(408), "hub-timeout"),
    "416": (Status(416), "hub-range"),
    "418": (Status(418), "hub-range"),
    "429": (Status(429), "hub-rate-limit"),
    "429 for a day": (Status(429, {"Retry-After": "86400"}), "hub-rate-limit"),
    "500": (Status(500), "hub-unavailable"),
    "504": (Status(504), "hub-timeout"),
    "leads to nobody": (Redirect(ELSEWHERE), "hub-unreachable"),
    "leads to no place": (Status(302), "hub-range"),
    "leads to another protocol": (Status(302, {"Location": "file:///etc/passwd"}), "hub-answer"),
    "leads to no address": (Status(302, {"Location": "http://[::"}), "hub-answer"),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "code"), LASTING.values(), ids=LASTING)
def test_what_lasts_where_the_bytes_are_is_told_by_its_code(
    hub: LoopbackHub, adapter: HubAdapter, fault: Fault, code: str
) -> None:
    checkpoint = open_model(adapter)
    hub.requests.clear()
    hub.fail(fault, origin="content", times=None)
    with pytest.raises(HubError) as caught:
        contents(checkpoint)
    assert (caught.value.code, caught.value.file) == (code, "model.safetensors")
    assert len(bytes_asked(hub, "model.safetensors")) <= 2 * BRIEF.attempts
    hub.requests.clear()
    error = refusal(adapter)
    assert (type(error), error.code) == (HubError, code)
    assert len(bytes_asked(hub, "model.safetensors")) <= 2 * BRIEF.attempts


@pytest.mark.parametrize("code", ["hub-range", "hub-link", "hub-answer"])
def test_a_hub_that_leads_round_and_round_is_left(
    hub: LoopbackHub, adapter: HubAdapter, code: str
) -> None:
    path = {"hub-range": CONFIG, "hub-link": FILE, "hub-answer": TREE}[code]
    if code == "hub-link":  # the link is new each time, and closed before it is followed
        hub.fail(Call(hub.expire_links), origin="content", times=None)
    else:
        hub.fail(Redirect(hub.endpoint), path=path, times=None)
    assert refusal(adapter).code == code
    assert len(hub.requests) < 40


def test_a_link_that_expires_is_renewed_once_for_all_threads(
    hub: LoopbackHub, adapter: HubAdapter, expected: dict[str, bytes]
) -> None:
    checkpoint = open_model(adapter)
    hub.expire_links()
    hub.requests.clear()
    found: list[dict[str, bytes]] = []
    threads = [
        threading.Thread(target=lambda: found.append(contents(checkpoint))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8
    assert sum(request.method == "HEAD" for request in hub.requests) == 1


def test_a_link_may_expire_again_and_again_as_long_as_each_new_one_serves(
    hub: LoopbackHub, adapter: HubAdapter, expected: dict[str, bytes]
) -> None:
    checkpoint = open_model(adapter)
    for tensor in checkpoint.tensors * 3:
        hub.expire_links()
        buffer = bytearray(tensor.nbytes)
        checkpoint.reader.readinto(tensor.file, tensor.offset, memoryview(buffer))
        assert bytes(buffer) == expected[tensor.name]


@pytest.mark.parametrize("after", [None, 50_000])
def test_a_server_that_stalls_is_asked_again_and_then_left(
    hub: LoopbackHub, tmp_path: Path, expected: dict[str, bytes], after: int | None
) -> None:
    checkpoint = open_model(adapter_of(hub, tmp_path, HASTY))
    hub.fail(Stall(30, after), origin="content")
    assert contents(checkpoint) == expected
    hub.fail(Stall(30, after), origin="content", times=None)
    with pytest.raises(HubError) as caught:
        contents(checkpoint)
    assert caught.value.code == "hub-timeout"


@pytest.mark.parametrize("place", PLACES)
def test_a_hub_that_stalls_is_a_timeout(hub: LoopbackHub, tmp_path: Path, place: str) -> None:
    path, method = PLACES[place]
    hub.fail(Stall(30), path=path, method=method, times=None)
    assert refusal(adapter_of(hub, tmp_path, HASTY)).code == "hub-timeout"


def test_a_hub_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with LoopbackHub() as gone:
        endpoint = gone.endpoint
    assert refusal(HubAdapter(endpoint, tmp_path)).code == "hub-unreachable"


def test_a_server_that_comes_back_is_read_on() -> None:
    content = bytes(range(256)) * 100
    with LoopbackHub() as hub:
        port = int(hub.endpoint.rsplit(":", 1)[1])
    url = f"{hub.endpoint}/api/resolve-cache/models/org/name/main/notes.txt"
    patience = Patience(first_wait_seconds=0.05, attempts=12, longest_wait_seconds=0.5)
    linked = LinkedFile("notes.txt", len(content), lambda _: Link(url), Connections(), patience)
    back: list[LoopbackHub] = []

    def come_back() -> None:
        back.append(LoopbackHub(port=port))
        back[0].add("org/name", {"notes.txt": content})

    timer = threading.Timer(0.2, come_back)
    timer.start()
    buffer = bytearray(1000)
    RangeStream(linked, 5000, 6000).readinto(memoryview(buffer))
    timer.join()
    back[0].close()
    assert bytes(buffer) == content[5000:6000]


def test_a_scan_among_failures_gives_the_card_of_the_file_on_disk(
    hub: LoopbackHub, adapter: HubAdapter
) -> None:
    path = path_of("crepe-tiny")
    hub.add("org/crepe", {path.name: path})
    for fault in (Cut(1000), Status(503), Status(403), Garbage(), Cut(70_000)):
        hub.fail(origin="content", times=3)
        hub.fail(fault, origin="content")
    found = scan_of(adapter, "org/crepe")
    assert measured(found) == measured(thermoscan.scan(str(path)))
    assert len(bytes_asked(hub, path.name)) > 5


@pytest.mark.parametrize("after", [0, 4])
def test_a_scan_that_fails_on_many_threads_ends_with_one_error_and_all_of_them(
    hub: LoopbackHub, adapter: HubAdapter, after: int
) -> None:
    path = path_of("crepe-full")
    hub.add("org/crepe", {path.name: path})
    hub.fail(origin="content", times=after)
    hub.fail(Cut(1000), origin="content", times=None)
    with pytest.raises(HubError) as caught:
        scan_of(adapter, "org/crepe")
    assert caught.value.code == "hub-unreachable"


def test_connections_are_kept_while_a_checkpoint_is_read_and_no_longer(
    hub: LoopbackHub, adapter: HubAdapter
) -> None:
    checkpoint = open_model(adapter)
    for _ in range(3):
        contents(checkpoint)
    (host,) = {r.headers["host"] for r in hub.requests if r.origin == "content"}
    assert open_connections(host) == 1
    del checkpoint
    gc.collect()
    assert open_connections(host) == 0
