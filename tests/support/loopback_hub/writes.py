"""The part of the hub's API that changes what is there: commits and new repositories."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, MutableMapping
from typing import Any

import yaml

from . import community
from .accounts import Token, check_discusses, check_pushes
from .content import commit_of
from .messages import Answer, Request, as_json, refused
from .store import LARGE_SUFFIXES, File, Repository, is_large
from .visits import Visit


def route(visit: Visit, parts: list[str]) -> Answer | None:
    """Answers below ``/api/models/{id}``; None: nothing is to be written there."""
    match visit.request.method, *parts:
        case ["POST", "preupload", revision]:
            return _preupload(visit, revision)
        case ["POST", "commit", revision]:
            return _commit(visit, revision)
        case [_, "discussions", *rest]:
            return community.route(visit, rest)
    return None


def validate_yaml(request: Request) -> Answer:
    """Answers ``/api/validate-yaml``: whether the front matter of a README can be read."""
    lines = json.loads(request.body)["content"].splitlines()
    if "---" not in lines[1:] or lines[0] != "---":
        warning = {"message": "empty or missing yaml metadata in repo card"}
        return as_json({"errors": [], "warnings": [warning]})
    try:
        yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)]))
    except yaml.YAMLError as error:
        return as_json({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return as_json({"errors": [], "warnings": []})


def create_repository(
    request: Request,
    token: Token | None,
    repositories: MutableMapping[str, Repository],
    endpoint: str,
) -> Answer:
    """Answers ``/api/repos/create``: a repository with a commit of its .gitattributes."""
    token = check_discusses(token)
    wanted = json.loads(request.body)
    namespace = wanted["organization"] or token.user
    repo_id = f"{namespace}/{wanted['name']}"
    if not token.may_create(namespace):
        reason = f'You don\'t have the rights to create a model under the namespace "{namespace}"'
        raise refused(403, reason)
    address = {"url": f"{endpoint}/{repo_id}", "name": repo_id}
    if repo_id in repositories:
        return as_json({**address, "error": "You already created this model repo"}, 409)
    private = wanted.get("visibility") == "private"
    repository = repositories[repo_id] = Repository(repo_id, private=private)
    attributes = "".join(f"*{s} filter=lfs diff=lfs merge=lfs -text\n" for s in LARGE_SUFFIXES)
    repository.commit(
        {".gitattributes": attributes.encode()}, title="initial commit", author=token.user
    )
    return as_json(address)


def large_files(request: Request, repository: Repository) -> Answer:
    """Answers the LFS batch: what is there need not be uploaded, and nothing else is taken."""
    present = _large_files(repository)
    objects = [{"oid": o["oid"], "size": o["size"]} for o in json.loads(request.body)["objects"]]
    for wanted in objects:
        if wanted["oid"] not in present:
            wanted["error"] = {"code": 422, "message": "This hub takes no large files"}
    return as_json({"transfer": "basic", "objects": objects})


def _preupload(visit: Visit, revision: str) -> Answer:
    create_pr = visit.request.flag("create_pr")
    check_pushes(visit.repository, visit.token, revision, create_pr=create_pr)
    present = visit.repository.commits[commit_of(visit.repository, revision)].files
    files = [
        {
            "path": file["path"],
            "uploadMode": "lfs" if is_large(file["path"], file["size"]) else "regular",
            "shouldIgnore": False,
            "oid": present[file["path"]].etag if file["path"] in present else None,
        }
        for file in json.loads(visit.request.body)["files"]
    ]
    return as_json({"files": files})


def _commit(visit: Visit, revision: str) -> Answer:
    repository, create_pr = visit.repository, visit.request.flag("create_pr")
    token = check_pushes(repository, visit.token, revision, create_pr=create_pr)
    first, *operations = (json.loads(line) for line in visit.request.body.splitlines())
    header = first["value"]
    parent = _parent(repository, revision, header.get("parentCommit"), create_pr=create_pr)
    files = _apply(repository, parent, operations)
    title, description = header["summary"], header.get("description", "")
    site, branch = f"{visit.endpoint}/{repository.id}", revision
    urls = {}
    if create_pr:
        opened = community.open_discussion(repository, token.user, title, description, parent)
        branch = opened.branch
        urls["pullRequestUrl"] = f"{site}/discussions/{opened.number}"
    sha = repository.add_commit(
        files, branch, parent=parent, title=title, description=description, author=token.user
    )
    community.note_commit(repository, branch, sha)
    urls["commitUrl"] = f"{site}/commit/{sha}"
    return as_json({"success": True, "commitOid": sha, **urls})


def _parent(repository: Repository, revision: str, parent: str | None, *, create_pr: bool) -> str:
    """Returns the commit to build on; a branch must still be where the client saw it."""
    head = commit_of(repository, revision)
    if create_pr:
        return commit_of(repository, parent or revision)
    if revision not in repository.branches:
        raise refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    if parent not in (None, head):
        raise refused(412, "A commit has happened since. Please refresh and try again.")
    return head


def _apply(
    repository: Repository, parent: str, operations: Iterable[dict[str, Any]]
) -> dict[str, File]:
    """Returns the files after the operations of a commit."""
    files = dict(repository.commits[parent].files)
    for operation in operations:
        value = operation["value"]
        path = value["path"]
        match operation["key"]:
            case "file":
                files[path] = File(path, base64.b64decode(value["content"]))
            case "lfsFile":
                files[path] = _large_file(repository, value["oid"])
            case "deletedFile" | "deletedFolder":
                _delete(files, path, folder=operation["key"] == "deletedFolder")
    return files


def _delete(files: dict[str, File], path: str, *, folder: bool) -> None:
    below = f"{path.rstrip('/')}/"
    gone = [name for name in files if (name.startswith(below) if folder else name == path)]
    if not gone:
        raise refused(404, "A file with this name doesn't exist", "EntryNotFound")
    for name in gone:
        del files[name]


def _large_file(repository: Repository, oid: str) -> File:
    """Returns the large file of this sha256, which the repository must have had before."""
    file = _large_files(repository).get(oid)
    if file is None:
        raise refused(400, f"The large file {oid} was not uploaded")
    return file


def _large_files(repository: Repository) -> dict[str, File]:
    """Returns every large file that the repository ever held, by sha256."""
    files = (file for commit in repository.commits.values() for file in commit.files.values())
    return {file.sha256: file for file in files if file.large}
