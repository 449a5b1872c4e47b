"""The part of the hub's API where people discuss, and open and merge pull requests."""

from __future__ import annotations

import difflib
import json

from .accounts import Token, check_discusses
from .discussions import Discussion
from .messages import Answer, as_json, refused
from .store import File, Repository
from .visits import Visit

_TARGET = "main"


def route(visit: Visit, parts: list[str]) -> Answer | None:
    """Answers below ``/api/models/{id}/discussions``; None: there is nothing there."""
    match visit.request.method, *parts:
        case ["GET"]:
            return _list(visit)
        case ["GET", number]:
            return as_json(_details(visit.repository, _find(visit.repository, number)))
        case ["POST"]:
            return _open(visit)
        case ["POST", number, "comment"]:
            return _comment(visit, _find(visit.repository, number))
        case ["POST", number, "status"]:
            return _change_status(visit, _find(visit.repository, number))
        case ["POST", number, "merge"]:
            return _merge(visit, _find(visit.repository, number))
    return None


def open_discussion(
    repository: Repository, author: str, title: str, text: str, base: str | None = None
) -> Discussion:
    """Opens a discussion, or a pull request that starts from the commit `base`."""
    number = len(repository.discussions) + 1
    opened = Discussion(number, title, author, repository.now(), base=base)
    opened.comment(author, repository.now(), text)
    repository.discussions.append(opened)
    if base is not None:
        repository.branches[opened.branch] = base
    return opened


def note_commit(repository: Repository, branch: str, sha: str) -> None:
    """Notes a commit in the pull request that the branch belongs to, if it does."""
    commit = repository.commits[sha]
    for discussion in repository.discussions:
        if discussion.branch == branch:
            discussion.note_commit(commit.author, repository.now(), commit.title, sha)


def _list(visit: Visit) -> Answer:
    request = visit.request
    author, kind = request.parameter("author"), request.parameter("type", "all")
    status = request.parameter("status", "all")
    listed = [
        discussion.as_json(visit.repository.id)
        for discussion in reversed(visit.repository.discussions)
        if author in ("", discussion.author)
        and kind in ("all", "pull_request" if discussion.base else "discussion")
        and status in ("all", "open" if discussion.status in ("open", "draft") else "closed")
    ]
    start = int(request.parameter("p", "0")) * visit.page_size
    shown = listed[start : start + visit.page_size]
    return as_json({"discussions": shown, "count": len(listed), "start": start})


def _find(repository: Repository, number: str) -> Discussion:
    for discussion in repository.discussions:
        if str(discussion.number) == number:
            return discussion
    raise refused(404, "Discussion not found")


def _details(repository: Repository, discussion: Discussion) -> dict[str, object]:
    details = {**discussion.as_json(repository.id), "events": discussion.events_as_json()}
    if discussion.base is not None:
        changes = {"base": f"refs/heads/{_TARGET}", "mergeCommitId": discussion.merge_commit}
        # What was merged is in main as it is: nothing is left to conflict.
        merged = discussion.status == "merged"
        conflicts = [] if merged else _conflicts(repository, discussion.base, discussion.branch)
        details |= {"changes": changes, "filesWithConflicts": conflicts}
        details["diff"] = _diff(repository, discussion.base, discussion.branch)
    return details


def _open(visit: Visit) -> Answer:
    token = check_discusses(visit.token)
    wanted = json.loads(visit.request.body)
    base = visit.repository.branches[_TARGET] if wanted["pullRequest"] else None
    opened = open_discussion(
        visit.repository, token.user, wanted["title"], wanted["description"], base
    )
    if base is not None:
        opened.status = "draft"
    return as_json({"num": opened.number})


def _comment(visit: Visit, discussion: Discussion) -> Answer:
    token = check_discusses(visit.token)
    text = json.loads(visit.request.body)["comment"]
    message = discussion.comment(token.user, visit.repository.now(), text)
    return as_json({"newMessage": message})


def _change_status(visit: Visit, discussion: Discussion) -> Answer:
    token = _check_owns(visit, discussion.author)
    wanted = json.loads(visit.request.body)
    if "comment" in wanted:
        discussion.comment(token.user, visit.repository.now(), wanted["comment"])
    event = discussion.set_status(token.user, visit.repository.now(), wanted["status"])
    return as_json({"newStatus": event})


def _merge(visit: Visit, discussion: Discussion) -> Answer:
    repository = visit.repository
    token = _check_owns(visit)
    if discussion.base is None or discussion.status != "open":
        raise refused(400, "This is no open pull request.")
    if _conflicts(repository, discussion.base, discussion.branch):
        raise refused(409, "This pull request has conflicts.")
    files = dict(repository.files(_TARGET))
    for name, file in _changes(repository, discussion.base, discussion.branch).items():
        if file is None:
            files.pop(name, None)
        else:
            files[name] = file
    title = f"{discussion.title} (#{discussion.number})"
    sha = repository.add_commit(files, _TARGET, title=title, author=token.user)
    discussion.merge_commit = sha
    discussion.set_status(token.user, repository.now(), "merged")
    return as_json({"mergeCommitId": sha})


def _check_owns(visit: Visit, author: str | None = None) -> Token:
    token = check_discusses(visit.token)
    if token.user != author and not token.may_write(visit.repository.id):
        raise refused(403, "Forbidden: you may not change this discussion.")
    return token


def _changes(repository: Repository, base: str, revision: str) -> dict[str, File | None]:
    """Returns the files that differ from those of `base`; None for one that is gone."""
    old, new = repository.files(base), repository.files(revision)
    names = sorted({*old, *new})
    return {n: new.get(n) for n in names if _blob(old.get(n)) != _blob(new.get(n))}


def _conflicts(repository: Repository, base: str, branch: str) -> list[str]:
    """Returns the files that the branch and main have changed since `base`, each in its own way."""
    theirs, ours = _changes(repository, base, _TARGET), _changes(repository, base, branch)
    return [n for n, file in ours.items() if n in theirs and _blob(file) != _blob(theirs[n])]


def _diff(repository: Repository, base: str, branch: str) -> str:
    pieces: list[str] = []
    for name, file in _changes(repository, base, branch).items():
        before, after = _lines(repository.files(base).get(name)), _lines(file)
        pieces += difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", lineterm="")
    return "\n".join(pieces)


def _lines(file: File | None) -> list[str]:
    if file is None:
        return []
    return (file.pointer if file.large else file.read()).decode(errors="replace").splitlines()


def _blob(file: File | None) -> str | None:
    return None if file is None else file.blob
