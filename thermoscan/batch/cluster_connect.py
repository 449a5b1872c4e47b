"""From the address of a Dask scheduler to a client of it, in bounded time and in silence.

Takes a URL, or the path of the file that a scheduler wrote; gives Dask's client, or refuses what is
no address, what does not answer, and encryption without certificates.
"""

from __future__ import annotations

import json
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thermoscan.errors import ClusterError, OptionError

_GRACE_SECONDS = 2.0


def client_class() -> Any:
    """Returns Dask's client.

    Raises:
        OptionError: ``dask-missing``: it is not installed.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError as error:
        reason = "a cluster needs Dask: pip install 'thermoscan[dask]'"
        raise OptionError("dask-missing", reason) from error
    return Client


def connect(client: Any, address: str, seconds: float) -> Any:
    """Returns a client of the scheduler at `address`, which answers within these seconds.

    Raises:
        OptionError: ``cluster-address``, ``cluster-tls``.
        ClusterError: ``cluster-unreachable``.
    """
    url = _url(address)
    _check_security(url, address)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions, which are compared here too
            return _within(
                seconds + _GRACE_SECONDS,
                lambda: client(url, timeout=seconds, set_as_default=False),
            )
    except ValueError as error:
        raise OptionError("cluster-address", str(error), file=address) from error
    except Exception as error:  # of sockets, of TLS, of another protocol at this port
        reason = f"no scheduler can be reached there: {error or type(error).__name__}"
        raise ClusterError("cluster-unreachable", reason, file=address) from error


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """Calls on a thread of its own: Dask waits for ever for a port that speaks something else.

    Raises:
        TimeoutError: It did not return in time; the thread ends with the process.
    """
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(timeout=seconds)
    except FutureTimeoutError as error:
        raise TimeoutError(f"no answer within {seconds:g} seconds") from error


def _check_security(url: str, address: str) -> None:
    """Refuses an encrypted address without certificates: a client would fail and never close."""
    from distributed.security import Security  # noqa: PLC0415 - as everywhere here

    if not url.startswith(("tls://", "wss://")):
        return
    try:
        security: Any = Security()  # type: ignore[no-untyped-call]
        found = security.get_connection_args("client").get("ssl_context")
    except (OSError, ValueError) as error:  # ssl.SSLError is one of the former
        raise OptionError("cluster-tls", f"Dask's certificates: {error}", file=address) from error
    if found is None:
        reason = "Dask's configuration names no certificates (distributed.comm.tls)"
        raise OptionError("cluster-tls", reason, file=address)


def _url(address: str) -> str:
    """Returns the URL of the scheduler: the address itself, or what the file of this name says."""
    if "://" in address:
        return address
    try:
        return str(json.loads(Path(address).read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (
            "it is no URL of a scheduler, such as tcp://HOST:8786, and no file that a scheduler "
            "wrote"
        )
        raise OptionError("cluster-address", reason, file=address) from error


@contextmanager
def silence() -> Iterator[None]:
    """Keeps from stderr what Dask and what it is built on log; leaves it as it was afterwards."""
    names = ("distributed", "distributed.client", "tornado", "tornado.application", "asyncio")
    before = [(each, each.handlers, each.propagate) for each in map(logging.getLogger, names)]
    for logger, _, _ in before:
        logger.handlers, logger.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
