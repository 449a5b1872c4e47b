"""The loopback hub is read by the real client, directly and through olah, which others wrote.

What olah cannot do (see `support.olah`) is asked of the hub directly.
"""

from __future__ import annotations

import hashlib
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, HfFileSystem, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder
from support.loopback_hub import Call, LoopbackHub, Repository
from support.olah import olah

WEIGHTS = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
FILES = {
    "README.md": b"# A model\n",
    "config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "unet/down/config.json": b'{"a": 1}',
    "unet/weights.bin": WEIGHTS[:1000],
}
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.add_token("hf_owner", "alice", write=("org",))
        hub.add_token("hf_reader", "bob", read=("org",))
        hub.add_token("hf_stranger", "carol", write=("carol",))
        yield hub


@pytest.fixture(scope="module")
def proxy(hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with olah(hub, tmp_path_factory.mktemp("olah")) as endpoint:
        yield endpoint


@pytest.fixture(params=["direct", "olah"])
def endpoint(request: pytest.FixtureRequest, hub: LoopbackHub) -> str:
    return hub.endpoint if request.param == "direct" else request.getfixturevalue("proxy")


@pytest.fixture
def repository(hub: LoopbackHub) -> Repository:
    return hub.add(f"org/model-{next(_NUMBERS)}", FILES)


@pytest.fixture
def small_pages(hub: LoopbackHub) -> Iterator[None]:
    hub.page_size = 2
    yield
    hub.page_size = 1000


def api(endpoint: str, token: str | bool = False) -> HfApi:
    return HfApi(endpoint=endpoint, token=token)


def git_hash(content: bytes) -> str:
    hashing = subprocess.run(
        ["git", "hash-object", "--stdin"], input=content, capture_output=True, check=True
    )
    return hashing.stdout.decode().strip()


def pointer(content: bytes) -> bytes:
    # https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    oid = hashlib.sha256(content).hexdigest()
    head = "version https://git-lfs.github.com/spec/v1"
    return f"{head}\noid sha256:{oid}\nsize {len(content)}\n".encode()


def test_a_token_names_its_user_and_a_wrong_one_nobody(endpoint: str) -> None:
    owner = api(endpoint, "hf_owner").whoami()
    assert (owner["name"], owner["auth"]["accessToken"]["role"]) == ("alice", "write")
    assert [org["name"] for org in owner["orgs"]] == ["org"]
    assert api(endpoint, "hf_reader").whoami()["auth"]["accessToken"]["role"] == "read"
    with pytest.raises(HfHubHTTPError, match="Invalid user token") as caught:
        api(endpoint, "hf_wrong").whoami()
    assert caught.value.response.status_code == 401


def test_a_model_is_listed_where_its_branch_is(endpoint: str, repository: Repository) -> None:
    first = repository.branches["main"]
    second = repository.commit({"config.json": b"{}"})
    info = api(endpoint).model_info(repository.id)
    assert (info.id, info.sha, info.author) == (repository.id, second, "org")
    assert (info.private, info.gated) == (False, False)
    assert [sibling.rfilename for sibling in info.siblings or ()] == ["config.json"]
    earlier = api(endpoint).model_info(repository.id, revision=first)
    assert earlier.sha == first
    assert [sibling.rfilename for sibling in earlier.siblings or ()] == list(FILES)


def test_files_are_listed_with_the_hashes_that_git_gives_them(
    hub: LoopbackHub, repository: Repository
) -> None:
    listed = api(hub.endpoint).model_info(repository.id, files_metadata=True).siblings or ()
    siblings = {sibling.rfilename: sibling for sibling in listed}
    readme, weights = siblings["README.md"], siblings["model.safetensors"]
    assert (readme.size, readme.lfs) == (10, None)
    assert readme.blob_id == git_hash(FILES["README.md"])
    assert (weights.size, weights.blob_id) == (256_000, git_hash(pointer(WEIGHTS)))
    assert weights.lfs is not None
    assert weights.lfs.sha256 == SHA256
    assert (weights.lfs.size, weights.lfs.pointer_size) == (256_000, len(pointer(WEIGHTS)))


def test_a_tree_is_walked_from_any_folder(endpoint: str, repository: Repository) -> None:
    def walk(folder: str | None = None, *, recursive: bool) -> list[str]:
        entries = api(endpoint).list_repo_tree(repository.id, folder, recursive=recursive)
        return [entry.path for entry in entries]

    assert walk(recursive=False) == ["README.md", "config.json", "model.safetensors", "unet"]
    assert walk("unet", recursive=False) == ["unet/down", "unet/weights.bin"]
    assert walk(recursive=True) == sorted([*FILES, "unet", "unet/down"])
    assert walk("unet/down", recursive=True) == ["unet/down/config.json"]
    with pytest.raises(RemoteEntryNotFoundError):
        walk("vae", recursive=True)


def test_a_tree_names_the_last_commit_of_each_entry(endpoint: str, repository: Repository) -> None:
    first = repository.branches["main"]
    second = repository.commit({**FILES, "unet/weights.bin": b"new"}, title="New weights")
    entries = api(endpoint).list_repo_tree(repository.id, recursive=True, expand=True)
    last = {entry.path: entry.last_commit for entry in entries}
    changed = {path: commit.oid for path, commit in last.items() if commit}
    assert changed["unet/weights.bin"] == changed["unet"] == second
    assert changed["README.md"] == changed["unet/down"] == first
    assert last["unet"]["title"] == "New weights"


def test_long_listings_come_in_pages(
    endpoint: str, hub: LoopbackHub, repository: Repository, small_pages: None
) -> None:
    entries = api(endpoint).list_repo_tree(repository.id, recursive=True)
    assert [entry.path for entry in entries] == sorted([*FILES, "unet", "unet/down"])
    shas = [repository.commit({"n": str(n).encode()}) for n in range(4)]
    commits = [commit.commit_id for commit in api(endpoint).list_repo_commits(repository.id)]
    assert commits[:4] == shas[::-1]
    pages = [request for request in hub.requests if f"{repository.id}/commits" in request.path]
    assert sum("cursor" in request.query for request in pages) == 2


def test_paths_are_looked_up_at_once(endpoint: str, repository: Repository) -> None:
    paths = ["unet", "model.safetensors", "config.json", "missing.txt"]
    folder, weights, config = api(endpoint).get_paths_info(repository.id, paths)
    assert isinstance(folder, RepoFolder)
    assert isinstance(weights, RepoFile)
    assert isinstance(config, RepoFile)
    assert (folder.path, weights.path, config.path) == tuple(paths[:3])
    assert weights.lfs is not None
    assert (weights.size, weights.lfs.sha256) == (256_000, SHA256)
    assert (config.size, config.blob_id, config.lfs) == (2, git_hash(b"{}"), None)


def test_refs_and_commits_tell_the_history(endpoint: str, repository: Repository) -> None:
    first = repository.branches["main"]
    second = repository.commit(FILES, title="Second", description="why", author="alice")
    other = repository.commit({"x": b""}, branch="refs/pr/1")
    refs = api(endpoint).list_repo_refs(repository.id, include_pull_requests=True)
    assert [(ref.ref, ref.target_commit) for ref in refs.branches] == [("refs/heads/main", second)]
    assert [(r.ref, r.target_commit) for r in refs.pull_requests or ()] == [("refs/pr/1", other)]
    newest, oldest = api(endpoint).list_repo_commits(repository.id)
    assert (newest.commit_id, oldest.commit_id) == (second, first)
    assert (newest.title, newest.message, newest.authors) == ("Second", "why", ["alice"])
    assert newest.created_at > oldest.created_at


@pytest.mark.parametrize("file", ["README.md", "model.safetensors", "unet/down/config.json"])
def test_a_file_is_downloaded_as_it_is(
    endpoint: str, repository: Repository, tmp_path: Path, file: str
) -> None:
    path = Path(api(endpoint).hf_hub_download(repository.id, file, cache_dir=tmp_path))
    assert path.read_bytes() == FILES[file]
    assert path.parents[file.count("/")].name == repository.branches["main"]


def test_a_snapshot_holds_every_file(endpoint: str, repository: Repository, tmp_path: Path) -> None:
    folder = Path(api(endpoint).snapshot_download(repository.id, cache_dir=tmp_path))
    held = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert {name: path.read_bytes() for name, path in held.items()} == FILES


def test_a_file_on_disk_is_served_without_being_held(
    endpoint: str, hub: LoopbackHub, tmp_path: Path
) -> None:
    on_disk, empty = tmp_path / "weights", tmp_path / "empty"
    on_disk.write_bytes(WEIGHTS * 8)
    empty.touch()
    files = {"model.safetensors": on_disk, "empty.txt": empty}
    repository = hub.add(f"org/model-{next(_NUMBERS)}", files)
    for file, content in (("model.safetensors", WEIGHTS * 8), ("empty.txt", b"")):
        path = api(endpoint).hf_hub_download(repository.id, file, cache_dir=tmp_path)
        assert Path(path).read_bytes() == content


def test_a_file_system_reads_a_range_and_no_more(endpoint: str, repository: Repository) -> None:
    files = HfFileSystem(endpoint=endpoint, token=False, skip_instance_cache=True)
    assert sorted(files.find(repository.id)) == [f"{repository.id}/{name}" for name in FILES]
    for name in ("model.safetensors", "unet/weights.bin"):
        with files.open(f"{repository.id}/{name}", "rb", cache_type="none") as stream:
            stream.seek(250)
            assert stream.read(10) == FILES[name][250:260]
            stream.seek(-3, 2)
            assert stream.read(10) == FILES[name][-3:]


def test_a_branch_is_asked_for_anew_and_a_commit_stays(
    endpoint: str, repository: Repository, tmp_path: Path
) -> None:
    first = repository.branches["main"]
    client = api(endpoint)
    client.hf_hub_download(repository.id, "README.md", cache_dir=tmp_path)
    repository.commit({"README.md": b"moved"})
    for revision, content in (("main", b"moved"), (first, FILES["README.md"])):
        path = client.hf_hub_download(
            repository.id, "README.md", revision=revision, cache_dir=tmp_path
        )
        assert Path(path).read_bytes() == content


def test_what_is_not_there_is_refused_by_kind(
    endpoint: str, repository: Repository, tmp_path: Path
) -> None:
    client = api(endpoint)
    with pytest.raises(RemoteEntryNotFoundError):
        client.hf_hub_download(repository.id, "missing", cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        client.hf_hub_download(repository.id, "README.md", revision="no", cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        client.model_info(repository.id, revision="no")
    with pytest.raises(RepositoryNotFoundError):
        client.model_info("org/missing")
    with pytest.raises(RepositoryNotFoundError):
        client.hf_hub_download("org/missing", "README.md", cache_dir=tmp_path)


def test_a_revision_of_any_letters_is_refused_in_one_line(
    hub: LoopbackHub, repository: Repository
) -> None:
    with pytest.raises(RevisionNotFoundError) as caught:
        api(hub.endpoint).model_info(repository.id, revision="é\n分支\r\nX-Evil: 1")
    headers = caught.value.response.headers
    assert headers["X-Error-Message"] == r"Invalid rev id: \xe9\n\u5206\u652f\r\nX-Evil: 1"
    assert "X-Evil" not in headers


def test_a_private_repository_is_for_those_who_may_read_it(
    endpoint: str, hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.add("org/private", FILES, private=True)
    for token in (False, "hf_stranger"):
        with pytest.raises(RepositoryNotFoundError):
            api(endpoint, token).model_info("org/private")
    reader = api(endpoint, "hf_reader")
    assert reader.model_info("org/private").private is True
    path = reader.hf_hub_download("org/private", "model.safetensors", cache_dir=tmp_path)
    assert Path(path).read_bytes() == WEIGHTS


def test_a_gated_repository_is_listed_to_all_and_read_by_those_let_in(
    endpoint: str, hub: LoopbackHub, tmp_path: Path
) -> None:
    hub.add("org/gated", FILES, gated=True)
    for token, status in ((False, 401), ("hf_stranger", 403)):
        assert api(endpoint, token).model_info("org/gated").gated == "manual"
        with pytest.raises(GatedRepoError) as caught:
            api(endpoint, token).hf_hub_download("org/gated", "config.json", cache_dir=tmp_path)
        assert caught.value.response.status_code == status
    path = api(endpoint, "hf_reader").hf_hub_download(
        "org/gated", "config.json", cache_dir=tmp_path
    )
    assert Path(path).read_bytes() == b"{}"


def test_a_large_file_is_linked_at_another_origin_where_no_token_goes(
    hub: LoopbackHub, repository: Repository, tmp_path: Path
) -> None:
    url = hf_hub_url(repository.id, "model.safetensors", endpoint=hub.endpoint)
    meta = get_hf_file_metadata(url, token="hf_owner")
    assert not meta.location.startswith(hub.endpoint)
    assert (meta.commit_hash, meta.size) == (repository.branches["main"], 256_000)
    assert meta.etag == SHA256
    hub.requests.clear()
    owner = api(hub.endpoint, "hf_owner")
    owner.hf_hub_download(repository.id, "model.safetensors", cache_dir=tmp_path)
    asked = [(request.method, request.origin, request.token) for request in hub.requests]
    assert asked == [("HEAD", "hub", "hf_owner"), ("GET", "content", None)]


def test_a_range_is_recorded_as_it_was_asked(hub: LoopbackHub, repository: Repository) -> None:
    files = HfFileSystem(endpoint=hub.endpoint, token="hf_owner", skip_instance_cache=True)
    with files.open(f"{repository.id}/model.safetensors", "rb", cache_type="none") as stream:
        hub.requests.clear()
        stream.seek(1000)
        stream.read(24)
    asked = [(r.origin, r.method, r.range, r.token) for r in hub.requests]
    there = ("content", "GET", "bytes=1000-1023", None)
    assert asked == [("hub", "GET", "bytes=1000-1023", "hf_owner"), there]


def test_a_pull_request_is_a_revision(
    hub: LoopbackHub, repository: Repository, tmp_path: Path
) -> None:
    proposed = repository.commit({"README.md": b"proposed"}, branch="refs/pr/1")
    client = api(hub.endpoint)
    assert client.model_info(repository.id, revision="refs/pr/1").sha == proposed
    path = client.hf_hub_download(
        repository.id, "README.md", revision="refs/pr/1", cache_dir=tmp_path
    )
    assert Path(path).read_bytes() == b"proposed"
    tree = client.list_repo_tree(repository.id, revision="refs/pr/1")
    assert [entry.path for entry in tree] == ["README.md"]


def test_a_branch_can_move_between_two_requests(
    hub: LoopbackHub, repository: Repository, tmp_path: Path
) -> None:
    first = repository.branches["main"]
    moving = Call(lambda: repository.commit({"README.md": b"moved"}))
    hub.fail(moving, path=f"{repository.id}/resolve/{first}/config")
    client = api(hub.endpoint)
    folder = Path(client.snapshot_download(repository.id, cache_dir=tmp_path, max_workers=1))
    assert (folder.name, (folder / "README.md").read_bytes()) == (first, FILES["README.md"])
    assert client.model_info(repository.id).sha == repository.branches["main"] != first


def test_models_are_listed_to_those_who_may_see_them() -> None:
    with LoopbackHub() as hub:
        hub.add_token("hf_reader", "bob", read=("org",))
        for name in ("org/bert-a", "org/bert-b", "org/gpt", "other/bert"):
            hub.add(name, FILES)
        hub.add("org/bert-hidden", FILES, private=True)
        hub.page_size = 2

        def listed(token: str | bool = False, **filters: str) -> list[str]:
            return [model.id for model in api(hub.endpoint, token).list_models(**filters)]

        assert listed() == ["org/bert-a", "org/bert-b", "org/gpt", "other/bert"]
        assert listed(author="org") == ["org/bert-a", "org/bert-b", "org/gpt"]
        assert listed(search="BERT") == ["org/bert-a", "org/bert-b", "other/bert"]
        assert listed("hf_reader", search="hidden") == ["org/bert-hidden"]
        assert sum("cursor" in request.query for request in hub.requests) == 3


def test_access_is_checked_without_reading(hub: LoopbackHub, repository: Repository) -> None:
    closed = hub.add(f"org/model-{next(_NUMBERS)}", FILES, gated=True)
    api(hub.endpoint).auth_check(repository.id)
    api(hub.endpoint, "hf_reader").auth_check(closed.id)
    api(hub.endpoint, "hf_owner").auth_check(closed.id, write=True)
    with pytest.raises(GatedRepoError):
        api(hub.endpoint, "hf_stranger").auth_check(closed.id)
    with pytest.raises(HfHubHTTPError, match="write token"):
        api(hub.endpoint, "hf_reader").auth_check(closed.id, write=True)
    with pytest.raises(RepositoryNotFoundError):
        api(hub.endpoint).auth_check("org/missing")
