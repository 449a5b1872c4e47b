"""A small hub on 127.0.0.1 that the real huggingface_hub client reads from.

It serves what a download needs: a model's listing at a commit, and its files, of which the large
ones (by suffix) lie behind a redirect to a second origin, as they do on the real hub. Commits
are kept, so that a branch can move. Every request is recorded.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from urllib.parse import unquote, urlsplit

LARGE_SUFFIXES = (".safetensors", ".bin", ".onnx")


@dataclass
class Repository:
    """A model: its commits, oldest first, and where its branches are."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gated: bool = False

    def commit(self, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Adds a commit that holds `files` and moves `branch` to it; returns its sha."""
        sha = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.branches[branch] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        """Returns the sha of a branch or commit."""
        sha = self.branches.get(revision, revision)
        return sha if sha in self.commits else None


class LoopbackHub:
    """The hub and its content network, each a server on a port of its own."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[tuple[str, str]] = []
        self.status: int | None = None  # answers every request, where it is set
        self.delay_seconds = 0.0
        self._hub = _serve(self._answer)
        self._content = _serve(self._answer_content)
        self.endpoint = _origin(self._hub)

    def __enter__(self) -> LoopbackHub:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for server in (self._hub, self._content):
            server.shutdown()
            server.server_close()

    def add(self, repo_id: str, files: Mapping[str, bytes], *, gated: bool = False) -> Repository:
        """Adds a repository with one commit on main."""
        repository = self.repositories[repo_id] = Repository(gated=gated)
        repository.commit(files)
        return repository

    def _answer(self, handler: _Handler) -> None:
        self.requests.append((handler.command, handler.path))
        time.sleep(self.delay_seconds)
        # Revisions arrive quoted (refs%2Fpr%2F1): split first, unquote after.
        parts = [unquote(part) for part in urlsplit(handler.path).path.strip("/").split("/")]
        if self.status is not None:
            handler.refuse(self.status)
        elif parts[:2] == ["api", "models"]:
            self._answer_listing(handler, parts[2:])
        elif parts[:2] == ["api", "resolve-cache"]:
            _, _, _, org, name, sha, *path = parts
            self._answer_file(handler, f"{org}/{name}", sha, "/".join(path), direct=True)
        elif "resolve" in parts:
            at = parts.index("resolve")
            path = "/".join(parts[at + 2 :])
            self._answer_file(handler, "/".join(parts[:at]), parts[at + 1], path, direct=False)
        else:
            handler.refuse(404)

    def _answer_listing(self, handler: _Handler, parts: list[str]) -> None:
        revision = parts[-1] if "revision" in parts else "main"
        repo_id = "/".join(parts[: parts.index("revision")] if "revision" in parts else parts)
        repository = self._readable(handler, repo_id, contents=False)
        if repository is None:
            return
        sha = repository.resolve(revision)
        if sha is None:
            handler.refuse(404, "RevisionNotFound")
            return
        siblings = [_sibling(name, data) for name, data in repository.commits[sha].items()]
        document = {"id": repo_id, "modelId": repo_id, "sha": sha, "siblings": siblings}
        handler.reply(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _answer_file(
        self, handler: _Handler, repo_id: str, revision: str, path: str, *, direct: bool
    ) -> None:
        repository = self._readable(handler, repo_id, contents=True)
        if repository is None:
            return
        sha = repository.resolve(revision)
        if sha is None:
            handler.refuse(404, "RevisionNotFound")
            return
        data = repository.commits[sha].get(path)
        if data is None:
            handler.refuse(404, "EntryNotFound", {"X-Repo-Commit": sha})
            return
        digest = hashlib.sha256(data).hexdigest()
        headers = {"X-Repo-Commit": sha, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        if direct:
            handler.reply(200, data, headers)
        elif path.endswith(LARGE_SUFFIXES):
            headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
            location = f"{_origin(self._content)}/{repo_id}/{sha}/{path}"
            handler.reply(302, b"", headers | {"Location": location})
        else:
            location = f"/api/resolve-cache/models/{repo_id}/{sha}/{path}"
            handler.reply(307, b"", headers | {"Location": location})

    def _answer_content(self, handler: _Handler) -> None:
        self.requests.append((handler.command, handler.path))
        org, name, sha, *path = urlsplit(handler.path).path.strip("/").split("/")
        data = self.repositories[f"{org}/{name}"].commits[sha]["/".join(path)]
        handler.reply(200, data, {"Accept-Ranges": "bytes"})

    def _readable(self, handler: _Handler, repo_id: str, *, contents: bool) -> Repository | None:
        repository = self.repositories.get(repo_id)
        if repository is None:
            handler.refuse(401, "RepoNotFound")
        elif repository.gated and contents:
            handler.refuse(403, "GatedRepo")
        else:
            return repository
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answer: Callable[[_Handler], None]

    def do_GET(self) -> None:
        type(self).answer(self)

    def do_HEAD(self) -> None:
        type(self).answer(self)

    def refuse(self, status: int, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        extra = {"X-Error-Code": code} if code else {}
        self.reply(status, b"", {**extra, **(headers or {})})

    def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stays silent: the hub records its requests."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _serve(answer: Callable[[_Handler], None]) -> ThreadingHTTPServer:
    handler = type("Handler", (_Handler,), {"answer": staticmethod(answer)})
    server = _Server(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def _origin(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def _sibling(name: str, data: bytes) -> dict[str, object]:
    blob = hashlib.sha1(data).hexdigest()
    sibling: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": blob}
    if name.endswith(LARGE_SUFFIXES):
        digest = hashlib.sha256(data).hexdigest()
        sibling["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 130}
    return sibling
