"""The surrogate vault, sign-off of de-identification, and incidents."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "v0004"
down_revision = "v0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of the vault, of sign-off and of incidents."""
    _create_vault()
    _create_sign_off()
    _create_incidents()


def _create_vault() -> None:
    op.create_table(
        "vault_pages",
        *_head(),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("scope_hash", sa.String(), nullable=False),
        sa.Column("group_hash", sa.String(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("sealed_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["sealed_id"], ["sealed_rows.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_vault_pages_scope_hash"), "vault_pages", ["scope_hash"])
    op.create_index(op.f("ix_vault_pages_group_hash"), "vault_pages", ["group_hash"])


def _create_sign_off() -> None:
    op.create_table(
        "sign_off_samples",
        *_head(),
        sa.Column("settings_hash", sa.String(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("drawn_from", sa.BigInteger(), nullable=False),
        sa.Column("drawn_by", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_sign_off_samples_settings_hash"), "sign_off_samples", ["settings_hash"]
    )
    op.create_table(
        "sign_off_readings",
        *_head(),
        sa.Column("sample_id", sa.String(), nullable=False),
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("marks", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["sign_off_samples.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_sign_off_readings_sample_id"), "sign_off_readings", ["sample_id"])
    op.create_table(
        "signatures",
        *_head(),
        sa.Column("profile", sa.String(), nullable=False),
        sa.Column("settings_hash", sa.String(), nullable=False),
        sa.Column("signer", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("sample_id", sa.String(), nullable=True),
        sa.Column("statement", sa.String(), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["sign_off_samples.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_signatures_settings_hash"), "signatures", ["settings_hash"])


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        *_head(),
        sa.Column("example_id", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=True),
        sa.Column("opened_by", sa.String(), nullable=False),
        sa.Column("spread", sa.Text(), nullable=False),
        sa.Column("sealed_id", sa.String(), nullable=False),
        sa.Column("resolution", sa.String(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["sealed_id"], ["sealed_rows.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_incidents_example_id"), "incidents", ["example_id"])


def _head() -> tuple[sa.Column[str], sa.Column[datetime]]:
    return (
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
