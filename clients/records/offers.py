"""How often a study's offers were refused here: counted in the store, so that a restart forgets nothing.

Invariant: whoever offers a study again and again gets the same answer a bounded number of times, and after
that none that anything was looked at for. The count begins anew only when the holder's own people attest
the study's table or approve the study. Digests that a coordinator makes up fill the counts of its own
federation and no more: then only studies that the holder's people know of are looked at.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    func,
    insert,
    select,
    update,
)

from ringfence.privacy.errors import N_, StudyError
from ringfence.privacy.stores.store import reading

MOST_REFUSALS = 64
# Studies that a count is kept for; a coordinator can make up digests without end.
MOST_STUDIES = 1 << 12
METADATA = MetaData()
_ROWS = Table(
    "refused_offers",
    METADATA,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("study", String(71), primary_key=True),
    Column("refusals", Integer, nullable=False),
)


class Offers:
    """The counts of one federation in a holder's store."""

    def __init__(self, engine: Engine, federation: int = 1) -> None:
        """Open the table, making it when absent; a federation is known by the number of its log."""
        self._engine = engine
        self._federation = federation
        self._own = _ROWS.c.federation == federation
        METADATA.create_all(engine)

    def check(self, study: str) -> None:
        """Refuse a study that was refused too often.

        Raises:
            StudyError: RF-S320; RF-S370 too many others were refused, and nobody here spoke of this one.
        """
        with reading(self._engine) as connection:
            known = self._refusals(study, connection)
            if known is None and self._full(connection):
                raise StudyError(
                    "RF-S370",
                    N_(
                        "{count} studies were offered and refused here, and nobody of this holder has "
                        "attested a table for this one or approved it; it is not looked at."
                    ),
                    count=MOST_STUDIES,
                )
            if known is not None and known >= MOST_REFUSALS:
                raise StudyError(
                    "RF-S320",
                    N_(
                        "This study was offered and refused {count} times and is looked at no more. Whoever "
                        "approves it, or attests its table anew, opens it again."
                    ),
                    count=MOST_REFUSALS,
                )

    def refused(self, study: str, *, connection: Connection) -> bool:
        """Count a refusal, in the transaction of its event.

        Returns:
            Whether it is still among those that are recorded.
        """
        known = self._refusals(study, connection)
        if known is None:
            if self._full(connection):
                return False
            connection.execute(self._inserted(study, 1))
            return True
        if known >= MOST_REFUSALS:
            return False
        connection.execute(update(_ROWS).where(self._own, _ROWS.c.study == study).values(refusals=known + 1))
        return True

    def reopen(self, study: str, *, connection: Connection | None = None) -> None:
        """Begin the count anew: the holder's own people want the study looked at."""
        if connection is None:
            with self._engine.begin() as own:
                self.reopen(study, connection=own)
            return
        connection.execute(_ROWS.delete().where(self._own, _ROWS.c.study == study))
        connection.execute(self._inserted(study, 0))

    def _inserted(self, study: str, refusals: int) -> Insert:
        return insert(_ROWS).values(federation=self._federation, study=study, refusals=refusals)

    def _refusals(self, study: str, connection: Connection) -> int | None:
        """Refusals of a study; None for one that was neither refused nor opened here."""
        return connection.scalar(select(_ROWS.c.refusals).where(self._own, _ROWS.c.study == study))

    def _full(self, connection: Connection) -> bool:
        return (
            connection.scalar(select(func.count()).select_from(_ROWS).where(self._own)) or 0
        ) >= MOST_STUDIES
