"""Who asks, and what they may do: read what is closed, push, discuss.

The messages are the hub's own, seen in reports of its users, where a client shows them:
https://github.com/ariG23498/gemma3-object-detection/issues/5 (gated, 403),
https://github.com/vllm-project/semantic-router/issues/817 (gated, 401),
https://github.com/Desert-Ant-Labs/desert-ant-core/pull/121 (may read, may not write).
"""

from __future__ import annotations

from dataclasses import dataclass

from .messages import RefusedError, refused
from .store import Repository


@dataclass(frozen=True)
class Token:
    """A token of a user, with the repositories or whole namespaces that it may read and write.

    One that may write anything at all may discuss, and open pull requests, wherever it may read.
    """

    user: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()

    @property
    def role(self) -> str:
        return "write" if self.write else "read"

    def may_read(self, repo_id: str) -> bool:
        return _covers(self.read + self.write, repo_id)

    def may_write(self, repo_id: str) -> bool:
        return _covers(self.write, repo_id)

    def may_create(self, namespace: str) -> bool:
        return namespace in self.write


def _covers(scopes: tuple[str, ...], repo_id: str) -> bool:
    return any(repo_id == scope or repo_id.startswith(f"{scope}/") for scope in scopes)


def not_found(token: Token | None) -> RefusedError:
    """Returns the answer for a repository that is not there, or not to be known of."""
    if token is None:
        return refused(401, "Invalid username or password.", "RepoNotFound")
    return refused(404, "Repository not found", "RepoNotFound")


def check_contents(repository: Repository, token: Token | None) -> None:
    """Refuses the files of a gated repository to those who were not let in."""
    if not repository.gated or (token is not None and token.may_read(repository.id)):
        return
    closed = f"Access to model {repository.id} is restricted"
    if token is None:
        reason = "You must have access to it and be authenticated to access it. Please log in."
        raise refused(401, f"{closed}. {reason}", "GatedRepo")
    raise refused(403, f"{closed} and you are not in the authorized list.", "GatedRepo")


def check_discusses(token: Token | None) -> Token:
    """Refuses those who may write nothing."""
    if token is None:
        raise refused(401, "Invalid username or password.")
    if token.role == "read":
        raise refused(403, "Forbidden: you must use a write token to upload to a repository.")
    return token


def check_pushes(
    repository: Repository, token: Token | None, revision: str, *, create_pr: bool
) -> Token:
    """Refuses a push to those who may not write there; anyone may open and amend their own PR."""
    token = check_discusses(token)
    own = any(
        discussion.branch == revision and discussion.author == token.user
        for discussion in repository.discussions
    )
    if not (create_pr or own or token.may_write(repository.id)):
        reason = "pass `create_pr=1` as a query parameter to create a Pull Request."
        raise refused(403, f"Forbidden: {reason}")
    return token
