"""What names a model on the hub: ``ORG/NAME``, ``NAME``, either with ``@REVISION``, or a URL.

A URL is that of a model's page, of a file or folder in it (``https://huggingface.co/ORG/NAME/blob/
main/FILE``), or ``hf://ORG/NAME[@REVISION][/FILE]`` as huggingface_hub's file system writes it
(https://huggingface.co/docs/huggingface_hub/guides/hf_file_system). Takes what the user wrote;
gives a `HubName` whose id and revision are safe to put into a path or a URL. Refuses ids that are
paths in disguise, URLs of any other host, and by name what is on the hub and is no model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from thermoscan.errors import OptionError, SourceError

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_ID = re.compile(rf"(?:{_PART}/)?{_PART}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}", re.ASCII)
#: Revisions that hold slashes, which ``hf://`` takes unquoted too.
_SLASHED = re.compile(r"refs/(?:pr/\d+|convert/\w+)", re.ASCII)
_HOSTS = frozenset({"huggingface.co", "hf.co"})
_SCHEME = "hf://"
#: What stands in a URL between a repository and a revision.
_AT = frozenset({"tree", "blob", "resolve"})
_NO_MODELS = {
    "datasets": "a dataset",
    "spaces": "a space",
    "buckets": "a bucket",
    "kernels": "a kernel",
}


@dataclass(frozen=True, slots=True)
class HubName:
    """A model on the hub, and what of it is asked for.

    Attributes:
        id: Of the repository.
        revision: Branch, tag or commit; None for its default branch.
        file: Path of a file or folder in the repository, which is hostile text; None for none.
    """

    id: str
    revision: str | None
    file: str | None = None


def is_hub_name(source: str) -> bool:
    """Says whether `source` is an id, with or without a revision, or a URL of any host."""
    return _is_url(source) or is_hub_id(source.partition("@")[0])


def parse_hub_name(
    source: str, revision: str | None, endpoint: str, file: str | None = None
) -> HubName:
    """Returns what `source` names.

    Args:
        source: As the user wrote it.
        revision: As an option gave it; None if not.
        endpoint: URL of the hub in use; a URL of this host is accepted besides the public ones.
        file: As an option gave it; None if not.

    Raises:
        SourceError: ``hub-url`` (not a URL of a model on this hub), ``hub-not-a-model`` or
            ``hub-name``.
        OptionError: ``revision-twice``, ``revision-malformed`` or ``file-twice``.
    """
    written = _written(source, endpoint)
    if not is_hub_id(written.id):
        raise SourceError("hub-name", "it is not the id of a model (ORG/NAME)", file=source)
    wanted = _agreeing("revision", written.revision, revision, source)
    if wanted is not None and (not _REVISION.fullmatch(wanted) or ".." in wanted or "//" in wanted):
        raise OptionError("revision-malformed", "no revision has such a name", file=source)
    return HubName(written.id, wanted, _agreeing("file", written.file, file, source))


def _agreeing(what: str, written: str | None, option: str | None, source: str) -> str | None:
    """What the name and the option say, where they do not contradict each other."""
    if written and option is not None and written != option:
        reason = f"it names the {what} {written}, and the option names {option}"
        raise OptionError(f"{what}-twice", reason, file=source)
    return option if written is None else written


def is_hub_id(name: str) -> bool:
    """Says whether `name` is the plain id of a repository: no path in disguise."""
    plain = "--" not in name and ".." not in name and not name.endswith(".git")
    return plain and _ID.fullmatch(name) is not None


def _is_url(source: str) -> bool:
    return source.startswith(("https://", "http://", _SCHEME))


def _written(source: str, endpoint: str) -> HubName:
    """What the source says by itself, unchecked."""
    if source.startswith(_SCHEME):
        return _from_scheme(source)
    if _is_url(source):
        return _from_url(source, endpoint)
    name, at, revision = source.partition("@")
    return HubName(name, revision if at else None)


def _from_scheme(url: str) -> HubName:
    """Reads ``hf://ORG/NAME[@REVISION][/FILE]``."""
    parts = url.removeprefix(_SCHEME).strip("/").split("/")
    _check_model(parts, url)
    own = 1 if "@" in parts[0] else 2
    name, at, revision = "/".join(parts[:own]).partition("@")
    rest = parts[own:]
    slashed = "/".join([revision, *rest[:2]])
    if _SLASHED.fullmatch(slashed):
        revision, rest = slashed, rest[2:]
    return HubName(name, unquote(revision) if at else None, "/".join(rest) or None)


def _from_url(url: str, endpoint: str) -> HubName:
    """Reads the URL of a model's page, or of a file or folder in it."""
    try:
        parts = urlsplit(url)
        known = parts.netloc in _HOSTS or parts.netloc == urlsplit(endpoint).netloc
    except ValueError:
        known = False
    if not known:
        raise SourceError("hub-url", "it is not a URL of the hub that is in use", file=url)
    path = [unquote(part) for part in parts.path.strip("/").split("/")]
    _check_model(path, url)
    if len(path) <= 2:
        return HubName("/".join(path), None)
    own = next((own for own in (2, 1) if path[own] in _AT and len(path) > own + 1), None)
    if own is None:
        raise SourceError("hub-url", "it is not the URL of a model, or of a file in it", file=url)
    return HubName("/".join(path[:own]), path[own + 1], "/".join(path[own + 2 :]) or None)


def _check_model(path: list[str], url: str) -> None:
    """Makes sure that a path does not lead to another kind of repository."""
    kind = _NO_MODELS.get(path[0]) if len(path) > 1 else None
    if kind is not None:
        raise SourceError("hub-not-a-model", f"it is {kind}, not a model", file=url)
