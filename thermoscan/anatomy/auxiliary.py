"""Tells the tensors that are no matrices: norms, biases, buffers, vectors, integers.

Takes a tensor and its place; gives a `Recorded`, or None where it is a weight matrix and somebody
else's business.
"""

from __future__ import annotations

from functools import lru_cache

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
_FIXED_BASES = ("rotary", "stft", "spectrogram", "mel_basis", "mel_filters")
_NORM_WORDS = frozenset({"ln", "bn", "gn"})

NORM_REASON = "gain or bias of a normalisation"
BIAS_REASON = "bias"
BUFFER_REASON = "buffer: not trained"
INTEGER_REASON = "integers: indices, masks or counters"
COMPLEX_REASON = "complex numbers"
EMPTY_REASON = "no elements"
VECTOR_REASON = "vector or scalar: not a matrix"


def recorded(tensor: Tensor, place: Place, census: Census) -> Recorded | None:
    """Returns what an auxiliary tensor is, None for a weight matrix."""
    if not tensor.dtype.is_float:
        reason = COMPLEX_REASON if tensor.dtype.label == "C64" else INTEGER_REASON
        return Recorded(tensor.name, Role.BUFFER, reason)
    if 0 in tensor.shape:
        return Recorded(tensor.name, Role.BUFFER, EMPTY_REASON)
    if _is_buffer(tensor, place):
        return Recorded(tensor.name, Role.BUFFER, BUFFER_REASON)
    if _is_bias(place):
        if is_norm_word(place.word) or _is_vector(census.shapes.get(f"{place.module}.weight")):
            return Recorded(tensor.name, Role.NORM, NORM_REASON)
        return Recorded(tensor.name, Role.BIAS, BIAS_REASON)
    if _is_matrix(tensor, place, census):
        return None
    if _is_gain(tensor, place, census):
        return Recorded(tensor.name, Role.NORM, NORM_REASON)
    return Recorded(tensor.name, Role.VECTOR, VECTOR_REASON)


@lru_cache(maxsize=65_536)
def is_norm_word(word: str) -> bool:
    """Says whether a module of this name is a normalisation.

    >>> [is_norm_word(word) for word in ("layernorm", "ln_f", "conv1_bn", "norm2", "normal_map")]
    [True, True, True, True, False]
    """
    tokens = [token.rstrip("0123456789") for token in word.split("_")]
    return any(t in _NORM_WORDS or t.endswith(("norm", "norms")) for t in tokens)


def _is_vector(shape: tuple[int, ...] | None) -> bool:
    return shape is not None and len(shape) == 1


def _is_bias(place: Place) -> bool:
    return (
        place.leaf in ("bias", "beta")
        or place.leaf.startswith("bias_")
        or place.leaf.endswith("_bias")
    )


def _is_buffer(tensor: Tensor, place: Place) -> bool:
    if place.leaf in _BUFFER_LEAVES:
        return True
    if any(base in word for word in place.words for base in _FIXED_BASES):
        return True
    # GPT-2's causal mask is called attn.bias: (1, 1, positions, positions)
    return _is_bias(place) and len(tensor.shape) == 4 and tensor.shape[:2] == (1, 1)


def _is_matrix(tensor: Tensor, place: Place, census: Census) -> bool:
    """A weight of two axes or more; a bare parameter needs two that are longer than one."""
    if len(tensor.shape) < 2:
        return False
    if place.leaf in ("weight", "kernel") or "weight" in place.leaf:
        # a normalisation over several axes has a bias for every gain
        return census.shapes.get(f"{place.module}.bias") != tensor.shape
    return sum(length > 1 for length in tensor.shape) >= 2


def _is_gain(tensor: Tensor, place: Place, census: Census) -> bool:
    if place.bare:
        return False
    if is_norm_word(place.word):
        return True
    beside = (f"{place.module}.running_mean", f"{place.module}.bias")
    return any(census.shapes.get(name) == tensor.shape for name in beside)
