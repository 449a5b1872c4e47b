"""Measures a checkpoint from a sample of its bytes, with a 95 % interval for every figure.

Takes a checkpoint of which everything but its bytes is known, and options; gives the same
`Measurement` that a whole pass gives. Tensors that the plan reads whole are as in a whole pass.
Refuses a sample that is too small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from thermoscan.card import Sampling
from thermoscan.errors import OptionError
from thermoscan.options import ScanOptions
from thermoscan.scanner.layer_sample import estimated
from thermoscan.scanner.measurement import LayerMeasurement, Measurement, VectorMeasurement
from thermoscan.scanner.unusual import unusual_units
from thermoscan.tally import accumulate, stream
from thermoscan.tally.sample import Draw, Plan, plan
from thermoscan.tally.sampled import Sampled, read_samples
from thermoscan.theory.jackknife import CONFIDENCE

if TYPE_CHECKING:
    from thermoscan.scanner.measure import Measuring


def plan_of(measuring: Measuring, options: ScanOptions) -> Plan | None:
    """Returns what a sample is to read; None where everything is.

    Raises:
        OptionError: ``sample-too-small``, ``seed-negative``.
    """
    if options.sample is None:
        return None
    if options.seed < 0:
        raise OptionError("seed-negative", "a seed is a whole number from 0 on")
    shapes = {order.tensor.name: order.tensor.shape for order in measuring.orders}
    unusual = unusual_units(measuring.anatomy, measuring.vectors, shapes)
    known = measuring.vectors.names
    return plan(measuring.orders, known, options.sample.of, options.seed, unusual)


def measure_sample(
    measuring: Measuring,
    chosen: Plan,
    options: ScanOptions,
    readers: int,
    count: Callable[[int], None],
) -> Measurement:
    """Measures every layer from what a plan reads of it.

    Args:
        measuring: Before its pass.
        chosen: Made for it.
        options: That it was made with.
        readers: Threads that read what is read whole.
        count: Called with the bytes that were read since the last call.

    Raises:
        ChangedError: The checkpoint was cut short or replaced during the pass.
    """
    orders, reader, visit = measuring.orders, measuring.vectors, accumulate.visit
    whole = [orders[index] for index in chosen.whole]
    for reading in stream.read(whole, reader, visit, readers, count):
        measuring.take(reading)
    known = {layer.name: layer for layer in measuring.anatomy.layers}
    joined = {layer.joins for layer in measuring.anatomy.layers}
    recorded = {each.tensor: each for each in measuring.anatomy.recorded}

    def finish(draw: Draw, found: dict[str, Sampled]) -> list[LayerMeasurement | VectorMeasurement]:
        tensor = orders[draw.order].tensor
        return [
            estimated(known[name], tensor, sampled, measuring.vectors, name in joined)
            if name in known
            else VectorMeasurement(recorded[name], tensor, None, sampled.tally)
            for name, sampled in found.items()
        ]

    layers: dict[str, LayerMeasurement] = {}
    vectors: dict[str, VectorMeasurement] = {}
    for some in read_samples(chosen.draws, orders, reader, visit, finish, options.workers, count):
        for each in some:
            if isinstance(each, LayerMeasurement):
                layers[each.layer.name] = each
            else:
                vectors[each.recorded.tensor] = each
    sampling = Sampling(
        bytes_read=chosen.bytes_read,
        bytes_in_all=chosen.bytes_in_all,
        share=chosen.bytes_read / chosen.bytes_in_all,
        seed=options.seed,
        blocks=sum(draw.blocks for draw in chosen.draws),
        tensors_whole=len(chosen.whole),
        confidence=CONFIDENCE,
    )
    return replace(measuring.done(layers, vectors), sampling=sampling)
