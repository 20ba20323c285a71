"""Joining a study: the attested table is taken up, the whole price reserved, the cohort counted and frozen.

What a coordinator can see of it is whether the holder joins. That hangs on documents, on decisions of the
holder's people, on the ledger, and on one noisy count that is charged; on no row otherwise.

Invariants:
    The table is the copy that the holder's people attested for this study (`clients/attesting.py`), byte for
    byte; the source is not read, and nothing is judged here that rows decide.
    Count, cohort and verdict are durable together: a cohort that was denied has no reservation left to join
    with, at whatever line the process dies.
    A join that fails after its reservation closes it; what was charged stays charged, and the study is over
    here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from ringfence.clients.holder import Holder
from ringfence.clients.pipeline import Admitted, Joined
from ringfence.clients.records.snapshots import Attestation
from ringfence.clients.rows.table import (
    AttestedTable,
    ConsentedTable,
    Presence,
    consented,
    minimised,
    restored,
    separate_consents,
)
from ringfence.models.features import FeatureMatrix, encode_rows
from ringfence.models.task import with_offset
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Study, positive_category
from ringfence.privacy.consent.cohort import Cohort
from ringfence.privacy.errors import N_, StudyError, TableError
from ringfence.privacy.ledger import Ledger, Reservation
from ringfence.privacy.ledger.entries import COHORT_ROUND
from ringfence.privacy.stores.journal import listed
from ringfence.privacy.waist import RoundPlan

# People attest a table now and then; a second time during one join, hardly ever.
_MOST_TURNS = 4


def join(holder: Holder, admitted: Admitted) -> Joined:
    """Take up the attested table, reserve the study's price, count the cohort with noise, and freeze it.

    Raises:
        TableError: the table was not attested for this study, or its copy is gone.
        BudgetError: the study costs more than is left.
        StudyError: it was run here before, or the noisy cohort is below the contract's minimum.
    """
    table, reservation = _settled(holder, admitted)
    with _closed_on_failure(holder, reservation):
        subjects = holder.registry.indices(table.keys())
        cohort = _freeze(holder, admitted, table, subjects, reservation)
        members = cohort.current(holder.registry, holder.clock())
        rows = consented(table, holder.registry, members, subjects)
        features, presence = encoded(admitted.study, holder.schema, rows, holder.name)
    return Joined(
        admitted=admitted,
        reservation=reservation,
        cohort=cohort,
        features=features,
        rows=bytes.fromhex(features.digest().removeprefix("sha256:")),
        presence=presence,
        separate=separate_consents(table.allowed),
    )


def _settled(holder: Holder, admitted: Admitted) -> tuple[AttestedTable, Reservation]:
    """The attested copy and the reservation that settles for it.

    People may attest the table anew in between; then theirs is read instead, so that whether it passes does
    not show in whether this holder joins.
    """
    known = _taken_up(holder, admitted)
    for turn in range(_MOST_TURNS):
        found = holder.snapshots.find(admitted.digest)
        try:
            table = _attested(holder, admitted, found)
            if known is not None:
                return table, known
            assert found is not None  # or there would be no table
            premise = partial(holder.snapshots.require, found)
            return table, holder.ledger.reserve_plan(admitted.digest, admitted.plan, premise)
        except TableError:
            if turn + 1 == _MOST_TURNS or holder.snapshots.find(admitted.digest) == found:
                raise
    raise AssertionError("the last turn returns or raises")


def _attested(holder: Holder, admitted: Admitted, found: Attestation | None) -> AttestedTable:
    """The copy that was attested; the intent is an event before the effect."""
    columns = admitted.obligations.columns
    contract = holder.contract.digest()
    if found is None or not found.serves(contract, columns.touched):
        raise TableError(
            "RF-T152",
            N_(
                "The table was not attested for the study {study} under the contract in force, so this "
                "holder stays away: ringfence-client table attest. {fault}"
            ),
            study=admitted.study.id,
            fault="" if found is None else found.fault,
        )
    holder.log.record(
        "table.read",
        "allow",
        resource=f"study:{admitted.digest}",
        public={"contract": contract, "purpose": admitted.study.purpose, "run": admitted.run},
        private={"columns": listed(columns.named), "snapshot": found.digest},
    )
    return restored(columns, holder.snapshots.content(found))


def _taken_up(holder: Holder, admitted: Admitted) -> Reservation | None:
    """This run's reservation after a restart; None for a study that is new here.

    An approval is for one run: whoever wants the study again has it signed and approved anew.

    Raises:
        StudyError: the study was run here before, or this run is over.
    """
    for known in holder.ledger.reservations():
        if known.study_digest == admitted.digest and {run for run, _, _ in known.attempts} <= {admitted.run}:
            return known
    if holder.ledger.reserved_before(admitted.digest):
        raise StudyError(
            "RF-S064",
            N_(
                "The study {study} was run here before; its approvals were for that run. A repetition is a "
                "new study."
            ),
            study=admitted.study.id,
        )
    return None


@contextmanager
def _closed_on_failure(holder: Holder, reservation: Reservation) -> Iterator[None]:
    """Close a reservation whose join fails: left open, a second try could be told from the first."""
    try:
        yield
    except Exception:
        # Where the store itself fails this fails as well; then the next offer takes the reservation up.
        with suppress(Exception):
            if any(known.id == reservation.id for known in holder.ledger.reservations()):
                holder.ledger.commit(reservation)
            holder.snapshots.forget(reservation.study_digest)
        raise


def _freeze(
    holder: Holder,
    admitted: Admitted,
    table: AttestedTable,
    subjects: npt.NDArray[np.int64],
    reservation: Reservation,
) -> Cohort:
    """Freeze who is eligible now; a cohort frozen before a restart is taken up again, uncounted.

    Charge, cohort, event and, where the count is too low, the end of the reservation are one transaction.
    """
    if reservation.attempts:
        return Cohort.load(holder.registry, study=admitted.digest, run=admitted.run)
    plan = RoundPlan(name="cohort", blocks=(admitted.plan.cohort,))
    share = holder.noise.share(plan, {"cohort": 1}, 1)
    with holder.ledger.release(
        reservation, run=admitted.run, round=COHORT_ROUND, attempt=0, mu_squared=share.mu_squared
    ) as connection:
        cohort = Cohort.freeze(
            holder.registry,
            study=admitted.digest,
            run=admitted.run,
            purpose=admitted.study.purpose,
            at=holder.clock(),
            indices=subjects,
            separate=separate_consents(table.allowed),
            connection=connection,
        )
        members = len(cohort.members(holder.registry, connection=connection))
        unit = admitted.plan.cohort.max_abs
        noisy = (members * unit + int(share.blocks["cohort"][0])) / unit
        enough = noisy >= admitted.obligations.min_cohort
        holder.log.record(
            "cohort.counted",
            "allow" if enough else "deny",
            resource=f"study:{admitted.digest}",
            public={"run": admitted.run},
            private={"rows": len(table), "members": members, "noisy": round(noisy)},
            connection=connection,
        )
        if not enough:
            holder.ledger.commit(reservation, connection=connection)
    if not enough:
        raise StudyError(
            "RF-S062",
            N_(
                "The noisy count of consenting customers is below the contract's min_cohort = {minimum}; the "
                "holder does not join."
            ),
            minimum=admitted.obligations.min_cohort,
        )
    return cohort


def encoded(
    study: Study, schema: Schema, rows: ConsentedTable, holder: str
) -> tuple[FeatureMatrix, Presence]:
    """Drop the customer key and encode: consenting rows as cell codes, and who is behind them."""
    small = minimised(
        rows,
        features=rows.allowed.features,
        label=rows.allowed.label,
        split_key=split_key(study),
        test_fraction=study.evaluation.test_fraction,
    )
    positive = positive_category(study, schema)
    matrix = encode_rows(small, schema, rows.allowed.features, rows.allowed.label or "", positive)
    matrix = replace(matrix, inputs=small.inputs)
    return with_offset(study, holder, matrix), small.presence


def split_key(study: Study) -> bytes:
    """Key of the test split: the same at every holder and in every round of a study."""
    return f"ringfence/split/v1/{study.id}/{study.schema_ref}".encode()


def close_reservations(ledger: Ledger, study: str, run: str) -> None:
    """Free what a run that is over did not spend."""
    for reservation in ledger.reservations():
        if reservation.study_digest == study and {each for each, _, _ in reservation.attempts} <= {run}:
            ledger.commit(reservation)
