"""The card: everything that one scan found out about one model, as plain frozen data. Version 1.

Reporters render it; `thermoscan.card_io` writes and reads its JSON, whose schema
(``thermoscan/schema/card-1.json``) is generated from these classes. Every value that is None has
its reason under the same name in `reasons` of the same object; a reason is a short sentence that
many layers may share, without names or numbers. Names in a card are as the checkpoint has them:
hostile text. Energies and temperatures are in squared pre-activation units, entropies in nats,
sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas

CARD_VERSION = 1
SCHEMA_URL = "https://thermoscan.github.io/schema/card-1.json"


@dataclass(frozen=True)
class Digest:
    """A content digest: ``sha256``, or ``xxh3-128`` over the contents (see docs/card.md)."""

    algorithm: str
    value: str


@dataclass(frozen=True)
class ModelFile:
    """A weight file that was scanned."""

    name: str
    bytes: int
    digest: Digest


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
    type.
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
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class InitialisationRecord:
    """The distribution a layer is taken to have started from, and where that is known from."""

    family: str
    variance: float
    source: str


@dataclass(frozen=True)
class Engine:
    """A layer as a stage of the heat engine (theory section 4); `estimated` without data."""

    activation: str | None
    type: str | None
    heat: float | None
    work: float | None
    efficiency: float | None
    estimated: bool
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerRecord:
    """One weight matrix. `shape` is (outputs, inputs); `digest` is of the stored tensor's bytes.

    `transition_temperature` is measured from initialisation (Type I), `refresh_temperature` from a
    base checkpoint (Type II). `sparsity` is the share of exact zeros, `bits_per_parameter` the
    discrete entropy.
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
    digest: str
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
class Card:
    """One scan of one model.

    Attributes:
        schema: `SCHEMA_URL`, an identifier; nothing fetches it.
        version: `CARD_VERSION`; a reader refuses newer ones.
        generator: ``"thermoscan"`` and its version.
        model: What was scanned.
        summary: The model as a whole.
        layers: In the order of the model; a layer's index here is its ``#layer-INDEX`` in the HTML
            card.
        findings: What a person should know, in any order.
        coverage: Where every parameter went.
        files: Files beside the weights that were refused or skipped.
        notes: Assumptions that were made, in sentences.
    """

    schema: str
    version: int
    generator: str
    model: Model
    summary: Summary
    layers: tuple[LayerRecord, ...]
    findings: tuple[Finding, ...]
    coverage: Coverage
    files: tuple[OtherFile, ...]
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """Returns the card as JSON text, the same bytes for the same card."""
        return _render("json", self)

    def to_html(self) -> str:
        """Returns the card as one self-contained HTML page."""
        return _render("html", self)

    def to_frame(self) -> pandas.DataFrame:
        """Returns the layers as a pandas data frame, a row each; needs pandas installed."""
        from thermoscan.card_io import layers_frame  # noqa: PLC0415 - pandas is heavy and optional

        return layers_frame(self)


class Reporter(Protocol):
    """Renders a card to text. Registered in the entry-point group ``thermoscan.reporters``."""

    def render(self, card: Card) -> str:
        """Returns the rendering of `card`; the same card gives the same text."""
        ...


def _render(reporter_name: str, card: Card) -> str:
    from thermoscan.plugins import reporter  # noqa: PLC0415 - looked up when first needed

    return reporter(reporter_name).render(card)
