"""Reports on the hub, end to end: the real client against the hub on loopback, real scans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi
from safetensors.numpy import save
from support.loopback_hub import Call, Headers, LoopbackHub, Repository, Status

from thermoscan.attaching.plan import CARD_HTML, CARD_JSON, README
from thermoscan.attaching.publishing import Attached, Place, Request, Way, attach
from thermoscan.card import Card
from thermoscan.card_io import from_json
from thermoscan.errors import ThermoscanError
from thermoscan.options import ScanOptions
from thermoscan.scanner import survey
from thermoscan_adapters.hub import HubAdapter
from thermoscan_adapters.hub_publisher import TITLE, HubPublisher

CARD = b"---\nlicense: mit\nversion: 1.10  # not 1.1\n---\n# A model\n\nWords.\n"
OWNER, STRANGER, READER = "hf_owner", "hf_stranger", "hf_reader"


def weights(seed: int = 0) -> bytes:
    random = np.random.default_rng(seed)
    drawn = {f"layers.{k}.weight": random.normal(0, 0.05, (64, 64)) for k in range(3)}
    return save({name: array.astype(np.float32) for name, array in drawn.items()})


@dataclass
class World:
    """A hub with a model, and what people do to it."""

    hub: LoopbackHub
    repository: Repository
    cache: Path

    def attach(
        self,
        way: Way,
        token: str | None = OWNER,
        target: str = "org/name",
        revision: str | None = None,
        card: Card | None = None,
    ) -> Attached:
        publisher = HubPublisher(self.hub.endpoint, token)
        return attach(Request(target, way, revision, card), publisher, self.scan)

    def refused(self, *arguments: object, **named: object) -> str:
        with pytest.raises(ThermoscanError) as caught:
            self.attach(*arguments, **named)  # type: ignore[arg-type]
        assert "hf_" not in str(caught.value)
        return caught.value.code

    def scan(self, place: Place) -> Card:
        adapter, options = HubAdapter(self.hub.endpoint, self.cache), ScanOptions(place.commit)
        with adapter.open(place.source, options.opening) as checkpoint:
            return survey(checkpoint, options, lambda done, total: None)[1]

    def scan_now(self) -> Card:
        place = HubPublisher(self.hub.endpoint, OWNER).read("org/name", None, (), Way.SHOW)
        return self.scan(place)

    def text(self, revision: str = "main", name: str = README) -> str:
        return self.repository.files(revision)[name].read().decode()

    def change(self, **files: bytes) -> str:
        """Commits to main, over what is there; ``__`` stands for a dot."""
        present = {name: file.read() for name, file in self.repository.files("main").items()}
        changed = {name.replace("__", "."): data for name, data in files.items()}
        return self.repository.commit(present | changed)

    @property
    def written(self) -> list[str]:
        """What was asked of the hub that changes anything."""
        changing = ("/commit/", "/discussions", "/merge", "/comment")
        return [
            request.path
            for request in self.hub.requests
            if request.method == "POST" and any(part in request.path for part in changing)
        ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with LoopbackHub() as hub:
        hub.add_token(OWNER, "alice", write=("org", "alice"))
        hub.add_token(STRANGER, "bob", write=("bob",))
        hub.add_token(READER, "carol", read=("org",))
        repository = hub.add("org/name", {"model.safetensors": weights(), README: CARD})
        yield World(hub, repository, tmp_path / "cache")


def test_showing_the_diff_needs_no_token_and_writes_nothing(world: World) -> None:
    attached = world.attach(Way.SHOW, token=None)
    assert attached.done is None
    assert [change.name for change in attached.plan.changes] == [CARD_JSON, CARD_HTML, README]
    assert attached.plan.files[2].before == CARD
    assert world.written == []
    assert {request.method for request in world.hub.requests} <= {"GET", "HEAD"}


def test_a_stranger_opens_one_pull_request_and_the_next_run_does_nothing(world: World) -> None:
    first = world.repository.branches["main"]
    done = world.attach(Way.PULL_REQUEST, STRANGER).done
    assert done == f"Opened a pull request: {world.hub.endpoint}/org/name/discussions/1"
    assert world.repository.files("main")[README].read() == CARD
    text = world.text("refs/pr/1")
    assert text.startswith(
        "---\nlicense: mit\nversion: 1.10  # not 1.1\ntags:\n- thermoscan\n"
        "---\n# A model\n\nWords.\n\n<!-- thermoscan:start -->\n"
    )
    assert f"commit `{first}`" in text
    card = from_json(world.text("refs/pr/1", CARD_JSON))
    assert (card.model.id, card.model.revision) == ("org/name", first)
    assert world.repository.commits[world.repository.branches["refs/pr/1"]].parent == first
    changed = set(world.repository.files("refs/pr/1")) - set(world.repository.files("main"))
    assert changed == {CARD_JSON, CARD_HTML}
    (opened,) = world.repository.discussions
    assert (opened.title, opened.author, opened.status) == (TITLE, "bob", "open")

    before = len(world.written)
    again = world.attach(Way.PULL_REQUEST, STRANGER)
    assert (again.done, again.plan.changes, again.revision) == (None, (), "refs/pr/1")
    assert len(world.written) == before


def test_other_weights_update_the_pull_request_that_is_open(world: World) -> None:
    world.attach(Way.PULL_REQUEST, STRANGER)
    second = world.change(model__safetensors=weights(1))
    done = world.attach(Way.PULL_REQUEST, STRANGER).done
    assert done == f"Updated the pull request: {world.hub.endpoint}/org/name/discussions/1"
    assert len(world.repository.discussions) == 1
    assert f"commit `{second}`" in world.text("refs/pr/1")
    assert world.attach(Way.PULL_REQUEST, STRANGER).done is None


def test_a_branch_that_moved_without_its_weights_changes_no_report(world: World) -> None:
    world.attach(Way.PULL_REQUEST, STRANGER)
    world.change(other__txt=b"x")
    assert world.attach(Way.PULL_REQUEST, STRANGER).done is None


def test_a_merged_pull_request_leaves_nothing_to_do(world: World) -> None:
    first = world.repository.branches["main"]
    world.attach(Way.PULL_REQUEST, STRANGER)
    HfApi(world.hub.endpoint, token=OWNER).merge_pull_request("org/name", 1)
    before = len(world.written)
    for way in (Way.PULL_REQUEST, Way.COMMIT, Way.SHOW):
        attached = world.attach(way)
        assert (attached.done, attached.plan.changes) == (None, ())
    assert len(world.written) == before
    assert f"commit `{first}`" in world.text()


def test_a_closed_pull_request_of_ours_and_those_of_others_are_left_alone(world: World) -> None:
    world.attach(Way.PULL_REQUEST, STRANGER)
    world.attach(Way.PULL_REQUEST, OWNER)
    api = HfApi(world.hub.endpoint, token=STRANGER)
    api.change_discussion_status("org/name", 1, "closed")
    api.create_pull_request("org/name", "Something else")
    world.attach(Way.PULL_REQUEST, STRANGER)
    opened = [(each.number, each.author, each.title) for each in world.repository.discussions]
    assert opened[1:] == [(2, "alice", TITLE), (3, "bob", "Something else"), (4, "bob", TITLE)]


def test_a_pull_request_that_cannot_be_merged_any_more_is_told_and_another_opened(
    world: World,
) -> None:
    world.attach(Way.PULL_REQUEST, STRANGER)
    world.change(README__md=CARD + b"Theirs.\n", model__safetensors=weights(6))
    before = world.text("refs/pr/1")
    assert world.refused(Way.PULL_REQUEST, STRANGER) == "hub-conflict"
    assert world.text("refs/pr/1") == before
    api = HfApi(world.hub.endpoint, token=STRANGER)
    api.change_discussion_status("org/name", 1, "closed")
    assert str(world.attach(Way.PULL_REQUEST, STRANGER).done).endswith("/discussions/2")
    assert "Theirs.\n" in world.text("refs/pr/2")


def test_the_owner_commits_to_the_branch_and_the_next_run_does_nothing(world: World) -> None:
    first = world.repository.branches["main"]
    done = world.attach(Way.COMMIT).done
    head = world.repository.branches["main"]
    assert done == f"Committed: {world.hub.endpoint}/org/name/commit/{head}"
    assert world.repository.commits[head].parent == first
    assert world.attach(Way.COMMIT).done is None
    world.change(model__safetensors=weights(2))
    assert world.attach(Way.COMMIT).done is not None
    titles = [commit.title for commit in world.repository.commits.values()]
    assert titles[1::2] == [TITLE, "Update the thermoscan report of the weights"]


def test_another_branch_is_committed_to_where_it_is_named(world: World) -> None:
    world.repository.commit({"model.safetensors": weights(3)}, branch="v2")
    world.attach(Way.COMMIT, revision="v2")
    assert "thermoscan:start" in world.text("v2")
    assert world.text().encode() == CARD
    assert world.refused(Way.PULL_REQUEST, revision="v2") == "pull-request-revision"
    assert world.refused(Way.COMMIT, revision=world.repository.branches["main"]) == (
        "hub-revision-not-found"
    )


def test_a_comment_is_posted_once_and_again_when_it_says_something_else(world: World) -> None:
    url = f"{world.hub.endpoint}/org/name/discussions/1"
    assert world.attach(Way.COMMENT, STRANGER).done == f"Opened a discussion: {url}"
    again = world.attach(Way.COMMENT, STRANGER).done
    assert again == f"Nothing to do, the discussion says so already: {url}"
    world.change(model__safetensors=weights(4))
    assert world.attach(Way.COMMENT, STRANGER).done == f"Commented: {url}"
    (discussion,) = world.repository.discussions
    said = [event.data["latest"]["raw"] for event in discussion.events]  # type: ignore[index]
    assert [text.count("## What the weights show") for text in said] == [1, 1]
    assert "thermoscan/card" not in said[0]
    assert world.text().encode() == CARD


def test_a_card_written_before_is_attached_where_the_weights_are_still_the_same(
    world: World,
) -> None:
    card = world.scan_now()
    world.change(other__txt=b"x")
    world.attach(Way.COMMIT, card=card)
    assert from_json(world.text(name=CARD_JSON)) == from_json(card.to_json())


def test_a_card_of_other_weights_is_refused(world: World) -> None:
    card = world.scan_now()
    world.change(model__safetensors=weights(5))
    assert world.refused(Way.COMMIT, card=card) == "weights-differ"
    assert world.written == []


def test_a_card_that_lies_about_its_commit_is_refused(world: World) -> None:
    first = world.repository.branches["main"]
    second = world.change(model__safetensors=weights(5))
    card = world.scan_now()
    lying = replace(card, model=replace(card.model, revision=first))
    assert world.refused(Way.COMMIT, card=lying) == "weights-differ"
    nowhere = replace(card, model=replace(card.model, revision="0" * 40))
    assert world.refused(Way.COMMIT, card=nowhere) == "hub-revision-not-found"
    assert card.model.revision == second


def test_a_report_that_lies_about_its_commit_is_replaced(world: World) -> None:
    """What is there stays only where it is true, though it says the same of the weights."""
    card = world.scan_now()
    lying = replace(card, model=replace(card.model, revision="0" * 40))
    world.attach(Way.COMMIT)
    forged = {CARD_JSON: lying.to_json().encode()}
    world.repository.commit(
        {name: file.read() for name, file in world.repository.files("main").items()} | forged
    )
    head = world.repository.branches["main"]
    assert world.attach(Way.COMMIT).done is not None
    assert from_json(world.text(name=CARD_JSON)).model.revision == head


def test_a_card_of_another_repository_is_refused_and_one_from_disk_needs_its_sha256(
    world: World,
) -> None:
    card = world.scan_now()
    elsewhere = replace(card, model=replace(card.model, id="org/other"))
    assert world.refused(Way.COMMIT, card=elsewhere) == "card-other-model"
    model = replace(card.model, id="my-copy", revision=None, reasons={"revision": "from disk"})
    from_disk = replace(card, model=model)
    assert world.attach(Way.SHOW, card=from_disk).plan.changes
    (file,) = model.files
    undigested = replace(file, digest=replace(file.digest, algorithm="xxh3-128/tensors"))
    from_disk = replace(card, model=replace(model, files=(undigested,)))
    assert world.refused(Way.COMMIT, card=from_disk) == "weights-unproven"


def test_a_commit_of_somebody_else_meanwhile_is_not_overwritten(world: World) -> None:
    theirs = CARD + b"Theirs.\n"
    world.hub.fail(Call(lambda: world.change(README__md=theirs)), path="/preupload/")
    assert world.refused(Way.COMMIT) == "hub-moved"
    assert world.text().encode() == theirs
    assert world.attach(Way.COMMIT).done is not None
    assert "Theirs.\n" in world.text()


@pytest.mark.parametrize(
    ("token", "way", "code"),
    [
        (None, Way.COMMIT, "hub-token"),
        (None, Way.PULL_REQUEST, "hub-token"),
        (None, Way.COMMENT, "hub-token"),
        ("hf_wrong", Way.SHOW, "hub-token"),
        (STRANGER, Way.COMMIT, "hub-read-only"),
        (READER, Way.COMMIT, "hub-token-scope"),
        (READER, Way.PULL_REQUEST, "hub-token-scope"),
        (READER, Way.COMMENT, "hub-token-scope"),
        (OWNER, Way.WRITE, "hub-has-no-folder"),
    ],
)
def test_who_may_not_is_told_why(
    world: World, monkeypatch: pytest.MonkeyPatch, token: str | None, way: Way, code: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nonexistent")
    assert world.refused(way, token) == code
    scanned = any("model.safetensors" in request.path for request in world.hub.requests)
    assert scanned == (token in {STRANGER, READER})
    assert world.text().encode() == CARD
    assert world.repository.discussions == []


@pytest.mark.parametrize("file", ["model.safetensors", "unet"])
def test_a_report_is_of_no_single_file(world: World, file: str) -> None:
    before = len(world.hub.requests)
    assert world.refused(Way.COMMIT, target=f"hf://org/name/{file}") == "target-is-file"
    url = f"{world.hub.endpoint}/org/name/blob/main/{file}"
    assert world.refused(Way.SHOW, target=url) == "target-is-file"
    assert len(world.hub.requests) == before


def test_what_is_not_there_or_not_open_is_told(world: World) -> None:
    world.hub.add("org/gated", {"model.safetensors": weights(), README: CARD}, gated=True)
    assert world.refused(Way.SHOW, STRANGER, "org/gated") == "hub-gated"
    assert world.refused(Way.SHOW, STRANGER, "org/missing") == "hub-repository-not-found"
    assert world.refused(Way.SHOW, revision="nope") == "hub-revision-not-found"
    closed = Status(403, {"X-Error-Message": "Discussions are disabled for this repository"})
    world.hub.fail(closed, path="/discussions", method="GET")
    assert world.refused(Way.PULL_REQUEST) == "hub-discussions-closed"


def test_front_matter_that_the_hub_does_not_accept_is_told(world: World) -> None:
    world.change(README__md=b"---\nlicense: [mit\n---\n# Hi\n")
    attached = world.attach(Way.SHOW)
    assert "no YAML that can be read" in attached.plan.notes[0]
    assert world.refused(Way.COMMIT) == "hub-metadata"


@pytest.mark.parametrize("readme", [b"caf\xe9", b"<!-- thermoscan:start -->\n", b"x" * 600_000])
def test_a_model_card_that_cannot_take_a_section_is_left_alone(world: World, readme: bytes) -> None:
    world.change(README__md=readme)
    assert world.refused(Way.COMMIT).startswith("readme-")
    assert world.written == []


def test_a_model_card_is_read_to_its_listed_length_and_leaves_no_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    world.hub.fail(Headers({"Content-Length": "99999"}), path=README, times=None)
    assert world.refused(Way.SHOW) == "hub-range"
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_a_card_gets_one(world: World) -> None:
    world.repository.commit({"model.safetensors": weights()})
    world.attach(Way.COMMIT)
    assert world.text().startswith("---\ntags:\n- thermoscan\n---\n\n<!-- thermoscan:start -->\n")
