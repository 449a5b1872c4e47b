"""Files: where the hub says they are, and their bytes, whole or by range.

Plain files lie at the hub itself, behind a relative redirect; large ones at the content origin,
behind a signed link that can expire, where no token is asked for and none must be sent.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from urllib.parse import quote

from .messages import Answer, Request, refused
from .store import File, Repository


class Links:
    """Signs the links to the content origin and knows its own again."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes()

    def sign(self, path: str) -> str:
        """Returns the path with the query that opens it."""
        return f"{path}?Signature={self._signature(path)}"

    def opens(self, request: Request) -> bool:
        return request.parameter("Signature") == self._signature(request.path)

    def expire(self) -> None:
        """Closes every link that was given out so far."""
        self._key = secrets.token_bytes()

    def _signature(self, path: str) -> str:
        return hmac.digest(self._key, path.encode(), "sha256").hex()


def locate(repository: Repository, revision: str, path: str, content: str, links: Links) -> Answer:
    """Answers ``/{id}/resolve/{revision}/{path}``: where the file is, and what it is.

    Args:
        repository: The repository.
        revision: A branch or a commit.
        path: The file's.
        content: The URL of the content origin.
        links: Signs the link to there.
    """
    sha, file = find(repository, revision, path)
    headers = _describe(sha, file)
    if file.large:
        headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
        link = links.sign(f"/{repository.id}/{sha}/{quote(path)}")
        return Answer(302, headers | {"Location": content + link})
    location = f"/api/resolve-cache/models/{repository.id}/{sha}/{quote(path)}"
    return Answer(307, headers | {"Location": location})


def serve(request: Request, repository: Repository, sha: str, path: str) -> Answer:
    """Answers with the bytes of a file."""
    sha, file = find(repository, sha, path)
    return _ranged(request, file, _describe(sha, file))


def serve_signed(request: Request, repositories: Mapping[str, Repository], links: Links) -> Answer:
    """Answers at the content origin, whose links say who may read."""
    if not links.opens(request):
        denied = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        return Answer(403, {"Content-Type": "application/xml"}, denied)
    org, name, sha, *path = request.parts
    file = repositories[f"{org}/{name}"].commits[sha].files["/".join(path)]
    return _ranged(request, file, {"ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"})


def find(repository: Repository, revision: str, path: str) -> tuple[str, File]:
    """Returns the commit's sha and the file, or refuses as the hub does."""
    sha = commit_of(repository, revision)
    file = repository.commits[sha].files.get(path)
    if file is None:
        raise refused(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": sha})
    return sha, file


def commit_of(repository: Repository, revision: str) -> str:
    """Returns the sha of a branch or commit, or refuses as the hub does."""
    sha = repository.resolve(revision)
    if sha is None:
        raise refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return sha


def _describe(sha: str, file: File) -> dict[str, str]:
    return {"X-Repo-Commit": sha, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}


def _ranged(request: Request, file: File, headers: Mapping[str, str]) -> Answer:
    """Gives the bytes that were asked for; several ranges at once get everything, as at a CDN."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.range or "")
    if match is None or match.group() == "bytes=-":
        return Answer(200, headers, file.part(0, file.size))
    first, last = match.groups()
    start = int(first) if first else max(file.size - int(last), 0)
    stop = min(int(last) + 1, file.size) if first and last else file.size
    if start >= stop:
        return Answer(416, {**headers, "Content-Range": f"bytes */{file.size}"})
    place = {"Content-Range": f"bytes {start}-{stop - 1}/{file.size}"}
    return Answer(206, {**headers, **place}, file.part(start, stop))
