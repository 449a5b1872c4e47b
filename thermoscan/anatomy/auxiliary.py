"""Tells the tensors that are no matrices: norms, biases, buffers, vectors, integers.

Takes a tensor and its place; gives a `Recorded`, or None where it is a weight matrix and somebody
else's business.
"""

from __future__ import annotations

from thermoscan.anatomy.census import Census
from thermoscan.anatomy.model import Recorded, Role
from thermoscan.anatomy.names import Place
from thermoscan.checkpoint import Tensor

_BUFFER_LEAVES = frozenset(
    (
        *("running_mean", "running_var", "num_batches_tracked", "position_ids", "token_type_ids"),
        *("inv_freq", "original_inv_freq", "freqs_cis", "cos_cached", "sin_cached"),
        *("masked_bias", "causal_mask", "attn_mask"),
    )
)

#: Mamba's ``A_log``: channels by states, of which each entry decays on its own.
_DECAY_LEAF = "A_log"

NORM_REASON = "gain or bias of a normalisation"
BIAS_REASON = "bias"
BUFFER_REASON = "buffer: not trained"
INTEGER_REASON = "integers: indices, masks or counters"
COMPLEX_REASON = "complex numbers"
EMPTY_REASON = "no elements"
VECTOR_REASON = "vector or scalar: not a matrix"
DECAY_REASON = "decay rates of a state space: they act one by one, not as a matrix"


def recorded(tensor: Tensor, place: Place, census: Census) -> Recorded | None:
    """Returns what an auxiliary tensor is, None for a weight matrix."""
    if not tensor.dtype.is_float:
        reason = COMPLEX_REASON if tensor.dtype.label == "C64" else INTEGER_REASON
        return Recorded(tensor.name, Role.BUFFER, reason)
    if 0 in tensor.shape:
        return Recorded(tensor.name, Role.BUFFER, EMPTY_REASON)
    if _is_buffer(tensor, place):
        return Recorded(tensor.name, Role.BUFFER, BUFFER_REASON)
    if place.kind.is_bias:
        if place.kind.is_norm or _is_vector(census.shapes.get(f"{place.module}.weight")):
            return Recorded(tensor.name, Role.NORM, NORM_REASON)
        return Recorded(tensor.name, Role.BIAS, BIAS_REASON)
    if place.kind.leaf == _DECAY_LEAF:
        return Recorded(tensor.name, Role.VECTOR, DECAY_REASON)
    if _is_matrix(tensor, place, census):
        return None
    if _is_gain(tensor, place, census):
        return Recorded(tensor.name, Role.NORM, NORM_REASON)
    return Recorded(tensor.name, Role.VECTOR, VECTOR_REASON)


def _is_vector(shape: tuple[int, ...] | None) -> bool:
    return shape is not None and len(shape) == 1


def _is_buffer(tensor: Tensor, place: Place) -> bool:
    if place.kind.leaf in _BUFFER_LEAVES or place.kind.is_fixed:
        return True
    # GPT-2's causal mask is called attn.bias: (1, 1, positions, positions)
    return place.kind.is_bias and len(tensor.shape) == 4 and tensor.shape[:2] == (1, 1)


def _is_matrix(tensor: Tensor, place: Place, census: Census) -> bool:
    """A weight of two axes or more; a bare parameter needs two that are longer than one."""
    if len(tensor.shape) < 2:
        return False
    if place.kind.leaf == "kernel" or "weight" in place.kind.leaf:
        # a normalisation over several axes has a bias for every gain
        return census.shapes.get(f"{place.module}.bias") != tensor.shape
    return sum(length > 1 for length in tensor.shape) >= 2


def _is_gain(tensor: Tensor, place: Place, census: Census) -> bool:
    if place.kind.bare:
        return False
    if place.kind.is_norm:
        return True
    beside = (f"{place.module}.running_mean", f"{place.module}.bias")
    return any(census.shapes.get(name) == tensor.shape for name in beside)
