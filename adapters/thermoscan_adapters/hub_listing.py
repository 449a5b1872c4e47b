"""The files of a repository at one commit.

Takes the name of a repository; gives its `Listing`, pinned to the commit that the revision is at
now: a branch that moves meanwhile changes nothing. What the hub says is checked before anything
relies on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from thermoscan.errors import HubError, LimitError
from thermoscan.limits import Limits
from thermoscan_adapters.hub_api import get_json, pages
from thermoscan_adapters.hub_names import HubName
from thermoscan_adapters.hub_patience import Patience

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
MOST_BYTES = 1 << 60
"""That anything on a hub may have."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a repository.

    Attributes:
        name: Path in the repository. Hostile text.
        size: Bytes.
        blob: Git's id of its content (of its pointer, where the file is large).
        sha256: Of its content, where the hub states one.
    """

    name: str
    size: int
    blob: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repository at one commit, by their paths."""

    id: str
    commit: str
    files: Mapping[str, ListedFile]


def list_files(api: HfApi, name: HubName, limits: Limits, patience: Patience) -> Listing:
    """Returns the files of a repository at the commit that its revision is at now.

    See https://huggingface.co/.well-known/openapi.json, ``/api/models/{id}/tree/{rev}``.

    Raises:
        HubError: ``hub-answer``: the hub states no commit, or lists what cannot be.
        LimitError: ``folder-too-large``.
    """
    model = f"/api/models/{name.id}"
    at = f"{model}/revision/{quote(name.revision, safe='')}" if name.revision else model
    commit = get_json(api, at, patience)["sha"]
    if not is_commit(commit):
        raise HubError("hub-answer", "the hub does not say which commit it serves", file=name.id)
    files: dict[str, ListedFile] = {}
    listed_pages = pages(api, f"{model}/tree/{commit}?recursive=true", patience)
    for count, entry in enumerate(chain.from_iterable(listed_pages), start=1):
        if count > limits.folder_entries:
            reason = f"it holds more than {limits.folder_entries} files"
            raise LimitError("folder-too-large", reason, file=name.id)
        if entry["type"] == "file":
            listed = _checked(entry, name.id)
            if listed.name in files:
                raise HubError("hub-answer", "the hub lists it twice", file=listed.name)
            files[listed.name] = listed
    return Listing(name.id, commit, files)


def _checked(entry: Mapping[str, Any], id: str) -> ListedFile:
    """Returns what an entry of the hub's list says, once it is what it must be."""
    name, size, blob = entry["path"], entry["size"], entry["oid"]
    sha256 = entry["lfs"]["oid"] if entry.get("lfs") else None
    named = _is_path(name) and isinstance(blob, str)
    sized = type(size) is int and 0 <= size <= MOST_BYTES
    hashed = sha256 is None or is_sha256(sha256)
    if not (named and sized and hashed):
        reason = "the hub lists a file without a name, or a length or digest that can be"
        raise HubError("hub-answer", reason, file=id)
    return ListedFile(name, size, blob, sha256)


def is_commit(sha: object) -> bool:
    """Says whether it is written as the hub writes the id of a commit."""
    return isinstance(sha, str) and _COMMIT.fullmatch(sha) is not None


def is_sha256(digest: object) -> bool:
    """Says whether it is written as the hub writes a sha256."""
    return isinstance(digest, str) and _SHA256.fullmatch(digest) is not None


def _is_path(name: object) -> bool:
    """Says whether git can know a file by this name."""
    if not isinstance(name, str) or "\0" in name:
        return False
    return {"", ".", ".."}.isdisjoint(name.split("/"))
