"""Discussions and pull requests of a repository, as values and as the hub's JSON."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Event:
    """Something that happened in a discussion: a comment, a commit, a change of status."""

    type: str
    author: str
    date: datetime
    data: Mapping[str, object]

    def as_json(self, number: int) -> dict[str, object]:
        return {
            "id": f"{number:024x}",
            "type": self.type,
            "createdAt": as_text(self.date),
            "author": {"name": self.author},
            "data": self.data,
        }


@dataclass
class Discussion:
    """A discussion, or a pull request where `base` is the commit that it started from."""

    number: int
    title: str
    author: str
    date: datetime
    status: str = "open"
    base: str | None = None
    merge_commit: str | None = None
    events: list[Event] = field(default_factory=list)

    @property
    def branch(self) -> str:
        return f"refs/pr/{self.number}"

    def comment(self, author: str, date: datetime, text: str) -> dict[str, object]:
        latest = {
            "raw": text,
            "html": f"<p>{html.escape(text)}</p>",
            "updatedAt": as_text(date),
            "author": {"name": author},
        }
        data = {"edited": False, "hidden": False, "latest": latest, "history": [], "numEdits": 0}
        return self._add(Event("comment", author, date, data))

    def note_commit(self, author: str, date: datetime, subject: str, sha: str) -> None:
        self._add(Event("commit", author, date, {"subject": subject, "oid": sha}))

    def set_status(self, author: str, date: datetime, status: str) -> dict[str, object]:
        self.status = status
        return self._add(Event("status-change", author, date, {"status": status}))

    def as_json(self, repo_id: str) -> dict[str, object]:
        return {
            "num": self.number,
            "title": self.title,
            "status": self.status,
            "isPullRequest": self.base is not None,
            "author": {"name": self.author},
            "createdAt": as_text(self.date),
            "repo": {"name": repo_id, "type": "model"},
        }

    def events_as_json(self) -> list[dict[str, object]]:
        return [event.as_json(number) for number, event in enumerate(self.events)]

    def _add(self, event: Event) -> dict[str, object]:
        self.events.append(event)
        return event.as_json(len(self.events) - 1)


def as_text(date: datetime) -> str:
    """Writes a date as the hub does."""
    return date.strftime("%Y-%m-%dT%H:%M:%S.000Z")
