"""The card: everything that one scan found out about one model, as plain frozen data. Version 4.

Reporters render it; `thermoscan.card_io` writes and reads its JSON, whose schema
(``thermoscan/schema/card-4.json``) is generated from these classes. Every value that is None has
its reason under the same name in `reasons` of the same object; a reason is a short sentence that
many layers may share, without names or numbers. Names in a card are as the checkpoint has them:
hostile text. Energies and temperatures are in squared pre-activation units, entropies in nats,
sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from thermoscan.card_spectra import LayerSpectra, SpectraSummary

if TYPE_CHECKING:
    import pandas

CARD_VERSION = 4
SCHEMA_URL = "https://thermoscan.github.io/schema/card-4.json"

EVERY_BYTE = "every byte was read"
"""Why a card has no `sampling`."""

SAMPLE_ONLY = "only a sample of its bytes was read"
"""Why a value that needs every byte is None."""


@dataclass(frozen=True)
class Digest:
    """A content digest: ``sha256``, or ``xxh3-128`` over the contents (see docs/card.md)."""

    algorithm: str
    value: str

    @property
    def text(self) -> str:
        """Both in one: ``ALGORITHM:VALUE``."""
        return f"{self.algorithm}:{self.value}"


@dataclass(frozen=True)
class ModelFile:
    """A weight file that was scanned; `digest` is None where not all of it was read."""

    name: str
    bytes: int
    digest: Digest | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """What was scanned. `dtypes` maps an element type to its number of parameters."""

    id: str
    revision: str | None
    architecture: str | None
    parameters: int
    bytes: int
    dtypes: Mapping[str, int]
    files: tuple[ModelFile, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """The model as a whole: ratios of sums over its layers (theory sections 3 and 4).

    `reduced_temperature` leaves embeddings out: their inputs are one-hot, so that 1 is no landmark
    for them.

    `engine_type` is ``"non-saturating"`` (Zhang's two types, our Type I), ``"saturating"`` (Type
    II), ``"amplifier"`` or ``"mixed"``; `engine_shares` gives the share of the work done by each
    type. `intervals` holds 95 % intervals by field name where only a sample was read.
    """

    temperature: float | None
    reduced_temperature: float | None
    transition_temperature: float | None
    refresh_temperature: float | None
    order: float | None
    work_efficiency: float | None
    engine_type: str | None
    engine_shares: Mapping[str, float]
    carnot_bound: float | None
    bits_per_parameter: float | None
    sparsity: float | None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class InitialisationRecord:
    """The distribution a layer is taken to have started from, and where that is known from."""

    family: str
    variance: float
    source: str


@dataclass(frozen=True)
class Engine:
    """A layer as a stage of the heat engine (theory section 4); `estimated` without data.

    `intervals` holds 95 % intervals by field name where only a sample was read.
    """

    activation: str | None
    type: str | None
    heat: float | None
    work: float | None
    efficiency: float | None
    estimated: bool
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerProbe:
    """What running the model on data measured of one layer (theory section 5).

    Temperatures are virial, ``(1/d) Σ w ∂L/∂w``: nats per parameter where the loss is a
    cross-entropy. Heat and work are means over the positions that the layer saw (tokens, patches,
    places of a picture), summed over its units, in squared pre-activation units.

    Attributes:
        parameters: Degrees of freedom d: the entries that the running model has for this layer.
        temperature: On the data.
        heat: ``Q``; None for a layer that no activation follows.
        work: ``W``; None likewise.
        efficiency: ``W / Q``, measured; None likewise.
        reference_temperature: On the reference data; None where the data is the reference data.
        reference_efficiency: The same.
        baseline_temperature: Mean over re-initialised copies, on the data; None without copies.
        baseline_efficiency: ``ΣW / ΣQ`` of the copies.
    """

    parameters: int
    temperature: float | None
    heat: float | None
    work: float | None
    efficiency: float | None
    reference_temperature: float | None
    reference_efficiency: float | None
    baseline_temperature: float | None
    baseline_efficiency: float | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerChange:
    """What became of one layer since the base checkpoint (theory section 3, Type II).

    Attributes:
        status: ``"same"`` (the same numbers), ``"rounded"`` (the same but for rounding to a
            narrower type), ``"changed"``, ``"re-initialised"`` (nothing of the base is left, and it
            is like a fresh start), ``"replaced"`` (nothing of the base is left, and it is not),
            ``"resized"`` or ``"added"``.
        energy_change: ``½ Δ<w²>`` per parameter, squared weight units.
        energy_error: Its standard error; that of a paired difference where entries correspond.
        entropy_change: ``Δs``, nats per parameter.
        entropy_error: Its standard error.
        distance: ``|w₁ - w₀| / |w₀|``.
        cosine: Of the angle between both states of the weights.
        kept: ``<w₁, w₀> / <w₀, w₀>``: the share of the base that is still in the weights.
        rank: Rank of the change beyond what rounding explains, where it is low.
    """

    status: str
    energy_change: float | None
    energy_error: float | None
    entropy_change: float | None
    entropy_error: float | None
    distance: float | None
    cosine: float | None
    kept: float | None
    rank: int | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerRecord:
    """One weight matrix. `shape` is (outputs, inputs); `digest` is of the stored tensor's bytes.

    Where only a sample of the layer was read, `intervals` holds by field name the 95 % intervals
    for the values that a full scan gives, `non_finite` counts what was seen, and what needs every
    byte is None.

    `transition_temperature` is measured from initialisation (Type I), `refresh_temperature` from a
    base checkpoint (Type II); `change` holds what else is known of that. `sparsity` is the share of
    exact zeros, `bits_per_parameter` the discrete entropy. `engine` is estimated from the weights,
    `probe` measured on data. `spectra` are its eigenvalues, where they were asked for.
    """

    name: str
    tensor: str
    role: str
    depth: int | None
    shape: tuple[int, int]
    dtype: str
    parameters: int
    temperature: float | None
    reduced_temperature: float | None
    entropic_temperature: float | None
    entropy: float | None
    entropy_error: float | None
    order: float | None
    transition_temperature: float | None
    refresh_temperature: float | None
    sparsity: float
    bits_per_parameter: float | None
    mean: float | None
    minimum: float | None
    maximum: float | None
    kurtosis: float | None
    non_finite: int
    initialisation: InitialisationRecord | None
    engine: Engine | None
    probe: LayerProbe | None
    change: LayerChange | None
    spectra: LayerSpectra | None
    digest: str | None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExpertSpread:
    """How the experts of one mixture differ, in one of their matrices.

    Attributes:
        name: What their layers' names have in common, the expert's number replaced by ``*``.
        role: Of each of them.
        depth: Block they belong to.
        experts: How many they are.
        reduced_temperature: ``Σ d τ / Σ d``.
        temperature_spread: Standard deviation of T across experts, over its mean.
        sampling_spread: The same as it would be if all experts were draws from one distribution.
        order_spread: Standard deviation of J across experts, nats per parameter.
        coldest: Name of the layer with the least T.
        hottest: Name of the layer with the greatest T.
    """

    name: str
    role: str
    depth: int | None
    experts: int
    reduced_temperature: float | None
    temperature_spread: float | None
    sampling_spread: float | None
    order_spread: float | None
    coldest: str | None
    hottest: str | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProbeRun:
    """The whole model on one set of data (theory section 5).

    Attributes:
        data: What was run, in words; hostile text where it is a file's name.
        inputs: Examples: texts cut to the model's length, rows, pictures.
        positions: Places at which the loss was taken: tokens, labels.
        loss: Mean over the positions, nats.
        temperature: ``Σ d T / Σ d`` over the layers.
        heat: Sum over the layers that have an activation.
        work: Sum over the same.
        efficiency: ``ΣW / ΣQ``.
    """

    data: str
    inputs: int
    positions: int
    loss: float | None
    temperature: float | None
    heat: float | None
    work: float | None
    efficiency: float | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """The model run on data (theory section 5).

    Attributes:
        objective: What the loss is: ``"causal language modelling"``, ``"masked language
            modelling"``, ..., or ``"none"`` where only forward quantities were measured.
        device: Where it ran, as torch names it.
        seed: Of every random choice.
        run: On the data.
        reference: On the reference data; None where the data is the reference data.
        baseline: Mean over `copies` re-initialised models on the data (Type I).
        copies: How many they are.
    """

    objective: str
    device: str
    seed: int
    run: ProbeRun
    reference: ProbeRun | None
    baseline: ProbeRun | None
    copies: int
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """The model beside a base checkpoint (theory section 3, Type II).

    Attributes:
        base: Id of the base checkpoint.
        base_revision: Commit that was pinned, for a hub source.
        verdict: ``"same weights"``, ``"fine-tune"``, ``"merge candidate"`` or ``"unrelated"``.
        because: What the verdict rests on, in a sentence with its numbers.
        statuses: Status of `LayerChange` -> number of layers.
        removed: Names of the base's layers that the model has not.
        energy_change: ``Σ d ½Δ<w²> / Σ d`` over the layers in both.
        entropy_change: ``Σ d Δs / Σ d`` over the same.
        distance: ``|w₁ - w₀| / |w₀|`` over the layers whose entries correspond.
        cosine: Over the same.
        kept: Over the same.
    """

    base: str
    base_revision: str | None
    verdict: str
    because: str
    statuses: Mapping[str, int]
    removed: tuple[str, ...]
    energy_change: float | None
    entropy_change: float | None
    distance: float | None
    cosine: float | None
    kept: float | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """Something a person should know.

    Attributes:
        code: Stable kebab-case identifier.
        severity: ``"error"`` (broken), ``"warning"`` (look at it) or ``"info"`` (worth knowing).
        layer: Name of the layer or tensor it is about; None for the whole model.
        message: What was seen, in one sentence with its numbers and no name from the checkpoint.
        meaning: What it means.
        advice: What to do.
        evidence: The numbers behind it.
    """

    code: str
    severity: str
    layer: str | None
    message: str
    meaning: str
    advice: str
    evidence: Mapping[str, float | int | str | None]


@dataclass(frozen=True)
class CoverageItem:
    """Some parameters and why they were (not) analysed. `percent` is of all parameters."""

    reason: str
    tensors: int
    parameters: int
    percent: float


@dataclass(frozen=True)
class Coverage:
    """Where every parameter of the checkpoint went: analysed, recorded only, or skipped."""

    parameters: int
    analysed: CoverageItem
    recorded: tuple[CoverageItem, ...]
    skipped: tuple[CoverageItem, ...]


@dataclass(frozen=True)
class OtherFile:
    """A file beside the weights that was refused or skipped, its stable code and reason."""

    name: str
    bytes: int
    status: str
    code: str
    reason: str


@dataclass(frozen=True)
class Sampling:
    """What a sample read, where not every byte was read.

    Attributes:
        bytes_read: Of the tensors that are counted.
        bytes_in_all: That these tensors have; integers and what is not analysed are left out.
        share: The former over the latter.
        seed: Of the choice of blocks.
        blocks: How many were read of the tensors that were not read whole.
        tensors_whole: Tensors that were read whole.
        confidence: Of the intervals.
    """

    bytes_read: int
    bytes_in_all: int
    share: float
    seed: int
    blocks: int
    tensors_whole: int
    confidence: float


@dataclass(frozen=True)
class NotLookedFor:
    """A kind of finding that was not looked for, by its code, and why."""

    code: str
    reason: str


@dataclass(frozen=True)
class Card:
    """One scan of one model.

    Attributes:
        schema: `SCHEMA_URL`, an identifier; nothing fetches it.
        version: `CARD_VERSION`; a reader refuses newer ones.
        generator: ``"thermoscan"`` and its version.
        model: What was scanned.
        sampling: What a sample read; None where every byte was read.
        summary: The model as a whole.
        layers: In the order of the model; a layer's index here is its ``#layer-INDEX`` in the HTML
            card.
        experts: A mixture's experts beside each other; empty where there are none.
        spectra: The spectra of its layers together; None where they were not asked for.
        probe: The model run on data; None where it was not.
        comparison: The model beside a base checkpoint; None where none was given.
        findings: What a person should know, in any order.
        not_looked_for: Kinds of finding that were not looked for.
        coverage: Where every parameter went.
        files: Files beside the weights that were refused or skipped.
        notes: Assumptions that were made, in sentences.
    """

    schema: str
    version: int
    generator: str
    model: Model
    sampling: Sampling | None
    summary: Summary
    layers: tuple[LayerRecord, ...]
    experts: tuple[ExpertSpread, ...]
    spectra: SpectraSummary | None
    probe: Probe | None
    comparison: Comparison | None
    findings: tuple[Finding, ...]
    not_looked_for: tuple[NotLookedFor, ...]
    coverage: Coverage
    files: tuple[OtherFile, ...]
    notes: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Returns the card as JSON text, the same bytes for the same card."""
        return _render("json", self)

    def to_html(self) -> str:
        """Returns the card as one self-contained HTML page."""
        return _render("html", self)

    def to_frame(self) -> pandas.DataFrame:
        """Returns the layers as a pandas data frame, a row each; needs pandas installed."""
        from thermoscan.card_frames import layers_frame  # noqa: PLC0415 - pandas is heavy, optional

        return layers_frame(self)

    def spectra_frame(self) -> pandas.DataFrame:
        """Returns the spectra as a pandas data frame, with WeightWatcher's names of columns.

        A row each: a convolution has two, of its matrix and of its slices, any other layer one or
        none. ``frame.query("counted and num_evals >= 8")`` has the rows of WeightWatcher's details.
        """
        from thermoscan.card_frames import spectra_frame  # noqa: PLC0415 - pandas is heavy, optional

        return spectra_frame(self)


class Reporter(Protocol):
    """Renders a card to text. Registered in the entry-point group ``thermoscan.reporters``."""

    def render(self, card: Card) -> str:
        """Returns the rendering of `card`; the same card gives the same text."""
        ...


def _render(reporter_name: str, card: Card) -> str:
    from thermoscan.plugins import reporter  # noqa: PLC0415 - looked up when first needed

    return reporter(reporter_name).render(card)
