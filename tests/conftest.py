"""What every test may use: golden files, rewritten on request."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

# huggingface_hub reads these as it is imported. Telemetry asks the real hub for a list of names,
# and Xet would upload by a protocol of its own: no test needs either.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_XET"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the flag that accepts what the code now gives as the new expectation."""
    parser.addoption(
        "--update-goldens", action="store_true", help="rewrite golden files instead of comparing"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with ``goldens/NAME`` beside the test's file, byte for byte."""

    def check(name: str, text: str) -> None:
        path = request.path.parent / "goldens" / name
        if request.config.getoption("--update-goldens"):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode())
        assert text == path.read_bytes().decode(), f"{name} differs; see --update-goldens"

    return check
