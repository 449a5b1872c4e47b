"""The part of the hub's API that tells what is there."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from urllib.parse import parse_qs

from .accounts import Token, check_contents, check_pushes
from .content import commit_of
from .discussions import as_text
from .messages import Answer, as_json, refused
from .models import describe
from .store import File, Repository
from .visits import Visit, page


def route(visit: Visit, parts: list[str]) -> Answer | None:
    """Answers below ``/api/models/{id}``; None: nothing is to be read there."""
    match visit.request.method, *parts:
        case ["GET" | "HEAD"]:
            return _info(visit, "main")
        case ["GET" | "HEAD", "revision", revision]:
            return _info(visit, revision)
        case ["GET" | "HEAD", "tree", revision, *path]:
            return _tree(visit, revision, "/".join(path))
        case ["GET", "refs"]:
            return _refs(visit)
        case ["GET", "commits", revision]:
            return _commits(visit, revision)
        case ["POST", "paths-info", revision]:
            return _paths_info(visit, revision)
        case ["GET", "auth-check"]:
            check_contents(visit.repository, visit.token)
            return as_json({})
        case ["GET", "auth-check", "write"]:
            check_pushes(visit.repository, visit.token, "main", create_pr=False)
            return as_json({})
    return None


def whoami(token: Token | None) -> Answer:
    """Answers ``/api/whoami-v2``."""
    if token is None:
        raise refused(401, "Invalid username or password.")
    spaces = {scope for scope in token.write if "/" not in scope} - {token.user}
    access = {"displayName": "a token", "role": token.role}
    return as_json(
        {
            "type": "user",
            "id": hashlib.sha1(token.user.encode()).hexdigest()[:24],
            "name": token.user,
            "fullname": token.user.title(),
            "orgs": [{"type": "org", "name": name} for name in sorted(spaces)],
            "auth": {"type": "access_token", "accessToken": access},
        }
    )


def _info(visit: Visit, revision: str) -> Answer:
    sha = commit_of(visit.repository, revision)
    blobs = visit.request.flag("blobs")
    files = visit.repository.commits[sha].files.items()
    siblings = [_sibling(name, file, blobs=blobs) for name, file in files]
    return as_json({**describe(visit.repository, sha), "siblings": siblings})


def _sibling(name: str, file: File, *, blobs: bool) -> dict[str, object]:
    sibling: dict[str, object] = {"rfilename": name}
    if blobs:
        sibling |= {"size": file.size, "blobId": file.blob}
    if blobs and file.large:
        size = {"size": file.size, "pointerSize": len(file.pointer)}
        sibling["lfs"] = {"sha256": file.sha256, **size}
    return sibling


def _tree(visit: Visit, revision: str, folder: str) -> Answer:
    sha = commit_of(visit.repository, revision)
    folder = folder.strip("/")
    below = [entry for entry in _all_paths(visit.repository, sha) if _is_below(folder, entry)]
    if folder and not below:
        raise refused(404, f"{folder} does not exist", "EntryNotFound", {"X-Repo-Commit": sha})
    if not visit.request.flag("recursive"):
        below = [entry for entry in below if str(PurePosixPath(entry).parent) == (folder or ".")]
    expand = visit.request.flag("expand")
    entries = [_entry(visit.repository, sha, path, expand=expand) for path in below]
    return page(entries, visit.request, visit.endpoint, visit.page_size)


def _paths_info(visit: Visit, revision: str) -> Answer:
    sha = commit_of(visit.repository, revision)
    form = parse_qs(visit.request.body.decode())
    expand = form.get("expand", [""])[0].lower() == "true"
    wanted = [path.strip("/") for path in form.get("paths", [])]
    known = set(_all_paths(visit.repository, sha))
    return as_json(
        [_entry(visit.repository, sha, path, expand=expand) for path in wanted if path in known]
    )


def _all_paths(repository: Repository, sha: str) -> list[str]:
    """Returns the paths of every file and folder, in order."""
    paths = set(repository.commits[sha].files)
    for name in list(paths):
        paths.update(str(parent) for parent in PurePosixPath(name).parents)
    return sorted(paths - {"."})


def _is_below(folder: str, path: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _entry(repository: Repository, sha: str, path: str, *, expand: bool) -> dict[str, object]:
    files = repository.commits[sha].files
    entry: dict[str, object] = {"path": path}
    if path in files:
        file = files[path]
        entry |= {"type": "file", "oid": file.blob, "size": file.size}
        if file.large:
            size = {"size": file.size, "pointerSize": len(file.pointer)}
            entry["lfs"] = {"oid": file.sha256, **size}
    else:
        content = [(name, file.blob) for name, file in files.items() if _is_below(path, name)]
        oid = hashlib.sha1(repr(content).encode()).hexdigest()
        entry |= {"type": "directory", "oid": oid, "size": 0}
    if expand:
        last, commit = repository.last_change(sha, path)
        entry["lastCommit"] = {"id": last, "title": commit.title, "date": as_text(commit.date)}
    return entry


def _refs(visit: Visit) -> Answer:
    refs: dict[str, list[dict[str, str]]] = {"branches": [], "converts": [], "tags": []}
    if visit.request.flag("include_prs"):
        refs["pullRequests"] = []
    for name, sha in visit.repository.branches.items():
        if not name.startswith("refs/"):
            ref = {"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha}
            refs["branches"].append(ref)
        elif "pullRequests" in refs:
            number = name.removeprefix("refs/pr/")
            refs["pullRequests"].append({"name": number, "ref": name, "targetCommit": sha})
    return as_json(refs)


def _commits(visit: Visit, revision: str) -> Answer:
    history = visit.repository.history(commit_of(visit.repository, revision))
    listed = [
        {
            "id": sha,
            "title": commit.title,
            "message": commit.description,
            "authors": [{"user": commit.author}],
            "date": as_text(commit.date),
        }
        for sha, commit in history
    ]
    return page(listed, visit.request, visit.endpoint, visit.page_size)
