"""Measures a checkpoint: anatomy, one pass over the bytes, states, stages.

Takes an opened checkpoint and options; gives a `Measurement`. Reads every byte of every tensor
once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from thermoscan.anatomy import Anatomy, Assumptions, anatomy_of
from thermoscan.anatomy.model import Layer, Recorded
from thermoscan.checkpoint import Checkpoint, Tensor
from thermoscan.options import ScanOptions
from thermoscan.scanner import stages
from thermoscan.scanner.layer_states import first_transition, spread_of, state_of
from thermoscan.scanner.measure_sample import measure_sample, plan_of
from thermoscan.scanner.measurement import (
    LayerMeasurement,
    Measurement,
    UnitSpread,
    VectorMeasurement,
)
from thermoscan.scanner.vectors import Vectors, input_weights, names_of
from thermoscan.tally import accumulate, geometry, stream
from thermoscan.tally.record import Tally, Units
from thermoscan.theory.engine import Stage

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

_NO_UNITS = Units(energy=np.zeros(0))


def measure(checkpoint: Checkpoint, options: ScanOptions, progress: Progress) -> Measurement:
    """Measures every layer of a checkpoint, from all of its bytes or from a sample of them.

    Args:
        checkpoint: Opened, and left open.
        options: The caller's.
        progress: Called as bytes are read.

    Raises:
        ChangedError: The checkpoint was cut short or replaced during the pass.
        OptionError: The sample that is asked for is too small.
    """
    measuring = Measuring(checkpoint, options)
    workers = workers_for(options, checkpoint)
    chosen = plan_of(measuring, options)
    if chosen is not None:
        count = counter(progress, chosen.bytes_read)
        return measure_sample(measuring, chosen, options, workers, count)
    count = counter(progress, sum(order.tensor.nbytes for order in measuring.orders))
    reader = measuring.vectors
    for reading in stream.read(measuring.orders, reader, accumulate.visit, workers, count):
        measuring.take(reading)
    return measuring.done()


def workers_for(options: ScanOptions, *checkpoints: Checkpoint) -> int:
    """Returns how many threads read and count: as many as a network is asked by at once, if any."""
    return max(each.connections for each in checkpoints) or options.workers


def counter(progress: Progress, total: int) -> Callable[[int], None]:
    """Returns what adds up bytes as they are read and tells `progress`."""
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        progress(done, total)

    return count


class Measuring:
    """A checkpoint before and during its pass: what to read, and what was made of it so far."""

    def __init__(self, checkpoint: Checkpoint, options: ScanOptions) -> None:
        """Tells what the tensors are and reads ahead the vectors that figures need."""
        assumptions = Assumptions.stated(options.activation, options.initialisation)
        self._checkpoint = checkpoint
        self.anatomy = anatomy_of(checkpoint, assumptions)
        self._by_name = {tensor.name: tensor for tensor in checkpoint.tensors}
        self.vectors = Vectors(self._by_name, checkpoint.reader)
        self.vectors.read_ahead(names_of(self.anatomy.layers))
        shapes = {tensor.name: tensor.shape for tensor in checkpoint.tensors}
        weights = input_weights(self.anatomy.layers, self.vectors, shapes)
        self.orders = orders_of(checkpoint, self.anatomy, weights)
        self._finisher = _Finisher(self.anatomy, self.vectors)
        self._tallies: dict[str, Tally] = {}
        self._digests: dict[str, str] = {}

    def take(self, reading: stream.Reading) -> None:
        """Takes a tensor's reading as the pass yields it."""
        self._digests[reading.tensor.name] = reading.digest
        for name, tally in reading.tallies.items():
            self._tallies[name] = self._finisher.take(name, tally)

    def done(
        self,
        layers: Mapping[str, LayerMeasurement] = MappingProxyType({}),
        vectors: Mapping[str, VectorMeasurement] = MappingProxyType({}),
    ) -> Measurement:
        """Returns the measurement, once every tensor was taken.

        Args:
            layers: By name, those that were not taken whole.
            vectors: By name, the same.
        """
        return Measurement(
            checkpoint=self._checkpoint,
            anatomy=self.anatomy,
            layers=tuple(
                layers.get(each.name) or self._layer(each) for each in self.anatomy.layers
            ),
            vectors=tuple(
                vectors.get(each.tensor) or self._vector(each)
                for each in self.anatomy.recorded
                if each.tensor in vectors or each.tensor in self._tallies
            ),
            digests=self._digests,
        )

    def _layer(self, layer: Layer) -> LayerMeasurement:
        tensor = self._by_name[layer.tensor]
        digest, tally = self._digests[layer.tensor], self._tallies[layer.name]
        return self._finisher.layer(layer, tensor, digest, tally)

    def _vector(self, recorded: Recorded) -> VectorMeasurement:
        tensor = self._by_name[recorded.tensor]
        digest, tally = self._digests[recorded.tensor], self._tallies[recorded.tensor]
        return VectorMeasurement(recorded, tensor, digest, tally)


def orders_of(
    checkpoint: Checkpoint, anatomy: Anatomy, weights: Mapping[str, geometry.Weights]
) -> list[stream.Order]:
    """Returns what to count in each stored tensor, by file; some are hashed only."""
    layers: dict[str, list[Layer]] = {}
    for layer in anatomy.layers:
        layers.setdefault(layer.tensor, []).append(layer)
    vectors = {each.tensor for each in anatomy.recorded}
    orders = []
    for tensor in sorted(checkpoint.tensors, key=lambda each: (each.file, each.offset)):
        pieces: tuple[geometry.Piece, ...] = ()
        if tensor.name in layers:
            pieces = geometry.pieces_of(tensor, layers[tensor.name], weights)
        elif tensor.name in vectors and tensor.dtype.is_float and tensor.size:
            pieces = (geometry.whole(tensor),)
        orders.append(stream.Order(tensor, pieces))
    return orders


class _Finisher:
    """Draws every figure of a layer from its tally as it arrives: sums per unit are not kept."""

    def __init__(self, anatomy: Anatomy, vectors: Vectors) -> None:
        self._layers = {layer.name: layer for layer in anatomy.layers}
        self._joined = {layer.joins: layer.name for layer in anatomy.layers if layer.joins}
        self._vectors = vectors
        self._spreads: dict[str, UnitSpread] = {}
        self._waiting: dict[str, stages.PreActivation] = {}
        self._stages: dict[str, Stage | None] = {}
        self._reasons: dict[str, str] = {}

    def take(self, name: str, tally: Tally) -> Tally:
        """Takes a tally as the pass yields it; returns it without its sums and its histogram."""
        layer = self._layers.get(name)
        if layer is not None:
            self._spreads[name] = spread_of(tally.units)
            self._take_stage(layer, tally.units)
        return replace(tally, units=_NO_UNITS, histogram=None)

    def _take_stage(self, layer: Layer, units: Units) -> None:
        partner = layer.joins or self._joined.get(layer.name)
        if not layer.engine and partner is None:
            return
        at = stages.pre_activation(layer, units, self._vectors)
        if at is None:
            self._reasons[layer.joins or layer.name] = stages.BIAS_UNREAD
            return
        owner = layer
        if partner is not None:
            other = self._waiting.pop(partner, None)
            if other is None:
                self._waiting[layer.name] = at
                return
            at = at.join(other)
            owner = self._layers[layer.joins] if layer.joins else layer
        if owner.activation is not None:
            self._stages[owner.name] = stages.estimate(owner.activation, at)

    def layer(self, layer: Layer, tensor: Tensor, digest: str, tally: Tally) -> LayerMeasurement:
        """Returns everything about one layer, once the pass is over."""
        state = state_of(layer, tally)
        stage = self._stages.get(layer.name)
        return LayerMeasurement(
            layer=layer,
            tensor=tensor,
            digest=digest,
            tally=tally,
            spread=self._spreads[layer.name],
            state=state,
            transition=first_transition(layer, tally, state),
            stage=stage,
            stage_reason=None if stage else self._no_stage(layer),
        )

    def _no_stage(self, layer: Layer) -> str:
        reason = stages.no_stage(layer)
        if reason is None and layer.name in self._waiting:
            reason = stages.OTHER_UNITS
        return reason or self._reasons.get(layer.name, stages.NOT_FINITE)
