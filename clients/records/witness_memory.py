"""What a witness remembers: the one log of each coordinator, and the one model of each run that it cosigned.

The checkpoint that was cosigned last is not here but in the holder's own log, which anchors it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Select, String, Table, insert, select

from ringfence.audit.note import Verifier
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.errors import N_, WaistError
from ringfence.privacy.stores.store import reading

METADATA = MetaData()
_LOGS = Table(
    "witnessed_logs",
    METADATA,
    Column("coordinator", String(64), primary_key=True),
    Column("origin", String(256), nullable=False),
    Column("log_key", String(64), nullable=False),
)
_FORKS = Table(
    "witnessed_forks",
    METADATA,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("run", String(32), primary_key=True),
)
_RELEASES = Table(
    "witnessed_releases",
    METADATA,
    Column("federation", Integer, primary_key=True, autoincrement=False),
    Column("run", String(32), primary_key=True),
    Column("study", String(71), nullable=False),
    Column("model", String(71), nullable=False),
)


class WitnessMemory:
    """Which log each coordinator has, and which release of a run was witnessed."""

    def __init__(self, engine: Engine, federation: int = 1) -> None:
        """Open the tables, making them when absent; a federation is known by the number of its log."""
        self._engine = engine
        self._federation = federation
        METADATA.create_all(engine)

    def require_log(self, coordinator: PublicIdentity, key: PublicIdentity, origin: str | None) -> None:
        """Refuse another log than the one that was cosigned first; `origin` None: it is not known yet.

        Raises:
            WaistError: RF-W232.
        """
        with reading(self._engine) as connection:
            row = connection.execute(
                select(_LOGS).where(_LOGS.c.coordinator == coordinator.hex)
            ).one_or_none()
        if row is not None and (row.log_key, row.origin) != (key.hex, origin or row.origin):
            raise WaistError(
                "RF-W232",
                N_(
                    "The coordinator came with another log than {origin}, which this holder cosigned. A "
                    "coordinator has one log: ask its people why."
                ),
                origin=row.origin,
            )

    def keep(
        self,
        connection: Connection,
        *,
        coordinator: PublicIdentity,
        log: Verifier,
        study: str,
        run: str,
        model: str,
    ) -> None:
        """Keep whose log it is and what is released of the run.

        Raises:
            WaistError: RF-W233 another model of this run was witnessed.
        """
        if connection.scalar(select(_LOGS.c.origin).where(_LOGS.c.coordinator == coordinator.hex)) is None:
            connection.execute(
                insert(_LOGS).values(coordinator=coordinator.hex, origin=log.name, log_key=log.raw.hex())
            )
        known = connection.scalar(self._released(run))
        if known is None:
            values = {"federation": self._federation, "run": run, "study": study, "model": model}
            connection.execute(insert(_RELEASES).values(**values))
        elif known != model:
            raise WaistError(
                "RF-W233",
                N_("The coordinator means to release two models of the run {run}; one was witnessed."),
                run=run,
            )

    def witnessed(self, run: str) -> str | None:
        """The model whose release in this run was witnessed, or None."""
        with reading(self._engine) as connection:
            found: str | None = connection.scalar(self._released(run))
        return found

    def _released(self, run: str) -> Select[Any]:
        own = _RELEASES.c.federation == self._federation
        return select(_RELEASES.c.model).where(own, _RELEASES.c.run == run)

    def forked(self, connection: Connection, run: str) -> bool:
        """Keep that another history was shown in a run; whether this is the first time."""
        own = _FORKS.c.federation == self._federation
        if connection.scalar(select(_FORKS.c.run).where(own, _FORKS.c.run == run)) is not None:
            return False
        connection.execute(insert(_FORKS).values(federation=self._federation, run=run))
        return True
