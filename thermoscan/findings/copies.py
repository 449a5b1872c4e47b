"""Tensors that are another tensor once more, and tied tensors that are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from thermoscan.findings.kinds import WARNING, Kind, Sighting, size
from thermoscan.findings.values import varies

if TYPE_CHECKING:
    from thermoscan.checkpoint import Tensor
    from thermoscan.scanner.measurement import Measurement

DUPLICATE = Kind(
    "duplicate",
    WARNING,
    "Two stored matrices are the same to the last bit, and nothing declares them tied: either "
    "they should be shared, or a layer was copied and never trained apart.",
    "If they are meant to be one, tie them and store them once; if not, look at how the "
    "checkpoint was put together.",
)
TIED_BUT_DIFFERENT = Kind(
    "tied-but-different",
    WARNING,
    "The architecture uses one tensor in both places, and the checkpoint stores two that differ: "
    "one of them will be dropped when the model is loaded.",
    "Find out which of the two was meant; set the configuration not to tie them, or store one.",
)


def duplicates(measurement: Measurement) -> Iterator[Sighting]:
    """Finds stored matrices of equal bytes, type and shape, in which something varies."""
    first: dict[tuple[object, ...], Tensor] = {}
    for tensor in _varied_tensors(measurement):
        key = (measurement.digests[tensor.name], tensor.dtype, tensor.shape)
        original = first.setdefault(key, tensor)
        if original is not tensor:
            yield Sighting(
                DUPLICATE,
                tensor.name,
                f"its {tensor.size:,} values are those of another tensor, {size(tensor.nbytes)} "
                "stored twice",
                extent=tensor.nbytes,
                evidence={"same_as": original.name, "bytes": tensor.nbytes},
            )


def _varied_tensors(measurement: Measurement) -> list[Tensor]:
    """The stored matrices in which something varies, each once."""
    varied = {each.tensor.name: each.tensor for each in measurement.layers if varies(each.tally)}
    return list(varied.values())


def tied_but_different(measurement: Measurement) -> Iterator[Sighting]:
    """Finds tensors that are tied by the architecture and differ in the checkpoint."""
    sizes = {tensor.name: tensor.nbytes for tensor in measurement.checkpoint.tensors}
    for name, original in measurement.anatomy.tied.items():
        digests = measurement.digests.get(name), measurement.digests.get(original)
        if None not in digests and digests[0] != digests[1]:
            yield Sighting(
                TIED_BUT_DIFFERENT,
                name,
                "its contents differ from those of the tensor that it is tied to",
                extent=sizes[name],
                evidence={"tied_to": original, "bytes": sizes[name]},
            )
