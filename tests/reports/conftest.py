"""A Chromium for the tests that look at the page where people do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from support.browsing import Opened, Scheme, Visit

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Starts the browser of ``THERMOSCAN_CHROMIUM``, or the first that is on the path."""
    named = os.environ.get("THERMOSCAN_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = f"no browser: set THERMOSCAN_CHROMIUM or install one of {', '.join(NAMES)}"
        if os.environ.get("THERMOSCAN_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens pages, each with a profile of its own."""
    contexts = []

    def open_(url: str, scheme: Scheme = "light", width: int = 1280, script: bool = True) -> Opened:
        context = browser.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": 800},
            java_script_enabled=script,
            reduced_motion="reduce",
        )
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on("console", lambda message: found.messages.append(message.text))
        found.page.on("pageerror", lambda error: found.messages.append(str(error)))
        found.page.on("dialog", lambda dialog: found.messages.append(f"dialog {dialog.message}"))
        found.page.goto(url)
        return found

    yield open_
    for context in contexts:
        context.close()
