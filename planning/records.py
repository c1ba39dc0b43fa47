"""The ledger's tables."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
about = sa.Table(  # the ledger itself: whose it is, and the version of its tables
    "about",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("as_of", sa.Text, nullable=False),
    sa.Column("finished_at", sa.Text, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("manifest_sha256", sa.Text),
    sa.Column("mean_minutes", sa.Float),
    sa.Column("on_time_share", sa.Float),
    sa.Column("prealloc_value", sa.Float),
)
plan_lines = sa.Table(
    "plan_lines",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("line_id", sa.Text, primary_key=True),
    sa.Column("supplier_id", sa.Text, nullable=False),
    sa.Column("product_id", sa.Text, nullable=False),
    sa.Column("order_by", sa.Text, nullable=False),
    sa.Column("available_from", sa.Text, nullable=False),
    sa.Column("available_to", sa.Text, nullable=False),
    sa.Column("units", sa.BigInteger, nullable=False),
    sa.Column("unit_cost", sa.Float, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)


requests = sa.Table(
    "requests",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("supplier_id", sa.Text, primary_key=True),
    sa.Column("request", sa.Text, nullable=False, index=True),
)
acks = sa.Table(
    "acks",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),  # in the order in which they came
    sa.Column("sha256", sa.Text, nullable=False, unique=True),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("supplier_id", sa.Text, nullable=False),
    sa.Column("known_at", sa.Text, nullable=False),
    sa.Column("recorded_at", sa.Text, nullable=False),
)
answers = sa.Table(
    "answers",
    metadata,
    sa.Column("sha256", sa.Text, sa.ForeignKey("acks.sha256"), primary_key=True),
    sa.Column("line_id", sa.Text, primary_key=True),
    sa.Column("product_id", sa.Text, nullable=False),
    sa.Column("asked_units", sa.BigInteger, nullable=False),
    sa.Column("units", sa.BigInteger, nullable=False),
    sa.Column("unit_cost", sa.Float, nullable=False),
    sa.Column("order_by", sa.Text, nullable=False),
    sa.Column("asked_from", sa.Text, nullable=False),
    sa.Column("available_from", sa.Text, nullable=False),
    sa.Column("available_to", sa.Text, nullable=False),
)
links = sa.Table(
    "chain",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 …
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),  # hash of what was written under the key
    sa.Column("link", sa.Text, nullable=False),  # hash of this entry and of the link before
)
