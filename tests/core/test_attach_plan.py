"""The plan of a report: a diff that git applies, a card that stays, weights that match."""

from __future__ import annotations

import subprocess
from collections import UserDict
from dataclasses import replace
from pathlib import Path

import pytest
from support.cards import realistic

from thermoscan.attaching.plan import CARD_HTML, CARD_JSON, README, card_there, diff_of, plan_of
from thermoscan.attaching.weights import WeightFile, check_weights
from thermoscan.card import Card, Digest, ModelFile
from thermoscan.card_io import from_json
from thermoscan.errors import AttachError

OTHER_COMMIT = "c" * 40


def present(readme: bytes | None, card: Card | None = None) -> dict[str, bytes]:
    files = {} if readme is None else {README: readme}
    if card is not None:
        files |= {file.name: file.after for file in plan_of(card, files).files}
    return files


def at_commit(card: Card, commit: str | None) -> Card:
    return replace(card, model=replace(card.model, revision=commit))


@pytest.mark.parametrize(
    "readme",
    [None, b"", b"# Hi", b"# Hi\n", b"a\r\nb\r\n", b"a\rb", b"---\na: b\n---\n" + b"x\n" * 50],
    ids=repr,
)  # fmt: skip
def test_git_makes_of_the_diff_exactly_what_would_be_written(
    readme: bytes | None, tmp_path: Path
) -> None:
    plan = plan_of(realistic(), present(readme))
    if readme is not None:
        (tmp_path / README).write_bytes(readme)
    diff = diff_of(plan)
    if readme != b"":  # git tells an empty file from none by lines that a plain diff has not
        command = ["git", "apply", "--whitespace=nowarn", "-"]
        subprocess.run(command, input=diff, cwd=tmp_path, check=True)
        assert (tmp_path / README).read_bytes() == plan.files[-1].after
    size = len(plan.files[0].after)
    assert f"\n# {CARD_JSON}: new, {size:,} bytes\n".encode() in diff


def test_what_is_attached_is_found_unchanged_and_another_card_is_a_change() -> None:
    files = present(b"# Hi\n", realistic())
    plan = plan_of(realistic(), files)
    assert plan.changes == ()
    assert diff_of(plan).decode().count(": unchanged, ") == 2
    warmer = replace(realistic(), summary=replace(realistic().summary, reduced_temperature=9.0))
    changed = plan_of(warmer, files)
    assert [file.name for file in changed.changes] == [CARD_JSON, CARD_HTML, README]
    assert b"-| Reduced temperature \xcf\x84 | 2.62 |" in diff_of(changed)
    assert b"+| Reduced temperature \xcf\x84 | 9.00 |" in diff_of(changed)
    assert f"# {CARD_HTML}: changed, ".encode() in diff_of(changed)


def test_the_card_that_is_there_stays_where_only_the_commit_differs() -> None:
    files = present(None, realistic())
    there = card_there(at_commit(realistic(), OTHER_COMMIT), files)
    assert there is not None
    assert there.model.revision == realistic().model.revision
    other = replace(realistic(), notes=("something else",))
    assert card_there(other, files) is None
    assert card_there(realistic(), {}) is None
    for broken in (b"{", b"\xff", b'{"version": 99}', b"[]"):
        assert card_there(realistic(), {CARD_JSON: broken}) is None


def test_the_card_that_is_written_is_the_card() -> None:
    plan = plan_of(realistic(), {})
    assert from_json(plan.files[0].after.decode()) == realistic()
    assert plan.files[1].after.startswith(b"<!doctype html>")


FILE = "model.safetensors"
SHA, TENSORS = Digest("sha256", "ab" * 32), Digest("xxh3-128/tensors", "cd" * 16)


def card_of(digest: Digest) -> Card:
    model = replace(realistic().model, files=(ModelFile(FILE, 100, digest),))
    return replace(realistic(), model=model)


def listed(size: int = 100, sha256: str | None = None, content: str | None = None) -> WeightFile:
    return WeightFile(size, sha256, content)


@pytest.mark.parametrize(
    ("digest", "scanned", "target"),
    [
        (SHA, None, listed(sha256="ab" * 32)),
        (SHA, listed(sha256="ab" * 32, content="1"), listed(sha256="ab" * 32, content="1")),
        (TENSORS, listed(content="1"), listed(content="1")),
        (SHA, listed(content="1"), listed(content="1")),
    ],
)
def test_a_card_of_these_weights_passes(
    digest: Digest, scanned: WeightFile | None, target: WeightFile
) -> None:
    before = None if scanned is None else {FILE: scanned}
    check_weights(card_of(digest), before, {FILE: target, "other.bin": listed(5)})


@pytest.mark.parametrize(
    ("digest", "scanned", "target", "code"),
    [
        (SHA, None, None, "weights-differ"),
        (SHA, None, listed(101, "ab" * 32), "weights-differ"),
        (SHA, None, listed(100, "00" * 32), "weights-differ"),
        (SHA, listed(100, "00" * 32, "1"), listed(100, "ab" * 32, "2"), "weights-differ"),
        (TENSORS, listed(99, content="1"), listed(content="1"), "weights-differ"),
        (TENSORS, listed(content="1"), listed(content="2"), "weights-differ"),
        (TENSORS, None, listed(sha256="ab" * 32), "weights-unproven"),
        (SHA, None, listed(), "weights-unproven"),
        (TENSORS, listed(), listed(), "weights-unproven"),
    ],
)
def test_a_card_of_other_weights_or_without_proof_is_refused(
    digest: Digest, scanned: WeightFile | None, target: WeightFile | None, code: str
) -> None:
    before = None if scanned is None else {FILE: scanned}
    with pytest.raises(AttachError) as caught:
        check_weights(card_of(digest), before, {} if target is None else {FILE: target})
    assert (caught.value.code, caught.value.file) == (code, FILE)


def test_a_file_is_looked_up_once_for_that_may_digest_it() -> None:
    asked = []

    class Digested(UserDict[str, WeightFile]):
        def __getitem__(self, name: str) -> WeightFile:
            asked.append(name)
            return super().__getitem__(name)

    check_weights(card_of(SHA), None, Digested({FILE: listed(sha256="ab" * 32)}))
    assert asked == [FILE]


def test_a_card_that_lists_no_file_is_refused() -> None:
    card = replace(realistic(), model=replace(realistic().model, files=()))
    with pytest.raises(AttachError, match="lists no weight file"):
        check_weights(card, {}, {FILE: listed(content="1")})


@pytest.mark.parametrize(
    "index",
    [
        "model.safetensors.index.json",
        "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
        "model_index.json",
    ],
)
def test_an_index_of_other_shards_or_components_is_another_model(index: str) -> None:
    before = {FILE: listed(content="1"), index: listed(5, content="2")}
    check_weights(card_of(TENSORS), before, before)
    for after in ({FILE: before[FILE]}, before | {index: listed(5, content="3")}):
        with pytest.raises(AttachError) as caught:
            check_weights(card_of(TENSORS), before, after)
        assert (caught.value.code, caught.value.file) == ("weights-differ", index)


def test_a_file_that_the_card_s_commit_lacks_is_refused() -> None:
    with pytest.raises(AttachError, match="at the commit that the card names"):
        check_weights(card_of(SHA), {}, {FILE: listed(sha256="ab" * 32)})
