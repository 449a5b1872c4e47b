"""The eigenvalues of one layer of a checkpoint, to draw or to fit; a card holds only figures."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from thermoscan.anatomy import anatomy_of
from thermoscan.errors import CheckpointError, OptionError
from thermoscan.options import ScanOptions, SpectraOptions
from thermoscan.plugins import adapter_for
from thermoscan.spectra.gram import Shape, eigenvalues, gram_of
from thermoscan.spectra.matrices import matrices_of
from thermoscan.spectra.taking import SLICES_SCALE
from thermoscan.text import printable
from thermoscan.theory.entropy import FloatArray
from thermoscan.theory.no_fit import NoFit


def eigenvalues_of(
    source: str, layer: str, options: ScanOptions | None = None, *, slices: bool = False
) -> FloatArray:
    """Returns the eigenvalues that a card's spectrum of a layer is of, ascending, all of them.

    Args:
        source: Path or hub id, as `thermoscan.scan` takes it.
        layer: Name of the layer in the card.
        options: How to open the source; None for the defaults.
        slices: Of a convolution, whether to take the slices of its kernel.

    Returns:
        float64, squared weight units.

    Raises:
        SourceError: There is nothing to scan at this name.
        CheckpointError: There is a checkpoint, and it cannot be trusted; or the eigenvalues
            are out of range.
        OptionError: It has no such layer, or no slices are taken of it.
    """
    options = options or ScanOptions(spectra=SpectraOptions())
    with adapter_for(source).open(source, options.opening) as checkpoint:
        layers = anatomy_of(checkpoint).layers
        tensor = next((each.tensor for each in layers if each.name == layer), None)
        if tensor is None:
            raise _unknown(layer, [each.name for each in layers])
        (stored,) = (each for each in checkpoint.tensors if each.name == tensor)
        members = [each for each in layers if each.tensor == tensor]
        (matrix,) = (each for each in matrices_of(stored, members) if each.layer == layer)
        if slices and matrix.places is None:
            raise OptionError("no-slices", "the layer is no convolution", tensor=tensor)
        shape = Shape.of(matrix, slices)
        refused = shape.refused((options.spectra or SpectraOptions()).max_side) if slices else None
        if refused is not None:
            raise OptionError("no-slices", refused.reason, tensor=tensor)
        (found,) = eigenvalues([gram_of(matrix, checkpoint.reader, shape)])
    if isinstance(found, NoFit):
        raise CheckpointError("spectrum-out-of-range", found.reason, tensor=tensor)
    return found.scaled(SLICES_SCALE if slices else 1.0).pooled


def _unknown(layer: str, names: Sequence[str]) -> OptionError:
    """The error about a layer that is not there, which names the nearest ones."""
    near = [printable(each, 200) for each in get_close_matches(layer, names, n=3)]
    hint = f"did you mean {', '.join(near)}?" if near else "names are those of the card"
    reason = f"the checkpoint has no layer of this name, '{printable(layer, 60)}': {hint}"
    return OptionError("layer-unknown", reason)
