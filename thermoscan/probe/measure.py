"""Runs a model on batches and measures every layer (theory section 5).

Takes a module, the places of its layers, batches and a loss; gives a `Reading`. Sums are over the
whole data, so that the size of a batch changes nothing but memory: one that does not fit is halved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from thermoscan.errors import ProbeError
from thermoscan.probe.heat import Heats
from thermoscan.probe.places import Place
from thermoscan.probe.reading import LayerReading, Reading
from thermoscan.probe.virial import virials
from thermoscan.probe.watch import watched_units, watching

Batch = Mapping[str, torch.Tensor]
"""Tensors whose axis 0 runs over examples."""

Progress = Callable[[int], None]
"""Called with the number of examples that were run since the last call."""

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True, slots=True)
class Loss:
    """What a batch costs.

    Attributes:
        total: Sum over the positions, nats, with its graph; None where the model has no objective
            and was only run.
        positions: Places at which the loss was taken, or that the model saw.
    """

    total: torch.Tensor | None
    positions: int


Objective = Callable[[torch.nn.Module, Batch], Loss]
"""Runs a model on a batch and says what that costs."""


def measure(
    model: torch.nn.Module,
    places: Sequence[Place],
    batches: Iterable[Batch],
    objective: Objective,
    progress: Progress | None = None,
) -> Reading:
    """Measures every layer of a model on data.

    Args:
        model: In the mode (training, evaluation) that it is to be measured in; it is left as it
            was.
        places: Its layers, each in another place.
        batches: The data.
        objective: The energy.
        progress: Called as examples are done.

    Raises:
        ProbeError: ``out-of-memory``: a single example does not fit.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    sums = _Sums(Heats(watched_units(model, places)))
    with _requiring_gradients(parameters[place.parameter] for place in places):
        for batch in batches:
            for examples, run in _fitting(model, parameters, places, batch, objective):
                sums.add(examples, run)
                if progress is not None:
                    progress(examples)
    return Reading(
        inputs=sums.inputs,
        positions=sums.positions,
        loss=sums.mean(sums.total),
        layers={
            place.layer.name: _layer(place, parameters[place.parameter], sums) for place in places
        },
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """One batch: its loss, the products ``w · ∂L/∂w`` by layer, and the heats."""

    total: float | None
    positions: int
    virials: Mapping[str, float]
    heats: Heats


@dataclass
class _Sums:
    """All batches so far."""

    heats: Heats
    inputs: int = 0
    positions: int = 0
    total: float | None = None
    virials: dict[str, float] = field(default_factory=dict)

    def add(self, examples: int, run: _Run) -> None:
        self.inputs += examples
        self.positions += run.positions
        self.heats.add(run.heats)
        if run.total is not None:
            self.total = (self.total or 0.0) + run.total
        for name, value in run.virials.items():
            self.virials[name] = self.virials.get(name, 0.0) + value

    def mean(self, total: float | None) -> float | None:
        """A sum as a mean over the positions; None for none."""
        return total / self.positions if total is not None and self.positions else None


def _fitting(
    model: torch.nn.Module,
    parameters: Mapping[str, torch.nn.Parameter],
    places: Sequence[Place],
    batch: Batch,
    objective: Objective,
) -> Iterator[tuple[int, _Run]]:
    """Runs a batch, in halves where it does not fit into memory."""
    examples = len(next(iter(batch.values())))
    try:
        yield examples, _run(model, parameters, places, batch, objective)
        return
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if examples == 1:
            reason = "a single example of the data does not fit into memory beside the model"
            raise ProbeError("out-of-memory", reason) from None
    for half in (slice(None, examples // 2), slice(examples // 2, None)):
        part = {name: value[half] for name, value in batch.items()}
        yield from _fitting(model, parameters, places, part, objective)


def is_out_of_memory(error: Exception) -> bool:
    """Says whether an exception means that memory ran out, which torch tells in words only."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(each in text for each in _OUT_OF_MEMORY)


def _run(
    model: torch.nn.Module,
    parameters: Mapping[str, torch.nn.Parameter],
    places: Sequence[Place],
    batch: Batch,
    objective: Objective,
) -> _Run:
    with watching(model, places) as heats:
        loss = objective(model, batch)
    if loss.total is None:
        return _Run(None, loss.positions, {}, heats)
    products = virials(loss.total, parameters, places)
    return _Run(float(loss.total.detach()), loss.positions, products, heats)


def _layer(place: Place, parameter: torch.nn.Parameter, sums: _Sums) -> LayerReading:
    parameters = place.of(parameter.detach()).numel()
    mean = sums.mean(sums.virials.get(place.layer.name))
    return LayerReading(
        parameters=parameters,
        temperature=None if mean is None else mean / parameters,
        stroke=sums.heats.stroke(place, parameter.shape[place.out_axis]),
        joined=place.parameter in sums.heats.joined,
    )


@contextmanager
def _requiring_gradients(parameters: Iterable[torch.nn.Parameter]) -> Iterator[None]:
    """Makes parameters part of the graph, also where somebody froze them."""
    frozen = [each for each in parameters if not each.requires_grad]
    for each in frozen:
        each.requires_grad_(True)
    try:
        yield
    finally:
        for each in frozen:
            each.requires_grad_(False)
