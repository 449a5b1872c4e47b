"""Reports in a repository on the hub: as a pull request, a commit, or a comment.

Takes the name of a repository; reads its listing and model card at a commit, and writes only what a
plan says, onto the commit that was read. There is one pull request of ours at a time, known by its
author and title; it is updated as long as it is open.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from itertools import islice
from typing import TYPE_CHECKING, Literal

from thermoscan.attaching.plan import Plan
from thermoscan.attaching.publishing import Place, Way
from thermoscan.attaching.weights import WeightFile
from thermoscan.errors import AttachError, HubError, OptionError
from thermoscan.limits import Limits
from thermoscan_adapters.hub_api import new_api
from thermoscan_adapters.hub_errors import hub_errors
from thermoscan_adapters.hub_folder import ListedFolder, Pages
from thermoscan_adapters.hub_listing import Listing, list_files
from thermoscan_adapters.hub_names import is_hub_name, parse_hub_name
from thermoscan_adapters.hub_patience import Patience
from thermoscan_adapters.hub_remote import remote_folder

if TYPE_CHECKING:
    from huggingface_hub import Discussion, HfApi

_Kind = Literal["discussion", "pull_request"]
TITLE = "Add a thermoscan report of the weights"
_DISCUSSION = "A thermoscan report of the weights"
_UPDATE = "Update the thermoscan report of the weights"
_MOST_DISCUSSIONS = 1000
"""Of one user in one repository that are looked through."""
_DESCRIPTION = """\
This adds a report on the state of the weights to the model card.

- In `README.md` it adds the tag `thermoscan`, and a section between two comments. Nothing else
  changes, then or in an update. Move the section wherever you like.
- `thermoscan/card.html` and `thermoscan/card.json` are the full report.
- The section names what was scanned, at which commit, and by which version of thermoscan.
"""


class HubPublisher:
    """Publishes reports on the hub. See `thermoscan.attaching.publishing.Publisher`."""

    default = Way.SHOW

    def __init__(
        self,
        endpoint: str | None = None,
        token: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Takes the hub's URL and a token, by default those of huggingface_hub, and patience."""
        self._endpoint = endpoint
        self._token = token
        self._patience = patience or Patience()

    def claims(self, target: str) -> bool:
        """Says whether `target` is written like a hub id or a URL."""
        return is_hub_name(target)

    def read(self, target: str, revision: str | None, files: Collection[str], way: Way) -> Place:
        """Returns the repository as it is now at the revision.

        Raises:
            OptionError: ``hub-has-no-folder``, ``target-is-file``, or what `parse_hub_name` raises.
            SourceError: See `thermoscan_adapters.hub_errors` for the codes.
            AttachError: ``file-too-long``.
        """
        if way is Way.WRITE:
            reason = "files are written into folders; commit, or open a pull request"
            raise OptionError("hub-has-no-folder", reason, file=target)
        with hub_errors(target):
            api = self._api()
            name = parse_hub_name(target, revision, api.endpoint)
            if name.file is not None:
                reason = "a report goes to a repository: name that alone, and with --card the card "
                reason += "of a scan of the file"
                raise OptionError("target-is-file", reason, file=target)
            if way is not Way.SHOW:
                # Without a token a commit would be answered as if there were no such model.
                self._patience.call(api.whoami)
            listing = list_files(api, name, Limits(), self._patience)
            folder = remote_folder(api, listing, self._patience, Pages())
            contents = _contents(listing, folder, files)
        return Place(
            id=name.id,
            source=name.id,
            revision=name.revision,
            commit=listing.commit,
            files=contents,
            weights={
                file.name: WeightFile(file.size, file.sha256, file.blob)
                for file in listing.files.values()
            },
        )

    def pending(self, place: Place) -> str | None:
        """Returns the revision of our open pull request.

        Raises:
            HubError: ``hub-conflict``: it can no longer be merged.
            SourceError: See `thermoscan_adapters.hub_errors` for the codes.
        """
        with hub_errors(place.id):
            api = self._api()
            found = self._ours(api, place, "pull_request", TITLE)
            if not found:
                return None
            number, url = found[0].num, found[0].url
            details = self._patience.call(lambda: api.get_discussion_details(place.id, number))
            if details.conflicting_files:
                reason = f"the model card has changed under your pull request {url}; close it, "
                reason += "and run this again to open another"
                raise HubError("hub-conflict", reason, file=place.id)
            return found[0].git_reference

    def publish(self, place: Place, plan: Plan, comment: str, way: Way) -> str:
        """Commits the files that change, or comments.

        Raises:
            SourceError: See `thermoscan_adapters.hub_errors` for the codes.
        """
        with hub_errors(place.id), warnings.catch_warnings():
            # The hub's advice on metadata is on YAML that is not ours.
            warnings.simplefilter("ignore")
            api = self._api()
            if way is Way.COMMENT:
                return self._comment(api, place, comment)
            return _commit(api, place, plan, way)

    def _comment(self, api: HfApi, place: Place, comment: str) -> str:
        from huggingface_hub import DiscussionComment  # noqa: PLC0415 - takes 0.3 s

        found = self._ours(api, place, "discussion", _DISCUSSION)
        if not found:
            opened = api.create_discussion(place.id, _DISCUSSION, description=comment)
            return f"Opened a discussion: {opened.url}"
        number, url = found[0].num, found[0].url
        said = [
            event.content.split()
            for event in api.get_discussion_details(place.id, number).events
            if isinstance(event, DiscussionComment) and event.author == found[0].author
        ]
        if said and said[-1] == comment.split():
            return f"Nothing to do, the discussion says so already: {url}"
        api.comment_discussion(place.id, number, comment)
        return f"Commented: {url}"

    def _ours(self, api: HfApi, place: Place, kind: _Kind, title: str) -> list[Discussion]:
        """Returns the open discussions or pull requests of this title that the user opened."""
        user = self._patience.call(api.whoami)["name"]
        found = self._patience.call(
            lambda: list(
                islice(
                    api.get_repo_discussions(
                        place.id, author=user, discussion_type=kind, discussion_status="open"
                    ),
                    _MOST_DISCUSSIONS,
                )
            )
        )
        return [each for each in found if each.title == title and each.author == user]

    def _api(self) -> HfApi:
        return new_api(self._endpoint, self._token)


def _commit(api: HfApi, place: Place, plan: Plan, way: Way) -> str:
    """Commits onto exactly what was read; opens a pull request where none of ours is open."""
    from huggingface_hub import CommitOperationAdd  # noqa: PLC0415 - takes 0.3 s

    opening = way is Way.PULL_REQUEST and place.revision is None
    fresh = opening or all(change.before is None for change in plan.files[:2])
    done = api.create_commit(
        place.id,
        [CommitOperationAdd(change.name, change.after) for change in plan.changes],
        commit_message=TITLE if fresh else _UPDATE,
        commit_description=_DESCRIPTION,
        revision=place.revision,
        parent_commit=place.commit,
        create_pr=opening,
    )
    if opening:
        return f"Opened a pull request: {done.pr_url}"
    if way is Way.PULL_REQUEST:
        number = (place.revision or "").rpartition("/")[2]
        return f"Updated the pull request: {api.endpoint}/{place.id}/discussions/{number}"
    return f"Committed: {done.commit_url}"


def _contents(listing: Listing, folder: ListedFolder, names: Collection[str]) -> dict[str, bytes]:
    """Returns the contents of those of `names` that are listed; leaves nothing on the disk."""
    found = {}
    for name in sorted(set(names) & listing.files.keys()):
        size, most = listing.files[name].size, Limits().report_bytes
        if size > most:
            reason = f"it has {size} bytes, more than the limit of {most}"
            raise AttachError("file-too-long", reason, file=name)
        found[name] = folder.open(name).read_at(0, size)
    return found
