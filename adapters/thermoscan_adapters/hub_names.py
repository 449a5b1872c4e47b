"""What names a model on the hub: ``ORG/NAME``, ``NAME``, either with ``@REVISION``, or its URL.

Takes what the user wrote; gives a `HubName` that is safe to put into a path or a URL. Refuses ids
that are paths in disguise, and URLs of any other host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from thermoscan.errors import OptionError, SourceError

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_ID = re.compile(rf"(?:{_PART}/)?{_PART}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}", re.ASCII)
_HOSTS = frozenset({"huggingface.co", "hf.co"})


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository's id and the revision asked for; None is its default branch."""

    id: str
    revision: str | None


def is_hub_name(source: str) -> bool:
    """Says whether `source` is an id, with or without a revision, or a URL of any host."""
    return _is_url(source) or _is_id(source.partition("@")[0])


def parse_hub_name(source: str, revision: str | None, endpoint: str) -> HubName:
    """Returns what `source` names.

    Args:
        source: As the user wrote it.
        revision: As an option gave it; None if not.
        endpoint: URL of the hub in use; a URL of this host is accepted besides the public ones.

    Raises:
        SourceError: ``hub-url`` (not a URL of a model on this hub) or ``hub-name``.
        OptionError: ``revision-twice`` or ``revision-malformed``.
    """
    written = _from_url(source, endpoint) if _is_url(source) else source
    name, _, suffix = written.partition("@")
    if not _is_id(name):
        raise SourceError("hub-name", "it is not the id of a model (ORG/NAME)", file=source)
    if suffix and revision is not None and suffix != revision:
        reason = f"it names the revision {suffix}, and the option names {revision}"
        raise OptionError("revision-twice", reason, file=source)
    wanted = suffix or revision
    if "@" in written and not suffix:
        wanted = ""
    if wanted is not None and (not _REVISION.fullmatch(wanted) or ".." in wanted or "//" in wanted):
        raise OptionError("revision-malformed", "no revision has such a name", file=source)
    return HubName(name, wanted)


def _is_id(name: str) -> bool:
    plain = "--" not in name and ".." not in name and not name.endswith(".git")
    return plain and _ID.fullmatch(name) is not None


def _is_url(source: str) -> bool:
    return source.startswith(("https://", "http://"))


def _from_url(url: str, endpoint: str) -> str:
    """Returns ``ORG/NAME`` or ``ORG/NAME@REVISION`` for the URL of a model's page."""
    try:
        parts = urlsplit(url)
        known = parts.netloc in _HOSTS or parts.netloc == urlsplit(endpoint).netloc
    except ValueError:
        known = False
    if not known:
        raise SourceError("hub-url", "it is not a URL of the hub that is in use", file=url)
    path = [unquote(part) for part in parts.path.strip("/").split("/")]
    if len(path) in {1, 2}:
        return "/".join(path)
    if len(path) == 4 and path[2] == "tree":
        return f"{path[0]}/{path[1]}@{path[3]}"
    raise SourceError("hub-url", "it is not the URL of a model's page", file=url)
