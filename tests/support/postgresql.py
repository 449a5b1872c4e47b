"""A real server of PostgreSQL, from Debian's package ``postgresql``, for as long as a block lasts.

Its data are in a temporary folder, it listens on 127.0.0.1 alone and asks for a password, and it
ends with the process that started it, however that ends.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

_PATIENCE = 60
_USER = "thermoscan"
_NOBODY = "postgres"
"""Who the server runs as where root starts it, which it refuses: made by Debian's package."""
_CARELESS = {"fsync": "off", "full_page_writes": "off"}


def binaries() -> Path | None:
    """Returns the folder with ``initdb`` and ``postgres`` of the newest version; None without."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(found, key=lambda path: int(re.sub(r"\D", "", path.parts[-3]) or 0), default=None)
    return newest.parent if newest else None


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    port: int
    password: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def fresh(self, encoding: str = "UTF8") -> str:
        """Makes an empty database; returns its URL."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            how = f"TEMPLATE template0 ENCODING {encoding}"
            connection.execute(f"CREATE DATABASE {name} {how}".encode())
        return self.url(name)

    def fresh_schema(self) -> str:
        """Makes an empty schema, which takes less time than a database; returns its URL."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self.url('postgres')}?options=-csearch_path%3D{name}"

    def url(self, database: str) -> str:
        """Returns the URL of one of its databases."""
        return f"postgresql://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"


@contextmanager
def running(binaries: Path, *, durable: bool = False) -> Iterator[Server]:
    """Runs a server until the block ends; a `durable` one waits for the disk, as usual."""
    folder = Path(tempfile.mkdtemp(prefix="thermoscan-postgresql-"))
    try:
        server = Server(_free_port(), secrets.token_hex(8))
        _initialise(binaries, folder, server.password)
        command = _command(binaries, folder, server.port, {} if durable else _CARELESS)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stderr=log)
        try:
            _await(server, process, folder / "log")
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nobody needs its data any more
            process.wait(_PATIENCE)
    finally:
        shutil.rmtree(folder)


def _initialise(binaries: Path, folder: Path, password: str) -> None:
    secret = folder / "password"
    secret.write_text(password)
    if os.getuid() == 0:
        shutil.chown(folder, _NOBODY)
        shutil.chown(secret, _NOBODY)
    options = ["--encoding=UTF8", "--locale=C", "--no-sync", "--auth=scram-sha-256"]
    options += [f"--username={_USER}", f"--pwfile={secret}", f"--pgdata={folder / 'data'}"]
    command = [*_unprivileged(), str(binaries / "initdb"), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE, cwd=folder)


def _command(binaries: Path, folder: Path, port: int, settings: dict[str, str]) -> list[str]:
    place = {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
    settings = settings | place
    options = [f"--{name}={value}" for name, value in settings.items()]
    return [*_unprivileged(), str(binaries / "postgres"), "-D", str(folder / "data"), *options]


def _unprivileged() -> list[str]:
    """Becomes what follows, which ends when this process does."""
    command = ["setpriv", "--pdeathsig=QUIT"]
    if os.getuid() == 0:
        command += [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    return command


def _await(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    latest = time.monotonic() + _PATIENCE
    while True:
        try:
            psycopg.connect(server.url("postgres")).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > latest:
                raise RuntimeError(log.read_text(errors="replace")) from error
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
