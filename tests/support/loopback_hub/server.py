"""A server on a port of its own: it reads requests, and sends what it is told to answer."""

from __future__ import annotations

import contextlib
import socket
import sys
from http.server import BaseHTTPRequestHandler
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from typing import Any

from .messages import Answer, Answerer, Body, Request, split


class Origin:
    """A port of 127.0.0.1, known to clients as `host`, whose every request goes to `answer`."""

    def __init__(self, name: str, answer: Answerer, *, host: str = "127.0.0.1", port: int = 0):
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.name, self._server.answer = name, answer
        self.url = f"http://{host}:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Serves until it is closed."""
        self._thread.join()

    def close(self) -> None:
        """Stops listening, ends stalls and closes every connection."""
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    name: str
    answer: Answerer

    def __init__(self, address: tuple[str, int], handler: type[BaseRequestHandler]) -> None:
        super().__init__(address, handler)
        self.closing = Event()
        self.connections: set[socket.socket] = set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away is no error of the server's.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else 40 ms a request
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.server.name, path, query, headers, body)
        self._send(self.server.answer(request))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _respond  # noqa: N815 - http.server's

    def _send(self, answer: Answer) -> None:
        delivery = answer.delivery
        if delivery.stall_after is None:
            self.server.closing.wait(delivery.stall_seconds)
        if delivery.raw is not None:
            self.wfile.write(delivery.raw)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(answer)

    def _send_body(self, answer: Answer) -> None:
        body, delivery = answer.body, answer.delivery
        if delivery.cut_after is not None:
            body, _ = split(body, delivery.cut_after)
            self.close_connection = True
        if delivery.stall_after is not None:
            head, body = split(body, delivery.stall_after)
            self._write(head)
            self.server.closing.wait(delivery.stall_seconds)
        self._write(body)

    def _write(self, body: Body) -> None:
        if isinstance(body, bytes):
            self.wfile.write(body)
        elif body.length:
            with body.path.open("rb") as stream:
                self.connection.sendfile(stream, body.start, body.length)

    def log_message(self, format: str, *args: object) -> None:
        """Stays silent: the hub records its requests."""
