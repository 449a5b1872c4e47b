"""What a scan measured of a checkpoint: the values that findings and the card are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from thermoscan.anatomy.model import Anatomy, Layer, Recorded
from thermoscan.card import Comparison, LayerChange, Sampling
from thermoscan.card_spectra import LayerSpectra, SpectraSummary
from thermoscan.checkpoint import Checkpoint, Tensor
from thermoscan.tally.record import FloatArray, Tally
from thermoscan.theory.engine import Stage
from thermoscan.theory.jackknife import Interval
from thermoscan.theory.states import LayerState, Transition


@dataclass(frozen=True, slots=True)
class UnitSpread:
    """How the energy of a layer is spread over its output units.

    Attributes:
        units: Number of units.
        dead: Units whose energy is below `DEAD_SHARE` of the layer's mean.
        silent: Units whose weights are all exactly zero; part of `dead`.
    """

    units: int
    dead: int
    silent: int


@dataclass(frozen=True, slots=True)
class LayerSample:
    """What a sample of a layer's bytes says of the errors of its figures.

    Attributes:
        values: Figures by the card's names with their replicates, drawn in (see
            `thermoscan.theory.jackknife`), from which errors of sums over layers follow.
            `parameters` are degrees of freedom, and `order` may be below 0 by its error.
        systematic: Errors that replicates share, by the same names.
        blocks: That agree on sparsity, as if drawn again and again; None where they do not.
        intervals: Of 95 %, by the names of the card's layers and engines.
    """

    values: Mapping[str, FloatArray]
    systematic: Mapping[str, float]
    blocks: float | None
    intervals: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class LayerMeasurement:
    """One layer after the scan.

    Attributes:
        layer: What it is.
        tensor: The stored tensor that holds it.
        digest: Of the stored tensor's bytes, xxh3-128; None where they were not all read.
        tally: Its tally. The sums per unit are dropped once the fields below are drawn from them.
            Of a sample, `count` and `zeros` are scaled up to the whole layer.
        spread: How its energy is spread over its units; None where they were not all read.
        state: Its thermal state; None where it has no degrees of freedom.
        transition: From its initialisation (Type I); None where that is not known.
        stage: Its stage of the heat engine, estimated; None where it has none or it is not known.
        stage_reason: Why an engine layer has no stage; None otherwise.
        refresh: From the base checkpoint (Type II); None where there is none.
        change: What became of it since the base; None where there is none.
        sample: Errors of all that; None where every byte was read.
        spectra: Of its matrix; None where they were not asked for.
    """

    layer: Layer
    tensor: Tensor
    digest: str | None
    tally: Tally
    spread: UnitSpread | None
    state: LayerState | None
    transition: Transition | None
    stage: Stage | None
    stage_reason: str | None
    refresh: Transition | None = None
    change: LayerChange | None = None
    sample: LayerSample | None = None
    spectra: LayerSpectra | None = None


@dataclass(frozen=True, slots=True)
class VectorMeasurement:
    """A recorded float tensor (a bias, a norm) after the scan."""

    recorded: Recorded
    tensor: Tensor
    digest: str | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class Measurement:
    """A whole checkpoint after the scan.

    Attributes:
        checkpoint: The checkpoint. Its reader may be closed by now.
        anatomy: What its tensors are.
        layers: In the order of the anatomy.
        vectors: Recorded float tensors, in the order of the anatomy.
        digests: Of every stored tensor that was read whole, by name.
        comparison: The checkpoint beside its base; None where none was given.
        sampling: What was read; None where every byte was.
        spectra: Of the layers together; None where they were not asked for.
    """

    checkpoint: Checkpoint
    anatomy: Anatomy
    layers: tuple[LayerMeasurement, ...]
    vectors: tuple[VectorMeasurement, ...]
    digests: Mapping[str, str] = field(default_factory=dict)
    comparison: Comparison | None = None
    sampling: Sampling | None = None
    spectra: SpectraSummary | None = None
