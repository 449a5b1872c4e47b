"""The hub's list of models: filtered, sorted, page by page.

What each parameter means is described at https://huggingface.co/docs/hub/api, ``GET /api/models``,
and in huggingface_hub's `list_models`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
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
    described = ((model, describe(model, model.branches["main"])) for model in models)
    listed = [(model, entry) for model, entry in described if _is_wanted(entry, request)]
    sort = request.parameter("sort")
    if sort and sort not in _SORTS:
        raise refused(400, f'"sort" must be one of {list(_SORTS)}')
    if sort:
        listed.sort(key=lambda each: each[1][sort], reverse=True)
    told = [_told(model, entry, request) for model, entry in listed]
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


def _counted(repository: Repository) -> dict[str, object] | None:
    """Counts the parameters of the safetensors files at the top, as the hub does, by type."""
    parameters: Counter[str] = Counter()
    for name, file in repository.files("main").items():
        if name.endswith(".safetensors") and "/" not in name:
            content = file.read()
            try:
                header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            except ValueError:
                return None
            for tensor in header.values():
                if "dtype" in tensor:
                    parameters[tensor["dtype"]] += math.prod(tensor["shape"])
    if not parameters:
        return None
    return {"parameters": dict(parameters), "total": sum(parameters.values())}


def _is_wanted(entry: dict[str, object], request: Request) -> bool:
    author, task = request.parameter("author"), request.parameter("pipeline_tag")
    return (
        author in ("", entry["author"])
        and request.parameter("search").lower() in str(entry["id"]).lower()
        and task in ("", entry["pipeline_tag"])
        and set(request.parameters("filter")) <= set(entry["tags"])
    )


def _told(model: Repository, entry: dict[str, object], request: Request) -> dict[str, object]:
    """Leaves out of an entry what was not asked for."""
    expanded = {*request.parameters("expand"), *request.parameters("expand[]")}
    if request.flag("full"):
        return entry
    if "safetensors" in expanded:
        entry["safetensors"] = _counted(model)
    wanted = {"id", "trendingScore"} | expanded if expanded else _BRIEF
    return {key: value for key, value in entry.items() if key in wanted}
