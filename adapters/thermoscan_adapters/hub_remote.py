"""A repository as a folder whose files are read by range, without a download.

Takes a listing; gives the `ListedFolder` whose files know where their bytes are. The hub signs a
link to a large file; a small one it sends itself.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from thermoscan._version import __version__
from thermoscan.errors import HubError
from thermoscan_adapters.hub_api import LIBRARY, headers_of
from thermoscan_adapters.hub_connections import Connections, Link
from thermoscan_adapters.hub_errors import hub_errors
from thermoscan_adapters.hub_folder import CONNECTIONS, ListedFolder, Pages, RemoteFile
from thermoscan_adapters.hub_listing import ListedFile, Listing, is_sha256
from thermoscan_adapters.hub_patience import Patience
from thermoscan_adapters.hub_ranges import LinkedFile

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def remote_folder(api: HfApi, listing: Listing, patience: Patience, pages: Pages) -> ListedFolder:
    """Returns the repository as a folder; small reads of its files go through `pages`."""
    connections = Connections()

    def resolve(listed: ListedFile, refused: bool) -> Link:
        with hub_errors(listing.id):
            return patience.call(lambda: _resolve(api, listing, listed, refused, patience))

    def opened(listed: ListedFile) -> RemoteFile:
        linked = LinkedFile(
            listed.name, listed.size, partial(resolve, listed), connections, patience
        )
        return RemoteFile(listed, linked, pages)

    return ListedFolder(listing, opened, CONNECTIONS)


def _resolve(
    api: HfApi, listing: Listing, listed: ListedFile, refused: bool, patience: Patience
) -> Link:
    """Returns where a file's bytes are, and what to send there: the token to the hub only.

    The hub is asked about a small file only where it has `refused` it, because then it says why.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415

    url = hf_hub_url(listing.id, listed.name, revision=listing.commit, endpoint=api.endpoint)
    if listed.sha256 is not None or refused:
        found = get_hf_file_metadata(
            url,
            token=api.token,
            timeout=patience.timeout_seconds,
            endpoint=api.endpoint,
            library_name=LIBRARY,
            library_version=__version__,
        )
        # A large file is tagged with its sha256.
        other = is_sha256(found.etag) and listed.sha256 not in (None, found.etag)
        if found.commit_hash != listing.commit or found.size != listed.size or other:
            reason = "the hub resolves it to another file than it lists"
            raise HubError("hub-answer", reason, file=listed.name)
        url = found.location
    return Link(url, headers_of(api.token if url.startswith(f"{api.endpoint}/") else False))
