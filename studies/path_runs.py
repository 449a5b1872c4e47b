"""Training and refresh of small networks on digits, measured along the way.

A network of three linear layers is trained from its initialisation (Type I), then its data change
and it is trained on (Type II). At chosen steps the file is scanned by `thermoscan.scan` and the
network is run on data by `thermoscan.probe`.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

import thermoscan

if TYPE_CHECKING:
    import torch

    from thermoscan.probe.measure import Loss

_BATCH = 64
_RATE = 1e-3
_TRAINING = 1000
_WIDTH = 128
_CLASSES = 10


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of the data.

    Attributes:
        kind: ``"rotation"`` (degrees), ``"labels"`` (so many classes pass their names around), or
            ``"none"``.
        size: How much of it.
    """

    kind: str
    size: int


UNCHANGED = Shift("none", 0)


@dataclass(frozen=True, slots=True)
class Data:
    """Inputs (examples, 64) and labels; the first `_TRAINING` are to train on, others to test."""

    inputs: torch.Tensor
    labels: torch.Tensor

    @property
    def training(self) -> dict[str, torch.Tensor]:
        """The batch of all examples to train on."""
        return {"x": self.inputs[:_TRAINING], "y": self.labels[:_TRAINING]}

    @property
    def unseen(self) -> dict[str, torch.Tensor]:
        """The batch of all others."""
        return {"x": self.inputs[_TRAINING:], "y": self.labels[_TRAINING:]}


@dataclass(frozen=True, slots=True)
class State:
    """The network at one step.

    Attributes:
        step: Since this training or refresh began.
        loss: On the training examples of the data it is trained on, nats.
        accuracy: On test examples of the same data.
        virial: Global virial temperature on the training examples, nats per parameter.
        virial_unseen: The same on the test examples.
        efficiency: Measured ``ΣW/ΣQ`` on them.
        energy: ``½ <w²>`` over all matrices, squared weight units.
        entropy: Nats per parameter, over the same.
        order: J.
        transition: ``T*`` from initialisation; None at it.
        refresh: ``T*`` from the base checkpoint; None without one or at it.
        distance: ``|w - w_base|``; 0 without a base.
    """

    step: int
    loss: float
    accuracy: float
    virial: float
    virial_unseen: float
    efficiency: float
    energy: float
    entropy: float
    order: float
    transition: float | None
    refresh: float | None
    distance: float


@dataclass(frozen=True, slots=True)
class Run:
    """A refresh after a shift, or a training from the initialisation (`UNCHANGED`): its states."""

    activation: str
    seed: int
    shift: Shift
    states: Sequence[State]


def life(
    activation: str,
    seed: int,
    shifts: Sequence[Shift],
    *,
    training_stops: Sequence[int],
    refresh_stops: Sequence[int],
    folder: Path,
) -> list[Run]:
    """Trains a network, then refreshes a copy of it after each of the shifts.

    Args:
        activation: Of the network.
        seed: Of its initialisation and its batches.
        shifts: Each begins from the same trained network.
        training_stops: Steps at which the training is observed; the last ends it.
        refresh_stops: The same of each refresh.
        folder: For the checkpoints.
    """
    model, now = network(activation, _WIDTH, seed), folder / "now.safetensors"
    data = shifted(UNCHANGED)
    states = [
        observe(model, activation, data, step, now, base=None)
        for step in training(model, data, training_stops, seed)
    ]
    runs = [Run(activation, seed, UNCHANGED, states)]
    base = save(model, folder / "base.safetensors")
    for shift in shifts:
        copied, data = copy.deepcopy(model), shifted(shift)
        states = [
            observe(copied, activation, data, step, now, base)
            for step in training(copied, data, refresh_stops, seed + 1000)
        ]
        runs.append(Run(activation, seed, shift, states))
    return runs


def losses(width: int, seed: int, stops: Sequence[int]) -> list[float]:
    """Returns the loss of a ReLU network on its training examples at each stop, nats."""
    import torch  # noqa: PLC0415 - heavy

    model, data = network("relu", width, seed), shifted(UNCHANGED)
    found = []
    for _ in training(model, data, stops, seed):
        with torch.no_grad():
            loss = _cross_entropy(model, data.training)
        assert loss.total is not None
        found.append(float(loss.total) / loss.positions)
    return found


def shifted(shift: Shift) -> Data:
    """Returns the digits, changed by a shift."""
    import torch  # noqa: PLC0415 - heavy
    from scipy import ndimage  # noqa: PLC0415 - heavy

    images, labels = _digits()
    if shift.kind == "rotation":
        turned = ndimage.rotate(images, shift.size, axes=(1, 2), reshape=False, order=1)
        images = np.asarray(turned, np.float32)
    if shift.kind == "labels":
        moved = labels < shift.size
        labels = np.where(moved, (labels + 1) % max(shift.size, 1), labels)
    return Data(torch.from_numpy(images.reshape(-1, 64)), torch.from_numpy(labels))


def network(activation: str, width: int, seed: int) -> torch.nn.Sequential:
    """Returns an untrained network."""
    import torch  # noqa: PLC0415 - heavy

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    act = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation]
    return torch.nn.Sequential(
        torch.nn.Linear(64, width), act(), torch.nn.Linear(width, width), act(),
        torch.nn.Linear(width, _CLASSES),
    )  # fmt: skip


def training(
    model: torch.nn.Sequential, data: Data, steps: Sequence[int], seed: int
) -> Iterator[int]:
    """Trains a model in place, and stops at each of `steps`, which rise."""
    import torch  # noqa: PLC0415 - heavy

    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.0)
    batches = _batches(data, generator)
    done = 0
    for stop in steps:
        for inputs, labels in itertools.islice(batches, stop - done):
            optimizer.zero_grad()
            error = torch.nn.functional.cross_entropy(model(inputs), labels)
            torch.autograd.backward(error)
            optimizer.step()
        done = stop
        yield stop


def save(model: torch.nn.Sequential, path: Path) -> Path:
    """Saves a model's state dict as safetensors."""
    from safetensors.torch import save_file  # noqa: PLC0415 - of development only

    save_file(model.state_dict(), path)
    return path


def observe(
    model: torch.nn.Sequential,
    activation: str,
    data: Data,
    step: int,
    path: Path,
    base: Path | None,
) -> State:
    """Runs a model on data, saves it to `path` and scans the file, beside `base` if there is one.

    Args:
        model: The network.
        activation: Its activation.
        data: Where to run it.
        step: For the record.
        path: Overwritten.
        base: Checkpoint that the refresh began from; None for none.
    """
    import torch  # noqa: PLC0415 - heavy

    from thermoscan.probe.measure import measure  # noqa: PLC0415 - imports torch
    from thermoscan.probe.places import places_of  # noqa: PLC0415

    places = places_of(model)
    reading = measure(model, places, [data.training], _cross_entropy)
    unseen = measure(model, places, [data.unseen], _cross_entropy)
    with torch.no_grad():
        right = model(data.unseen["x"]).argmax(1) == data.unseen["y"]
    saved = str(save(model, path))
    options = thermoscan.ScanOptions(activation=activation, initialisation="torch", workers=1)
    if base is None:
        card = thermoscan.scan(saved, options)
    else:
        card = thermoscan.compare(str(base), saved, options)
    parameters = sum(each.parameters for each in card.layers)
    entropies = [(each.parameters, each.entropy) for each in card.layers]
    stroke = reading.stroke
    assert reading.loss is not None and reading.temperature is not None
    assert unseen.temperature is not None
    assert stroke is not None and stroke.efficiency is not None
    assert card.summary.temperature is not None and card.summary.order is not None
    return State(
        step=step,
        loss=reading.loss,
        accuracy=float(right.double().mean()),
        virial=reading.temperature,
        virial_unseen=unseen.temperature,
        efficiency=stroke.efficiency,
        energy=card.summary.temperature / 2,
        entropy=sum(d * s for d, s in entropies if s is not None) / parameters,
        order=card.summary.order,
        transition=card.summary.transition_temperature,
        refresh=card.summary.refresh_temperature,
        distance=0.0 if base is None else _distance(path, base),
    )


def _cross_entropy(model: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> Loss:
    import torch  # noqa: PLC0415 - heavy

    from thermoscan.probe.measure import Loss  # noqa: PLC0415 - imports torch

    total = torch.nn.functional.cross_entropy(model(batch["x"]), batch["y"], reduction="sum")
    return Loss(total, len(batch["y"]))


def _batches(data: Data, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    import torch  # noqa: PLC0415 - heavy

    examples = data.training
    while True:
        for chosen in torch.split(torch.randperm(_TRAINING, generator=generator), _BATCH):
            yield examples["x"][chosen], examples["y"][chosen]


def _distance(path: Path, base: Path) -> float:
    from safetensors.numpy import load_file  # noqa: PLC0415 - of development only

    now, then = load_file(path), load_file(base)
    squares = [float(((now[name] - then[name]) ** 2).sum()) for name in now if now[name].ndim > 1]
    return float(np.sqrt(sum(squares)))


@functools.cache
def _digits() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The digits in a fixed random order: images (1797, 8, 8) from 0 to 1, and labels."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - heavy

    found = load_digits()
    order = np.random.default_rng(7).permutation(len(found.target))
    images = np.asarray(found.images[order] / 16, np.float32)
    return images, np.asarray(found.target[order], np.int64)
