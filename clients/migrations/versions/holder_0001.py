"""The first version of a holder's store: the tables that Ringfence 0.1.0 made without writing a version.

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
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

revision = "holder_0001"
down_revision = None

# SQLite keeps a table by its INTEGER key; a BIGINT key would cost it a second tree.
_Number = BigInteger().with_variant(Integer, "sqlite")

TABLES = MetaData()

Table(
    "attested_tables",
    TABLES,
    Column("study", String(71), primary_key=True),
    Column("window", Integer, primary_key=True, autoincrement=False),
    Column("contract", String(71), nullable=False),
    Column("headers", Text, nullable=False),
    Column("at", String(40), nullable=False),
    Column("expires", String(10), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("file", String(80), nullable=False),
    Column("fault", Text, nullable=False),
)
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
    "budget_ledger",
    TABLES,
    Column("sequence", _Number, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
Table(
    "consent_batch",
    TABLES,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("recorded", BigInteger, nullable=False),
    Column("source", String(16), nullable=False),
    Column("rows", BigInteger, nullable=False),
)
Table(
    "consent_cohort",
    TABLES,
    Column("study", String(128), primary_key=True),
    Column("run", String(128), primary_key=True),
    Column("purpose", String(64), nullable=False),
    Column("separate", String(128), nullable=False),
    Column("frozen_at", BigInteger, nullable=False),
    Column("members", LargeBinary, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)
Table(
    "consent_registry",
    TABLES,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key_check", LargeBinary, nullable=False),
    Column("subjects", BigInteger, nullable=False),
)
Table(
    "consent_subject",
    TABLES,
    Column("id", _Number, primary_key=True, autoincrement=False),
    Column("pseudonym", LargeBinary, unique=True, comment="null once the subject is erased"),
)
Table(
    "consent_terms",
    TABLES,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("digest", String(80), nullable=False, unique=True),
    Column("body", Text, nullable=False),
)
Table(
    "federations",
    TABLES,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False, unique=True),
    Column("coordinator", String(64), nullable=False),
    Column("mark", String(16), nullable=False, unique=True),
    Column("left", Boolean, nullable=False),
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
    "participations",
    TABLES,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("study", String(71), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("log_key", String(64), nullable=False),
    Column("log_size", BigInteger, nullable=False),
    Column("log_root", String(71), nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("witnesses", Text, nullable=False),
    Column("released", Boolean, nullable=False),
)
Table(
    "refused_offers",
    TABLES,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("study", String(71), primary_key=True),
    Column("refusals", Integer, nullable=False),
)
Table(
    "released_tables",
    TABLES,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("artefact", String(80), nullable=False),
    Column("content", Text, nullable=False),
)
Table(
    "secagg_attempts",
    TABLES,
    Column("study", String(71), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("query", String(64), nullable=False),
    Column("answer", LargeBinary),
    CheckConstraint("round >= 0 AND attempt >= 0"),
)
Table(
    "secagg_survivors",
    TABLES,
    Column("study", String(71), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("survivors", String(71), nullable=False),
)
Table(
    "study_inbox",
    TABLES,
    Column("coordinator", String(64), primary_key=True),
    Column("study", String(71), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("epsilon", Text, nullable=False),
    Column("delta", Text, nullable=False),
    Column("expires", String(10), nullable=False),
    Column("received", String(40), nullable=False),
    Column("document", Text, nullable=False),
    Column("schema", Text, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("composed", Text, nullable=False),
)
Table(
    "study_rejections",
    TABLES,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("study", String(71), primary_key=True),
    Column("at", String(40), nullable=False),
    Column("document", Text, nullable=False),
)
Table(
    "witnessed_forks",
    TABLES,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("run", String(32), primary_key=True),
)
Table(
    "witnessed_logs",
    TABLES,
    Column("coordinator", String(64), primary_key=True),
    Column("origin", String(256), nullable=False),
    Column("log_key", String(64), nullable=False),
)
Table(
    "witnessed_releases",
    TABLES,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("run", String(32), primary_key=True),
    Column("leaf", String(71), primary_key=True),
    Column("coordinator", String(64), nullable=False),
    Column("study", String(71), nullable=False),
    Column("model", String(71), nullable=False),
    Column("event", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
)
Table(
    "audit_private",
    TABLES,
    Column("seq", _Number, ForeignKey("audit_event.seq"), primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
Table(
    "consent_event",
    TABLES,
    Column("sequence", _Number, primary_key=True, autoincrement=True),
    Column("subject", _Number, ForeignKey("consent_subject.id"), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    Column("terms", _Number, ForeignKey("consent_terms.id")),
    Column("batch", _Number, ForeignKey("consent_batch.id"), nullable=False),
    Index("consent_event_subject", "subject"),
)


def upgrade() -> None:
    """Make the tables that are missing: all of them in a new store."""
    TABLES.create_all(op.get_bind())
