"""The folder of a batch: what a killed process leaves in it, and who may write to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from thermoscan.batch.cards import LAST, BatchFolder, home_of
from thermoscan.errors import OptionError

FILES = {"card.json": "{}", "card.html": "<p>", "profile.svg": "<svg/>"}


def names_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_a_killed_process_was_writing_does_not_stay(tmp_path: Path) -> None:
    with BatchFolder(tmp_path) as folder:
        folder.write("org/model", FILES)
        folder.write_index([("index.html", "<p>")])
    before = names_below(tmp_path)
    for half in (tmp_path, tmp_path / "cards" / "org--model"):
        (half / ".thermoscan-abcdefgh").write_text("half a fi")
    with BatchFolder(tmp_path) as folder:
        folder.write("org/model", FILES)
    assert names_below(tmp_path) == before


def test_a_folder_is_one_batch_s_at_a_time(tmp_path: Path) -> None:
    with BatchFolder(tmp_path):
        with pytest.raises(OptionError) as refused:
            BatchFolder(tmp_path)
        assert refused.value.code == "output-in-use"
    with BatchFolder(tmp_path) as folder:
        assert not folder.has("model")


def test_where_the_last_file_is_all_are_of_the_same_scan(tmp_path: Path) -> None:
    with BatchFolder(tmp_path) as folder:
        folder.write("model", FILES)
        assert folder.has("model")
        with pytest.raises(UnicodeEncodeError):
            folder.write("model", {**FILES, "profile.svg": "\ud800"})
        assert not folder.has("model")
        folder.write("model", FILES)
        assert folder.has("model")


def test_cards_that_cannot_be_removed_are_not_said_to_be(tmp_path: Path) -> None:
    with BatchFolder(tmp_path) as folder:
        (tmp_path / "cards" / home_of("model") / LAST).mkdir(parents=True)
        with pytest.raises(OptionError) as failed:
            folder.remove("model")
    assert failed.value.code == "output-unwritable"
