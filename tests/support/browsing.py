"""Pages opened in a real browser, with what they ask for and what they complain about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from playwright.sync_api import Page

Scheme = Literal["light", "dark"]


@dataclass
class Opened:
    """A page in the browser, what it asked for, and what it complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


class Visit(Protocol):
    """Opens an address; in colours, in a width, with scripts or without."""

    def __call__(
        self, url: str, scheme: Scheme = "light", width: int = 1280, script: bool = True
    ) -> Opened: ...
