"""The map of foreign errors is complete, and the specific ones mean what they say."""

from __future__ import annotations

import errno
import http.client
import inspect
import ssl
from collections.abc import Iterator

import pytest
import urllib3.exceptions as of_bytes
from huggingface_hub import errors
from huggingface_hub.utils import httpx

from thermoscan.errors import HubError, MalformedError, SourceError, SourceNotFoundError
from thermoscan_adapters import hub_errors as module
from thermoscan_adapters.hub_errors import hub_errors, map_error


def response(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "http://127.0.0.1/api"))


def instances(classes: object) -> Iterator[BaseException]:
    """Yields one instance of every exception class in a module, however it is built."""
    for kind in vars(classes).values():
        if inspect.isclass(kind) and issubclass(kind, Exception) and not issubclass(kind, Warning):
            yield make(kind)


def make(kind: type[Exception]) -> BaseException:
    error = kind.__new__(kind)  # constructors ask for requests, paths and more
    if issubclass(kind, errors.HfHubHTTPError):
        error.response = response(418)
    return error


@pytest.mark.parametrize(
    "error",
    [*instances(errors), *instances(httpx), *instances(of_bytes)],
    ids=lambda error: type(error).__name__,
)
def test_every_exception_of_the_hub_and_of_the_http_clients_is_mapped(error: BaseException) -> None:
    mapped = map_error(error, "org/name")
    assert isinstance(mapped, SourceError)
    assert mapped.code.startswith("hub-")
    assert mapped.file == "org/name"


def with_status(kind: type[errors.HfHubHTTPError], status: int) -> errors.HfHubHTTPError:
    return kind("text with http://secret", response=response(status))


def denied(message: str) -> errors.HfHubHTTPError:
    return errors.HfHubHTTPError("x", response=response(403), server_message=message)


CASES: list[tuple[BaseException, type[SourceError], str]] = [
    (with_status(errors.GatedRepoError, 403), HubError, "hub-gated"),
    (
        with_status(errors.RepositoryNotFoundError, 401),
        SourceNotFoundError,
        "hub-repository-not-found",
    ),
    (with_status(errors.RevisionNotFoundError, 404), SourceNotFoundError, "hub-revision-not-found"),
    (with_status(errors.RemoteEntryNotFoundError, 404), HubError, "hub-file-not-found"),
    (with_status(errors.DisabledRepoError, 403), HubError, "hub-disabled"),
    (errors.LocalTokenNotFoundError("x"), HubError, "hub-token"),
    (with_status(errors.HfHubHTTPError, 401), HubError, "hub-token"),
    (with_status(errors.HfHubHTTPError, 403), HubError, "hub-token"),
    (denied("Forbidden: pass `create_pr=1` as a query parameter"), HubError, "hub-read-only"),
    (denied("Forbidden: you must use a write token to upload"), HubError, "hub-token-scope"),
    (denied("Discussions are disabled for this repo"), HubError, "hub-discussions-closed"),
    (with_status(errors.HfHubHTTPError, 412), HubError, "hub-moved"),
    (ValueError("Invalid metadata in README.md.\n- x"), HubError, "hub-metadata"),
    (with_status(errors.HfHubHTTPError, 429), HubError, "hub-rate-limit"),
    (with_status(errors.HfHubHTTPError, 500), HubError, "hub-unavailable"),
    (with_status(errors.HfHubHTTPError, 503), HubError, "hub-unavailable"),
    (with_status(errors.HfHubHTTPError, 504), HubError, "hub-timeout"),
    (with_status(errors.BadRequestError, 400), HubError, "hub-answer"),
    (errors.OfflineModeIsEnabled("x"), HubError, "hub-offline-uncached"),
    (errors.LocalEntryNotFoundError("x"), HubError, "hub-offline-uncached"),
    (httpx.ReadTimeout("x"), HubError, "hub-timeout"),
    (httpx.ConnectTimeout("x"), HubError, "hub-timeout"),
    (TimeoutError("x"), HubError, "hub-timeout"),
    (httpx.ConnectError("x"), HubError, "hub-unreachable"),
    (httpx.ProxyError("x"), HubError, "hub-unreachable"),
    (ConnectionResetError("x"), HubError, "hub-unreachable"),
    (of_bytes.ProtocolError("http://secret"), HubError, "hub-unreachable"),
    (of_bytes.ProxyError("http://secret", OSError()), HubError, "hub-unreachable"),
    (of_bytes.SSLError("http://secret"), HubError, "hub-unreachable"),
    (http.client.IncompleteRead(b"secret"), HubError, "hub-unreachable"),
    (make(of_bytes.NewConnectionError), HubError, "hub-unreachable"),
    (make(of_bytes.NameResolutionError), HubError, "hub-unreachable"),
    (make(of_bytes.ReadTimeoutError), HubError, "hub-timeout"),
    (make(of_bytes.ConnectTimeoutError), HubError, "hub-timeout"),
    (ssl.SSLCertVerificationError("http://secret"), HubError, "hub-certificate"),
    (of_bytes.LocationParseError("http://secret"), HubError, "hub-answer"),
    (of_bytes.ProxySchemeUnknown("socks5"), HubError, "hub-proxy"),
    (of_bytes.ProxySchemeUnsupported("https"), HubError, "hub-proxy"),
    (ImportError("socksio"), HubError, "hub-proxy"),
    (RecursionError("x"), HubError, "hub-answer"),
    (httpx.TooManyRedirects("x"), HubError, "hub-answer"),
    (OSError(errno.ENOSPC, "No space left on device"), HubError, "hub-disk-full"),
    (OSError(errno.EDQUOT, "Quota exceeded"), HubError, "hub-disk-full"),
    (PermissionError(errno.EACCES, "Permission denied"), HubError, "hub-cache"),
    (errors.FileMetadataError("x"), HubError, "hub-answer"),
    (KeyError("sha"), HubError, "hub-answer"),
    (ValueError("not JSON"), HubError, "hub-answer"),
]


@pytest.mark.parametrize(
    ("error", "kind", "code"), CASES, ids=[f"{type(c[0]).__name__}-{c[2]}" for c in CASES]
)
def test_each_failure_has_its_code_and_hides_the_foreign_text(
    error: BaseException, kind: type[SourceError], code: str
) -> None:
    mapped = map_error(error, "org/name")
    assert (type(mapped), mapped.code if mapped else None) == (kind, code)
    assert "secret" not in str(mapped)


def test_every_documented_code_is_tested() -> None:
    lines = (module.__doc__ or "").splitlines()
    documented = {line.split()[0] for line in lines if line.startswith("    hub-")}
    assert documented == {case[2] for case in CASES}


def test_the_cause_of_a_file_that_is_not_cached_either_is_what_counts() -> None:
    wrapper = errors.LocalEntryNotFoundError("not cached")
    wrapper.__cause__ = with_status(errors.HfHubHTTPError, 429)
    mapped = map_error(wrapper, "org/name")
    assert mapped is not None
    assert mapped.code == "hub-rate-limit"


def test_our_own_errors_and_bugs_pass_the_boundary_unchanged() -> None:
    for error in (MalformedError("x", "y"), ZeroDivisionError(), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, hub_errors("org/name"):
            raise error
        assert caught.value is error
