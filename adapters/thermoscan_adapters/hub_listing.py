"""The files of a repository at one commit.

Takes the name of a repository; gives its `Listing`, pinned to the commit that the revision is at
now: a branch that moves meanwhile changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from thermoscan.errors import HubError, LimitError
from thermoscan.limits import Limits
from thermoscan_adapters.hub_names import HubName
from thermoscan_adapters.hub_patience import Patience

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_COMMIT = re.compile(r"[0-9a-f]{40}")


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

    Raises:
        HubError: ``hub-answer``: the hub states no commit.
        LimitError: ``folder-too-large``.
    """
    from huggingface_hub.hf_api import RepoFile  # noqa: PLC0415 - takes 0.3 s

    timeout = patience.timeout_seconds
    info = patience.call(lambda: api.model_info(name.id, revision=name.revision, timeout=timeout))
    commit = info.sha
    if commit is None or not _COMMIT.fullmatch(commit):
        raise HubError("hub-answer", "the hub does not say which commit it serves", file=name.id)
    tree = patience.call(
        lambda: list(
            islice(
                api.list_repo_tree(name.id, recursive=True, revision=commit),
                limits.folder_entries + 1,
            )
        )
    )
    if len(tree) > limits.folder_entries:
        reason = f"it holds more than {limits.folder_entries} files"
        raise LimitError("folder-too-large", reason, file=name.id)
    files = {
        entry.path: ListedFile(
            entry.path, entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None
        )
        for entry in tree
        if isinstance(entry, RepoFile)
    }
    return Listing(name.id, commit, files)
