"""The models that a hub lists for a query, each pinned to the commit that it is at.

Takes the name of a query (`hub_query`); gives a `Candidate` for each model, page by page as the hub
answers, and a `LeftOut` for one that cannot be read or is no model by its name. What the hub says
is checked before anything relies on it. No repository is asked for here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from thermoscan.batch.candidates import Candidate, LeftOut
from thermoscan.dtypes import DType
from thermoscan.errors import HubError
from thermoscan_adapters.hub_api import headers_of, new_api, pages
from thermoscan_adapters.hub_errors import hub_errors
from thermoscan_adapters.hub_listing import MOST_BYTES, is_commit
from thermoscan_adapters.hub_names import is_hub_id
from thermoscan_adapters.hub_patience import Patience
from thermoscan_adapters.hub_query import SCHEME, parse_hub_query


class HubCollection:
    """The models of a hub. See `thermoscan.batch.candidates.Collection`."""

    def __init__(self, endpoint: str | None = None, patience: Patience | None = None) -> None:
        """Takes the hub's URL, by default huggingface_hub's, and patience."""
        self._endpoint = endpoint
        self._patience = patience or Patience()

    def claims(self, place: str) -> bool:
        """Says whether `place` is written as a query of a hub."""
        return place.startswith(SCHEME)

    def candidates(self, place: str) -> Iterator[Candidate | LeftOut]:
        """Yields what the hub lists, in its order.

        Raises:
            OptionError: See `hub_query`.
            SourceError: See `thermoscan_adapters.hub_errors` for the codes.
        """
        query = parse_hub_query(place)
        seen: set[str] = set()
        with hub_errors(place):
            api = new_api(self._endpoint)
            known = "authorization" in headers_of(api.token)
            listed = pages(api, f"/api/models?{query.parameters}", self._patience)
            # A list that changes while it is read says some things twice.
            for entry in islice(chain.from_iterable(listed), query.limit):
                found = _found(entry, place, known=known)
                if found.name not in seen:
                    seen.add(found.name)
                    yield found


def _found(entry: Mapping[str, Any], place: str, *, known: bool) -> Candidate | LeftOut:
    """Returns what an entry of the hub's list is.

    Args:
        entry: As the hub wrote it.
        place: The query, for errors.
        known: Whether the hub is told who asks.
    """
    id, commit, gated = entry["id"], entry.get("sha"), entry.get("gated")
    if not isinstance(id, str) or not id:
        raise HubError("hub-answer", "the hub lists a model without a name", file=place)
    if not is_hub_id(id):
        return LeftOut(id, "refused", "hub-name", "it is not the id of a model (ORG/NAME)")
    if commit is not None and not is_commit(commit):
        reason = "the hub does not say at which commit it is"
        return LeftOut(id, "refused", "hub-answer", reason)
    if entry.get("disabled"):
        return LeftOut(id, "refused", "hub-disabled", "the hub has disabled the repository")
    if gated and not known:
        reason = f"it is gated ({'automatic' if gated == 'auto' else 'manual'} approval)"
        advice = "accept its terms on the hub, then set HF_TOKEN or run `hf auth login`"
        return LeftOut(id, "refused", "hub-gated", f"{reason}; {advice}")
    source = f"{id}@{commit}" if commit else id
    return Candidate(id, source, commit=commit, bytes=_bytes(entry.get("safetensors")))


def _bytes(stated: object) -> int:
    """Returns the bytes of the parameters that the hub has counted by type; 0 where it has not."""
    counts = stated.get("parameters") if isinstance(stated, Mapping) else None
    nbytes = 0
    if isinstance(counts, Mapping):
        for dtype in DType:
            count = counts.get(dtype.label)
            if type(count) is int and 0 <= count <= MOST_BYTES:
                nbytes += count * dtype.itemsize
    return min(nbytes, MOST_BYTES)
