"""Requests for bytes, where a hub's links lead: connections that are kept, proxies, redirects.

Takes links; gives answers whose bodies are not read yet. The headers of a link go to its own host
only. A hub may lead to any host, as it must for its content network, but from TLS only on to TLS.
The bytes come through urllib3, which reads them into place with a fifth of the work that
huggingface_hub's client makes of them; all other requests go through that client, and both take
their proxies and the certificates that they trust from the same places.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_KEPT = 32


@dataclass(frozen=True, slots=True)
class Link:
    """Where a file's bytes are now, and the headers to send there (and to no other host)."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Connections:
    """Connections, open as long as something that reads a repository holds this."""

    def __init__(self) -> None:
        self._pools: dict[str | None, PoolManager] = {}
        self._lock = Lock()

    def get(self, link: Link, asked: Mapping[str, str], timeout: float) -> BaseHTTPResponse | None:
        """Sends a request to a link and follows it on; None where that has no end or leaves TLS."""
        url, headers = link.url, {**link.headers, **asked}
        for _ in range(_MOST_REDIRECTS):
            response = self._pool(_proxy_of(url)).request(
                "GET",
                url,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            if response.status not in _REDIRECTS:
                return response
            response.close()
            onward = urljoin(url, response.headers.get("Location", ""))
            if urlsplit(onward)[:2] != urlsplit(link.url)[:2]:
                headers = dict(asked)
            if urlsplit(url).scheme == "https" != urlsplit(onward).scheme:
                return None
            url = onward
        return None

    def _pool(self, proxy: str | None) -> PoolManager:
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = _new_pool(proxy)
            return self._pools[proxy]


def is_passing(error: Exception) -> bool:
    """Says whether what a request or a body failed with may be gone at another attempt."""
    from urllib3 import exceptions  # noqa: PLC0415 - only what reads a hub needs it

    if isinstance(error, exceptions.SSLError):
        return not isinstance(error.args[0], ssl.SSLCertVerificationError)
    lost = (exceptions.TimeoutError, exceptions.ProtocolError, exceptions.ProxyError)
    return isinstance(error, lost)


def _proxy_of(url: str) -> str | None:
    """Returns the proxy that the environment gives for a URL."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _new_pool(proxy: str | None) -> PoolManager:
    import urllib3  # noqa: PLC0415 - only what reads a hub needs it

    if proxy is None:
        return urllib3.PoolManager(maxsize=_KEPT, ssl_context=_trusted())
    login = urllib3.util.parse_url(proxy).auth
    headers = urllib3.util.make_headers(proxy_basic_auth=login) if login else None
    return urllib3.ProxyManager(proxy, maxsize=_KEPT, proxy_headers=headers, ssl_context=_trusted())


@cache
def _trusted() -> ssl.SSLContext:
    """Returns what huggingface_hub's client trusts: SSL_CERT_FILE, or the usual authorities."""
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined] # noqa: PLC0415

    context: ssl.SSLContext = httpx.create_ssl_context()
    return context
