"""The loopback hub is written to by the real client: commits, pull requests, discussions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    DiscussionComment,
    DiscussionCommit,
    DiscussionStatusChange,
    HfApi,
    get_session,
)
from huggingface_hub.errors import (
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from support.loopback_hub import LoopbackHub, Repository

README = b"---\nlicense: mit\n---\n# A model\n"
FILES = {"README.md": README, "model.safetensors": b"weights", "docs/a.md": b"a", "docs/b.md": b"b"}


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.add_token("hf_owner", "alice", write=("org", "alice"))
        hub.add_token("hf_stranger", "bob", write=("bob",))
        hub.add_token("hf_alike", "dave", write=("or", "org/na", "org/name/x"))
        hub.add_token("hf_reader", "carol", read=("org",))
        yield hub


@pytest.fixture
def repository(hub: LoopbackHub) -> Repository:
    return hub.add("org/name", FILES)


@pytest.fixture
def owner(hub: LoopbackHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token="hf_owner")


@pytest.fixture
def stranger(hub: LoopbackHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token="hf_stranger")


def put(**files: str) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(f"{name}.txt", text.encode()) for name, text in files.items()]


def held(repository: Repository, revision: str = "main") -> dict[str, bytes]:
    return {name: file.read() for name, file in repository.files(revision).items()}


def test_a_commit_changes_the_files_it_names(owner: HfApi, repository: Repository) -> None:
    first = repository.branches["main"]
    operations = [
        CommitOperationAdd("README.md", README + b"more\n"),
        CommitOperationAdd("docs/c.md", b"c"),
        CommitOperationDelete("docs/a.md"),
    ]
    done = owner.create_commit(
        "org/name", operations, commit_message="Change", commit_description="why"
    )
    assert done.oid == repository.branches["main"] != first
    assert done.commit_url == f"{owner.endpoint}/org/name/commit/{done.oid}"
    assert (done.pr_num, done.pr_url) == (None, None)
    expected = {**FILES, "README.md": README + b"more\n", "docs/c.md": b"c"}
    del expected["docs/a.md"]
    assert held(repository) == expected
    commit = owner.list_repo_commits("org/name")[0]
    assert (commit.title, commit.message, commit.authors) == ("Change", "why", ["alice"])


def test_an_upload_can_be_downloaded(owner: HfApi, repository: Repository, tmp_path: Path) -> None:
    owner.upload_file(path_or_fileobj=b"\xff\x00text", path_in_repo="x/new.txt", repo_id="org/name")
    path = owner.hf_hub_download("org/name", "x/new.txt", cache_dir=tmp_path)
    assert Path(path).read_bytes() == b"\xff\x00text"


def test_files_that_did_not_change_are_not_committed(
    owner: HfApi, hub: LoopbackHub, repository: Repository
) -> None:
    same = [CommitOperationAdd(n, FILES[n]) for n in ("README.md", "model.safetensors")]
    done = owner.create_commit("org/name", same, commit_message="Nothing", create_pr=True)
    assert (done.oid, done.pr_num) == (repository.branches["main"], None)
    assert not any("/commit/" in request.path for request in hub.requests)


def test_folders_are_deleted_and_large_files_copied(owner: HfApi, repository: Repository) -> None:
    operations = [
        CommitOperationDelete("docs/"),
        CommitOperationCopy("model.safetensors", "old.safetensors"),
        CommitOperationCopy("README.md", "README.old.md"),
    ]
    owner.create_commit("org/name", operations, commit_message="Tidy")
    kept = {"README.md": README, "model.safetensors": b"weights"}
    assert held(repository) == kept | {"old.safetensors": b"weights", "README.old.md": README}
    with pytest.raises(RemoteEntryNotFoundError, match="A file with this name doesn't exist"):
        owner.delete_file("docs/a.md", "org/name")


def test_a_commit_onto_what_moved_is_refused(owner: HfApi, repository: Repository) -> None:
    seen = repository.branches["main"]
    owner.create_commit("org/name", put(a="1"), commit_message="1", parent_commit=seen)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as caught:
        owner.create_commit("org/name", put(a="2"), commit_message="2", parent_commit=seen)
    assert caught.value.response.status_code == 412
    assert held(repository)["a.txt"] == b"1"
    with pytest.raises(RevisionNotFoundError):
        owner.create_commit("org/name", put(a="2"), commit_message="2", revision="missing")


def test_a_pull_request_starts_from_the_commit_that_was_named(
    stranger: HfApi, repository: Repository
) -> None:
    seen = repository.branches["main"]
    repository.commit({"README.md": b"moved"})
    done = stranger.create_commit(
        "org/name", put(a="1"), commit_message="Add a", create_pr=True, parent_commit=seen
    )
    assert held(repository, "refs/pr/1") == FILES | {"a.txt": b"1"}
    assert repository.commits[done.oid].parent == seen


def test_anyone_opens_a_pull_request_amends_it_and_the_owner_merges(
    owner: HfApi, stranger: HfApi, repository: Repository
) -> None:
    done = stranger.create_commit(
        "org/name", put(a="1"), commit_message="Add a", commit_description="As said", create_pr=True
    )
    assert (done.pr_num, done.pr_revision) == (1, "refs/pr/1")
    assert done.pr_url == f"{owner.endpoint}/org/name/discussions/1"
    stranger.create_commit("org/name", put(a="2"), commit_message="Better", revision="refs/pr/1")
    assert held(repository, "refs/pr/1") == FILES | {"a.txt": b"2"}
    assert held(repository) == FILES
    repository.commit({**FILES, "b.txt": b"meanwhile"})
    owner.merge_pull_request("org/name", 1)
    assert held(repository) == FILES | {"a.txt": b"2", "b.txt": b"meanwhile"}
    merged = owner.get_discussion_details("org/name", 1)
    assert (merged.status, merged.merge_commit_oid) == ("merged", repository.branches["main"])
    with pytest.raises(HfHubHTTPError, match="no open pull request"):
        owner.merge_pull_request("org/name", 1)


def test_a_pull_request_tells_what_happened_in_it(
    stranger: HfApi, owner: HfApi, repository: Repository
) -> None:
    done = stranger.create_commit(
        "org/name", put(a="1"), commit_message="Add a", commit_description="As said", create_pr=True
    )
    said = owner.comment_discussion("org/name", 1, "Why <b>?")
    assert isinstance(said, DiscussionComment)
    assert (said.content, said.rendered) == ("Why <b>?", "<p>Why &lt;b&gt;?</p>")
    details = stranger.get_discussion_details("org/name", 1)
    assert (details.title, details.status, details.author) == ("Add a", "open", "bob")
    assert details.is_pull_request
    assert (details.git_reference, details.target_branch) == ("refs/pr/1", "refs/heads/main")
    assert (details.conflicting_files, details.merge_commit_oid) == ([], None)
    assert details.diff == "--- a/a.txt\n+++ b/a.txt\n@@ -0,0 +1 @@\n+1"
    opening, commit, comment = details.events
    assert isinstance(opening, DiscussionComment)
    assert isinstance(commit, DiscussionCommit)
    assert opening.content == "As said"
    assert (commit.oid, commit.summary, commit.author) == (done.oid, "Add a", "bob")
    assert (comment.author, comment.id) == ("alice", said.id)


def test_changes_on_both_sides_conflict(
    stranger: HfApi, owner: HfApi, repository: Repository
) -> None:
    stranger.create_commit("org/name", put(a="1", b="1"), commit_message="Add", create_pr=True)
    repository.commit({**FILES, "a.txt": b"2", "b.txt": b"1"})
    assert owner.get_discussion_details("org/name", 1).conflicting_files == ["a.txt"]
    with pytest.raises(HfHubHTTPError, match="conflicts"):
        owner.merge_pull_request("org/name", 1)
    assert held(repository)["a.txt"] == b"2"


def test_discussions_are_found_by_author_type_and_status(
    owner: HfApi, stranger: HfApi, hub: LoopbackHub, repository: Repository
) -> None:
    owner.create_discussion("org/name", "Question", description="How?")
    for number in range(2, 5):
        stranger.create_commit(
            "org/name", put(a=str(number)), commit_message=f"PR {number}", create_pr=True
        )
    drafted = stranger.create_pull_request("org/name", "Draft")
    assert (drafted.num, drafted.status, drafted.author) == (5, "draft", "bob")
    closing = stranger.change_discussion_status("org/name", 3, "closed", comment="No more")
    assert isinstance(closing, DiscussionStatusChange)
    assert closing.new_status == "closed"
    hub.page_size = 2

    def found(**filters: str) -> list[int]:
        return [d.num for d in owner.get_repo_discussions("org/name", **filters)]

    assert found() == [5, 4, 3, 2, 1]
    assert found(author="bob", discussion_type="pull_request", discussion_status="open") == [
        5,
        4,
        2,
    ]
    assert found(discussion_status="closed") == [3]
    assert found(discussion_type="discussion") == found(author="alice") == [1]
    owner.change_discussion_status("org/name", 3, "open")
    assert found(discussion_status="closed") == []
    comments = owner.get_discussion_details("org/name", 3).events
    assert [e.content for e in comments if isinstance(e, DiscussionComment)] == ["", "No more"]


@pytest.mark.parametrize(
    ("token", "status", "message"),
    [
        ("hf_stranger", 403, "pass `create_pr=1` as a query parameter"),
        ("hf_alike", 403, "pass `create_pr=1` as a query parameter"),
        ("hf_reader", 403, "you must use a write token"),
        (False, 401, "Invalid username or password"),
        ("hf_wrong", 401, "Invalid credentials in Authorization header"),
    ],
)
def test_who_may_not_write_is_told_why(
    hub: LoopbackHub, repository: Repository, token: str | bool, status: int, message: str
) -> None:
    api = HfApi(endpoint=hub.endpoint, token=token)
    with pytest.raises(HfHubHTTPError, match=message) as caught:
        api.create_commit("org/name", put(a="1"), commit_message="Add")
    assert caught.value.response.status_code == status
    assert message in caught.value.response.headers["X-Error-Message"]
    assert held(repository) == FILES


def test_who_may_not_write_at_all_opens_no_pull_request_either(
    hub: LoopbackHub, repository: Repository
) -> None:
    reader = HfApi(endpoint=hub.endpoint, token="hf_reader")
    with pytest.raises(HfHubHTTPError, match="you must use a write token"):
        reader.create_commit("org/name", put(a="1"), commit_message="Add", create_pr=True)
    with pytest.raises(HfHubHTTPError, match="you must use a write token"):
        reader.create_discussion("org/name", "Question")
    assert repository.discussions == []


def test_only_the_owner_changes_what_others_opened(
    owner: HfApi, stranger: HfApi, repository: Repository
) -> None:
    owner.create_commit("org/name", put(a="1"), commit_message="Add", create_pr=True)
    for act in (
        lambda: stranger.merge_pull_request("org/name", 1),
        lambda: stranger.change_discussion_status("org/name", 1, "closed"),
        lambda: stranger.create_commit(
            "org/name", put(a="2"), commit_message="Mine", revision="refs/pr/1"
        ),
    ):
        with pytest.raises(HfHubHTTPError) as caught:
            act()
        assert caught.value.response.status_code == 403
    assert repository.discussions[0].status == "open"
    assert held(repository, "refs/pr/1")["a.txt"] == b"1"


def test_a_private_repository_is_not_there_for_strangers(hub: LoopbackHub, stranger: HfApi) -> None:
    hub.add("org/private", FILES, private=True)
    with pytest.raises(RepositoryNotFoundError):
        stranger.create_commit("org/private", put(a="1"), commit_message="Add", create_pr=True)


def test_a_model_card_is_checked_before_it_is_committed(
    owner: HfApi, repository: Repository
) -> None:
    def commit(card: bytes) -> None:
        added = CommitOperationAdd("README.md", card)
        owner.create_commit("org/name", [added], commit_message="Card")

    with pytest.raises(ValueError, match="Invalid metadata in README"):
        commit(b"---\nlicense: [mit\n---\n")
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        commit(b"# No front matter\n")
    assert held(repository)["README.md"] == b"# No front matter\n"


def test_repositories_are_created_in_ones_own_namespaces(owner: HfApi, hub: LoopbackHub) -> None:
    assert owner.create_repo("org/new", private=True).repo_id == "org/new"
    assert owner.create_repo("mine").repo_id == "alice/mine"
    assert owner.create_repo("org/new", exist_ok=True).repo_id == "org/new"
    assert owner.model_info("org/new").private is True
    assert [f.rfilename for f in owner.model_info("alice/mine").siblings or ()] == [
        ".gitattributes"
    ]
    with pytest.raises(HfHubHTTPError, match="You already created this model repo"):
        owner.create_repo("org/new")
    with pytest.raises(HfHubHTTPError, match="You don't have the rights"):
        owner.create_repo("bob/new")
    assert set(hub.repositories) == {"org/new", "alice/mine"}


def test_large_files_are_refused_and_xet_is_not_there(
    owner: HfApi, hub: LoopbackHub, repository: Repository
) -> None:
    added = CommitOperationAdd("other.safetensors", b"more weights")
    with pytest.raises(ValueError, match="takes no large files"):
        owner.create_commit("org/name", [added], commit_message="Weights")
    assert held(repository) == FILES
    for kind in ("read", "write"):
        url = f"{hub.endpoint}/api/models/org/name/xet-{kind}-token/main"
        assert get_session().get(url).status_code == 404
    harnesses = get_session().get(f"{hub.endpoint}/api/agent-harnesses")
    assert harnesses.json() == {"standardEnvVars": [], "harnesses": {}}


def test_a_token_goes_to_the_hub_alone(
    owner: HfApi, hub: LoopbackHub, repository: Repository, tmp_path: Path
) -> None:
    owner.create_commit("org/name", put(a="1"), commit_message="Add")
    owner.snapshot_download("org/name", cache_dir=tmp_path)
    seen = {(request.origin, request.token) for request in hub.requests}
    assert seen == {("hub", "hf_owner"), ("content", None)}
