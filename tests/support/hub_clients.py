"""The hub adapter at a hub on loopback: with short waits, and what a scan makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from support.loopback_hub import LoopbackHub

from thermoscan.card import Card
from thermoscan.checkpoint import Checkpoint, OpenOptions
from thermoscan.errors import ThermoscanError
from thermoscan.limits import Limits
from thermoscan.options import ScanOptions
from thermoscan.scanner import survey
from thermoscan_adapters.hub import HubAdapter
from thermoscan_adapters.hub_patience import Patience

BRIEF = Patience(timeout_seconds=10, attempts=3, first_wait_seconds=0.01, longest_wait_seconds=0.25)
"""As patient as a test can be: nothing is waited for that is known not to come."""


def adapter_of(hub: LoopbackHub, cache: Path, patience: Patience = BRIEF) -> HubAdapter:
    return HubAdapter(hub.endpoint, cache, patience)


def open_model(adapter: HubAdapter, source: str = "org/name", **limits: int) -> Checkpoint:
    return adapter.open(source, OpenOptions(limits=Limits(**limits)))


def refusal(adapter: HubAdapter, source: str = "org/name", **limits: int) -> ThermoscanError:
    """Returns the error with which a model is refused, when it is opened or when it is read."""
    with pytest.raises(ThermoscanError) as caught:
        contents(open_model(adapter, source, **limits))
    return caught.value


def contents(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Returns the bytes of every tensor."""
    read = {}
    for tensor in checkpoint.tensors:
        buffer = bytearray(tensor.nbytes)
        checkpoint.reader.readinto(tensor.file, tensor.offset, memoryview(buffer))
        read[tensor.name] = bytes(buffer)
    return read


def scan_of(adapter: HubAdapter, source: str = "org/name") -> Card:
    """Returns the card of a model, as `thermoscan.scan` makes it."""
    options = ScanOptions(workers=2)
    with adapter.open(source, options.opening) as checkpoint:
        return survey(checkpoint, options, lambda _done, _total: None)[1]


def measured(card: Card) -> Mapping[str, Any]:
    """Returns what a card says of the weights, apart from where they were read."""
    whole = asdict(card)
    kept = ("summary", "layers", "experts", "findings", "coverage", "comparison", "reasons")
    return {name: whole[name] for name in kept}


def bytes_asked(hub: LoopbackHub, name: str) -> list[tuple[int, int]]:
    """Returns the ranges that were asked of a large file, as first byte and length."""
    asked = []
    for request in hub.requests:
        if request.origin == "content" and request.parts[-1] == name and request.range:
            first, last = request.range.removeprefix("bytes=").split("-")
            asked.append((int(first), int(last) + 1 - int(first)))
    return asked
