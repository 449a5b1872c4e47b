"""The hub: its repositories, its three servers, and who answers what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Event, Lock
from types import TracebackType

from . import models, reads, writes
from .accounts import Token, check_contents, not_found
from .content import Links, locate, serve, serve_signed
from .faults import Fault, Faults
from .messages import Answer, Answerer, RefusedError, Request, as_json, refused
from .server import Origin
from .store import Facts, Repository
from .visits import Visit


class LoopbackHub:
    """A hub on 127.0.0.1. See the package for how to use it.

    Attributes:
        endpoint: The hub's URL.
        elsewhere: The URL of another host's server, which has nothing to do with the hub.
        repositories: By id, such as ``org/name``.
        requests: What came, at all three servers, in order.
        latency_seconds: How long each request waits before it is answered.
        page_size: How many entries a page of a listing holds.
    """

    def __init__(self, *, port: int = 0) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.latency_seconds = 0.0
        self.page_size = 1000
        self._tokens: dict[str, Token] = {}
        self._faults = Faults()
        self._closing = Event()
        self._lock = Lock()
        self._links = Links()
        self._content = Origin("content", self._behind_faults(self._answer_content))
        self._elsewhere = Origin(
            "elsewhere", self._behind_faults(lambda _: Answer(200)), host="localhost"
        )
        self._hub = Origin("hub", self._behind_faults(self._answer), port=port)
        self.endpoint, self.elsewhere = self._hub.url, self._elsewhere.url

    def __enter__(self) -> LoopbackHub:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops the servers and closes every connection."""
        self._closing.set()
        for origin in (self._hub, self._content, self._elsewhere):
            origin.close()

    def wait(self) -> None:
        """Serves until it is interrupted."""
        self._hub.wait()

    def add(
        self,
        repo_id: str,
        files: Mapping[str, bytes | Path],
        *,
        gated: bool = False,
        private: bool = False,
        facts: Facts | None = None,
    ) -> Repository:
        """Adds a repository with one commit on main, and what the hub knows of it beside."""
        repository = Repository(repo_id, gated=gated, private=private, facts=facts or Facts())
        repository.commit(files)
        self.repositories[repo_id] = repository
        return repository

    def add_token(
        self, secret: str, user: str, *, read: tuple[str, ...] = (), write: tuple[str, ...] = ()
    ) -> None:
        """Lets `secret` in as `user`, who may read and write these repositories or namespaces."""
        self._tokens[secret] = Token(user, read, write)

    def fail(
        self,
        *faults: Fault,
        path: str = "",
        origin: str | None = None,
        method: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Plans faults for requests to come; see `Faults.add`."""
        self._faults.add(*faults, path=path, origin=origin, method=method, times=times)

    def heal(self) -> None:
        """Forgets the faults that are still planned."""
        self._faults.clear()

    def expire_links(self) -> None:
        """Closes every link to the content origin that was given out so far."""
        self._links.expire()

    def _behind_faults(self, answer: Answerer) -> Answerer:
        def answer_or_refuse(request: Request) -> Answer:
            try:
                return answer(request)
            except RefusedError as refusal:
                return refusal.answer

        def answer_behind_faults(request: Request) -> Answer:
            self.requests.append(request)
            self._closing.wait(self.latency_seconds)
            return self._faults.meet(request, answer_or_refuse)

        return answer_behind_faults

    def _answer_content(self, request: Request) -> Answer:
        return serve_signed(request, self.repositories, self._links)

    def _answer(self, request: Request) -> Answer:
        answer = self._route(request, self._token(request))
        if answer is None:
            raise refused(404, "Sorry, we can't find the page you are looking for.")
        return answer

    def _route(self, request: Request, token: Token | None) -> Answer | None:
        match request.method, *request.parts:
            case [_, "api", "models", org, name, *rest]:
                repository = self._visible(f"{org}/{name}", token)
                visit = Visit(request, repository, token, self.endpoint, self.page_size)
                with self._lock:  # a commit must find the branch where it was checked to be
                    return reads.route(visit, rest) or writes.route(visit, rest)
            case ["GET" | "HEAD", "api", "resolve-cache", "models", org, name, sha, *path]:
                repository = self._with_contents(f"{org}/{name}", token)
                return serve(request, repository, sha, "/".join(path))
            case ["GET" | "HEAD", org, name, "resolve", revision, *path]:
                repository = self._with_contents(f"{org}/{name}", token)
                file, origin = "/".join(path), self._content.url
                return locate(repository, revision, file, origin, self._links)
            case ["GET", "api", "whoami-v2"]:
                return reads.whoami(token)
            case ["GET", "api", "agent-harnesses"]:
                return as_json({"standardEnvVars": [], "harnesses": {}})
            case ["GET", "api", "models"]:
                visible = (m for m in self.repositories.values() if _is_visible(m, token))
                return models.list_models(request, visible, self.endpoint, self.page_size)
            case ["POST", "api", "validate-yaml"]:
                return writes.validate_yaml(request)
            case ["POST", "api", "repos", "create"]:
                return writes.create_repository(request, token, self.repositories, self.endpoint)
            case ["POST", org, name, "info", "lfs", "objects", "batch"]:
                repository = self._visible(f"{org}/{name.removesuffix('.git')}", token)
                return writes.large_files(request, repository)
        return None

    def _token(self, request: Request) -> Token | None:
        if request.token is None:
            return None
        if request.token not in self._tokens:
            raise refused(401, "Invalid credentials in Authorization header")
        return self._tokens[request.token]

    def _visible(self, repo_id: str, token: Token | None) -> Repository:
        repository = self.repositories.get(repo_id)
        if repository is None or not _is_visible(repository, token):
            raise not_found(token)
        return repository

    def _with_contents(self, repo_id: str, token: Token | None) -> Repository:
        repository = self._visible(repo_id, token)
        check_contents(repository, token)
        return repository


def _is_visible(repository: Repository, token: Token | None) -> bool:
    return not repository.private or (token is not None and token.may_read(repository.id))
