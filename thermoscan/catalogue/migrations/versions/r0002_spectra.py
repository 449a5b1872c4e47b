"""Figures of spectra, of layers and of scans; NULL in what was recorded before.

It says for ever what this step was, so it uses nothing of `thermoscan.catalogue`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_OF_SCANS = ("alpha", "alpha_weighted", "log_alpha_norm", "stable_rank", "ordered_fraction")
_OF_LAYERS = ("alpha", "stable_rank", "effective_rank", "ordered_fraction")


def upgrade() -> None:
    """Adds the columns."""
    for table, names in (("scans", _OF_SCANS), ("layers", _OF_LAYERS)):
        for name in names:
            op.add_column(table, sa.Column(name, sa.Double))
    op.add_column("layers", sa.Column("outliers", sa.BigInteger))
