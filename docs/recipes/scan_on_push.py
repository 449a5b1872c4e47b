"""Scans a model whenever its main branch moves: a receiver for the hub's webhooks.

    WEBHOOK_SECRET=... python scan_on_push.py FOLDER [PORT]

Answers at once and scans afterwards, one model after the other, into FOLDER/ORG--NAME/COMMIT. Put
it behind a server that speaks TLS: the secret comes as plain text in a header.
https://huggingface.co/docs/hub/webhooks describes what the hub sends.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

MOST_BYTES = 1 << 20
COMMIT = re.compile(r"[0-9a-f]{40}")
MODEL = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")


def pushed(payload: Any) -> str | None:
    """Returns ORG/NAME@COMMIT where a model's main branch has a new commit."""
    repository = payload["repo"]
    if repository["type"] != "model" or not MODEL.fullmatch(repository["name"]):
        return None
    for moved in payload.get("updatedRefs") or ():
        # headSha is not what was pushed where branches other than main move.
        if moved["ref"] == "refs/heads/main" and COMMIT.fullmatch(moved["newSha"] or ""):
            return f"{repository['name']}@{moved['newSha']}"
    return None


class Receiver(BaseHTTPRequestHandler):
    """Puts what was pushed into the queue."""

    secret: bytes
    models: Queue[str]

    def do_POST(self) -> None:
        """Answers 202 to what will be scanned, 204 to what needs no scan."""
        sent = self.headers.get("X-Webhook-Secret", "").encode()
        if not hmac.compare_digest(sent, self.secret):
            return self.answer(401)
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 <= length <= MOST_BYTES:
                return self.answer(413)
            model = pushed(json.loads(self.rfile.read(length)))
        except (ValueError, KeyError, TypeError, AttributeError):
            return self.answer(400)
        if model is not None:
            self.models.put(model)
        return self.answer(204 if model is None else 202)

    def answer(self, status: int) -> None:
        """Sends a status alone."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def scan_all(models: Queue[str], folder: Path) -> None:
    """Scans what comes; a model that cannot be scanned says why on stderr and is left at that."""
    while True:
        model = models.get()
        cards = folder / model.replace("/", "--").replace("@", "/")
        command = ["thermoscan", "scan", "--out", str(cards), "-q", "--", model]
        subprocess.run(command, check=False)  # noqa: S603


def main(folder: str, port: str = "8000") -> None:
    """Serves until it is stopped."""
    Receiver.secret, Receiver.models = os.environ["WEBHOOK_SECRET"].encode(), Queue()
    Thread(target=scan_all, args=(Receiver.models, Path(folder)), daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Receiver)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
