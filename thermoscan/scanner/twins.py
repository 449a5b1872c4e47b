"""Measures a checkpoint beside its base: one pass over both, and what became of every layer.

Takes two opened checkpoints; gives the `Measurement` of the first, with its changes and their
summary filled in. Reads every byte of every tensor of both once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from thermoscan.alignment import Alignment, align
from thermoscan.anatomy import Anatomy, anatomy_of
from thermoscan.anatomy.model import Layer, Role
from thermoscan.checkpoint import Checkpoint, Tensor
from thermoscan.dtypes import DType
from thermoscan.options import ScanOptions
from thermoscan.scanner.changes import Before, Pairs, change_of, pairs_of
from thermoscan.scanner.layer_states import state_of
from thermoscan.scanner.lineage import Rest, comparison_of
from thermoscan.scanner.measure import Measuring, Progress, counter, orders_of, workers_for
from thermoscan.scanner.measurement import Measurement
from thermoscan.tally import accumulate, geometry, stream
from thermoscan.tally.record import Tally
from thermoscan.tally.side_by_side import Readers, Twin, TwinReading, holds_relaid, read_twins

if TYPE_CHECKING:
    from thermoscan.spectra.comparing import Base

BASE_CONFIGURATION = "The configuration beside the base was used; none lies beside the model."
_PREFIX = "Names were compared without the prefix that only {which} puts before them."


def measure_twins(
    model: Checkpoint, base: Checkpoint, options: ScanOptions, progress: Progress
) -> Measurement:
    """Measures every layer of `model`, and what became of it since `base`.

    Args:
        model: Opened, and left open.
        base: Opened, and left open.
        options: The caller's.
        progress: Called as bytes of either are read.

    Raises:
        ChangedError: A checkpoint was cut short or replaced during the pass.
    """
    notes: list[str] = []
    own, names = model, _names(model, base)
    model = _configured(own, base)
    if model is not own:
        notes.append(BASE_CONFIGURATION)
    beside = _Beside.of(_configured(base, own))
    measuring = Measuring(model, options)
    notes += [
        _PREFIX.format(which=which)
        for which, prefix in (("the model", names.model), ("the base", names.base))
        if prefix
    ]
    twins = _twins(measuring.orders, beside.orders, names)
    gathered = _Gathered(measuring, beside, names)
    total = sum(twin.nbytes for twin in twins)
    readers = Readers(measuring.vectors, base.reader)
    count = counter(progress, total)
    workers = workers_for(options, model, base)
    # Each worker multiplies small matrices: threads of the BLAS's own would fight for its core.
    with threadpool_limits(1, user_api="blas"):
        for reading in read_twins(twins, readers, accumulate.visit, workers, count):
            gathered.take(reading)
    found = gathered.done()
    return replace(found, checkpoint=replace(model, notes=(*model.notes, *notes)))


def base_of(model: Checkpoint, base: Checkpoint) -> Base:
    """Returns the base's matrices by the names of the model's layers."""
    from thermoscan.spectra.comparing import Base  # noqa: PLC0415 - only spectra need it
    from thermoscan.spectra.matrices import all_matrices  # noqa: PLC0415

    names = _names(model, base)
    layers = anatomy_of(_configured(base, model)).layers
    matrices = all_matrices(layers, {tensor.name: tensor for tensor in base.tensors})
    found = {names.of_base(matrix.layer): matrix for matrix in matrices}
    own = [layer.name for layer in anatomy_of(_configured(model, base)).layers]
    return Base(
        {name: found[key] for name in own if (key := names.of_model(name)) in found}, base.reader
    )


def _names(model: Checkpoint, base: Checkpoint) -> Alignment:
    return align((each.name for each in model.tensors), (each.name for each in base.tensors))


def _configured(one: Checkpoint, other: Checkpoint) -> Checkpoint:
    """Returns a checkpoint with the other's configuration where it has none of its own."""
    if one.components:
        components = {
            name: other.components.get(name) if config is None else config
            for name, config in one.components.items()
        }
        return one if components == one.components else replace(one, components=components)
    if one.config is None and other.config is not None and not other.components:
        return replace(one, config=other.config)
    return one


@dataclass(frozen=True, slots=True)
class _Beside:
    """The base: what its tensors are, and what to read of them."""

    checkpoint: Checkpoint
    anatomy: Anatomy
    orders: list[stream.Order]

    @classmethod
    def of(cls, base: Checkpoint) -> _Beside:
        """Tells what the base's tensors are."""
        anatomy = anatomy_of(base)
        return cls(base, anatomy, orders_of(base, anatomy, {}))


def _twins(model: list[stream.Order], base: list[stream.Order], names: Alignment) -> list[Twin]:
    """Puts the tensors of both together, in the order of the model's files."""
    left = {names.of_base(order.tensor.name): order for order in base}
    twins = []
    for order in model:
        twins.append(_twin(order, left.pop(names.of_model(order.tensor.name), None)))
    return twins + [Twin(None, order) for order in left.values()]


def _twin(model: stream.Order, base: stream.Order | None) -> Twin:
    if base is None or not (model.tensor.dtype.is_float and base.tensor.dtype.is_float):
        return Twin(model, base)
    one, zero = model.tensor, base.tensor
    axes = geometry.memory_axes(one)
    relaid = axes != geometry.memory_axes(zero)
    sketched = all(piece.thermal for piece in model.pieces)
    if one.shape == zero.shape:
        if relaid and not holds_relaid(one, zero):
            return Twin(model, base)
        return Twin(model, base, one.size, relaid, sketched)
    if _is_resized(one, zero, axes) and not relaid and len(model.pieces) == 1:
        return Twin(model, base, min(one.size, zero.size))
    return Twin(model, base)


def _is_resized(one: Tensor, zero: Tensor, axes: tuple[int, ...]) -> bool:
    """Says whether two shapes differ in the outermost axis alone, so that the beginnings agree."""
    if len(one.shape) != len(zero.shape) or len(one.shape) < 2:
        return False
    return all(one.shape[a] == zero.shape[a] for a in axes[1:])


class _Gathered:
    """What the pass yields, layer by layer."""

    def __init__(self, measuring: Measuring, beside: _Beside, names: Alignment) -> None:
        self._measuring = measuring
        self._beside = beside
        self._names = names
        self._base_layers = {names.of_base(layer.name): layer for layer in beside.anatomy.layers}
        self._pairs: dict[str, Pairs] = {}
        self._before: dict[str, Before] = {}
        self._vectors = {
            each.tensor for each in measuring.anatomy.recorded if each.role is not Role.BUFFER
        } | {each.tensor for each in measuring.anatomy.not_analysed}
        self._rest = Rest()

    def take(self, reading: TwinReading) -> None:
        """Takes the reading of a tensor of either or both."""
        base = self._base_tallies(reading.base)
        if reading.model is None:
            return
        tallies = reading.model.tallies
        types = (reading.model.tensor.dtype, reading.base.tensor.dtype if reading.base else None)
        for piece, part in reading.pairs:
            for k, name in enumerate(piece.layers):
                before = base.get(self._names.of_model(name))
                if before is not None:
                    self._pairs[name] = pairs_of(
                        piece, part, k, (tallies[name], before), _both(types)
                    )
        self._take_vector(reading)
        self._measuring.take(reading.model)

    def _base_tallies(self, reading: stream.Reading | None) -> dict[str, Tally]:
        """Keeps the states of the base's layers; returns its tallies by the names of both."""
        found = {}
        for name, tally in (reading.tallies if reading else {}).items():
            key = self._names.of_base(name)
            found[key] = tally
            layer = self._base_layers.get(key)
            if layer is not None:
                self._before[key] = _before(layer, tally)
        return found

    def _take_vector(self, reading: TwinReading) -> None:
        """Counts a tensor that is no layer: whether it is in both, and the same."""
        model, base = reading.model, reading.base
        if model is None or base is None or model.tensor.name not in self._vectors:
            return
        pairs = self._pairs.get(model.tensor.name)
        same = model.digest == base.digest or (pairs is not None and pairs.unmoved)
        self._rest = self._rest.add(same)

    def done(self) -> Measurement:
        """Returns the measurement with every change filled in."""
        found = self._measuring.done()
        layers = tuple(
            change_of(
                each,
                self._before.get(self._names.of_model(each.layer.name)),
                self._pairs.get(each.layer.name),
            )
            for each in found.layers
        )
        mine = {self._names.of_model(layer.name) for layer in self._measuring.anatomy.layers}
        removed = tuple(
            layer.name
            for layer in self._beside.anatomy.layers
            if self._names.of_base(layer.name) not in mine
        )
        source = self._beside.checkpoint.source
        comparison = comparison_of(layers, self._pairs, self._rest, removed, source)
        return replace(found, layers=layers, comparison=comparison)


def _both(types: tuple[DType, DType | None]) -> tuple[DType, DType]:
    return types[0], types[1] or types[0]


def _before(layer: Layer, tally: Tally) -> Before:
    return Before(layer.shape, tally.entropy, tally.atom, tally.moments, state_of(layer, tally))
