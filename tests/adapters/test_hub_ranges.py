"""A scan by range is the scan of the file: the same card, every byte once, in few requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from support import peft_adapters
from support.hub_clients import adapter_of, bytes_asked, measured, scan_of
from support.loopback_hub import Answer, LoopbackHub, Request
from support.loopback_hub.messages import Answerer
from support.safetensors_files import write_raw
from support.wheels import path_of

import thermoscan
from thermoscan_adapters.hub import HubAdapter
from thermoscan_adapters.hub_folder import CONNECTIONS

PAGE = 1 << 17
"""What is read ahead of a header, and back from the end of an archive."""

WRITTEN_BY_THE_CLIENT = {".agent_harnesses.json"}
"""What huggingface_hub keeps in HF_HOME whoever uses it."""


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def adapter(hub: LoopbackHub, tmp_path: Path) -> HubAdapter:
    return adapter_of(hub, tmp_path / "cache")


def publish(hub: LoopbackHub, path: Path) -> None:
    """Adds a file, or the files of a folder, as org/name."""
    files = [each for each in path.iterdir() if each.is_file()] if path.is_dir() else [path]
    hub.add("org/name", {file.name: file for file in files})


def assert_same(hub: LoopbackHub, adapter: HubAdapter, path: Path) -> None:
    """Makes sure that the scan of a hub is that of the disk, and asks for each byte once."""
    publish(hub, path)
    assert measured(scan_of(adapter)) == measured(thermoscan.scan(str(path)))
    for name, file in hub.repositories["org/name"].files("main").items():
        if file.large:
            assert (
                sum(length for _, length in bytes_asked(hub, name)) <= 1.01 * file.size + 2 * PAGE
            )


@pytest.mark.parametrize("name", ["minilm", "crepe-tiny", "resemblyzer", "chgnet-0.3.0"])
def test_real_checkpoints_have_the_card_that_they_have_on_disk(
    hub: LoopbackHub, adapter: HubAdapter, name: str
) -> None:
    assert_same(hub, adapter, path_of(name))


def test_a_sharded_checkpoint_has_the_card_that_it_has_on_disk(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path
) -> None:
    model = peft_adapters.bert()
    model.save_pretrained(tmp_path / "model", max_shard_size="40KB")
    assert len(list((tmp_path / "model").glob("model-*.safetensors"))) > 2
    assert_same(hub, adapter, tmp_path / "model")


def views() -> dict[str, torch.Tensor]:
    """Tensors that share storages, and some that lie in them with gaps or the other way round."""
    generator = torch.Generator().manual_seed(0)
    storage = torch.randn(600, 400, generator=generator)
    wide = torch.zeros(64, 1 << 16)
    wide[:, :512] = torch.randn(64, 512, generator=generator)
    tied = torch.randn(300, 200, generator=generator)
    return {
        "columns.weight": storage[:, 40:240],
        "transposed.weight": torch.randn(200, 300, generator=generator).T,
        "far.weight": wide[:, :512],
        "embed.weight": tied,
        "head.weight": tied,
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_shared_and_strided_tensors_have_the_card_that_they_have_on_disk(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path, zipped: bool
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(views(), path, _use_new_zipfile_serialization=zipped)
    assert_same(hub, adapter, path)


def test_hundreds_of_tiny_tensors_are_read_in_few_requests(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    tensors = {f"a{k}.weight": rng.standard_normal((4, 8)).astype(np.float32) for k in range(700)}
    save_file(tensors, tmp_path / "tiny.safetensors")
    hub.latency_seconds = 0.02
    assert_same(hub, adapter, tmp_path / "tiny.safetensors")
    assert len(hub.requests) < 700 / 64 + 20


def test_a_torch_archive_of_many_small_storages_is_read_in_few_requests(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path
) -> None:
    path = tmp_path / "small.pth"
    torch.manual_seed(0)
    torch.save({f"{k}.weight": torch.randn(20, 20) for k in range(300)}, path)
    hub.latency_seconds = 0.02
    publish(hub, path)
    assert measured(scan_of(adapter)) == measured(thermoscan.scan(str(path)))
    asked = bytes_asked(hub, path.name)
    assert len(asked) < 20
    # Headers so near to each other are read with what lies between them, which is read again.
    assert sum(length for _, length in asked) <= 2 * path.stat().st_size + 2 * PAGE


class Busy:
    """A fault that is none: it holds each request for a moment and sees how many there are."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._now = 0
        self.most = 0

    def __call__(self, request: Request, answer: Answerer) -> Answer:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.01)
        with self._lock:
            self._now -= 1
        return answer(request)


def test_no_more_ranges_than_promised_are_under_way_at_once(
    hub: LoopbackHub, adapter: HubAdapter, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    # Between each two that are read, gaps too wide to be read over.
    torch.save(
        {f"{k}.weight": torch.zeros(16, 1 << 16)[:, :64] for k in range(8)}, tmp_path / "a.pth"
    )
    publish(hub, tmp_path / "a.pth")
    busy = Busy()
    hub.fail(busy, origin="content", times=None)
    scan_of(adapter)
    assert 1 < busy.most <= CONNECTIONS


def run(*arguments: str, hub: LoopbackHub, cwd: Path) -> str:
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(cwd / "home")}
    command = str(Path(sys.executable).parent / "thermoscan")
    done = subprocess.run(
        [command, *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def test_an_adapter_is_compared_with_its_base_where_both_are_on_the_hub(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    peft_adapters.save("bert", tmp_path, target_modules=["query", "value"])
    for name in ("base", "adapter"):
        files = {path.name: path for path in (tmp_path / name).iterdir()}
        hub.add(f"org/{name}", files)
    (tmp_path / "work").mkdir()
    there = run("compare", "org/base", "org/adapter", "--json", "-", hub=hub, cwd=tmp_path / "work")
    here = thermoscan.compare(str(tmp_path / "base"), str(tmp_path / "adapter")).to_json()
    remote, local = json.loads(there), json.loads(here)
    for part in ("summary", "layers", "findings", "coverage"):
        assert remote[part] == local[part]
    written = {each.name for each in (tmp_path / "work").rglob("*") if each.is_file()}
    assert written <= WRITTEN_BY_THE_CLIENT


MEASURE = """
import thermoscan
thermoscan.scan("org/name")
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]))
"""


def peak_of(hub: LoopbackHub, tmp_path: Path, tensors: int) -> int:
    """Returns the most KB that a process holds that scans so many tensors of 8 MB."""
    path = tmp_path / f"{tensors}.safetensors"
    shape, size = [1024, 2048], 1024 * 2048 * 4
    block = np.random.default_rng(0).standard_normal(shape).astype(np.float32).tobytes()
    entries = {
        f"layers.{k}.weight": {
            "dtype": "F32", "shape": shape, "data_offsets": [k * size, (k + 1) * size],
        }
        for k in range(tensors)
    }  # fmt: skip
    write_raw(path, entries)
    with path.open("ab") as stream:
        for _ in range(tensors):
            stream.write(block)
    publish(hub, path)
    work = tmp_path / f"work-{tensors}"
    work.mkdir()
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(work / "home")}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        cwd=work, env=environment, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert {each.name for each in work.rglob("*") if each.is_file()} <= WRITTEN_BY_THE_CLIENT
    path.unlink()
    return int(done.stdout)


def test_memory_does_not_grow_with_the_file_and_nothing_is_written(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    small, large = (peak_of(hub, tmp_path, tensors) for tensors in (8, 32))
    assert large < small + 60_000  # KB, for eight threads and not two; the files differ by 192 MB
    assert large < 400_000
