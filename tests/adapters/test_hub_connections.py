"""Bytes over TLS: what is trusted, what is tried again, and what is said where it is not."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from support.hub_clients import BRIEF, refusal

from thermoscan.errors import HubError
from thermoscan_adapters import hub_connections
from thermoscan_adapters.hub import HubAdapter
from thermoscan_adapters.hub_connections import Connections, Link
from thermoscan_adapters.hub_ranges import LinkedFile, RangeStream

CONTENT = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that only itself vouches for, with its key."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", path, "-out", path.with_suffix(".crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, certificate: Path, cuts: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.cuts, self.asked = cuts, 0
        self.leads_to: str | None = None

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        connection = self.context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Stays silent: a client that trusts nobody goes away during the handshake."""


class _Handler(BaseHTTPRequestHandler):
    """Answers with a range; as often as it is told to, breaks off, mutely or with nonsense."""

    server: _Server

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.leads_to is not None:
            self.send_response(302)
            self.send_header("Location", self.server.leads_to)
            self.end_headers()
            return
        first, last = map(int, re.findall(r"\d+", self.headers["Range"]))
        body = CONTENT[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.asked <= self.server.cuts:
            self.wfile.write(body[: len(body) // 2])
            if self.server.asked % 2:
                os.write(self.connection.fileno(), b"what is no record of TLS" * 9)
            socket.socket(fileno=self.connection.detach()).close()
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stays silent."""


@contextmanager
def serving(certificate: Path, cuts: int = 0) -> Iterator[tuple[_Server, RangeStream]]:
    """A server, and a stream of a part of what it serves."""
    with _Server(certificate, cuts) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        link = Link(f"https://localhost:{server.server_address[1]}/file")
        file = LinkedFile("file", len(CONTENT), lambda _: link, Connections(), BRIEF)
        yield server, RangeStream(file, 1000, 901_000)
        server.shutdown()


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    hub_connections._trusted.cache_clear()
    yield
    hub_connections._trusted.cache_clear()


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("cuts", [0, 1, 2])
def test_bytes_over_tls_are_read_on_where_the_connection_was_lost(
    certificate: Path, cuts: int
) -> None:
    with serving(certificate, cuts) as (server, stream):
        buffer = bytearray(900_000)
        stream.readinto(memoryview(buffer))
        assert bytes(buffer) == CONTENT[1000:901_000]
        assert server.asked == cuts + 1


@pytest.mark.usefixtures("trusted")
def test_a_connection_over_tls_that_is_lost_again_and_again_is_told(certificate: Path) -> None:
    with serving(certificate, cuts=9) as (server, stream):
        with pytest.raises(HubError) as caught:
            stream.readinto(memoryview(bytearray(900_000)))
        assert (caught.value.code, server.asked) == ("hub-unreachable", BRIEF.attempts)


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_asked(
    certificate: Path, tmp_path: Path
) -> None:
    with serving(certificate) as (server, stream):
        with pytest.raises(HubError) as caught:
            stream.readinto(memoryview(bytearray(900_000)))
        assert (caught.value.code, server.asked) == ("hub-certificate", 0)
        port = server.server_address[1]
        error = refusal(HubAdapter(f"https://localhost:{port}", tmp_path, BRIEF))
        assert (error.code, server.asked) == ("hub-certificate", 0)
        assert "SSL_CERT_FILE" in error.reason


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("scheme", ["http", "HTTP", "ftp", "file"])
def test_a_link_that_leads_out_of_tls_is_not_followed(certificate: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain, serving(certificate) as (server, stream):
        server.leads_to = f"{scheme}://127.0.0.1:{plain.getsockname()[1]}/etc/passwd"
        with pytest.raises(HubError) as caught:
            stream.readinto(memoryview(bytearray(900_000)))
        assert (caught.value.code, server.asked) == ("hub-range", 1)
        plain.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody came
            plain.accept()
