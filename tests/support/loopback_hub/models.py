"""The hub's list of models: filtered, sorted, page by page.

What each parameter means is described at https://huggingface.co/docs/hub/api, ``GET /api/models``,
and in huggingface_hub's `list_models`.
"""

from __future__ import annotations

from collections.abc import Iterable

from .discussions import as_text
from .messages import Answer, Request, refused
from .store import Repository
from .visits import page

_SORTS = ("createdAt", "downloads", "lastModified", "likes", "trendingScore")
_BRIEF = frozenset(
    {"id", "modelId", "private", "downloads", "likes", "tags", "pipeline_tag", "library_name"}
    | {"createdAt", "trendingScore"}
)


def list_models(
    request: Request, models: Iterable[Repository], endpoint: str, page_size: int
) -> Answer:
    """Answers ``/api/models``."""
    listed = [describe(model, model.branches["main"]) for model in models]
    listed = [entry for entry in listed if _is_wanted(entry, request)]
    sort = request.parameter("sort")
    if sort and sort not in _SORTS:
        raise refused(400, f'"sort" must be one of {list(_SORTS)}')
    if sort:
        listed.sort(key=lambda entry: entry[sort], reverse=True)
    told = [_told(entry, request) for entry in listed]
    return page(told, request, endpoint, min(page_size, int(request.parameter("limit", "1000"))))


def describe(repository: Repository, sha: str) -> dict[str, object]:
    """Says what the hub says of a model at a commit."""
    last = repository.commits[sha]
    first = next(iter(repository.commits.values()))
    facts = repository.facts
    tags = [each for each in (facts.library, *facts.tags, facts.task) if each]
    return {
        "id": repository.id,
        "modelId": repository.id,
        "author": repository.id.split("/")[0],
        "sha": sha,
        "createdAt": as_text(first.date),
        "lastModified": as_text(last.date),
        "private": repository.private,
        "gated": "manual" if repository.gated else False,
        "disabled": facts.disabled,
        "downloads": facts.downloads,
        "likes": facts.likes,
        "trendingScore": facts.likes,
        "tags": tags,
        "pipeline_tag": facts.task,
        "library_name": facts.library,
    }


def _is_wanted(entry: dict[str, object], request: Request) -> bool:
    author, task = request.parameter("author"), request.parameter("pipeline_tag")
    return (
        author in ("", entry["author"])
        and request.parameter("search").lower() in str(entry["id"]).lower()
        and task in ("", entry["pipeline_tag"])
        and set(request.parameters("filter")) <= set(entry["tags"])
    )


def _told(entry: dict[str, object], request: Request) -> dict[str, object]:
    """Leaves out of an entry what was not asked for."""
    expanded = {*request.parameters("expand"), *request.parameters("expand[]")}
    if request.flag("full"):
        return entry
    wanted = {"id", "trendingScore"} | expanded if expanded else _BRIEF
    return {key: value for key, value in entry.items() if key in wanted}
