"""Repositories in memory: their files, commits and branches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path

from .discussions import Discussion
from .messages import Body, FilePart

# What the hub's default .gitattributes gives to LFS, and its limit for anything else.
LARGE_SUFFIXES = (
    *(".bin", ".ckpt", ".gguf", ".h5", ".model", ".msgpack", ".npy", ".npz", ".onnx", ".parquet"),
    *(".pickle", ".pkl", ".pt", ".pth", ".safetensors", ".tar", ".zip"),
)
LARGE_BYTES = 10 * 1024 * 1024
_EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)


def is_large(name: str, size: int) -> bool:
    """Says whether a file is kept outside git, and so served by the content origin."""
    return name.endswith(LARGE_SUFFIXES) or size > LARGE_BYTES


class File:
    """The bytes of a file under its name, in memory or on disk, and what git knows of them."""

    def __init__(self, name: str, source: bytes | Path) -> None:
        self.source = source
        self.size = source.stat().st_size if isinstance(source, Path) else len(source)
        self.large = is_large(name, self.size)

    @cached_property
    def sha256(self) -> str:
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        digest = hashlib.sha256()
        with self.source.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()

    @property
    def pointer(self) -> bytes:
        """What git holds in place of a large file."""
        oid = f"oid sha256:{self.sha256}\nsize {self.size}\n"
        return f"version https://git-lfs.github.com/spec/v1\n{oid}".encode()

    @cached_property
    def blob(self) -> str:
        """The sha1 of what git holds."""
        content = self.pointer if self.large else self.read()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.blob

    def read(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    def part(self, start: int, stop: int) -> Body:
        if isinstance(self.source, bytes):
            return self.source[start:stop]
        return FilePart(self.source, start, stop - start)


@dataclass(frozen=True)
class Commit:
    """The files of a repository at one moment, by name, and who left them so."""

    files: Mapping[str, File]
    parent: str | None
    title: str
    description: str
    author: str
    date: datetime


@dataclass(frozen=True)
class Facts:
    """What the hub knows of a model beside its files."""

    library: str | None = None
    task: str | None = None
    tags: tuple[str, ...] = ()
    downloads: int = 0
    likes: int = 0
    disabled: bool = False


@dataclass
class Repository:
    """A model: its commits by sha, oldest first, where its branches are, and what is discussed.

    A pull request is a branch of the name ``refs/pr/N``.
    """

    id: str
    gated: bool = False
    private: bool = False
    facts: Facts = Facts()
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    discussions: list[Discussion] = field(default_factory=list)
    _seconds: int = 0

    def commit(
        self,
        files: Mapping[str, bytes | Path],
        branch: str = "main",
        *,
        parent: str | None = None,
        title: str = "Upload files",
        description: str = "",
        author: str = "somebody",
    ) -> str:
        """Adds a commit that holds `files` and no others, and moves `branch` to it; its sha.

        Its parent is by default where the branch, or else main, is.
        """
        kept = {name: File(name, source) for name, source in files.items()}
        return self.add_commit(
            kept, branch, parent=parent, title=title, description=description, author=author
        )

    def add_commit(
        self,
        files: Mapping[str, File],
        branch: str,
        *,
        parent: str | None = None,
        title: str,
        description: str = "",
        author: str,
    ) -> str:
        parent = parent or self.branches.get(branch) or self.branches.get("main")
        content = sorted((name, file.blob) for name, file in files.items())
        identity = repr((self.id, len(self.commits), parent, content))
        sha = hashlib.sha1(identity.encode()).hexdigest()
        self.commits[sha] = Commit(
            dict(sorted(files.items())), parent, title, description, author, self.now()
        )
        self.branches[branch] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        """Returns the sha of a branch or commit."""
        sha = self.branches.get(revision.removeprefix("refs/heads/"), revision)
        return sha if sha in self.commits else None

    def files(self, revision: str) -> Mapping[str, File]:
        """Returns the files of a branch or commit, which must be there."""
        return self.commits[self.branches.get(revision, revision)].files

    def history(self, sha: str) -> Iterator[tuple[str, Commit]]:
        """Yields the commit and its ancestors, newest first."""
        at: str | None = sha
        while at is not None:
            yield at, self.commits[at]
            at = self.commits[at].parent

    def last_change(self, sha: str, path: str) -> tuple[str, Commit]:
        """Returns the commit that left the file or folder as it is at `sha`."""
        wanted = _content(self.commits[sha], path)
        last = sha, self.commits[sha]
        for entry in self.history(sha):
            if _content(entry[1], path) != wanted:
                break
            last = entry
        return last

    def now(self) -> datetime:
        """Returns the repository's time: a second later at each call, the same in each run."""
        self._seconds += 1
        return _EPOCH + timedelta(seconds=self._seconds)


def _content(commit: Commit, path: str) -> dict[str, str]:
    files = commit.files.items()
    return {n: file.blob for n, file in files if n == path or n.startswith(f"{path}/")}
