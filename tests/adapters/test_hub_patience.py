"""How long a hub is waited for is what it asks for, within bounds that are ours."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from huggingface_hub.utils import httpx

from thermoscan_adapters.hub_patience import Patience, asked_wait

NOW = datetime.now(timezone.utc)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "9" * 400}, 999_999_999),
        ({"retry-after": format_datetime(NOW - timedelta(days=1), usegmt=True)}, 0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00"}, 0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 99 Oct 99999 07:28:00 GMT"}, None),
        ({"ratelimit": '"api";r=0;t=12'}, 12),
        ({"ratelimit": '"api";r=5;t=12'}, None),
        ({"ratelimit": "nonsense"}, None),
    ],
)
def test_an_answer_asks_for_a_wait_in_one_of_three_ways(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert asked_wait(httpx.Headers(headers)) == seconds


def test_a_date_is_waited_for() -> None:
    headers = {"retry-after": format_datetime(NOW + timedelta(hours=1), usegmt=True)}
    wait = asked_wait(headers)
    assert wait is not None
    assert 3000 < wait < 3700


@pytest.mark.parametrize(
    ("failures", "headers"), [(3, {}), (3, {"retry-after": "0"}), (1, {"retry-after": "61"})]
)
def test_enough_is_enough(failures: int, headers: dict[str, str]) -> None:
    patience = Patience(attempts=3, first_wait_seconds=0)
    error = OSError("the last one")
    patience.pause(2, error, {"retry-after": "0"})
    with pytest.raises(OSError, match="the last one"):
        patience.pause(failures, error, headers)


def test_only_what_another_attempt_may_mend_is_tried_again() -> None:
    patience = Patience(attempts=4, first_wait_seconds=0)
    calls: list[Exception] = []

    def failing(error: Exception) -> None:
        calls.append(error)
        raise error

    for error in (httpx.ConnectError("x"), httpx.ConnectTimeout("x"), ValueError("x")):
        with pytest.raises(type(error)):
            patience.call(lambda error=error: failing(error))
    assert len(calls) == 3
    for error in (httpx.ReadError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")):
        calls.clear()
        with pytest.raises(type(error)):
            patience.call(lambda error=error: failing(error))
        assert len(calls) == 4
