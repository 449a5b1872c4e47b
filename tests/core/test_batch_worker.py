"""What becomes of a LoRA adapter in a batch: what is asked of whole models is asked of its base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support import peft_adapters
from support.batches import task_of

from thermoscan.batch.tasks import Result, Task
from thermoscan.batch.worker import perform
from thermoscan.options import SampleSize, ScanOptions


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    folder = tmp_path_factory.mktemp("lora")
    peft_adapters.save("bert", folder, r=4, target_modules=["query", "value"])
    task = task_of(folder / "adapter")
    return replace(task, candidate=replace(task.candidate, base=str(folder / "base")))


def result_of(task: Task) -> Result:
    return perform(task, lambda _name, _done, _total: None)


def test_an_adapter_whose_base_is_larger_than_asked_is_skipped(task: Task) -> None:
    assert task.candidate.base is not None
    sizes = [
        sum(file.stat().st_size for file in Path(place).glob("*.safetensors"))
        for place in (task.candidate.source, task.candidate.base)
    ]
    assert sizes[0] < sizes[1] - 1
    within = result_of(replace(task, most_bytes=sizes[1]))
    beyond = result_of(replace(task, most_bytes=sizes[1] - 1))
    assert within.status == "scanned"
    assert (beyond.status, beyond.code) == ("skipped", "larger-than-asked")


def test_an_adapter_is_skipped_where_a_sample_is_asked_for(task: Task) -> None:
    sampled = replace(task, options=ScanOptions(workers=1, sample=SampleSize.parse("2%")))
    result = result_of(sampled)
    assert (result.status, result.code) == ("skipped", "sample-refused")
    assert result_of(replace(sampled, known=result.key)).status == "unchanged"


def test_a_base_that_changes_is_another_key(task: Task) -> None:
    assert task.candidate.base is not None
    first = result_of(task)
    assert result_of(replace(task, known=first.key)).status == "unchanged"
    config = Path(task.candidate.base) / "config.json"
    config.write_text(config.read_text() + " ")
    assert result_of(replace(task, known=first.key)).status == "scanned"
