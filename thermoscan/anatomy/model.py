"""What a checkpoint is made of, as frozen values.

A *layer* is one weight matrix of the theory (section 3): a linear map, a convolution, an embedding
table, one expert of a stack, or one part of a fused tensor. Several layers may share one stored
tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from thermoscan.theory.initialisation import Initialisation


class Role(Enum):
    """What a tensor does in its network. The value is the name used in cards.

    ``QUERY_KEY_VALUE`` is a fused tensor whose parts cannot be told apart by slicing: they
    alternate head by head, or their sizes are not known. ``VECTOR`` is a parameter that is none of
    the others: a learned token, a layer scale, a scalar.
    """

    EMBEDDING = "embedding"
    QUERY = "attention query"
    KEY = "attention key"
    VALUE = "attention value"
    QUERY_KEY_VALUE = "attention query, key and value"
    ATTENTION_OUTPUT = "attention output"
    UP = "mlp up"
    GATE = "mlp gate"
    DOWN = "mlp down"
    ROUTER = "router"
    CONVOLUTION = "convolution"
    RECURRENT_INPUT = "recurrent input"
    RECURRENT_HIDDEN = "recurrent hidden"
    HEAD = "head"
    LINEAR = "linear"
    NORM = "norm"
    BIAS = "bias"
    BUFFER = "buffer"
    VECTOR = "vector"

    # members are singletons: by identity, hashing takes a tenth of the time by name
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class FeedingNorm:
    """The normalisation whose output is a layer's input (theory section 4).

    Attributes:
        gain: Name of the stored gain vector, None for a norm without one (gain 1).
        bias: Name of the stored bias vector, None for a norm without one (bias 0).
        gain_is_offset: True where the effective gain is 1 + the stored vector (Gemma).
    """

    gain: str | None
    bias: str | None
    gain_is_offset: bool = False


@dataclass(frozen=True, slots=True)
class FollowingNorm:
    """The normalisation between a layer's output and its activation.

    Attributes:
        gain: Name of the stored gain vector.
        bias: Name of the stored bias vector, None for a norm without one (bias 0).
        per_unit: True where every unit is brought to zero mean and unit variance over the data
            (batch norm), so that the pre-activation's mean is the bias and its deviation the gain.
            False where that is done over the units of each example (layer norm).
        groups: Into how many runs of units of equal length those are parted, each of which is
            brought there by itself (group norm); 1 for all together.
    """

    gain: str
    bias: str | None
    per_unit: bool
    groups: int = 1


@dataclass(frozen=True, slots=True)
class BiasSlice:
    """The part ``[start:stop]`` of a stored bias vector that belongs to one layer."""

    tensor: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One weight matrix and what surrounds it.

    Attributes:
        name: Unique in the anatomy: the tensor's name, with ``[expert]`` and ``[part]`` appended
            where the tensor holds several matrices, as in ``h.0.attn.c_attn.weight[query]``.
        tensor: Name of the stored tensor.
        role: What it does.
        group: Index along the tensor's axis 0 where that axis stacks matrices (experts); else None.
        out_axis: The axis of the stored tensor, counted in the stored tensor, along which output
            units run. All other axes (but the group axis) are inputs: for a convolution,
            in-channels and kernel.
        start: First output unit of this layer along `out_axis`.
        stop: One past the last output unit of this layer along `out_axis`.
        shape: (outputs, inputs) of the matrix.
        fan_in: Inputs that sum into one output; 1 for an embedding, whose input is one-hot.
        depth: Index of the block it belongs to (``encoder.layer.3`` is 3); None where names give
            none.
        activation: Canonical name (`thermoscan.theory.activations`) of the function applied to its
            output; "identity" where nothing is; None where it is not known.
        activation_reason: Why `activation` is None; None otherwise.
        engine: True where the layer's pre-activation passes a nonlinearity (or may: activation
            unknown), so that it is a working stage of the heat engine. In a gated unit that is the
            gate, not `up`.
        joins: Name of the layer to whose pre-activation this one adds (a recurrent hidden matrix
            adds to the input matrix); None where it stands alone.
        norm: The norm that feeds it; None where none does.
        following: The norm between its output and its activation; None where none is known.
        bias: Its bias; None where it has none.
        initialisation: How its entries were drawn; None where it is not known.
        initialisation_reason: Why `initialisation` is None; None otherwise.
    """

    name: str
    tensor: str
    role: Role
    shape: tuple[int, int]
    fan_in: int
    out_axis: int
    start: int
    stop: int
    group: int | None = None
    depth: int | None = None
    activation: str | None = None
    activation_reason: str | None = None
    engine: bool = False
    joins: str | None = None
    norm: FeedingNorm | None = None
    following: FollowingNorm | None = None
    bias: BiasSlice | None = None
    initialisation: Initialisation | None = None
    initialisation_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A tensor that is recorded but is no layer: a norm, a bias, a buffer, an integer tensor."""

    tensor: str
    role: Role
    reason: str


@dataclass(frozen=True, slots=True)
class NotAnalysed:
    """A weight that is left out of every figure, and why (packed quantised codes, their scales)."""

    tensor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A checkpoint's layers, and all that is not a layer. Every tensor is in exactly one part.

    Attributes:
        architecture: ``model_type`` of the configuration, for one of diffusers the name of its
            class, or None; of several components, the class of the whole.
        layers: In the order of the model: stored order, embeddings first where names tell.
        recorded: Auxiliary tensors.
        not_analysed: Weights that cannot be read as numbers yet.
        tied: Stored tensors that the architecture ties: name -> the name it equals. Counted once.
        notes: Assumptions made, in sentences for the card.
    """

    architecture: str | None
    layers: tuple[Layer, ...]
    recorded: tuple[Recorded, ...] = ()
    not_analysed: tuple[NotAnalysed, ...] = ()
    tied: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
