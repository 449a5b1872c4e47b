"""Measures a checkpoint: anatomy, one pass over the bytes, states, stages.

Takes an opened checkpoint and options; gives a `Measurement`. Reads every byte of every tensor
once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from thermoscan.anatomy import Anatomy, Assumptions, dissect
from thermoscan.anatomy.model import Layer
from thermoscan.checkpoint import Checkpoint, Tensor
from thermoscan.options import ScanOptions
from thermoscan.scanner import stages
from thermoscan.scanner.layer_states import (
    first_transition,
    refresh_transition,
    spread_of,
    state_of,
)
from thermoscan.scanner.measurement import (
    LayerMeasurement,
    Measurement,
    UnitSpread,
    VectorMeasurement,
)
from thermoscan.scanner.vectors import Vectors, input_weights
from thermoscan.tally import accumulate, geometry, stream
from thermoscan.tally.record import Tally, Units
from thermoscan.theory.engine import Stage

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

_NO_UNITS = Units(energy=np.zeros(0))


def measure(
    checkpoint: Checkpoint,
    options: ScanOptions,
    progress: Progress,
    base: Measurement | None = None,
) -> Measurement:
    """Measures every layer of a checkpoint.

    Args:
        checkpoint: Opened, and left open.
        options: The caller's.
        progress: Called as bytes are read.
        base: The measurement of the checkpoint it was trained from, for refresh temperatures.

    Raises:
        ChangedError: The checkpoint was cut short or replaced during the pass.
    """
    assumptions = Assumptions.stated(options.activation, options.initialisation)
    anatomy = dissect(
        checkpoint.tensors, checkpoint.config, aliases=checkpoint.aliases, assumptions=assumptions
    )
    by_name = {tensor.name: tensor for tensor in checkpoint.tensors}
    vectors = Vectors(by_name, checkpoint.reader)
    tallies: dict[str, Tally] = {}
    digests: dict[str, str] = {}
    before = {each.layer.name: each for each in base.layers} if base else {}
    finished = _Finisher(anatomy, vectors, before)
    for reading in _read(checkpoint, anatomy, vectors, options, progress):
        digests[reading.tensor.name] = reading.digest
        for name, tally in reading.tallies.items():
            tallies[name] = finished.take(name, tally)
    return Measurement(
        checkpoint=checkpoint,
        anatomy=anatomy,
        layers=tuple(
            finished.layer(layer, by_name[layer.tensor], digests[layer.tensor], tallies[layer.name])
            for layer in anatomy.layers
        ),
        vectors=tuple(
            VectorMeasurement(
                each, by_name[each.tensor], digests[each.tensor], tallies[each.tensor]
            )
            for each in anatomy.recorded
            if each.tensor in tallies
        ),
        digests=digests,
        base=base.checkpoint.source.id if base else None,
    )


def _read(
    checkpoint: Checkpoint,
    anatomy: Anatomy,
    vectors: Vectors,
    options: ScanOptions,
    progress: Progress,
) -> Iterator[stream.Reading]:
    shapes = {tensor.name: tensor.shape for tensor in checkpoint.tensors}
    weights = input_weights(anatomy.layers, vectors, shapes)
    orders = _orders(checkpoint, anatomy, weights)
    total = sum(order.tensor.nbytes for order in orders)
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        progress(done, total)

    return stream.read(orders, vectors, accumulate.visit, options.workers, count)


def _orders(
    checkpoint: Checkpoint, anatomy: Anatomy, weights: Mapping[str, geometry.Weights]
) -> list[stream.Order]:
    """What to count in each stored tensor, in the order of the files; some are hashed only."""
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

    def __init__(
        self, anatomy: Anatomy, vectors: Vectors, before: Mapping[str, LayerMeasurement]
    ) -> None:
        self._layers = {layer.name: layer for layer in anatomy.layers}
        self._joined = {layer.joins: layer.name for layer in anatomy.layers if layer.joins}
        self._vectors = vectors
        self._before = before
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
        before = self._before.get(layer.name)
        stage = self._stages.get(layer.name)
        return LayerMeasurement(
            layer=layer,
            tensor=tensor,
            digest=digest,
            tally=tally,
            spread=self._spreads[layer.name],
            state=state,
            transition=first_transition(layer, tally, state),
            refresh=refresh_transition(tally, state, before, digest),
            stage=stage,
            stage_reason=None if stage else self._no_stage(layer),
        )

    def _no_stage(self, layer: Layer) -> str:
        if layer.joins:
            return stages.JOINED
        if not layer.engine:
            return stages.NOT_AN_ENGINE
        if layer.activation is None:
            return layer.activation_reason or "its activation is not known"
        return self._reasons.get(layer.name, stages.NOT_FINITE)
