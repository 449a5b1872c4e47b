"""What every test may use: golden files, rewritten on request; a database of either kind."""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.postgresql import Server, binaries, running

# huggingface_hub reads these as it is imported. Who runs the tests may be logged in, offline or
# behind a proxy, and have a full cache: no test is to see any of that.
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})
for _name in list(os.environ):
    if _name.startswith(("HF_", "HUGGING")) or _name.lower() in _PROXIES:
        del os.environ[_name]
_home = tempfile.TemporaryDirectory(prefix="thermoscan-tests-")
atexit.register(_home.cleanup)
os.environ["HF_HOME"] = _home.name
# Telemetry asks the real hub for a list of names, and Xet would upload by a protocol of its own.
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


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """Runs a server of PostgreSQL for the whole session."""
    found = binaries()
    if found is None:
        reason = "no PostgreSQL: install Debian's package postgresql"
        if os.environ.get("THERMOSCAN_REQUIRE_POSTGRESQL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with running(found) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Names a catalogue that is not there yet: the path of a file, the URL of an empty schema."""
    if request.param == "sqlite":
        return str(tmp_path / "catalogue.sqlite")
    server: Server = request.getfixturevalue("postgresql")
    return server.fresh_schema()
