"""The tables of a catalogue. Each column says what it holds (`Column.doc`).

::

    models ──< scans ──< layers, findings, files
       └─────< revisions ──< scans

A *model* is a name. A *revision* is one state of its content. A *scan* is one act, with its options
and its outcome; a newer one of the same revision with the same options takes its place, all others
stay as history. One scan of each model is its last (`scans.c.is_last`): that one speaks for the
model. Layers, findings and files belong to a scan.

Names and units are the card's (`thermoscan.card`); what is null in a card is NULL here, its reason
stays in the card. A change of these tables needs a migration (``thermoscan/catalogue/migrations``)
and its number at the end of `REVISIONS`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

from thermoscan.catalogue.types import HostileText, JsonText, Moment

REVISIONS = ("0001", "0002")
"""Every revision of the schema, the first one first; a catalogue in use is at the last."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite counts rows by itself only in a column whose type is literally INTEGER.
_Id = BigInteger().with_variant(Integer(), "sqlite")


def _number(name: str, doc: str) -> Column[Any]:
    return Column(name, Double, doc=doc)


def _count(name: str, doc: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=nullable, doc=doc)


def _word(name: str, doc: str, *, nullable: bool = False) -> Column[Any]:
    """A word of thermoscan's own, so never hostile."""
    return Column(name, String, nullable=nullable, doc=doc)


def _text(name: str, doc: str, *, nullable: bool = False) -> Column[Any]:
    """Text from a checkpoint, a folder or a hub."""
    return Column(name, HostileText, nullable=nullable, doc=doc)


def _of_scan() -> tuple[Column[Any], Column[Any]]:
    """The key of what belongs to a scan."""
    return (
        Column("scan_id", _Id, ForeignKey("scans.id"), primary_key=True, doc="Whose it is."),
        Column(
            "position",
            Integer,
            primary_key=True,
            autoincrement=False,
            doc="Place in the card, from 0; that of a layer is its #layer-POSITION there.",
        ),
    )


models = Table(
    "models",
    metadata,
    Column("id", _Id, primary_key=True),
    _text("name", "What the batch calls it; unique (by `name_digest`)."),
    Column(
        "name_digest",
        LargeBinary,
        nullable=False,
        unique=True,
        doc="sha256 of the name as stored: a name may be longer than PostgreSQL can index.",
    ),
    _text("source", "Where it was found last: an absolute path or a hub id."),
    # Only that kind of index of PostgreSQL takes a text of any length.
    Index("ix_models_name", "name", postgresql_using="hash"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("model_id", _Id, ForeignKey("models.id"), nullable=False),
    _text(
        "identity",
        "commit:COMMIT of a hub; else files:SHA256 of the names, lengths and digests of its files; "
        "else, where not every byte was read, key:KEY of the scan.",
    ),
    _text("commit", "Of a hub source; else NULL.", nullable=True),
    _count("bytes", "Of the weight files."),
    _count("parameters", "Their number."),
    _text("architecture", "As the configuration says; NULL where none does.", nullable=True),
    _word(
        "structure",
        "The same for models whose layers have the same names and shapes; NULL without layers.",
        nullable=True,
    ),
    _text("dtype", "The element type that most parameters have.", nullable=True),
    Column("dtypes", JsonText, nullable=False, doc="Element type -> parameters of it."),
    UniqueConstraint("model_id", "identity"),
)

scans = Table(
    "scans",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("model_id", _Id, ForeignKey("models.id"), nullable=False, index=True),
    Column(
        "revision_id",
        _Id,
        ForeignKey("revisions.id"),
        doc="What was scanned; NULL where it was refused or skipped.",
    ),
    Column(
        "is_last",
        Boolean,
        nullable=False,
        doc="Whether it speaks for its model: no other scan of that was recorded later.",
    ),
    _word("status", "scanned, refused or skipped."),
    _word("code", "Stable identifier of why it was refused or skipped; else NULL.", nullable=True),
    _text("reason", "The same as a sentence; else NULL.", nullable=True),
    _word("key", "What it is known by again; NULL where the next run tries again.", nullable=True),
    Column("options", JsonText, nullable=False, doc="Those that a result depends on."),
    _word("scanner", "Version of thermoscan."),
    Column("at", Moment, nullable=False, doc="When it ended, UTC."),
    Column("seconds", Double, nullable=False, doc="That it took."),
    _text("card", "Path of card.html, relative to the batch's folder; or NULL.", nullable=True),
    Column("sampled", Boolean, nullable=False, doc="Whether only a sample was read."),
    _number("sample_share", "Share of the bytes that the sample read; NULL for all of them."),
    _number("temperature", "Of the model, like all down to sparsity; squared weight units."),
    _number("reduced_temperature", "fan_in · T over its layers but embeddings."),
    _number("transition_temperature", "Type I, from initialisation."),
    _number("refresh_temperature", "Type II, from a base checkpoint."),
    _number("order", "Nats per parameter."),
    _number("work_efficiency", "Of the engine."),
    _word("engine_type", "non-saturating, saturating, amplifier or mixed.", nullable=True),
    Column("engine_shares", JsonText, doc="Engine type -> its share of the work."),
    _number("carnot_bound", "Of the efficiency."),
    _number("bits_per_parameter", "Discrete entropy."),
    _number("sparsity", "Share of exact zeros."),
    Column(
        "intervals",
        JsonText,
        doc="Column above -> its 95 % interval [low, high], where only a sample was read.",
    ),
    _text("base", "Id of the base checkpoint it was compared with; else NULL.", nullable=True),
    _text("base_revision", "Commit of that base, where it has one.", nullable=True),
    _word(
        "verdict", "same weights, fine-tune, merge candidate or unrelated; or NULL.", nullable=True
    ),
    _number("energy_change", "½ Δ<w²> per parameter since the base, like the next four."),
    _number("entropy_change", "Nats per parameter."),
    _number("distance", "|w₁ - w₀| / |w₀|."),
    _number("cosine", "Between both states."),
    _number("kept", "Share of the base that is still in the weights."),
    _count("layers", "How many were analysed; 0 without a card."),
    _count("errors", "Findings of severity error."),
    _count("warnings", "Findings of severity warning."),
    _count("infos", "Findings of severity info."),
    Column(
        "worst",
        JsonText,
        nullable=False,
        doc="Sorted codes of the worst severity there is among errors and warnings.",
    ),
    Column(
        "profile",
        JsonText,
        nullable=False,
        doc="thermoscan.catalogue.index.profile_of the card; [] without one.",
    ),
    _number("alpha", "Mean exponent of the layers' power laws; like the next four, of --spectra."),
    _number("alpha_weighted", "Mean of alpha · log10 λ_max."),
    _number("log_alpha_norm", "Mean of log10 Σ λ^alpha."),
    _number("stable_rank", "Mean of the layers'."),
    _number("ordered_fraction", "Energy of all outliers over the energy."),
)

Index(
    "uq_scans_last",
    scans.c.model_id,
    unique=True,
    sqlite_where=scans.c.is_last,
    postgresql_where=scans.c.is_last,
)

layers = Table(
    "layers",
    metadata,
    *_of_scan(),
    _text("name", "Of the layer, as the checkpoint has it."),
    _word("role", "attention query, mlp up, embedding, ..."),
    _count("depth", "Block it belongs to; NULL where its name says none.", nullable=True),
    _count("rows", "Outputs."),
    _count("columns", "Inputs."),
    _word("dtype", "Element type."),
    _count("parameters", "rows × columns."),
    _number("temperature", "<w²>."),
    _number("reduced_temperature", "fan_in · T."),
    _number("entropic_temperature", "exp(2s) / 2πe."),
    _number("entropy", "Differential, nats per parameter."),
    _number("entropy_error", "Its standard error."),
    _number("order", "Nats per parameter."),
    _number("transition_temperature", "Type I, from initialisation."),
    _number("refresh_temperature", "Type II, from a base checkpoint."),
    _number("sparsity", "Share of exact zeros."),
    _number("bits_per_parameter", "Discrete entropy."),
    _number("mean", "Of the weights, like the next three."),
    _number("minimum", ""),
    _number("maximum", ""),
    _number("kurtosis", "3 for a Gaussian."),
    _count("non_finite", "NaN and infinities among the weights."),
    _text("engine_activation", "That follows; NULL where none does.", nullable=True),
    _word("engine_type", "non-saturating, saturating or amplifier.", nullable=True),
    _number("engine_heat", "Q, squared pre-activation units."),
    _number("engine_work", "W, the same."),
    _number("engine_efficiency", "W / Q, estimated."),
    _word("change_status", "Since the base: same, rounded, changed, ...; or NULL.", nullable=True),
    _number("change_energy_change", "½ Δ<w²> per parameter."),
    _number("change_entropy_change", "Nats per parameter."),
    _number("change_distance", "|w₁ - w₀| / |w₀|."),
    _number("change_cosine", "Between both states."),
    _number("change_kept", "Share of the base that is still in the weights."),
    _count("change_rank", "Of the change, where it is low.", nullable=True),
    _word("digest", "ALGORITHM:VALUE of the stored bytes.", nullable=True),
    _number("alpha", "Exponent of the spectrum's power law; like the next four, of --spectra."),
    _number("stable_rank", "Σ λ / λ_max; a convolution's by its slices, as all of these."),
    _number("effective_rank", "exp of the spectral entropy."),
    _number("ordered_fraction", "Share of the energy Σ λ that the outliers hold."),
    _count("outliers", "Eigenvalues above the Marchenko-Pastur bulk.", nullable=True),
)

findings = Table(
    "findings",
    metadata,
    *_of_scan(),
    Column("code", String, nullable=False, index=True, doc="Stable kebab-case identifier."),
    _word("severity", "error, warning or info."),
    _text("layer", "Name of the layer or tensor; NULL for the whole model.", nullable=True),
    Column("message", HostileText, nullable=False, doc="What was seen."),
    Column("evidence", JsonText, nullable=False, doc="Name -> number or word behind it."),
)

files = Table(
    "files",
    metadata,
    *_of_scan(),
    _text("name", "Of a weight file."),
    _count("bytes", "Its length."),
    _word("digest", "ALGORITHM:VALUE; NULL where not all of it was read.", nullable=True),
)
