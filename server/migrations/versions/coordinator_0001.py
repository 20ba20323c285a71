"""The first version of a coordinator's store: the tables that Ringfence 0.1.0 made without writing a version.

They are written out, and not imported from the code that uses them: that code changes, this version does not.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

revision = "coordinator_0001"
down_revision = None

# SQLite keeps a table by its INTEGER key; a BIGINT key would cost it a second tree.
_Number = BigInteger().with_variant(Integer, "sqlite")

TABLES = MetaData()

Table(
    "audit_checkpoint",
    TABLES,
    Column("log", Integer, primary_key=True, autoincrement=False),
    Column("origin", Text, primary_key=True),
    Column("size", _Number, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
)
Table(
    "audit_event",
    TABLES,
    Column("seq", _Number, primary_key=True, autoincrement=False),
    Column("action", String(64), nullable=False, index=True),
    Column("resource", String(256), nullable=False, index=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("closed", LargeBinary, nullable=False),
)
Table(
    "audit_handover",
    TABLES,
    Column("origin", Text, primary_key=True),
    Column("size", _Number, primary_key=True, autoincrement=False),
    Column("successor", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
)
Table(
    "audit_head",
    TABLES,
    Column("id", Integer, CheckConstraint("id >= 1"), primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("edge", LargeBinary, nullable=False),
)
Table(
    "audit_producer",
    TABLES,
    Column("source", Text, primary_key=True),
    Column("next", BigInteger, nullable=False),
)
Table(
    "federation_holders",
    TABLES,
    Column("certificate", String(64), primary_key=True),
    Column("holder", String(64), nullable=False, index=True),
    Column("identity", String(64), nullable=False),
    Column("node_key", Text, nullable=False),
    Column("admitted", String(40), nullable=False),
    Column("until", String(40), nullable=False),
    Column("revoked", String(40), nullable=False),
)
Table(
    "federation_invitations",
    TABLES,
    Column("number", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("expires", String(40), nullable=False),
    Column("used", String(40), nullable=False),
)
Table(
    "key_conflicts",
    TABLES,
    Column("role", String(16), primary_key=True),
    Column("old", String(64), primary_key=True),
    Column("other", String(64), primary_key=True),
    Column("party", String(64), nullable=False),
    Column("found", String(40), nullable=False),
    Column("document", Text, nullable=False),
    Column("settled", String(40), nullable=False),
)
Table(
    "key_successions",
    TABLES,
    Column("role", String(16), primary_key=True),
    Column("old", String(64), primary_key=True),
    Column("new", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("party", String(64), nullable=False),
    Column("own", Boolean, nullable=False),
    Column("accepted", String(40), nullable=False),
    Column("last_entry", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
Table(
    "registry_holders",
    TABLES,
    Column("identity", String(64), primary_key=True),
    Column("ledger_mark", String(128), nullable=False),
    Column("ledger_signature", String(128), nullable=False),
    Column("log_origin", String(256), nullable=False, unique=True),
    Column("log_key", String(64), nullable=False),
    Column("log_size", BigInteger, nullable=False),
    Column("log_root", String(71), nullable=False),
)
Table(
    "released_tables",
    TABLES,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("artefact", String(80), nullable=False),
    Column("content", Text, nullable=False),
)
Table(
    "stopped_series",
    TABLES,
    Column("study", String(71), primary_key=True),
    Column("at", String(40), nullable=False),
)
Table(
    "study_farewells",
    TABLES,
    Column("run", String(32), primary_key=True),
    Column("holder", String(64), primary_key=True),
    Column("study", String(71), nullable=False),
    Column("identity", String(64), nullable=False),
    Column("held", Integer, nullable=False),
    Column("told", String(40), nullable=False),
)
Table(
    "study_members",
    TABLES,
    Column("run", String(32), primary_key=True),
    Column("holder", String(64), primary_key=True),
    Column("joined", String(40), nullable=False),
)
Table(
    "study_releases",
    TABLES,
    Column("run", String(32), primary_key=True),
    Column("event", BigInteger, primary_key=True, autoincrement=False),
    Column("model", String(71), nullable=False),
    Column("intended", String(40), nullable=False),
    Column("proof", Text, nullable=False),
    Column("withdrawn", BigInteger, nullable=False),
)
Table(
    "study_runs",
    TABLES,
    Column("run", String(32), primary_key=True),
    Column("study", String(71), nullable=False, index=True),
    Column("name", String(64), nullable=False),
    Column("started", String(40), nullable=False),
    Column("round", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("roster", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("model", String(71), nullable=False),
    Column("ended", String(40), nullable=False),
    Column("window", Integer, nullable=False),
)
Table(
    "study_standings",
    TABLES,
    Column("study", String(71), primary_key=True),
    Column("holder", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("delivered", String(40), nullable=False),
    Column("heard", String(40), nullable=False),
    Column("missed", String(40), nullable=False),
)
Table(
    "study_sums",
    TABLES,
    Column("run", String(32), primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("query", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("holders", Text, nullable=False),
    Column("blocks", LargeBinary, nullable=False),
)
Table(
    "submitted_studies",
    TABLES,
    Column("study", String(71), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("expires", String(10), nullable=False),
    Column("submitted", String(40), nullable=False),
    Column("document", Text, nullable=False),
    Column("schema", Text, nullable=False),
    Column("series", Text, nullable=False),
)
Table(
    "audit_private",
    TABLES,
    Column("seq", _Number, ForeignKey("audit_event.seq"), primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)


def upgrade() -> None:
    """Make the tables that are missing: all of them in a new store."""
    TABLES.create_all(op.get_bind())
