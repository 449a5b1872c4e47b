"""What tests of the core share: a catalogue to ask, in a file and on a server."""

from __future__ import annotations

import pytest
from support.catalogues import Filled, fill
from support.postgresql import Server


@pytest.fixture(scope="module")
def in_file(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """A catalogue where a batch writes it."""
    return fill(str(tmp_path_factory.mktemp("batch") / "catalogue.sqlite"))


@pytest.fixture(scope="module")
def on_server(postgresql: Server) -> Filled:
    return fill(postgresql.fresh())


@pytest.fixture(params=["in_file", "on_server"])
def filled(request: pytest.FixtureRequest) -> Filled:
    found: Filled = request.getfixturevalue(request.param)
    return found
