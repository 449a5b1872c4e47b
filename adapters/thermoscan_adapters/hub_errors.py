"""Every failure of huggingface_hub and its HTTP client, mapped at one boundary.

Takes the exception that left a call to the hub; gives an error of our own tree with a code and the
step to take. The raw text of the other library is never shown: it repeats URLs and answers.

    code                       what happened
    hub-gated                  the repository asks for terms to be accepted
    hub-repository-not-found   it does not exist, or is private
    hub-revision-not-found     no such branch, tag or commit
    hub-file-not-found         a file that it lists is not there
    hub-disabled               the hub has closed the repository
    hub-token                  the token is missing, wrong, or may not read this
    hub-rate-limit             too many requests
    hub-unavailable            the hub itself failed
    hub-timeout                no answer in time
    hub-unreachable            no connection
    hub-certificate            a certificate of an authority that is not trusted
    hub-proxy                  a proxy of a kind that cannot be used
    hub-offline-uncached       offline mode, and the files are not in the cache
    hub-disk-full              no space left for the download
    hub-cache                  the cache folder cannot be read or written
    hub-token-scope            the token may not write anything
    hub-read-only              the user may not write to this repository
    hub-discussions-closed     the repository takes no discussions or pull requests
    hub-moved                  somebody has committed since the branch was read
    hub-metadata               the front matter of README.md is not what the hub accepts
    hub-answer                 an answer that makes no sense

The other codes of a hub are of what was found without an exception: ``hub-range`` and ``hub-link``
(`hub_ranges`), ``hub-name``, ``hub-url`` and ``hub-not-a-model`` (`hub_names`), ``hub-conflict``
and ``hub-has-no-folder`` (`hub_publisher`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from ssl import SSLCertVerificationError

from thermoscan.errors import HubError, SourceError, SourceNotFoundError, ThermoscanError
from thermoscan_adapters.hub_patience import status_of

_LOG_IN = "set HF_TOKEN or run `hf auth login`"
_RETRY = "try again later"
_Kinds = type[BaseException] | tuple[type[BaseException], ...]
_Row = tuple[_Kinds, type[SourceError], str, str]

# Words in the hub's answer to a write that it denies -> what they mean. The first two were seen in
# https://github.com/huggingface/huggingface_hub/issues/1182 and
# https://github.com/Desert-Ant-Labs/desert-ant-core/pull/121.
_DENIALS = (
    (
        "create_pr",
        "hub-read-only",
        "you may not write to this repository; open a pull request instead (--open-pr)",
    ),
    (
        "write token",
        "hub-token-scope",
        "the token may only read; make one that may write, and set HF_TOKEN or run `hf auth login`",
    ),
    (
        "disabled",
        "hub-discussions-closed",
        "the repository takes no pull requests or discussions; ask its owner, or commit",
    ),
)


@contextmanager
def hub_errors(source: str) -> Iterator[None]:
    """Maps what leaves the block; errors of our own tree pass unchanged."""
    try:
        yield
    except ThermoscanError:
        raise
    except Exception as error:
        mapped = map_error(error, source)
        if mapped is None:
            raise
        raise mapped from None


def map_error(error: BaseException, source: str) -> SourceError | None:
    """Returns the error of our tree that says what `error` means; None if it is no hub failure.

    Args:
        error: What huggingface_hub raised. Its own wrapper "not in the cache either" is looked
            through, because its cause says more.
        source: The name of the repository, for the message.
    """
    from huggingface_hub import errors  # noqa: PLC0415 - takes 0.3 s, and only hub sources need it

    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return (
        _named(error, source)
        or _by_status(error, source)
        or _of_transport(error, source)
        or _of_system(error, source)
        or _of_library(error, source)
    )


def _named(error: BaseException, source: str) -> SourceError | None:
    """Maps the classes of huggingface_hub that mean just one thing, the most special first."""
    from huggingface_hub import errors  # noqa: PLC0415

    uncached = (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, errors.CacheNotFound)
    table: tuple[_Row, ...] = (
        (
            errors.GatedRepoError,
            HubError,
            "hub-gated",
            f"the repository is gated; accept its terms on the hub, then {_LOG_IN}",
        ),
        (
            errors.RepositoryNotFoundError,
            SourceNotFoundError,
            "hub-repository-not-found",
            f"no such model on the hub, nor such a path here; if it is private, {_LOG_IN}",
        ),
        (
            errors.RevisionNotFoundError,
            SourceNotFoundError,
            "hub-revision-not-found",
            "the repository has no such branch, tag or commit",
        ),
        (
            errors.RemoteEntryNotFoundError,
            HubError,
            "hub-file-not-found",
            "the hub lists a file and does not have it; try again",
        ),
        (errors.DisabledRepoError, HubError, "hub-disabled", "the hub has disabled the repository"),
        (errors.LocalTokenNotFoundError, HubError, "hub-token", f"it needs a token; {_LOG_IN}"),
        (
            uncached,
            HubError,
            "hub-offline-uncached",
            "offline, and not in the cache; go online once (unset HF_HUB_OFFLINE) to download it",
        ),
    )
    for kinds, result, code, reason in table:
        if isinstance(error, kinds):
            return result(code, reason, file=source)
    return None


def _by_status(error: BaseException, source: str) -> SourceError | None:
    """Maps the other answers that carry an HTTP status."""
    status = status_of(error)
    if status == 403:
        said = str(getattr(error, "server_message", None) or "")
        for words, code, reason in _DENIALS:
            if words in said:
                return HubError(code, reason, file=source)
    return None if status is None else error_of_status(status, source)


def error_of_status(status: int, source: str) -> SourceError:
    """Returns the error of our tree that an answer with this HTTP status means."""
    if status == 429:
        return HubError("hub-rate-limit", f"too many requests; wait, or {_LOG_IN}", file=source)
    if status == 412:
        reason = "somebody has committed meanwhile, and nothing was written; try again"
        return HubError("hub-moved", reason, file=source)
    if status in {401, 403}:
        reason = f"the hub denies access ({status}); check the token: {_LOG_IN}"
        return HubError("hub-token", reason, file=source)
    if status in {408, 504}:
        return _timeout(source)
    if status >= 500:
        return HubError("hub-unavailable", f"the hub has failed ({status}); {_RETRY}", file=source)
    return _nonsense(f"status {status}", source)


def _of_transport(error: BaseException, source: str) -> SourceError | None:
    """Maps the exceptions of the HTTP clients."""
    import urllib3.exceptions as of_bytes  # noqa: PLC0415
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined] # noqa: PLC0415

    if _is_of_certificate(error):
        reason = "its certificate is not trusted; set SSL_CERT_FILE to your network's authorities"
        return HubError("hub-certificate", reason, file=source)
    # What httpx misses is the package that speaks SOCKS.
    if isinstance(
        error, (ImportError, of_bytes.ProxySchemeUnknown, of_bytes.ProxySchemeUnsupported)
    ):
        reason = (
            "the proxy in the environment is of a kind that is not supported; use an HTTP proxy"
        )
        return HubError("hub-proxy", reason, file=source)
    lost = (
        of_bytes.NewConnectionError,
        of_bytes.ProxyError,
        of_bytes.ProtocolError,
        of_bytes.SSLError,
        HTTPException,
    )
    if isinstance(error, lost):
        return _unreachable(source)
    if isinstance(error, (httpx.TimeoutException, TimeoutError, of_bytes.TimeoutError)):
        return _timeout(source)
    if isinstance(error, (httpx.NetworkError, httpx.ProxyError, ConnectionError)):
        return _unreachable(source)
    if isinstance(
        error,
        (
            httpx.HTTPError,
            httpx.StreamError,
            httpx.InvalidURL,
            httpx.CookieConflict,
            of_bytes.HTTPError,
        ),
    ):
        return _nonsense("it breaks HTTP", source)
    return None


def _is_of_certificate(error: BaseException | None) -> bool:
    """Says whether a certificate was refused: both clients raise their own errors from that."""
    while error is not None:
        if isinstance(error, SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _of_system(error: BaseException, source: str) -> SourceError | None:
    """Maps failures of the disk under the cache."""
    from huggingface_hub import errors  # noqa: PLC0415

    if not isinstance(error, OSError) or isinstance(
        error, (errors.FileMetadataError, errors.HfHubHTTPError)
    ):
        return None
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        reason = "no space is left for the download; free some, or set HF_HOME to another disk"
        return HubError("hub-disk-full", reason, file=source)
    name = errno.errorcode.get(error.errno or 0, "unknown")
    reason = f"the cache folder cannot be used ({name}); set HF_HOME to one that can"
    return HubError("hub-cache", reason, file=source)


def _of_library(error: BaseException, source: str) -> SourceError | None:
    """Maps what is left: classes of huggingface_hub, and answers that its parsers stumble over."""
    from huggingface_hub import errors  # noqa: PLC0415

    if isinstance(error, ValueError) and str(error).startswith("Invalid metadata in README.md"):
        reason = "the hub does not accept the front matter of README.md; mend it first"
        return HubError("hub-metadata", reason, file=source)
    of_the_hub = type(error).__module__ == errors.__name__
    unreadable = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
    if of_the_hub or isinstance(error, unreadable):
        return _nonsense("it cannot be read", source)
    return None


def _unreachable(source: str) -> HubError:
    reason = "the hub is out of reach; check the connection, or set HF_HUB_OFFLINE=1 for the cache"
    return HubError("hub-unreachable", reason, file=source)


def _timeout(source: str) -> HubError:
    return HubError("hub-timeout", f"the hub did not answer in time; {_RETRY}", file=source)


def _nonsense(why: str, source: str) -> HubError:
    reason = f"the hub's answer makes no sense ({why}); check HF_ENDPOINT, or {_RETRY}"
    return HubError("hub-answer", reason, file=source)
