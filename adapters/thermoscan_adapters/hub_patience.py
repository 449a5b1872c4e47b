"""How long a hub is waited for: timeouts, what is worth another attempt, and when to give up.

Takes calls and failures; gives pauses that grow, and honours what the hub asks for: ``Retry-After``
(RFC 9110, section 10.2.3) or the ``RateLimit`` fields that huggingface_hub reads.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TypeVar

T = TypeVar("T")

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another attempt may mend."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds on waiting.

    Attributes:
        timeout_seconds: For a connection, and for every piece of an answer.
        attempts: Of one request, before it is given up.
        first_wait_seconds: Before the second attempt; doubles with each.
        longest_wait_seconds: Between two attempts. A hub that asks for more is not waited for.
    """

    timeout_seconds: float = 30.0
    attempts: int = 6
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0

    def pause(self, failures: int, error: BaseException, headers: Mapping[str, str]) -> None:
        """Waits before the next attempt.

        Args:
            failures: How many attempts have failed.
            error: What the last one failed with.
            headers: Of the answer, where there was one.

        Raises:
            BaseException: `error`, where enough was tried or the hub asks for too long a wait.
        """
        wait = asked_wait(headers)
        if wait is None:
            wait = self.first_wait_seconds * 2 ** (failures - 1)
            # Many threads fail at once: they should not come back at once.
            wait = min(wait, self.longest_wait_seconds) * random.uniform(0.5, 1.0)  # noqa: S311
        if failures >= self.attempts or wait > self.longest_wait_seconds:
            raise error
        time.sleep(wait)

    def call(self, request: Callable[[], T]) -> T:
        """Returns what `request` returns, which is asked again where the hub fails or is busy.

        Where no connection can be made nothing is tried again: that is better said at once.
        """
        from huggingface_hub.utils import httpx  # type: ignore[attr-defined] # noqa: PLC0415

        broken = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadTimeout)
        failures = 0
        while True:
            try:
                return request()
            except Exception as error:
                response = getattr(error, "response", None)
                if not isinstance(error, broken) and status_of(error) not in RETRIED:
                    raise
                failures += 1
                self.pause(failures, error, response.headers if response is not None else {})


def status_of(error: BaseException) -> int | None:
    """Returns the HTTP status that an error of huggingface_hub carries, or None."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that an answer asks to wait; None where it does not say."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined] # noqa: PLC0415
        parse_ratelimit_headers,
    )

    stated = headers.get("retry-after", "").strip()
    if stated.isascii() and stated.isdecimal():
        return float(stated[:9])
    if stated:
        try:
            until = parsedate_to_datetime(stated)
        except ValueError:
            return None
        if until.tzinfo is None:
            until = until.replace(tzinfo=timezone.utc)
        return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())
    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    return None
