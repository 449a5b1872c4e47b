"""Checkpoints on the Hugging Face Hub: pinned to a commit, read by range without a download.

Takes the name of a repository (`thermoscan_adapters.hub_names`); gives the `Checkpoint` that
`thermoscan_adapters.opening` makes of its files at one commit. Where the bytes come from:

- the snapshot in huggingface_hub's cache, where it holds a checkpoint of this revision with its
  configuration, to which nothing that it may lack would be preferred: the network is not asked, and
  a note says so. In offline mode (``HF_HUB_OFFLINE=1``) it is whatever that holds, or nothing;
- else the hub, by ranges (`hub_ranges`), and no file is written;
- with ``download``, the cache after what it lacks was downloaded into it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from thermoscan.checkpoint import Checkpoint, Fingerprint, OpenOptions, Source
from thermoscan.errors import LimitError, ThermoscanError
from thermoscan.limits import Limits
from thermoscan_adapters import lora_config, pipelines
from thermoscan_adapters.disk import check_beside
from thermoscan_adapters.disk_folder import DiskFolder
from thermoscan_adapters.files import DiskFile, find_file
from thermoscan_adapters.fingerprints import fingerprint_of, names_listed, names_that_matter
from thermoscan_adapters.folders import within
from thermoscan_adapters.hub_api import new_api
from thermoscan_adapters.hub_errors import hub_errors
from thermoscan_adapters.hub_folder import DownloadedFile, ListedFolder, Pages
from thermoscan_adapters.hub_listing import ListedFile, Listing, list_files
from thermoscan_adapters.hub_names import HubName, is_hub_name, parse_hub_name
from thermoscan_adapters.hub_patience import Patience
from thermoscan_adapters.hub_remote import remote_folder
from thermoscan_adapters.opening import open_folder
from thermoscan_adapters.selection import may_be_second
from thermoscan_adapters.weight_sets import home_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CACHED = (
    "Read from the local cache, where this revision stood at this commit; the hub was not asked "
    "whether it has moved since."
)
# What a snapshot lacks that holds only part of a checkpoint.
_PARTIAL = frozenset({"no-weights", "file-not-found", "index-shard-missing"})


class HubAdapter:
    """Opens models on the hub. See `thermoscan.checkpoint.Adapter`."""

    def __init__(
        self,
        endpoint: str | None = None,
        cache: Path | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Takes the hub's URL and the cache folder, by default huggingface_hub's, and patience."""
        self._endpoint = endpoint
        self._cache = cache
        self._patience = patience or Patience()

    def claims(self, source: str) -> bool:
        """Says whether `source` is written like a hub id or a URL."""
        return is_hub_name(source)

    def open(self, source: str, options: OpenOptions) -> Checkpoint:
        """Opens the model `source` at the commit its revision is at.

        Raises:
            SourceError: See `thermoscan_adapters.hub_errors` and `hub_names` for the codes.
            CheckpointError: The checkpoint cannot be trusted.
            OptionError: The revision makes no sense.
        """
        with hub_errors(source):
            api = self._api()
            name, options = _parsed(source, options, api)
            if _is_offline():
                return _open_snapshot(self._snapshot(api, name), name, options)
            found = None if options.download else self._open_cached(api, name, options)
            if found is not None:
                return found
            listing = list_files(api, name, options.limits, self._patience)
        if options.download:
            return open_folder(self._downloaded(api, name, listing), options)
        pages = Pages()
        checkpoint = open_folder(remote_folder(api, listing, self._patience, pages), options)
        pages.clear()
        return checkpoint

    def fingerprint(self, source: str, options: OpenOptions) -> Fingerprint:
        """Returns what identifies the files that a scan of `source` depends on, and their commit.

        A file is marked by its sha256, or where it is small by git's id of its content, as the
        hub's list and the cache agree. Where a scan would read the cache, so does this.

        Raises:
            SourceError: See `thermoscan_adapters.hub_errors` and `hub_names` for the codes.
            LimitError: ``folder-too-large``.
            OptionError: The revision makes no sense.
        """
        with hub_errors(source):
            api = self._api()
            name, options = _parsed(source, options, api)
            snapshot = self._snapshot_to_read(api, name, options)
            if snapshot is not None:
                names = names_that_matter(DiskFolder(snapshot), options)
                return fingerprint_of(snapshot, names, options.limits)
            listing = list_files(api, name, options.limits, self._patience)
        files = (listing.files[each] for each in names_listed(listing.files, options))
        marked = ((file.name, file.size, file.sha256 or file.blob) for file in files)
        return Fingerprint(listing.commit, tuple(sorted(marked)))

    def beside(
        self, source: str, checkpoint: Checkpoint, names: Collection[str], most_bytes: int
    ) -> Path:
        """Downloads the files of these names at the commit that was opened; their folder.

        Raises:
            SourceError: See `thermoscan_adapters.hub_errors` for the codes.
            CheckpointError: One of them is too long.
        """
        with hub_errors(source):
            api = self._api()
            name = HubName(checkpoint.source.id, checkpoint.source.revision)
            home = home_of(checkpoint)
            paths = [within(home, each) for each in names]
            if not _is_offline():
                self._download_beside(api, name, paths, most_bytes)
            snapshot = self._snapshot(api, name)
        check_beside(snapshot, paths, most_bytes)
        return snapshot / home

    def _api(self) -> HfApi:
        return new_api(self._endpoint)

    def _downloaded(self, api: HfApi, name: HubName, listing: Listing) -> ListedFolder:
        """Returns the repository as a folder whose files are downloaded when they are read."""

        def download(listed: ListedFile) -> DiskFile:
            with hub_errors(name.id):
                path = Path(
                    api.hf_hub_download(
                        listing.id, listed.name, revision=listing.commit, cache_dir=self._cache
                    )
                )
                snapshot = path.parents[listed.name.count("/")]
                _remember(snapshot, name.revision or "main")
            return find_file(snapshot, listed.name)

        def opened(listed: ListedFile) -> DownloadedFile:
            return DownloadedFile(listed, lambda: download(listed))

        return ListedFolder(listing, opened, connections=0)

    def _open_cached(self, api: HfApi, name: HubName, options: OpenOptions) -> Checkpoint | None:
        """Returns the checkpoint that the cache holds of this revision; None where it has none."""
        from huggingface_hub.errors import CacheNotFound, LocalEntryNotFoundError  # noqa: PLC0415

        try:
            snapshot = self._snapshot(api, name)
        except (CacheNotFound, LocalEntryNotFoundError):
            return None
        configs = ("config.json", lora_config.FILE, pipelines.FILE)
        if not any((snapshot / file).exists() for file in configs):
            return None  # perhaps there is one, and it was only not downloaded
        try:
            found = _open_snapshot(snapshot, name, options)
        except ThermoscanError as error:
            if error.code in _PARTIAL:
                return None
            raise
        if any(record.code == pipelines.INCOMPLETE for record in found.files):
            return None
        scanned = {record.name for record in found.files if record.status == "scanned"}
        # Weights that the repository has and the cache lacks may come before these.
        return None if any(map(may_be_second, scanned - {options.file})) else found

    def _snapshot_to_read(self, api: HfApi, name: HubName, options: OpenOptions) -> Path | None:
        """Returns the snapshot that `open` would read, or find at fault; None for the hub."""
        if not _is_offline():
            if options.download:
                return None
            try:
                found = self._open_cached(api, name, options)
            except ThermoscanError:  # of what the cache holds: `open` says so
                return self._snapshot(api, name)
            if found is None:
                return None
            found.reader.close()
        return self._snapshot(api, name)

    def _snapshot(self, api: HfApi, name: HubName) -> Path:
        """Returns the folder of the snapshot that the cache holds."""
        return Path(
            api.snapshot_download(
                name.id, revision=name.revision, cache_dir=self._cache, local_files_only=True
            )
        )

    def _download_beside(
        self, api: HfApi, name: HubName, names: Collection[str], most_bytes: int
    ) -> None:
        """Downloads every listed file of `names` that is not too long."""
        listing = list_files(api, name, Limits(), self._patience)
        for file in sorted(set(names) & listing.files.keys()):
            if listing.files[file].size > most_bytes:
                reason = f"it has more bytes than the limit of {most_bytes}"
                raise LimitError("file-too-long", reason, file=file)
            api.hf_hub_download(name.id, file, revision=listing.commit, cache_dir=self._cache)


def _parsed(source: str, options: OpenOptions, api: HfApi) -> tuple[HubName, OpenOptions]:
    """Returns what `source` names, and the options with the file that it names."""
    name = parse_hub_name(source, options.revision, api.endpoint, options.file)
    return name, replace(options, file=name.file)


def _is_offline() -> bool:
    from huggingface_hub import constants  # noqa: PLC0415 - takes 0.3 s

    offline: bool = constants.is_offline_mode()
    return offline


def _open_snapshot(snapshot: Path, name: HubName, options: OpenOptions) -> Checkpoint:
    """Opens a snapshot of the cache as what it is of: a repository at a commit."""
    checkpoint = open_folder(DiskFolder(snapshot), options)
    notes = checkpoint.notes if name.revision == snapshot.name else (*checkpoint.notes, CACHED)
    return replace(checkpoint, source=Source(name.id, snapshot.name, "hub"), notes=notes)


def _remember(snapshot: Path, revision: str) -> None:
    """Notes in the cache which commit `revision` was, as downloads by name do; offline needs it.

    The layout is described at https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
    """
    if revision != snapshot.name:
        reference = snapshot.parent.parent / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(snapshot.name)
