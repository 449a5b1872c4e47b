"""Models, revisions, scans, layers, findings, files: the first catalogue.

It says for ever what the first catalogue was, so it uses nothing of `thermoscan.catalogue`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "models",
        _id(),
        _text("name"),
        sa.Column("name_digest", sa.LargeBinary, nullable=False),
        _text("source"),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("name_digest", name="uq_models_name_digest"),
    )
    op.create_index("ix_models_name", "models", ["name"], postgresql_using="hash")
    op.create_table(
        "revisions",
        _id(),
        sa.Column("model_id", _ID, nullable=False),
        _text("identity"),
        _text("commit", nullable=True),
        _count("bytes"),
        _count("parameters"),
        _text("architecture", nullable=True),
        _word("structure"),
        _text("dtype", nullable=True),
        _json("dtypes", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_revisions"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_revisions_model_id"),
        sa.UniqueConstraint("model_id", "identity", name="uq_revisions_model_id_identity"),
    )
    _create_scans()
    _create_layers()
    op.create_table(
        "findings",
        *_key_of_scan("findings"),
        _word("code", nullable=False),
        _word("severity", nullable=False),
        _text("layer", nullable=True),
        _text("message"),
        _json("evidence", nullable=False),
    )
    op.create_index("ix_findings_code", "findings", ["code"])
    op.create_table(
        "files",
        *_key_of_scan("files"),
        _text("name"),
        _count("bytes"),
        _word("digest"),
    )


def _create_scans() -> None:
    op.create_table(
        "scans",
        _id(),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("revision_id", _ID),
        sa.Column("is_last", sa.Boolean, nullable=False),
        _word("status", nullable=False),
        _word("code"),
        _text("reason", nullable=True),
        _word("key"),
        _json("options", nullable=False),
        _word("scanner", nullable=False),
        sa.Column(
            "at", sa.DateTime().with_variant(sa.DateTime(True), "postgresql"), nullable=False
        ),
        sa.Column("seconds", sa.Double, nullable=False),
        _text("card", nullable=True),
        sa.Column("sampled", sa.Boolean, nullable=False),
        _number("sample_share"),
        _number("temperature"),
        _number("reduced_temperature"),
        _number("transition_temperature"),
        _number("refresh_temperature"),
        _number("order"),
        _number("work_efficiency"),
        _word("engine_type"),
        _json("engine_shares"),
        _number("carnot_bound"),
        _number("bits_per_parameter"),
        _number("sparsity"),
        _json("intervals"),
        _text("base", nullable=True),
        _text("base_revision", nullable=True),
        _word("verdict"),
        _number("energy_change"),
        _number("entropy_change"),
        _number("distance"),
        _number("cosine"),
        _number("kept"),
        _count("layers"),
        _count("errors"),
        _count("warnings"),
        _count("infos"),
        _json("worst", nullable=False),
        _json("profile", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_scans"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_scans_model_id"),
        sa.ForeignKeyConstraint(["revision_id"], ["revisions.id"], name="fk_scans_revision_id"),
    )
    op.create_index("ix_scans_model_id", "scans", ["model_id"])
    op.create_index(
        "uq_scans_last",
        "scans",
        ["model_id"],
        unique=True,
        sqlite_where=sa.text("is_last"),
        postgresql_where=sa.text("is_last"),
    )


def _create_layers() -> None:
    op.create_table(
        "layers",
        *_key_of_scan("layers"),
        _text("name"),
        _word("role", nullable=False),
        _count("depth", nullable=True),
        _count("rows"),
        _count("columns"),
        _word("dtype", nullable=False),
        _count("parameters"),
        _number("temperature"),
        _number("reduced_temperature"),
        _number("entropic_temperature"),
        _number("entropy"),
        _number("entropy_error"),
        _number("order"),
        _number("transition_temperature"),
        _number("refresh_temperature"),
        _number("sparsity"),
        _number("bits_per_parameter"),
        _number("mean"),
        _number("minimum"),
        _number("maximum"),
        _number("kurtosis"),
        _count("non_finite"),
        _text("engine_activation", nullable=True),
        _word("engine_type"),
        _number("engine_heat"),
        _number("engine_work"),
        _number("engine_efficiency"),
        _word("change_status"),
        _number("change_energy_change"),
        _number("change_entropy_change"),
        _number("change_distance"),
        _number("change_cosine"),
        _number("change_kept"),
        _count("change_rank", nullable=True),
        _word("digest"),
    )


_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _id() -> sa.Column[Any]:
    return sa.Column("id", _ID, nullable=False)


def _key_of_scan(table: str) -> tuple[Any, ...]:
    return (
        sa.Column("scan_id", _ID, nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("scan_id", "position", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["scan_id"], ["scans.id"], name=f"fk_{table}_scan_id"),
    )


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Double)


def _count(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _word(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.String, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, _TEXT, nullable=nullable)


def _json(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=nullable)
