"""The cohort of one run: who takes part, frozen when the holder joins.

Invariant (DESIGN, 6.5): the cohort is frozen when a holder joins; from then on customers may only leave.
Consent is re-read at every round, and whoever is not eligible then leaves for good: the shrunken cohort is
durable before it is returned, so a second grant brings nobody back. A grant after the join is not in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import InitVar, dataclass
from datetime import datetime
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

import numpy as np
import numpy.typing as npt
import rfc8785
from pyroaring import BitMap, FrozenBitMap
from sqlalchemy import ColumnElement, Connection, bindparam, select, update

from ringfence.privacy.consent.registry import ConsentRegistry
from ringfence.privacy.consent.snapshot import as_bitmap, members
from ringfence.privacy.consent.tables import cohort as cohorts
from ringfence.privacy.consent.tables import to_micros
from ringfence.privacy.errors import N_, ConsentError
from ringfence.privacy.stores import store

_MADE_HERE: Final = object()
# Built once: making the expression anew costs more than running it.
_FIND: Final = select(cohorts.c.members, cohorts.c.seal).where(
    cohorts.c.study == bindparam("its_study"), cohorts.c.run == bindparam("its_run")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortMembers:
    """Who takes part in one round; made by `Cohort.current` and by nothing else.

    Attributes:
        subjects: their indices.
        separate: separate consents that all of them gave.
    """

    subjects: FrozenBitMap
    separate: tuple[str, ...]
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        if token is not _MADE_HERE:
            raise ConsentError(
                "RF-N024",
                N_("Members of a cohort were made up; only the cohort itself may say who is in it."),
            )

    def __len__(self) -> int:
        return len(self.subjects)

    def holds(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which subject indices are in, bool `(n,)`; -1 (unknown) is not."""
        return members(self.subjects, indices)

    def require_separate(self, needed: Collection[str]) -> None:
        """Refuse data that need a separate consent these members were not asked for.

        Raises:
            ConsentError: RF-N023.
        """
        lacking = set(needed) - set(self.separate)
        if lacking:
            raise ConsentError(
                "RF-N023",
                N_(
                    "The cohort was frozen without the separate consent {name}, which this table's columns "
                    "need."
                ),
                name=min(lacking),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Names one frozen cohort; who is in it now is read from the store by `current`.

    Attributes:
        study: digest of the signed study.
        run: id of the run.
        purpose: the study's purpose.
        separate: separate consents its columns need, sorted.
    """

    study: str
    run: str
    purpose: str
    separate: tuple[str, ...] = ()

    @classmethod
    def freeze(
        cls,
        registry: ConsentRegistry,
        *,
        study: str,
        run: str,
        purpose: str,
        at: datetime,
        indices: npt.NDArray[np.int64],
        separate: Collection[str] = (),
        connection: Connection | None = None,
    ) -> Cohort:
        """Freeze the cohort at join: subjects of the table that are eligible at this instant.

        Args:
            registry: the holder's registry.
            study: digest of the signed study.
            run: id of the run.
            purpose: the study's purpose.
            at: the instant of the join.
            indices: subject indices of the table's customers, int64 `(n,)`; -1 (unknown) stays outside.
            separate: separate consents the columns need, e.g. `sensitive-data`.
            connection: an open transaction to take part in.

        Raises:
            ConsentError: RF-N020 when this run's cohort is frozen already.
        """
        if connection is None:
            with registry.engine.begin() as own:
                return cls.freeze(
                    registry,
                    study=study,
                    run=run,
                    purpose=purpose,
                    at=at,
                    indices=indices,
                    separate=separate,
                    connection=own,
                )
        made = cls(study=study, run=run, purpose=purpose, separate=tuple(sorted(set(separate))))
        if connection.scalar(select(cohorts.c.run).where(made._row())) is not None:
            raise ConsentError(
                "RF-N020",
                N_("The cohort of run {run} is frozen already; customers may only leave it."),
                run=run,
            )
        inside = as_bitmap(indices[indices >= 0]) & made._eligible(registry, at, connection)
        data = inside.serialize()
        connection.execute(
            cohorts.insert().values(
                study=study,
                run=run,
                purpose=purpose,
                separate=",".join(made.separate),
                frozen_at=to_micros(at),
                members=data,
                seal=made._seal(registry, data),
            )
        )
        return made

    @classmethod
    def load(cls, registry: ConsentRegistry, *, study: str, run: str) -> Cohort:
        """The cohort frozen earlier for this run; raises RF-N021 when there is none."""
        with store.reading(registry.engine) as reader:
            row = reader.execute(
                select(cohorts.c.purpose, cohorts.c.separate).where(
                    (cohorts.c.study == study) & (cohorts.c.run == run)
                )
            ).first()
        if row is None:
            raise _not_frozen(run)
        separate = tuple(row.separate.split(",")) if row.separate else ()
        found = cls(study=study, run=run, purpose=row.purpose, separate=separate)
        found.members(registry)  # a cohort whose seal does not hold is refused here, not in a round
        return found

    def members(self, registry: ConsentRegistry, *, connection: Connection | None = None) -> BitMap:
        """Who was in at the last round (at the join before the first), consent not re-read.

        Raises:
            ConsentError: RF-N021 not frozen; RF-N022 the stored bitmap was changed by another hand.
        """
        if connection is None:
            with store.reading(registry.engine) as reader:
                return self.members(registry, connection=reader)
        row = connection.execute(_FIND, {"its_study": self.study, "its_run": self.run}).first()
        if row is None:
            raise _not_frozen(self.run)
        # The seal is checked before the bytes are parsed.
        if not compare_digest(self._seal(registry, bytes(row.members)), bytes(row.seal)):
            raise ConsentError(
                "RF-N022",
                N_(
                    "The cohort of run {run} was changed outside Ringfence; the run cannot go on. Restore "
                    "the store."
                ),
                run=self.run,
            )
        return BitMap.deserialize(bytes(row.members))

    def current(
        self, registry: ConsentRegistry, at: datetime, *, connection: Connection | None = None
    ) -> CohortMembers:
        """Who takes part in this round: frozen and eligible now; who left stays out from here on.

        Args:
            registry: the holder's registry.
            at: the instant of the round.
            connection: an open writing transaction to take part in.
        """
        if connection is None:
            with registry.engine.begin() as own:
                return self.current(registry, at, connection=own)
        before = self.members(registry, connection=connection)
        now = before & self._eligible(registry, at, connection)
        if len(now) < len(before):
            data = now.serialize()
            connection.execute(
                update(cohorts).where(self._row()).values(members=data, seal=self._seal(registry, data))
            )
        return CohortMembers(subjects=FrozenBitMap(now), separate=self.separate, token=_MADE_HERE)

    def _eligible(self, registry: ConsentRegistry, at: datetime, connection: Connection) -> BitMap:
        return registry.eligible(self.purpose, at, separate=self.separate, connection=connection)

    def _row(self) -> ColumnElement[bool]:
        return (cohorts.c.study == self.study) & (cohorts.c.run == self.run)

    def _seal(self, registry: ConsentRegistry, data: bytes) -> bytes:
        """Integrity tag over a bitmap and what it belongs to, so none can stand for another's."""
        header = rfc8785.dumps(
            {"study": self.study, "run": self.run, "purpose": self.purpose, "separate": list(self.separate)}
        )
        return blake2b(
            len(header).to_bytes(8, "big") + header + data,
            key=registry.keys.seal,
            digest_size=32,
            person=b"rf-cohort",
        ).digest()


def _not_frozen(run: str) -> ConsentError:
    return ConsentError("RF-N021", N_("Run {run} has no frozen cohort here; join the study first."), run=run)
