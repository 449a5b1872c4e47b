"""Reports in folders: whole files, their permissions, and nothing written through a link."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.safetensors_files import write_tensors

from thermoscan.attaching.plan import CARD_HTML, CARD_JSON, README
from thermoscan.attaching.publishing import Attached, Place, Request, Way, attach
from thermoscan.card import Card
from thermoscan.errors import ThermoscanError
from thermoscan.options import ScanOptions
from thermoscan.scanner import scan as scan_model
from thermoscan_adapters.folder_publisher import FolderPublisher

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my-model"
    folder.mkdir()
    write_tensors(folder / WEIGHTS, "a", "b")
    (folder / README).write_bytes(b"# Mine\r\n")
    return folder


def run(folder: Path, way: Way = Way.WRITE, card: Card | None = None) -> Attached:
    return attach(Request(str(folder), way, None, card), FolderPublisher(), scan)


def scan(place: Place) -> Card:
    return scan_model(place.source)


def refused(folder: Path, card: Card | None = None) -> ThermoscanError:
    before = contents(folder)
    with pytest.raises(ThermoscanError) as caught:
        run(folder, card=card)
    assert contents(folder) == before
    return caught.value


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_report_is_written_once(folder: Path) -> None:
    before = contents(folder)
    shown = run(folder, Way.SHOW)
    assert (shown.done, contents(folder)) == (None, before)
    done = run(folder)
    assert done.done == f"Wrote {CARD_JSON}, {CARD_HTML}, {README}."
    after = contents(folder)
    assert {name: after[name] for name in (CARD_JSON, CARD_HTML, README)} == {
        change.name: change.after for change in shown.plan.files
    }
    assert set(after) == {WEIGHTS, README, CARD_JSON, CARD_HTML}
    again = run(folder)
    assert (again.done, again.plan.changes, contents(folder)) == (None, (), after)


def test_a_missing_file_alone_is_written_again(folder: Path) -> None:
    run(folder)
    (folder / CARD_HTML).unlink()
    assert run(folder).done == f"Wrote {CARD_HTML}."


def test_permissions_stay(folder: Path) -> None:
    (folder / README).chmod(0o640)
    run(folder)
    assert (folder / README).stat().st_mode & 0o777 == 0o640
    assert (folder / CARD_JSON).stat().st_mode & 0o777 == 0o644


def digested(folder: Path) -> Card:
    return scan_model(str(folder), ScanOptions(sha256=True))


def test_a_card_with_the_sha256_of_the_weights_is_attached(folder: Path) -> None:
    card = digested(folder)
    assert run(folder, card=card).done is not None
    assert (folder / CARD_JSON).read_text() == card.to_json()


def test_a_card_without_a_sha256_says_what_to_do(folder: Path) -> None:
    error = refused(folder, scan_model(str(folder)))
    assert (error.code, error.file) == ("weights-unproven", WEIGHTS)
    assert "--sha256" in str(error)


def _other_bytes(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def _longer(folder: Path) -> None:
    write_tensors(folder / WEIGHTS, "a", "b", "c")


def _gone(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


@pytest.mark.parametrize("change", [_other_bytes, _longer, _gone])
def test_a_card_of_other_weights_is_refused(folder: Path, change: Callable[[Path], object]) -> None:
    card = digested(folder)
    change(folder)
    assert refused(folder, card).code == "weights-differ"


def test_a_card_that_names_a_file_elsewhere_reaches_nothing(folder: Path) -> None:
    card = digested(folder)
    (folder.parent / "outside").write_bytes(b"x")
    for name, code in (("../outside", "link-outside"), ("/etc/passwd", "link-outside")):
        file = replace(card.model.files[0], name=name)
        forged = replace(card, model=replace(card.model, files=(file,)))
        assert refused(folder, forged).code == code


def _link_the_card(folder: Path) -> None:
    (folder / README).rename(folder / "real.md")
    (folder / README).symlink_to("real.md")


def _dangling_link(folder: Path) -> None:
    (folder / README).unlink()
    (folder / README).symlink_to("../made-elsewhere.md")


def _link_the_folder(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder / "thermoscan").symlink_to("../elsewhere")


def _folder_for_a_card(folder: Path) -> None:
    (folder / README).unlink()
    (folder / README).mkdir()


def _pipe(folder: Path) -> None:
    (folder / README).unlink()
    os.mkfifo(folder / README)


def _file_for_a_folder(folder: Path) -> None:
    (folder / "thermoscan").write_text("a file")


def _huge(folder: Path) -> None:
    with (folder / README).open("wb") as file:
        file.truncate(10**10)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_link_the_card, "link-in-the-way"),
        (_dangling_link, "link-in-the-way"),
        (_link_the_folder, "link-in-the-way"),
        (_folder_for_a_card, "file-not-regular"),
        (_pipe, "file-not-regular"),
        (_file_for_a_folder, "output-unwritable"),
    ],
)
def test_what_stands_in_the_way_is_told_and_nothing_is_written(
    folder: Path, change: Callable[[Path], object], code: str
) -> None:
    change(folder)
    assert refused(folder).code == code
    assert not (folder.parent / "made-elsewhere.md").exists()


def test_a_card_of_gigabytes_is_not_read(folder: Path) -> None:
    _huge(folder)
    with pytest.raises(ThermoscanError) as caught:
        run(folder)
    assert caught.value.code == "file-too-long"


def test_a_card_that_was_changed_meanwhile_is_not_overwritten(folder: Path) -> None:
    def scan_while_it_is_edited(place: Place) -> Card:
        (folder / README).write_bytes(b"# Edited\n")
        return scan(place)

    with pytest.raises(ThermoscanError) as caught:
        attach(Request(str(folder), Way.WRITE), FolderPublisher(), scan_while_it_is_edited)
    assert caught.value.code == "file-changed"
    assert (folder / README).read_bytes() == b"# Edited\n"
    assert not (folder / CARD_JSON).exists()


@pytest.mark.parametrize(
    ("target", "way", "revision", "code"),
    [
        ("my-model", Way.COMMIT, None, "folder-has-no-hub"),
        ("my-model", Way.PULL_REQUEST, None, "folder-has-no-hub"),
        ("my-model", Way.COMMENT, None, "folder-has-no-hub"),
        ("my-model", Way.WRITE, "main", "revision-of-a-path"),
        ("my-model/model.safetensors", Way.WRITE, None, "target-not-folder"),
        ("nothing", Way.WRITE, None, "target-not-folder"),
    ],
)
def test_what_makes_no_sense_for_a_folder_is_refused(
    folder: Path, target: str, way: Way, revision: str | None, code: str
) -> None:
    before = contents(folder)
    with pytest.raises(ThermoscanError) as caught:
        attach(Request(str(folder.parent / target), way, revision), FolderPublisher(), scan)
    assert (caught.value.code, contents(folder)) == (code, before)


def test_a_download_cache_is_not_written_to(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--name" / "snapshots" / ("a" * 40)
    for folder in (snapshot, snapshot / "unet"):
        folder.mkdir(parents=True)
        write_tensors(folder / WEIGHTS, "a")
        error = refused(folder)
        assert error.code == "folder-is-cache"
        assert "attach to the repository org/name itself" in error.reason


def test_a_place_says_which_files_are_there(folder: Path) -> None:
    place = FolderPublisher().read(str(folder), None, (), Way.SHOW)
    assert list(place.weights) == [README, WEIGHTS]
    assert len(place.weights) == 2
    assert "other" not in place.weights
    assert place.id == "my-model"
