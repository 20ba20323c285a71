"""What a witness remembers: the one log of its coordinator, and the one model of each run that it cosigned.

The checkpoint that was cosigned last is not here but in the holder's own log, which anchors it.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, insert, select, update

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
_FORKS = Table("witnessed_forks", METADATA, Column("run", String(32), primary_key=True))
_RELEASES = Table(
    "witnessed_releases",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("study", String(71), nullable=False),
    Column("model", String(71), nullable=False),
)


class WitnessMemory:
    """Which log each coordinator has, and which release of a run was witnessed."""

    def __init__(self, engine: Engine) -> None:
        """Open the tables, making them when absent."""
        self._engine = engine
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

    def follow(self, role: str, old: PublicIdentity, new: PublicIdentity, connection: Connection) -> None:
        """Let what is remembered of a coordinator, or of its log, stand under the successor of its key."""
        column = _LOGS.c.log_key if role == "log" else _LOGS.c.coordinator
        connection.execute(update(_LOGS).where(column == old.hex).values({column: new.hex}))

    def knows_log(self, key: PublicIdentity) -> bool:
        """Whether a log of this key was cosigned."""
        with reading(self._engine) as connection:
            return connection.scalar(select(_LOGS.c.origin).where(_LOGS.c.log_key == key.hex)) is not None

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
        known = connection.scalar(select(_RELEASES.c.model).where(_RELEASES.c.run == run))
        if known is None:
            connection.execute(insert(_RELEASES).values(run=run, study=study, model=model))
        elif known != model:
            raise WaistError(
                "RF-W233",
                N_("The coordinator means to release two models of the run {run}; one was witnessed."),
                run=run,
            )

    def witnessed(self, run: str) -> str | None:
        """The model whose release in this run was witnessed, or None."""
        with reading(self._engine) as connection:
            return connection.scalar(select(_RELEASES.c.model).where(_RELEASES.c.run == run))

    def forked(self, connection: Connection, run: str) -> bool:
        """Keep that another history was shown in a run; whether this is the first time."""
        if connection.scalar(select(_FORKS.c.run).where(_FORKS.c.run == run)) is not None:
            return False
        connection.execute(insert(_FORKS).values(run=run))
        return True
