"""The consent registry's tables: subjects, terms, batches and an event log that is only ever appended to.

Times are microseconds since 1970-01-01 UTC in 64-bit integers, so that SQLite and PostgreSQL agree to the
bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
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

from ringfence.privacy.errors import N_, ConsentError

metadata = MetaData()

# A 64-bit key in PostgreSQL, the plain rowid in SQLite (only INTEGER is an alias of it there).
_Sequence = BigInteger().with_variant(Integer, "sqlite")

registry = Table(
    "consent_registry",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key_check", LargeBinary, nullable=False),
    Column("subjects", BigInteger, nullable=False),
)

subject = Table(
    "consent_subject",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=False),
    Column("pseudonym", LargeBinary, unique=True, comment="null once the subject is erased"),
)

terms = Table(
    "consent_terms",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("digest", String(80), nullable=False, unique=True),
    Column("body", Text, nullable=False),
)

batch = Table(
    "consent_batch",
    metadata,
    Column("id", _Sequence, primary_key=True, autoincrement=True),
    Column("recorded", BigInteger, nullable=False),
    Column("source", String(16), nullable=False),
    Column("rows", BigInteger, nullable=False),
)

event = Table(
    "consent_event",
    metadata,
    Column("sequence", _Sequence, primary_key=True, autoincrement=True),
    Column("subject", _Sequence, ForeignKey("consent_subject.id"), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    Column("terms", _Sequence, ForeignKey("consent_terms.id")),
    Column("batch", _Sequence, ForeignKey("consent_batch.id"), nullable=False),
    Index("consent_event_subject", "subject"),
)

cohort = Table(
    "consent_cohort",
    metadata,
    Column("study", String(128), primary_key=True),
    Column("run", String(128), primary_key=True),
    Column("purpose", String(64), nullable=False),
    Column("separate", String(128), nullable=False),
    Column("frozen_at", BigInteger, nullable=False),
    Column("members", LargeBinary, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

FOREVER: Final = (1 << 62) - 1
"""`valid_until` of an event without an end."""

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def to_micros(moment: datetime) -> int:
    """Microseconds since the epoch; raises RF-N002 for a time without a zone, which means two."""
    if moment.tzinfo is None:
        raise ConsentError(
            "RF-N002", N_("A time without a time zone was given; a time with its zone is expected, e.g. UTC.")
        )
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime | None:
    """The time in UTC; None where it lies after the year 9999, which is how some systems write "no end"."""
    if micros > to_micros(_LAST):
        return None
    return _EPOCH + max(micros, to_micros(_FIRST)) * _MICROSECOND


def insert_many(
    connection: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows given as tuples in the order of `names`, which is that of the table's columns.

    The statement is compiled once and handed to the driver as it is: going through SQLAlchemy's own
    parameter handling would take three times as long for a million rows.
    """
    compiled = table.insert().compile(dialect=connection.dialect, column_keys=list(names))
    if getattr(compiled, "positiontup", None):  # SQLite counts parameters, PostgreSQL names them
        connection.exec_driver_sql(str(compiled), list(rows))
    else:
        connection.exec_driver_sql(str(compiled), [dict(zip(names, row, strict=True)) for row in rows])
