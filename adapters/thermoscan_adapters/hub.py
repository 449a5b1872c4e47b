"""Checkpoints on the Hugging Face Hub: listed, pinned to a commit, downloaded, opened from disk.

Takes the name of a repository (`thermoscan_adapters.hub_names`); gives the `Checkpoint` of the
snapshot in huggingface_hub's cache. Only what a scan needs is downloaded: the weight files, chosen
from the listing by the rules for a folder, their index, and config.json. In offline mode
(``HF_HUB_OFFLINE=1``) the cached snapshot is opened as it is.

Choosing files (`plan`) knows nothing of how they are read: a reader that fetches byte ranges
instead of whole files takes the place of the download and leaves the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from thermoscan.checkpoint import Checkpoint, FileRecord, OpenOptions, Source
from thermoscan.errors import HubError, LimitError, MalformedError
from thermoscan.limits import Limits
from thermoscan_adapters import lora_config
from thermoscan_adapters.disk import check_beside, open_folder
from thermoscan_adapters.files import find_file
from thermoscan_adapters.hub_errors import hub_errors
from thermoscan_adapters.hub_names import HubName, is_hub_name, parse_hub_name
from thermoscan_adapters.index import read_index
from thermoscan_adapters.selection import choose, indexed_format, looks_like_weights

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a repository: its size in bytes, and its sha256 where the hub states one."""

    name: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The files at the top of a repository at one commit, by name."""

    commit: str
    files: Mapping[str, ListedFile]


class HubAdapter:
    """Opens models on the hub. See `thermoscan.checkpoint.Adapter`."""

    def __init__(self, endpoint: str | None = None, cache: Path | None = None) -> None:
        """Takes the hub's URL and the cache folder; by default those of huggingface_hub."""
        self._endpoint = endpoint
        self._cache = cache

    def claims(self, source: str) -> bool:
        """Says whether `source` is written like a hub id or a URL."""
        return is_hub_name(source)

    def open(self, source: str, options: OpenOptions) -> Checkpoint:
        """Downloads what a scan needs of the model `source` and opens it.

        Raises:
            SourceError: See `thermoscan_adapters.hub_errors` and `hub_names` for the codes.
            CheckpointError: The checkpoint cannot be trusted.
            OptionError: The revision makes no sense.
        """
        with hub_errors(source):
            from huggingface_hub import HfApi, constants  # noqa: PLC0415 - takes 0.3 s

            api = HfApi(endpoint=self._endpoint)
            name = parse_hub_name(source, options.revision, api.endpoint)
            listing = None
            if constants.is_offline_mode():
                snapshot = self._cached(api, name)
            else:
                listing = list_files(api, name, options.limits)
                snapshot = self._download(api, name, listing, options.limits)
        checkpoint = open_folder(snapshot, options)
        if listing is None:
            return replace(checkpoint, source=Source(name.id, snapshot.name, "hub"))
        return _with_listing(checkpoint, Source(name.id, listing.commit, "hub"), listing)

    def beside(
        self, source: str, checkpoint: Checkpoint, names: Collection[str], most_bytes: int
    ) -> Path:
        """Downloads the files of these names at the commit that was opened; their folder.

        Raises:
            SourceError: See `thermoscan_adapters.hub_errors` for the codes.
            CheckpointError: One of them is too long.
        """
        with hub_errors(source):
            from huggingface_hub import HfApi, constants  # noqa: PLC0415 - takes 0.3 s

            api = HfApi(endpoint=self._endpoint)
            name = HubName(checkpoint.source.id, checkpoint.source.revision)
            if constants.is_offline_mode():
                snapshot = self._cached(api, name)
            else:
                snapshot = self._download_beside(api, name, names, most_bytes)
        check_beside(snapshot, names, most_bytes)
        return snapshot

    def _download_beside(
        self, api: HfApi, name: HubName, names: Collection[str], most_bytes: int
    ) -> Path:
        """Returns the snapshot's folder, with every listed file of `names` that is not too long."""
        listing = list_files(api, name, Limits())
        for file in sorted(set(names) & listing.files.keys()):
            if listing.files[file].size > most_bytes:
                reason = f"it has more bytes than the limit of {most_bytes}"
                raise LimitError("file-too-long", reason, file=file)
            api.hf_hub_download(name.id, file, revision=listing.commit, cache_dir=self._cache)
        return self._cached(api, name)

    def _download(self, api: HfApi, name: HubName, listing: Listing, limits: Limits) -> Path:
        """Downloads what a scan needs, where the cache lacks it; returns the snapshot's folder."""

        def fetch(file: str) -> Path:
            return Path(
                api.hf_hub_download(name.id, file, revision=listing.commit, cache_dir=self._cache)
            )

        paths = [fetch(file) for file in plan(listing, name.id, limits, fetch)]
        snapshot = paths[0].parent
        _remember(snapshot, name.revision or "main")
        return snapshot

    def _cached(self, api: HfApi, name: HubName) -> Path:
        """Returns the folder of the snapshot that the cache holds."""
        return Path(
            api.snapshot_download(
                name.id, revision=name.revision, cache_dir=self._cache, local_files_only=True
            )
        )


def list_files(api: HfApi, name: HubName, limits: Limits) -> Listing:
    """Returns the files at the top of the repository, at the commit its revision is at now.

    Raises:
        HubError: ``hub-answer``: the hub states no commit.
        LimitError: ``folder-too-large``.
    """
    info = api.model_info(
        name.id, revision=name.revision, files_metadata=True, timeout=_TIMEOUT_SECONDS
    )
    if info.sha is None or not _COMMIT.fullmatch(info.sha):
        raise HubError("hub-answer", "the hub does not say which commit it serves", file=name.id)
    top = [sibling for sibling in info.siblings or () if "/" not in sibling.rfilename]
    if len(top) > limits.folder_entries:
        reason = f"it holds more than {limits.folder_entries} files"
        raise LimitError("folder-too-large", reason, file=name.id)
    files = {
        sibling.rfilename: ListedFile(
            sibling.rfilename, sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else None
        )
        for sibling in top
    }
    return Listing(info.sha, files)


def plan(
    listing: Listing, source: str, limits: Limits, fetch: Callable[[str], Path]
) -> tuple[str, ...]:
    """Returns the files that a scan needs, the one to start from first.

    Args:
        listing: What there is.
        source: The model's name, for errors.
        limits: Bounds on the small files.
        fetch: Makes a small file available and returns its path; called for an index only.

    Raises:
        SourceError: Nothing to scan, or several checkpoints.
        CheckpointError: The index is too long, broken, or lists a shard that is not there.
    """
    chosen = choose(listing.files, source)
    wanted = [chosen]
    if indexed_format(chosen):
        if listing.files[chosen].size > limits.index_bytes:
            reason = f"it has more bytes than the limit of {limits.index_bytes}"
            raise LimitError("index-too-long", reason, file=chosen)
        index = read_index(find_file(fetch(chosen).parent, chosen), limits)
        missing = [shard for shard in index.shards if shard not in listing.files]
        if missing:
            reason = f"{chosen} lists this shard, and it is not there"
            raise MalformedError("index-shard-missing", reason, file=missing[0])
        wanted += index.shards
    for name in ("config.json", lora_config.FILE):
        config = listing.files.get(name)
        if config is not None and config.size <= limits.config_bytes:
            wanted.append(name)
    return tuple(wanted)


def _remember(snapshot: Path, revision: str) -> None:
    """Notes in the cache which commit `revision` was, as downloads by name do; offline needs it.

    The layout is described at https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
    """
    if revision != snapshot.name:
        reference = snapshot.parent.parent / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(snapshot.name)


def _with_listing(checkpoint: Checkpoint, source: Source, listing: Listing) -> Checkpoint:
    """Adds what only the listing knows: digests, and the weight files that were not downloaded."""
    files = [
        replace(record, sha256=listing.files[record.name].sha256)
        if record.name in listing.files
        else record
        for record in checkpoint.files
    ]
    opened = {record.name for record in files}
    for name, listed in sorted(listing.files.items()):
        if looks_like_weights(name) and name not in opened:
            reason = "other weights were scanned; it was not downloaded"
            files.append(
                FileRecord(
                    name,
                    listed.size,
                    "skipped",
                    code="not-chosen",
                    reason=reason,
                    sha256=listed.sha256,
                )
            )
    return replace(checkpoint, source=source, files=tuple(files))
