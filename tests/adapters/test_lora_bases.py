"""An adapter finds the model that it changes among what was found, and nowhere else."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from support.peft_adapters import MODELS
from support.safetensors_files import write_tensors

from thermoscan.batch.candidates import Candidate, LeftOut
from thermoscan.checkpoint import OpenOptions
from thermoscan.errors import LimitError, SourceError
from thermoscan_adapters.disk import DiskAdapter
from thermoscan_adapters.disk_collection import DiskCollection
from thermoscan_adapters.list_collection import ListCollection


def found_in(place: Path) -> dict[str, Candidate | LeftOut]:
    found = list(DiskCollection().candidates(str(place)))
    assert len({each.name for each in found}) == len(found)
    return {each.name: each for each in found}


def base_in(place: Path, name: str = "adapter") -> str:
    """Returns the base of an adapter, or the code with which it was left out."""
    found = found_in(place)[name]
    if isinstance(found, LeftOut):
        assert found.status == "skipped"
        assert found.reason.isprintable()
        return found.code
    assert found.base is not None
    return found.base


def write_adapter(folder: Path, base: object, **more: object) -> Path:
    write_tensors(folder / "adapter_model.safetensors", "a")
    config = {"peft_type": "LORA", "base_model_name_or_path": base, **more}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def write_model(folder: Path) -> Path:
    write_tensors(folder / "model.safetensors", "a")
    return folder


def test_a_real_adapter_is_found_with_its_base_and_opens_on_it(tmp_path: Path) -> None:
    place = tmp_path / "place"
    MODELS["bert"]().save_pretrained(place / "base")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what transformers and PEFT deprecate is not ours
        model = MODELS["bert"]().from_pretrained(place / "base")
        tuned = get_peft_model(model, LoraConfig(r=4, target_modules=["query", "value"]))
        tuned.save_pretrained(place / "adapter")  # with the path that it came from
    size = (place / "adapter" / "adapter_model.safetensors").stat().st_size
    found = found_in(place)
    base, adapter = str(place / "base"), found["adapter"]
    assert list(found) == ["base", "adapter"]
    assert adapter == Candidate("adapter", str(place / "adapter"), base=base, bytes=size)
    with DiskAdapter().open(base, OpenOptions()) as before:
        opened = DiskAdapter().open(adapter.source, OpenOptions(base=before))
        assert {each.name for each in opened.tensors} == {each.name for each in before.tensors}
    assert opened.files[-1].name == "adapter_model.safetensors"


def test_a_path_is_taken_from_the_adapter_and_from_the_place(tmp_path: Path) -> None:
    base = str(write_model(tmp_path / "models" / "base"))
    for stated in ("../models/base", "models/base", "./models/base", base, f"{base}/"):
        write_adapter(tmp_path / "adapter", stated)
        assert base_in(tmp_path) == base


def test_a_path_holds_where_the_place_is_a_link(tmp_path: Path) -> None:
    base = write_model(tmp_path / "real" / "base")
    (tmp_path / "link").symlink_to("real")
    write_adapter(tmp_path / "real" / "adapter", str(tmp_path / "link" / "base"))
    assert base_in(tmp_path / "link") == str(base)


def test_an_id_is_a_snapshot_of_a_cache_or_a_folder_whose_path_ends_so(tmp_path: Path) -> None:
    place = tmp_path / "place"
    write_adapter(place / "adapter", "org/name")
    assert base_in(place) == "base-not-found"
    folder = write_model(place / "models" / "org" / "name")
    write_model(place / "models" / "notorg" / "name")
    assert base_in(place) == str(folder)
    snapshot = write_model(place / "hub" / "models--org--name" / "snapshots" / "c0")
    assert base_in(place) == str(snapshot)


def test_of_several_snapshots_the_revision_that_is_meant_is_taken(tmp_path: Path) -> None:
    write_adapter(tmp_path / "adapter", "org/name")
    repository = tmp_path / "models--org--name"
    snapshots = [write_model(repository / "snapshots" / commit) for commit in ("c0", "c1")]
    assert base_in(tmp_path) == "base-ambiguous"
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c1")
    assert base_in(tmp_path) == str(snapshots[1])
    write_adapter(tmp_path / "adapter", "org/name", revision="c0")
    assert base_in(tmp_path) == str(snapshots[0])
    write_adapter(tmp_path / "adapter", "org/name", revision="../../../etc/passwd")
    assert base_in(tmp_path) == "base-ambiguous"


def test_two_folders_of_one_id_are_not_chosen_between(tmp_path: Path) -> None:
    write_adapter(tmp_path / "adapter", "org/name")
    for home in ("a", "b"):
        write_model(tmp_path / home / "org" / "name")
    assert base_in(tmp_path) == "base-ambiguous"


@pytest.mark.parametrize(
    "stated",
    ["../outside", "/etc", "/", ".", "..", "", "a\0b", "x" * 100_000, "https://evil.example/a/b",
     "\x1b[31m", None, 3, ["org/name"], "adapter", "org/nämé", "-rf"],
)  # fmt: skip
def test_what_leads_out_of_the_place_or_nowhere_is_no_base(tmp_path: Path, stated: object) -> None:
    write_model(tmp_path / "outside")
    write_adapter(tmp_path / "place" / "adapter", stated)
    assert base_in(tmp_path / "place") == "base-not-found"


def test_an_adapter_is_no_base_of_an_adapter(tmp_path: Path) -> None:
    write_adapter(tmp_path / "first", "../adapter")
    write_adapter(tmp_path / "adapter", "../first")
    assert base_in(tmp_path) == base_in(tmp_path, "first") == "base-not-found"


def test_a_configuration_that_cannot_be_trusted_is_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "adapter", "x")
    (folder / "adapter_config.json").write_text('{"a": 1, "a": 2}')
    found = found_in(tmp_path)["adapter"]
    assert isinstance(found, LeftOut)
    assert (found.status, found.code) == ("refused", "adapter-config-duplicate-key")


def test_an_adapter_beside_a_model_is_a_second_one(tmp_path: Path) -> None:
    folder = write_model(write_adapter(tmp_path / "m", "."))
    found = found_in(tmp_path)
    model, adapter = found["m"], found["m/adapter_model.safetensors"]
    assert isinstance(model, Candidate)
    assert isinstance(adapter, Candidate)
    assert (model.source, model.file, model.base) == (str(folder), None, None)
    assert (adapter.source, adapter.file) == (str(folder), "adapter_model.safetensors")
    assert adapter.base == str(folder)


def test_training_state_beside_an_adapter_is_skipped(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "adapter", "x")
    write_tensors(folder / "optimizer.pt", "a")
    write_tensors(folder / "adapter_model.bin", "a")
    codes = {name: getattr(each, "code", None) for name, each in found_in(tmp_path).items()}
    assert codes == {
        "adapter": "base-not-found",
        "adapter/optimizer.pt": "not-weights",
        "adapter/adapter_model.bin": "not-chosen",
    }


# Lists.


def listed(path: Path, *lines: str | bytes) -> dict[str, Candidate | LeftOut]:
    path.write_bytes(b"\n".join(os.fsencode(line) for line in lines))
    found = list(ListCollection().candidates(f"list:{path}"))
    assert len({each.name for each in found}) == len(found)
    return {each.name: each for each in found}


def test_each_line_of_a_list_is_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = write_model(tmp_path / "m")
    for name in ("a.pt", "b.pt"):
        write_tensors(tmp_path / "several" / name, "a")
    file = tmp_path / "several" / "a.pt"
    found = listed(
        tmp_path / "list", "\ufeffm\r", "", "  ./m/ ", f"{file}", "several", "./gone", "org/name@r",
        "a b", "~/x.pt",
    )  # fmt: skip
    size = file.stat().st_size
    home = os.path.expanduser("~")  # noqa: PTH111 - as a shell has it
    assert found == {
        "m": Candidate("m", str(model), bytes=size),
        str(file): Candidate(str(file), str(file), bytes=size),
        "several": Candidate("several", str(tmp_path / "several")),
        "gone": Candidate("gone", str(tmp_path / "gone")),
        "org/name@r": Candidate("org/name@r", "org/name@r"),
        "a b": found["a b"],
        "~/x.pt": Candidate("~/x.pt", f"{home}/x.pt"),
    }
    assert getattr(found["a b"], "code", None) == "source-not-found"


def test_an_adapter_of_a_list_finds_its_base_on_another_line(tmp_path: Path) -> None:
    base = write_model(tmp_path / "org" / "name")
    adapter = write_adapter(tmp_path / "adapter", "org/name")
    alone = listed(tmp_path / "list", str(adapter))[str(adapter)]
    assert isinstance(alone, LeftOut)
    assert (alone.status, alone.code) == ("skipped", "base-not-found")
    for line, expected in ((str(base), str(base)), ("org/name", "org/name"), ("org/name@r",) * 2):
        found = listed(tmp_path / "list", str(adapter), line)[str(adapter)]
        assert isinstance(found, Candidate)
        assert found.base == expected
    write_adapter(tmp_path / "adapter", str(base))
    found = listed(tmp_path / "list", str(base), str(adapter))[str(adapter)]
    assert isinstance(found, Candidate)
    assert found.base == str(base)


def test_a_path_that_is_no_text_stays_what_it_is(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe"
    shutil.copytree(write_model(tmp_path / "m"), os.fsdecode(path))
    (found,) = listed(tmp_path / "list", path).values()
    assert isinstance(found, Candidate)
    assert DiskAdapter().open(found.source, OpenOptions()).tensors


def test_a_list_comes_from_the_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_model(tmp_path / "m")
    (tmp_path / "list").write_text(f"{model}\n")
    with (tmp_path / "list").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        (found,) = ListCollection().candidates("list:-")
    assert found.name == str(model)


def test_a_list_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (f"list:{tmp_path}/none", f"list:{tmp_path}", "list:a\0b"):
        with pytest.raises(SourceError) as caught:
            list(ListCollection().candidates(place))
        assert caught.value.code == "list-unreadable"
    monkeypatch.setattr("thermoscan_adapters.list_collection._MOST_BYTES", 3)
    with pytest.raises(LimitError) as too_long:
        listed(tmp_path / "list", "abcd")
    assert too_long.value.code == "list-too-long"
