"""What can go wrong on the way, on demand.

A fault stands between a request and its answer: it takes both, and gives the answer that is sent.
Those given to one `Faults.add` act on the same request, the first outermost.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

from .messages import Answer, Answerer, Delivery, Request, split

Fault = Callable[[Request, Answerer], Answer]


@dataclass(frozen=True)
class Status:
    """Answers with a status and nothing else: ``Status(429, {"Retry-After": "1"})``."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        return Answer(self.status, self.headers)


@dataclass(frozen=True)
class Redirect:
    """Sends the client to the same path at another origin."""

    origin: str
    status: int = 302

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        return Answer(self.status, {"Location": self.origin + request.target})


@dataclass(frozen=True)
class Garbage:
    """Sends what is no HTTP, and closes."""

    raw: bytes = b"\x00\xff garbage \r\n\r\n"

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        return Answer(200, delivery=Delivery(raw=self.raw))


@dataclass(frozen=True)
class Cut:
    """Closes the connection after so many bytes of the body, whatever its Content-Length."""

    after: int

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        answered = answer(request)
        return replace(answered, delivery=replace(answered.delivery, cut_after=self.after))


@dataclass(frozen=True)
class Short:
    """Sends the first bytes of the body as if they were all: only its Content-Range says more."""

    length: int

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        answered = answer(request)
        return replace(answered, body=split(answered.body, self.length)[0])


@dataclass(frozen=True)
class Headers:
    """Adds headers to the answer, or puts others in place of its own."""

    headers: Mapping[str, str]

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        answered = answer(request)
        return replace(answered, headers={**answered.headers, **self.headers})


@dataclass(frozen=True)
class WrongRange:
    """States a Content-Range that is off by so many bytes in its place, or in the total."""

    start: int = 0
    total: int = 0

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        answered = answer(request)
        numbers = map(int, re.findall(r"\d+", answered.headers["Content-Range"]))
        start, last, total = numbers
        shifted = f"{start + self.start}-{last + self.start}/{total + self.total}"
        return replace(answered, headers={**answered.headers, "Content-Range": f"bytes {shifted}"})


@dataclass(frozen=True)
class RangeIgnored:
    """Answers as if no range had been asked for: 200 and everything."""

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name != "range"}
        return answer(replace(request, headers=headers))


@dataclass(frozen=True)
class Gzip:
    """Compresses the body, asked or not, and says so."""

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        answered = answer(request)
        body = answered.body if isinstance(answered.body, bytes) else answered.body.read()
        headers = {**answered.headers, "Content-Encoding": "gzip"}
        return replace(answered, headers=headers, body=gzip.compress(body, mtime=0))


@dataclass(frozen=True)
class Stall:
    """Sends nothing for a while: before the answer, or after so many bytes of the body."""

    seconds: float
    after: int | None = None

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        answered = answer(request)
        stalled = replace(answered.delivery, stall_seconds=self.seconds, stall_after=self.after)
        return replace(answered, delivery=stalled)


@dataclass(frozen=True)
class Call:
    """Does something when the request comes, as moving a branch, then answers as usual."""

    action: Callable[[], object]

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        self.action()
        return answer(request)


@dataclass
class _Planned:
    faults: tuple[Fault, ...]
    path: re.Pattern[str]
    origin: str | None
    method: str | None
    times: int | None

    def matches(self, request: Request) -> bool:
        return (
            self.times != 0
            and self.origin in (None, request.origin)
            and self.method in (None, request.method)
            and self.path.search(request.target) is not None
        )


class Faults:
    """The faults to come, in order: a request meets the first plan that matches it."""

    def __init__(self) -> None:
        self._plans: list[_Planned] = []
        self._lock = Lock()

    def add(
        self,
        *faults: Fault,
        path: str = "",
        origin: str | None = None,
        method: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Plans faults for the next requests that match; None times: for all of them.

        Args:
            faults: What acts on each of these requests. None: they are let through.
            path: A regular expression, searched for in the path and query as they came.
            origin: ``hub``, ``content`` or ``elsewhere``.
            method: ``GET`` and so on.
            times: On how many requests.
        """
        self._plans.append(_Planned(faults, re.compile(path), origin, method, times))

    def clear(self) -> None:
        """Forgets what was planned."""
        self._plans.clear()

    def meet(self, request: Request, answer: Answerer) -> Answer:
        """Returns the answer to a request, with what is planned for it."""
        for fault in reversed(self._take(request)):
            answer = _behind(fault, answer)
        return answer(request)

    def _take(self, request: Request) -> tuple[Fault, ...]:
        with self._lock:
            for plan in self._plans:
                if plan.matches(request):
                    plan.times = None if plan.times is None else plan.times - 1
                    return plan.faults
        return ()


def _behind(fault: Fault, answer: Answerer) -> Answerer:
    return lambda request: fault(request, answer)
