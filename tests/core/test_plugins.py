"""Adapters and reporters are found by entry point, the built-in ones first in line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.measuring import measured_copy

from thermoscan.errors import DataError, OptionError, ProbeError, SourceNotFoundError
from thermoscan.plugins import adapter_for, data_reader_for, publisher_for, reporter, runner_for


def test_a_path_goes_to_the_disk_and_an_id_to_the_hub(tmp_path: Path) -> None:
    assert type(adapter_for(str(tmp_path))).__name__ == "DiskAdapter"
    assert type(adapter_for("org/name")).__name__ == "HubAdapter"
    assert type(adapter_for("org/name@main")).__name__ == "HubAdapter"


def test_a_folder_is_never_taken_for_a_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert type(adapter_for("org/name")).__name__ == "DiskAdapter"


def test_what_nobody_claims_is_not_found() -> None:
    with pytest.raises(SourceNotFoundError, match="no such path"):
        adapter_for("what is this?")


def test_every_built_in_reporter_is_found_and_no_other() -> None:
    for name in (
        "json", "html", "profile", "badge", "terminal", "shields", "section", "comment",
    ):  # fmt: skip
        assert callable(reporter(name).render)
    with pytest.raises(OptionError, match="no reporter called 'pdf'"):
        reporter("pdf")


def test_a_report_of_a_path_goes_to_a_folder_and_that_of_an_id_to_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert type(publisher_for("org/name")).__name__ == "HubPublisher"
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert type(publisher_for("org/name")).__name__ == "FolderPublisher"
    with pytest.raises(SourceNotFoundError, match="no such folder"):
        publisher_for("what is this?")


def test_a_runner_needs_a_model_type_and_a_reader_of_data_a_suffix_that_it_knows(
    tmp_path: Path,
) -> None:
    import torch

    checkpoint = measured_copy({"a.weight": torch.ones(3, 4)}).checkpoint
    with pytest.raises(ProbeError, match="no configuration with a model_type"):
        runner_for(checkpoint)
    typed = replace(checkpoint, config={"model_type": "bert"})
    assert type(runner_for(typed)).__name__ == "TransformersRunner"
    assert type(data_reader_for("rows.jsonl")).__name__ == "DataAdapter"
    assert type(data_reader_for(str(tmp_path))).__name__ == "DataAdapter"
    with pytest.raises(DataError, match=r"\.txt, \.jsonl or \.csv"):
        data_reader_for("rows.xlsx")
